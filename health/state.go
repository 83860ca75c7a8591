package health

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// Result is what came of one try.
type Result uint8

// The results. NotTried means that this machine could not make the try (no
// descriptor, the bind address is not here); it says nothing about the server.
const (
	NotTried Result = iota
	Succeeded
	Failed
)

// String returns the result as a word: not tried, succeeded, failed.
func (r Result) String() string {
	switch r {
	case NotTried:
		return "not tried"
	case Succeeded:
		return "succeeded"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("result %d", uint8(r))
}

// MarshalText returns String, so that JSON shows words.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// State is where one check stands. It is a value; Next returns the following
// one.
type State struct {
	// Up is the check's own verdict.
	Up bool
	// Proven is set by the first success. Before it a failure counts at
	// once; after it retries are allowed.
	Proven bool
	// Failures counts the failed tries in a row that retry has forgiven so
	// far. It is zero while the check is down.
	Failures uint32
}

// Initial returns the state in which a check starts.
func Initial(c model.Check, start Start) State {
	switch start {
	case StartUp:
		return State{Up: true, Proven: true}
	case StartDown:
		return State{}
	default:
		return State{Up: !c.Alpha}
	}
}

// Next returns the state after a try and the pause before the next one. The
// verdict has changed when Up differs from that of s.
func (s State) Next(c model.Check, r Result) (State, time.Duration) {
	switch {
	case r == NotTried:
		return s, c.DelayLoop
	case r == Succeeded:
		return State{Up: true, Proven: true}, c.DelayLoop
	case !s.Up:
		return s, c.DelayLoop
	case s.Proven && s.Failures < c.Retry:
		s.Failures++
		return s, c.DelayBeforeRetry
	}
	// A check that was proven once stays so: it matters again only after
	// its next success, which sets it anyway.
	return State{Proven: s.Proven}, c.DelayLoop
}
