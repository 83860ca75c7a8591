package health

import (
	"context"
	"errors"
	"log/slog"

	"github.com/evenkeel/evenkeel/model"
)

// ErrNotTried marks a Prober's error that says nothing about the server: the
// try could not be made from this machine. Such a result changes no state.
var ErrNotTried = errors.New("not tried")

// Prober makes one try of a check. It returns nil when the server passed, an
// error that wraps ErrNotTried when no try could be made, and any other error
// when the server failed. The text of the error is shown to people. It keeps to
// the check's own time limits and returns soon after ctx ends. It is called
// from many goroutines at once.
type Prober interface {
	Probe(ctx context.Context, c model.Check) error
}

// DefaultMaxInFlight bounds the tries in flight when Options leaves it open.
const DefaultMaxInFlight = 1000

// Options configure a Runner.
type Options struct {
	// Prober makes the tries. It is required.
	Prober Prober
	// MaxInFlight bounds the tries in flight and so the descriptors that
	// they hold; optional, default DefaultMaxInFlight.
	MaxInFlight int
	// Random returns numbers in [0, 1); optional, default the process's
	// random source. Tests fix it.
	Random func() float64
	// Log gets one line for each check that changes, and each failed try of
	// checks with log_all_failures; optional, default discards.
	Log *slog.Logger
}

// Runner runs the checks of a set of targets. Its methods may be called from
// any goroutine.
type Runner struct {
	verdicts chan Verdict
}

// New returns a runner for targets. Of targets that name the same server of
// the same service the first counts. Nothing runs before Run.
func New(targets []Target, o Options) *Runner { return &Runner{verdicts: make(chan Verdict)} }

// Run runs checks until ctx ends, waits for the tries in flight and returns
// nil. It is called once.
func (r *Runner) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Verdicts returns the channel on which changes of servers arrive, in the
// order in which they happened. The start state of a server is not sent. A
// reader that lags gets only the latest verdict of each server. The channel
// is never closed.
func (r *Runner) Verdicts() <-chan Verdict { return r.verdicts }

// Update replaces the set of targets. Checks whose definition (apart from its
// place in the file) and server are unchanged keep their state and their next
// due time. New and changed checks of a server that stays take over whether
// it is up. Checks that are gone stop; when that brings a server up or down,
// a verdict says so.
func (r *Runner) Update(targets []Target) {}

// Current returns the present verdict on each server, in the order of the
// targets. Its Evidence is that of the last change.
func (r *Runner) Current() []Verdict { return nil }

// Snapshot returns the state of all checks.
func (r *Runner) Snapshot() Snapshot { return Snapshot{} }
