package demo

import (
	"context"
	"slices"
	"sync"
	"time"
)

// gauge measures how long the services were silent, while answers come in.
type gauge struct {
	mu sync.Mutex // guards the fields below
	// last is the last answer of each service.
	last    []time.Time
	longest time.Duration
	// since is when await began, fresh says which services have answered what
	// was asked after it, and all is closed when every one has.
	since time.Time
	fresh []bool
	all   chan struct{}
}

// newGauge counts silence from now on.
func newGauge(services int) *gauge {
	g := &gauge{last: make([]time.Time, services)}
	for i := range g.last {
		g.last[i] = time.Now()
	}
	return g
}

// add takes an outcome. Failures are silence.
func (g *gauge) add(o outcome) {
	if o.failure != "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until(o.service, o.known)
	if g.all == nil || o.asked.Before(g.since) || g.fresh[o.service] {
		return
	}
	g.fresh[o.service] = true
	if !slices.Contains(g.fresh, false) {
		close(g.all)
	}
}

// until ends the silence of a service at a moment.
func (g *gauge) until(service int, at time.Time) {
	g.longest = max(g.longest, at.Sub(g.last[service]))
	if at.After(g.last[service]) {
		g.last[service] = at
	}
}

// await waits until every service has answered something that was asked from
// now on, for at most that long, and reports whether they did. It is called once.
func (g *gauge) await(ctx context.Context, atMost time.Duration) bool {
	g.mu.Lock()
	g.since, g.fresh, g.all = time.Now(), make([]bool, len(g.last)), make(chan struct{})
	all := g.all
	g.mu.Unlock()
	deadline := time.NewTimer(atMost)
	defer deadline.Stop()
	select {
	case <-all:
		return true
	case <-deadline.C:
	case <-ctx.Done():
	}
	return false
}

// gap returns the longest silence of a service, up to the given moment.
func (g *gauge) gap(end time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.last {
		g.until(i, end)
	}
	return g.longest
}
