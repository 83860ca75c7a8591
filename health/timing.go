package health

import (
	"time"

	"github.com/evenkeel/evenkeel/model"
)

const (
	// firstRun is when a check runs at the earliest, as in keepalived.
	firstRun = time.Second
	// earlyWarmup bounds the random part for checks that start as down
	// though nothing says so but a missing table entry.
	earlyWarmup = time.Second
	// spreadPart is how far a pause of delay_loop is spread to each side.
	spreadPart = 0.05
	// leastPause keeps a check without a period from spinning.
	leastPause = 10 * time.Millisecond
)

// firstDelay draws the pause before a check's first run. What a file says is
// known at once.
func (r *Runner) firstDelay(c model.Check, start Start) time.Duration {
	if c.Kind == model.FileCheck {
		return 0
	}
	warmup := c.Warmup
	if start == StartDown {
		warmup = min(warmup, earlyWarmup)
	}
	return firstRun + time.Duration(r.opts.Random()*float64(warmup))
}

// spread draws the pause before the next run: evenly from 95 % to 105 % of
// delay_loop, exactly delay_before_retry.
func (r *Runner) spread(c model.Check, pause time.Duration) time.Duration {
	if pause == c.DelayLoop {
		pause += time.Duration((2*r.opts.Random() - 1) * spreadPart * float64(pause))
	}
	return max(pause, leastPause)
}

// dueAfter returns when the next run is due. Pauses count from the end of a
// try, those of scripts from its start.
func (r *Runner) dueAfter(c model.Check, e Evidence, pause time.Duration) time.Time {
	pause = r.spread(c, pause)
	if c.Kind == model.MiscCheck {
		pause = max(pause-e.Took, leastPause)
	}
	return e.At.Add(pause)
}
