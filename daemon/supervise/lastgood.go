package supervise

import (
	"fmt"
	"os"
	"syscall"
)

// deathsMost is how many deaths in a row, none after a worker that had run well,
// it takes to suspect the configuration.
const deathsMost = 5

// fallBack decides after a death whether workers begin with the configuration
// that last ran well in place of the file: when the file is refused at a start,
// or when workers die again and again. Only a reload ends that.
func (s *Supervisor) fallBack(end End) {
	if s.lastGood != "" || !s.ready {
		return
	}
	switch {
	case !s.workerReady && !end.crashed():
		s.lastGood = "a worker could not start: " + end.String()
	case s.backoff.deaths >= deathsMost:
		s.lastGood = fmt.Sprintf("%d workers died one after the other, the last one: %s", s.backoff.deaths, end)
	default:
		return
	}
	s.opts.Log.Error("next workers begin with the configuration that last ran well", "cause", s.lastGood)
}

// askedForFile notes a reload: the next worker reads the file.
func (s *Supervisor) askedForFile(sig os.Signal) {
	if sig == syscall.SIGHUP {
		s.lastGood = ""
	}
}

// lastGoodVariable tells a worker why it is to begin with the configuration that
// last ran well.
const lastGoodVariable = "EVENKEEL_LAST_GOOD"

// LastGood says why this worker is to begin with the configuration that last ran
// well, empty if it is not.
func (p *Parent) LastGood() string { return p.lastGood }

// takeLastGood reads the variable and takes it out of the environment, which
// scripts inherit.
func takeLastGood() (why string) {
	why = os.Getenv(lastGoodVariable)
	_ = os.Unsetenv(lastGoodVariable) // fails for bad names only
	return why
}
