package notify

import (
	"log/slog"
	"sync"
)

// queue is a bounded line of things to tell that never makes anybody wait.
type queue[T any] struct {
	out chan T
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	dropped uint64
	// wanting is set from a drop until there is room again.
	wanting bool
}

func newQueue[T any](size int, log *slog.Logger) *queue[T] {
	return &queue[T]{out: make(chan T, size), log: log}
}

// put adds v, or drops it if the queue is full. It logs the first drop and the
// end of the want.
func (q *queue[T]) put(v T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case q.out <- v:
		if q.wanting {
			q.wanting = false
			q.log.Info("queue has room again", "dropped_in_all", q.dropped)
		}
		return true
	default:
	}
	q.dropped++
	if !q.wanting {
		q.wanting = true
		q.log.Warn("queue is full: events are dropped", "size", cap(q.out))
	}
	return false
}

// lost returns how many were dropped.
func (q *queue[T]) lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
