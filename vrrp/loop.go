package vrrp

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Loop is what the Runners of a process share: one alarm for the deadlines of
// all, and a lock under which one of them at a time takes a step. An advert that
// arrives is dealt with on the goroutine that has read it, one that is due is
// sent on the Loop's own, and no other goroutine has to be woken for it. With
// hundreds of instances such wakes are most of what an election costs.
type Loop struct {
	alarm Alarm

	mu sync.Mutex // guards the fields below, and the state of all Runners
	// due are the Runners with a deadline, the earliest first.
	due dueHeap
	// set is when the alarm rings; zero: not.
	set time.Time
}

// NewLoop returns a Loop that Run starts. Without an alarm it takes the runtime's
// timers.
func NewLoop(a Alarm) *Loop {
	if a == nil {
		a = newTimerAlarm()
	}
	return &Loop{alarm: a}
}

// Run wakes the Runners at their deadlines until ctx ends, then closes the alarm.
// It returns nil and may be called once. Runners that go on are not woken any
// more.
func (l *Loop) Run(ctx context.Context) error {
	var over sync.WaitGroup
	defer over.Wait()
	ended, end := context.WithCancel(ctx)
	defer end()
	over.Go(func() {
		<-ended.Done()
		l.alarm.Close()
	})
	for l.alarm.Wait() {
		l.ring()
	}
	return nil
}

// ring lets all who are due tick.
func (l *Loop) ring() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set = time.Time{}
	for len(l.due) > 0 {
		now, r := time.Now(), l.due[0]
		next, ok := r.group.Next()
		switch {
		case ok && next.After(r.when):
			// It was put off since, by an advert that was heard.
		case now.Before(r.when):
			l.arm(r.when)
			return
		default:
			r.tick(now)
			next, ok = r.group.Next()
		}
		if ok {
			r.when = next
			heap.Fix(&l.due, r.place)
		} else {
			l.forget(r)
		}
		// Who waits with an advert that it has read comes in between.
		l.mu.Unlock()
		l.mu.Lock()
	}
}

// planned takes note of the next deadline of a Runner after a step. One that has
// moved back is left as it is: the alarm will find that out, which costs less
// than to set it for each advert that is heard.
func (l *Loop) planned(r *Runner) {
	next, ok := r.group.Next()
	switch {
	case !ok:
		return
	case r.place == nowhere:
		r.when = next
		heap.Push(&l.due, r)
	case next.Before(r.when):
		r.when = next
		heap.Fix(&l.due, r.place)
	}
	l.arm(next)
}

// arm sets the alarm, if it would ring later.
func (l *Loop) arm(at time.Time) {
	if l.set.IsZero() || at.Before(l.set) {
		l.set = at
		l.alarm.Set(time.Until(at))
	}
}

// forget is for a Runner that has ended.
func (l *Loop) forget(r *Runner) {
	if r.place != nowhere {
		heap.Remove(&l.due, r.place)
	}
}

// nowhere is the place of a Runner without a deadline.
const nowhere = -1

// dueHeap is a heap for container/heap.
type dueHeap []*Runner

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].when.Before(h[j].when) }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *dueHeap) Push(x any) {
	r := x.(*Runner)
	r.place = len(*h)
	*h = append(*h, r)
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	r.place = nowhere
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}
