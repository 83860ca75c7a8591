package demo

import (
	"fmt"
	"strings"
	"time"
)

// watcher follows an interactive demo: what was done to servers, what the
// daemon made of it, and how many requests failed meanwhile. It belongs to
// one goroutine.
type watcher struct {
	plan   plan
	total  *tally
	up     []bool
	table  table
	events []event
	// pending is, by server, what the daemon has not yet reacted to.
	pending []*outage
	// outages are the deaths and returns that it has reacted to.
	outages []outage
	samples []sample
	// states are what was done to directors, holding what they were seen to
	// have, and master who was the last to have all.
	states  [directorCount]state
	holding holding
	master  int
	// move is the one under way, or nil; moves are those that are over.
	move  *move
	moves []move
}

// outage is a server that was stopped, or started again, and the time until
// the table showed it.
type outage struct {
	server  int
	stopped bool
	since   time.Time
	took    time.Duration
	// failedBefore is the number of failed requests at its begin, failed those since.
	failedBefore, failed int
}

// sample is a number of requests at a time.
type sample struct {
	at   time.Time
	sent int
}

// rateSpan is how far back the rate looks.
const rateSpan = 3 * time.Second

// keptEvents bounds the list of events.
const keptEvents = 100

func newWatcher(p plan) *watcher {
	w := &watcher{plan: p, total: newTally(len(p.services)), pending: make([]*outage, len(p.servers)), master: first}
	for range p.servers {
		w.up = append(w.up, true)
	}
	return w
}

func (w *watcher) event(at time.Time, text string) {
	w.events = append(w.events, event{at, text})
	w.events = w.events[max(len(w.events)-keptEvents, 0):]
}

// switched notes that a server was stopped or started. When the table had not
// yet shown the last change, there is nothing to wait for any more.
func (w *watcher) switched(at time.Time, server int, up bool) {
	w.up[server] = up
	what := "stopped, its listener is closed"
	if up {
		what = "started"
	}
	if w.pending[server] != nil {
		w.pending[server] = nil
		w.event(at, serverName(server)+" "+what+", before the table showed the last change")
		return
	}
	w.event(at, serverName(server)+" "+what)
	w.pending[server] = &outage{server: server, stopped: !up, since: at, failedBefore: w.total.failed()}
}

// saw takes what the daemon's table shows now.
func (w *watcher) saw(at time.Time, t table) {
	for _, line := range changes(w.plan, w.table, t) {
		w.event(at, line)
	}
	w.table = t
	for i, p := range w.pending {
		if p == nil || p.stopped != t.out(i) || !p.stopped && !t.in(i) {
			continue
		}
		p.took, p.failed = at.Sub(p.since), w.total.failed()-p.failedBefore
		w.event(at, p.text())
		w.outages = append(w.outages, *p)
		w.pending[i] = nil
	}
}

func (o outage) text() string {
	what := "back in all tables"
	if o.stopped {
		what = "out of all tables"
	}
	return fmt.Sprintf("%s %s after %s; %d requests failed", serverName(o.server), what, seconds(o.took), o.failed)
}

// rate returns the requests per second of late. It is to be called about once
// a redraw.
func (w *watcher) rate(now time.Time) float64 {
	w.samples = append(w.samples, sample{now, w.total.sent()})
	for len(w.samples) > 2 && now.Sub(w.samples[1].at) >= rateSpan {
		w.samples = w.samples[1:]
	}
	first, last := w.samples[0], w.samples[len(w.samples)-1]
	if span := last.at.Sub(first.at).Seconds(); span > 0 {
		return float64(last.sent-first.sent) / span
	}
	return 0
}

// summary tells of the whole run.
func (w *watcher) summary() string {
	var b strings.Builder
	sent, failed := w.total.sent(), w.total.failed()
	fmt.Fprintf(&b, "\n  %d requests, %d answered, %d failed%s\n", sent, sent-failed, failed, after(": ", countsText(w.total.reasons())))
	for i, s := range w.plan.services {
		fmt.Fprintf(&b, "  %-3s %s: %s\n", s.name, s.vip, w.total.services[i].shares(w.plan.serverNames()))
	}
	for _, o := range w.outages {
		fmt.Fprintf(&b, "  %s\n", o.text())
	}
	for _, m := range w.moves {
		fmt.Fprintf(&b, "  %s\n", m.text())
	}
	return b.String()
}
