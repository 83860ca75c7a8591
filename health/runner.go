package health

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

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
	opts     Options
	verdicts chan Verdict
	// wake tells Run that the set of checks or what is due has changed.
	wake chan struct{}
	done chan finished

	mu       sync.Mutex // guards what follows, which is plain data
	servers  []*server
	byKey    map[serverKey]*server
	due      queue
	pending  []*server
	inFlight int
}

// finished is a try that has ended.
type finished struct {
	check    *check
	evidence Evidence
	weight   WeightChange
}

// New returns a runner for targets. Of targets that name the same server of
// the same service the first counts. Nothing runs before Run.
func New(targets []Target, o Options) *Runner {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = DefaultMaxInFlight
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{
		opts:     o,
		verdicts: make(chan Verdict),
		wake:     make(chan struct{}, 1),
		done:     make(chan finished),
	}
	r.Update(targets)
	return r
}

// Verdicts returns the channel on which changes of servers and their weights
// arrive, in the order in which they happened. The start state of a server is not sent, but
// the first proof of it is: the first success of all checks of a server that
// counts as up. A reader that lags gets only the latest verdict of each server.
// The channel is never closed.
func (r *Runner) Verdicts() <-chan Verdict { return r.verdicts }

// Run runs checks until ctx ends, waits for the tries in flight and returns
// nil. It is called once.
func (r *Runner) Run(ctx context.Context) error {
	var tries sync.WaitGroup
	defer tries.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		r.startDue(ctx, &tries, timer)
		verdict, server, out := r.nextVerdict()
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-r.wake:
		case f := <-r.done:
			if was, ok := r.advance(f); ok {
				r.log(ctx, f.check, was)
			}
		case out <- verdict:
			r.sent(verdict, server)
		}
	}
}

// startDue starts the checks that are due while there is room, longest overdue
// first, and sets timer to the next one. Without room there is nothing to wait
// for but the end of a try.
func (r *Runner) startDue(ctx context.Context, tries *sync.WaitGroup, timer *time.Timer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for r.inFlight < r.opts.MaxInFlight {
		c := r.due.first()
		if c == nil {
			return
		}
		if c.due.After(now) {
			timer.Reset(c.due.Sub(now))
			return
		}
		r.due.remove(c)
		if c.suspended() {
			c.due = now.Add(r.spread(c.definition, c.definition.DelayLoop))
			r.due.add(c)
			continue
		}
		r.inFlight++
		var tryCtx context.Context
		tryCtx, c.stop = context.WithCancel(ctx)
		definition := c.state.step(c.definition)
		tries.Go(func() { r.try(tryCtx, ctx, c, definition) })
	}
}

// try makes one try and hands over its evidence unless the runner ends.
func (r *Runner) try(ctx, run context.Context, c *check, definition model.Check) {
	began := time.Now()
	answer := examine(ctx, r.opts.Prober, definition)
	e := evidenceOf(definition, answer)
	e.At = time.Now()
	e.Took = e.At.Sub(began)
	select {
	case r.done <- finished{c, e, answer.Weight}:
	case <-run.Done():
	}
}

// advance moves a check on by the result of a try and returns the state before
// it. It reports false for a check that an update took away.
func (r *Runner) advance(f finished) (State, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inFlight--
	c := f.check
	c.stop()
	c.stop = nil
	if c.gone {
		return State{}, false
	}
	was := c.state
	next, pause := was.Next(c.definition, f.evidence.Result)
	c.state = next
	c.note(f.evidence, was)
	c.weigh(f)
	c.due = r.dueAfter(c.definition, f.evidence, pause)
	if c.again {
		c.again, c.due = false, f.evidence.At
	}
	r.due.add(c)
	r.judge(c.server, c.reason(), f.evidence)
	return was, true
}

// log writes the line of a try: a check that turned, or a failure that is to
// be logged in any case. What it reads only Run's goroutine writes.
func (r *Runner) log(ctx context.Context, c *check, was State) {
	attrs := []slog.Attr{
		slog.String("service", c.server.key.service.String()),
		slog.String("server", c.server.key.addr.String()),
		slog.String("check", string(c.definition.Kind)),
		slog.String("to", objectOf(c.definition)),
		slog.String("error", c.last.Error),
		slog.Uint64("tries", c.streak),
		slog.Duration("took", c.last.Took),
	}
	if c.last.Path != "" {
		attrs = append(attrs, slog.String("path", c.last.Path))
	}
	if c.last.Received != "" {
		attrs = append(attrs, slog.String("received", c.last.Received))
	}
	switch {
	case was.Up && !c.state.Up:
		r.opts.Log.LogAttrs(ctx, slog.LevelWarn, "check failed", attrs...)
	case !was.Up && c.state.Up:
		r.opts.Log.LogAttrs(ctx, slog.LevelInfo, "check succeeded", attrs...)
	case c.last.Result == NotTried && c.streak == 1:
		r.opts.Log.LogAttrs(ctx, slog.LevelWarn, "check could not be made", attrs...)
	case c.last.Result == Failed && c.definition.LogAllFailures:
		r.opts.Log.LogAttrs(ctx, slog.LevelInfo, "try failed", attrs...)
	}
}
