package supervise

import "time"

// How long to wait before the next worker: not at all the first time, then from
// the least to the most.
const (
	pauseLeast = 100 * time.Millisecond
	pauseMost  = 5 * time.Second
	// ranWell is how long a worker runs for its death to count as the first.
	ranWell = 10 * time.Second
)

// backoff counts deaths in a row.
type backoff struct{ deaths int }

// next returns the pause after the death of a worker that ran for a time.
func (b *backoff) next(ran time.Duration) time.Duration {
	if ran >= ranWell {
		b.deaths = 0
	}
	b.deaths++
	pause := time.Duration(0)
	for n := 1; n < b.deaths && pause < pauseMost; n++ {
		pause = min(max(2*pause, pauseLeast), pauseMost)
	}
	return pause
}
