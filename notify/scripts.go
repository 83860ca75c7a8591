package notify

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// process is a started script.
type process interface {
	Wait(outcome func(model.ScriptResult))
}

// startFunc starts a script and returns when it runs.
type startFunc func(ctx context.Context, s model.Script) (process, error)

// job is a script to run, and for what.
type job struct {
	script model.Script
	// event is told to the log.
	event string
}

// launcher starts scripts in the order of their events. As with keepalived it
// does not wait for one to end before it starts the next, so that one that hangs
// holds back no later event.
type launcher struct {
	start startFunc
	queue *queue[job]
	log   *slog.Logger

	mu    sync.Mutex // guards stats
	stats ScriptStats
}

// ScriptStats count notify scripts.
type ScriptStats struct {
	// Started scripts run or have run; Failed ones could not be started or did
	// not end with status 0; Dropped ones found the queue full.
	Started, Failed, Dropped uint64
	// Running is how many run now.
	Running int
}

// run starts scripts until ctx ends, and then what is queued. Scripts that run
// grace after the end of ctx are ended. It returns when none is left.
func (l *launcher) run(ctx context.Context, grace time.Duration) {
	scripts, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-scripts.Done():
		}
	})
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case j := <-l.queue.out:
			l.launch(scripts, &running, j)
			continue
		case <-ctx.Done():
		}
		select {
		case j := <-l.queue.out:
			l.launch(scripts, &running, j)
			continue
		default:
		}
		return
	}
}

// launch starts one script. It waits while too many run.
func (l *launcher) launch(ctx context.Context, running *sync.WaitGroup, j job) {
	p, err := l.start(ctx, j.script)
	if err != nil {
		l.count(func(s *ScriptStats) { s.Failed++ })
		level := slog.LevelError
		if errors.Is(err, context.Canceled) {
			level = slog.LevelWarn
		}
		l.log.LogAttrs(ctx, level, "notify script not started",
			slog.String("event", j.event), slog.String("script", j.script.String()), slog.Any("error", err))
		return
	}
	l.count(func(s *ScriptStats) { s.Started++; s.Running++ })
	running.Go(func() {
		ended := false
		p.Wait(func(r model.ScriptResult) {
			ended = true
			l.ended(ctx, j, r)
		})
		l.count(func(s *ScriptStats) {
			s.Running--
			if !ended {
				s.Failed++
			}
		})
	})
}

// ended logs a script that did not end well.
func (l *launcher) ended(ctx context.Context, j job, r model.ScriptResult) {
	if r.OK() {
		return
	}
	l.count(func(s *ScriptStats) { s.Failed++ })
	attrs := []slog.Attr{
		slog.String("event", j.event), slog.String("script", j.script.String()),
		slog.String("result", r.String()), slog.Duration("took", r.Took),
	}
	if r.Output != "" {
		attrs = append(attrs, slog.String("output", r.Output))
	}
	l.log.LogAttrs(ctx, slog.LevelWarn, "notify script failed", attrs...)
}

func (l *launcher) count(change func(*ScriptStats)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.stats)
}

func (l *launcher) snapshot() ScriptStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Dropped = l.queue.lost()
	return s
}
