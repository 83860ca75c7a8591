package track

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// Runner runs scripts.
type Runner interface {
	// Run runs s and returns when nothing of the run is left. It calls outcome
	// once, as soon as the outcome is known: for a run over its time-out that
	// is before its end. If ctx ends before, it ends the run and does not call
	// outcome.
	Run(ctx context.Context, s model.Script, outcome func(model.ScriptResult))
}

// verdict is keepalived's count of results. It moves between 0 and
// rise + fall - 1, and a script is up from rise on.
type verdict struct {
	count uint32
	state State
}

// newVerdict is where a script starts: one success is enough to be up, also
// with init_fail, and one failure to be down.
func newVerdict(rise uint32, initFail bool) verdict {
	v := verdict{count: rise - 1}
	if initFail {
		v.state = Down
	}
	return v
}

// next returns the verdict after one more result.
func (v verdict) next(ok bool, rise, fall uint32) verdict {
	switch {
	case ok && v.count+1 < rise:
		return verdict{v.count + 1, v.state}
	case ok:
		return verdict{rise + fall - 1, Up}
	case v.count > rise:
		return verdict{v.count - 1, v.state}
	}
	return verdict{0, Down}
}

// again returns the verdict for other rise and fall with the state kept.
func (v verdict) again(rise, fall uint32) verdict {
	switch v.state {
	case Up:
		v.count = rise + fall - 1
	case Down:
		v.count = 0
	case Unknown, Disabled:
		v.count = rise - 1
	}
	return v
}

// scriptDefaults fills in what the configuration left open.
func scriptDefaults(d model.TrackScript) model.TrackScript {
	d.Rise, d.Fall = max(d.Rise, 1), max(d.Fall, 1)
	if d.Interval <= 0 {
		d.Interval = time.Second
	}
	if d.Script.Timeout <= 0 {
		d.Script.Timeout = d.Interval
	}
	return d
}

// runScript runs a script at each interval until ctx ends, and then waits for
// the end of the run. A run is skipped while the one before is alive.
func (t *Tracker) runScript(ctx context.Context, e *entry, d model.TrackScript) {
	var run sync.WaitGroup
	defer run.Wait()
	ended := make(chan struct{}, 1)
	alive := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := time.Now()
	// So that scripts do not march in step: above 0 and at most an interval.
	pause := d.Interval - time.Duration(t.opts.Random()*float64(d.Interval))
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
			alive = false
			continue
		case <-timer.C:
		}
		for now := time.Now(); !next.After(now); pause = d.Interval {
			next = next.Add(pause)
		}
		timer.Reset(time.Until(next))
		if alive {
			t.board.update(e, func(s *Status) { s.Runs.Skipped++ })
			continue
		}
		alive = true
		run.Go(func() {
			t.opts.Runner.Run(ctx, d.Script, func(r model.ScriptResult) { t.scriptResult(e, d, r) })
			ended <- struct{}{}
		})
	}
}

// scriptResult takes the result of a run.
func (t *Tracker) scriptResult(e *entry, d model.TrackScript, r model.ScriptResult) {
	t.board.update(e, func(s *Status) {
		unmade := s.Runs.Last.Unmade
		s.Runs.Last, s.Runs.At = r, time.Now()
		switch {
		case r.Unmade != "":
			if unmade == "" {
				t.opts.Log.Warn("script could not be run", "script", s.Name, "error", r.Unmade)
			}
			return
		case r.Refused != "" && s.Runs.Made == 0:
			s.State, s.Reason = Disabled, r.String()
			return
		}
		s.Runs.Made++
		if !r.OK() {
			s.Runs.Failed++
		}
		e.verdict = e.verdict.next(r.OK(), d.Rise, d.Fall)
		if was := s.State; was != e.verdict.state || was == Down && !r.OK() {
			s.State, s.Reason = e.verdict.state, resultReason(r)
		}
	})
}

// resultReason says how a run ended, with the last line of what it said.
func resultReason(r model.ScriptResult) string {
	last := r.Output[strings.LastIndexByte(r.Output, '\n')+1:]
	if last == "" {
		return r.String()
	}
	return fmt.Sprintf("%v: %s", r, last)
}

// changeLevel is the level of the log line about a change.
func changeLevel(s Status) slog.Level {
	if s.State == Down || s.State == Disabled {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}
