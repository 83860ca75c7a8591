package track

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// entry is the row of one tracked thing on the board.
type entry struct {
	status Status
	// verdict is that of a script.
	verdict verdict
	// begun is set when a worker has seen the thing.
	begun bool
	// told is the status that the reader of changes knows. It belongs to the
	// thing, whose entry a reload may replace.
	told *Status
	// pending is set while the entry waits to be told.
	pending bool
	// gone is set when a reload took the entry away. Its worker may not have
	// noticed yet.
	gone bool
}

// board holds what is known. Workers write to it, and Run tells its changes.
type board struct {
	log *slog.Logger
	// wake tells Run that there is something to do.
	wake chan struct{}

	mu      sync.Mutex // guards what follows and the entries
	entries []*entry
	pending []*entry
}

// update changes the status of an entry by change, unless it is gone, and notes
// what has to be told.
func (b *board) update(e *entry, change func(*Status)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.gone {
		return
	}
	was := e.status
	change(&e.status)
	if !e.status.differs(was) {
		return
	}
	e.status.Since = time.Now()
	b.logChange(was, e.status)
	b.note(e)
}

// first reports whether it is called for the first time for this thing.
func (b *board) first(e *entry) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := e.begun
	e.begun = true
	return !was
}

// note queues an entry to be told. The caller holds mu.
func (b *board) note(e *entry) {
	if !e.pending {
		e.pending = true
		b.pending = append(b.pending, e)
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *board) logChange(was, is Status) {
	attrs := []slog.Attr{
		slog.String("kind", string(is.Kind)), slog.String("name", is.Name),
		slog.String("old", was.State.String()), slog.String("new", is.State.String()),
	}
	if is.Kind == File {
		attrs = append(attrs, slog.Int("value", is.Value))
	}
	attrs = append(attrs, slog.String("reason", is.Reason))
	b.log.LogAttrs(context.Background(), changeLevel(is), "tracked object changed", attrs...)
}

// next returns the first change to tell, if there is one.
func (b *board) next() (Status, *entry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.pending) > 0 {
		e := b.pending[0]
		if !e.gone && e.status.differs(*e.told) {
			return e.status, e, true
		}
		e.pending = false
		b.pending = b.pending[1:]
	}
	return Status{}, nil, false
}

// sent notes that s was told of e, which is the first pending one. What has
// changed since is told again.
func (b *board) sent(s Status, e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*e.told = s
	if e.status.differs(s) {
		return
	}
	e.pending = false
	b.pending = b.pending[1:]
}

// snapshot returns all statuses in the order of the definitions.
func (b *board) snapshot() []Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Status, len(b.entries))
	for i, e := range b.entries {
		list[i] = e.status
	}
	return list
}
