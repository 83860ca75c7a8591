package main

import "fmt"

// goal is what the figures of evenkeel in one cell are held against. ours and
// theirs hold the values of all runs; theirs may be empty.
type goal struct {
	text string
	held func(ours, theirs summary, theory float64) bool
	// compares says that it needs keepalived's figures.
	compares bool
}

// resolution is the difference in milliseconds below which two medians are the
// same.
const resolution = 0.5

var (
	notLater = goal{fmt.Sprintf("median no later than keepalived's, by %g ms", resolution),
		func(ours, theirs summary, _ float64) bool { return ours.median <= theirs.median+resolution }, true}
	withinFive = goal{"worst within 5 ms of the arithmetic",
		func(ours, _ summary, theory float64) bool { return ours.worst <= theory+5 }, false}
	onTime = goal{"worst at most a tenth late",
		func(ours, _ summary, theory float64) bool { return ours.worst <= 1.1*theory }, false}
	mostFifty = goal{"worst at most 50 ms",
		func(ours, _ summary, _ float64) bool { return ours.worst <= 50 }, false}
	underHundred = goal{"worst under 100 ms",
		func(ours, _ summary, _ float64) bool { return ours.worst < 100 }, false}
	none = goal{"none in any run",
		func(ours, _ summary, _ float64) bool { return ours.worst == 0 }, false}
	notMore = goal{"no more than keepalived's",
		func(ours, theirs summary, _ float64) bool {
			return ours.mean*float64(ours.n) <= theirs.mean*float64(theirs.n)
		}, true}
)
