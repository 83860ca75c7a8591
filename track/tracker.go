package track

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// Definitions are the tracked things of a configuration.
type Definitions struct {
	Scripts   []model.TrackScript
	Files     []model.TrackFile
	Processes []model.TrackProcess
}

// Options configure a Tracker.
type Options struct {
	Definitions
	// Runner runs the scripts. It is required if there are any.
	Runner Runner
	// Processes is where processes are seen; optional, default the kernel.
	Processes ProcessSource
	// Random returns numbers in [0, 1); optional, default the process's random
	// source. Tests fix it.
	Random func() float64
	// Log gets a line for each change; optional, default discards.
	Log *slog.Logger
}

// Tracker watches tracked things. Its methods may be called from any goroutine.
type Tracker struct {
	opts    Options
	board   *board
	changes chan Status
	// folderRetry is the constant, but in tests with real folders.
	folderRetry time.Duration

	mu sync.Mutex // guards what follows
	// wanted are the definitions, and fresh is set while Run has not seen them.
	wanted Definitions
	fresh  bool
}

// New returns a tracker. Of things of the same kind and name the first counts.
// Nothing is watched before Run.
func New(o Options) *Tracker {
	if o.Processes == nil {
		o.Processes = KernelProcesses{}
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	t := &Tracker{
		opts:    o,
		board:   &board{log: o.Log, wake: make(chan struct{}, 1)},
		changes: make(chan Status),

		folderRetry: folderRetry,
	}
	t.Update(o.Definitions)
	return t
}

// Changes returns the channel on which changes arrive, in the order in which
// they happened: a State that is not Unknown for the first time, another State,
// or another number in a file. A reader that lags gets only the latest of each
// thing. The channel is never closed.
func (t *Tracker) Changes() <-chan Status { return t.changes }

// Snapshot returns the status of all tracked things in the order of the
// definitions: scripts, files, processes.
func (t *Tracker) Snapshot() []Status { return t.board.snapshot() }

// Update replaces the definitions. A thing that stays what it is keeps its
// status: a script with the same command, a file with the same path, a process
// with the same name. Update does not wait for Run, but the statuses are those
// of the new definitions at once.
func (t *Tracker) Update(d Definitions) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.wanted
	t.wanted, t.fresh = normal(d), true
	t.board.replace(old, t.wanted)
}

// normal applies defaults and leaves out what comes a second time, and where
// things are configured, so that definitions can be compared.
func normal(d Definitions) Definitions {
	var n Definitions
	seen := make(map[key]bool)
	first := func(k key) bool {
		was := seen[k]
		seen[k] = true
		return !was
	}
	for _, s := range d.Scripts {
		if first(key{Script, s.Name}) {
			s.Pos, s.Script.Pos = model.Position{}, model.Position{}
			n.Scripts = append(n.Scripts, scriptDefaults(s))
		}
	}
	for _, f := range d.Files {
		if first(key{File, f.Name}) {
			f.Pos = model.Position{}
			n.Files = append(n.Files, f)
		}
	}
	for _, p := range d.Processes {
		if first(key{Process, p.Name}) {
			p.Pos = model.Position{}
			n.Processes = append(n.Processes, p)
		}
	}
	return n
}

// Run watches until ctx ends, waits for the scripts that run and returns nil.
// It is called once.
func (t *Tracker) Run(ctx context.Context) error {
	w := &workers{tracker: t, ctx: ctx, scripts: make(map[string]*scriptWorker)}
	defer w.all.Wait()
	for {
		t.refresh(w)
		status, e, more := t.board.next()
		var out chan<- Status
		if more {
			out = t.changes
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.board.wake:
		case out <- status:
			t.board.sent(status, e)
		}
	}
}

// refresh starts and stops workers after an Update.
func (t *Tracker) refresh(w *workers) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fresh {
		t.fresh = false
		w.apply(t.wanted)
	}
}

// workers are the goroutines of a running tracker. They belong to Run.
type workers struct {
	tracker *Tracker
	ctx     context.Context
	all     sync.WaitGroup
	scripts map[string]*scriptWorker
	files   *listWorker
	procs   *listWorker
}

// scriptWorker runs one script.
type scriptWorker struct {
	entry *entry
	stop  context.CancelFunc
}

// listWorker watches all things of a kind.
type listWorker struct {
	entries []*entry
	stop    context.CancelFunc
}

// apply stops the workers of what has changed or gone and starts new ones. It
// does not wait for the old: what they still say goes to entries that are gone.
func (w *workers) apply(d Definitions) {
	keep := make(map[string]*scriptWorker, len(d.Scripts))
	for _, s := range d.Scripts {
		e := w.tracker.board.find(key{Script, s.Name})
		if old := w.scripts[s.Name]; old != nil && old.entry == e {
			keep[s.Name] = old
			delete(w.scripts, s.Name)
			continue
		}
		ctx, stop := context.WithCancel(w.ctx)
		keep[s.Name] = &scriptWorker{e, stop}
		w.all.Go(func() { w.tracker.runScript(ctx, e, s) })
	}
	for _, old := range w.scripts {
		old.stop()
	}
	w.scripts = keep
	w.files = restart(w, w.files, d.Files, w.entries(File, names(d.Files, fileName)), w.tracker.runFiles)
	w.procs = restart(w, w.procs, d.Processes, w.entries(Process, names(d.Processes, processName)), w.tracker.runProcesses)
}

func (w *workers) entries(kind Kind, names []string) []*entry {
	list := make([]*entry, len(names))
	for i, name := range names {
		list[i] = w.tracker.board.find(key{kind, name})
	}
	return list
}

// restart replaces the worker of a kind if its entries have changed, as they do
// with the definitions.
func restart[T any](
	w *workers, old *listWorker, list []T, entries []*entry, run func(context.Context, []T, []*entry),
) *listWorker {
	if old != nil {
		if slices.Equal(old.entries, entries) {
			return old
		}
		old.stop()
	}
	if len(list) == 0 {
		return nil
	}
	ctx, stop := context.WithCancel(w.ctx)
	w.all.Go(func() { run(ctx, list, entries) })
	return &listWorker{entries, stop}
}
