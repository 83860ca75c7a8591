package demo

import (
	"fmt"
	"time"
)

// state is what was done to a director.
type state int

const (
	running state = iota
	off           // without power
	stopped       // its program was told to stop
)

// move is a change of master, and what the client lost by it.
type move struct {
	// cause is what was done, since when.
	cause string
	since time.Time
	// to has all addresses since took; it is -1 while nobody has.
	to   int
	took time.Duration
	// until is when all that was lost is known.
	until        time.Time
	failedBefore int
	gauge        *gauge
	failed       int
	gap          time.Duration
}

func (m move) text() string {
	return fmt.Sprintf("%s: %s was master after %s; %d requests failed, longest gap %s",
		m.cause, directorName(m.to), seconds(m.took), m.failed, seconds(m.gap))
}

// nextSwitch chooses what a key does: it starts a director that does not run, or
// else ends the master in the given way. It returns -1 when there is none.
func (w *watcher) nextSwitch(how state) (director int, to state) {
	for i, s := range w.states {
		if s != running {
			return i, running
		}
	}
	return w.holding.master(), how
}

// directed notes what is done to a director. The next change of master is its
// doing.
func (w *watcher) directed(at time.Time, director int, to state) {
	what := map[state]string{
		running: "starts", off: "loses its power", stopped: "is told to stop",
	}[to]
	w.settle(at)
	w.states[director] = to
	m := &move{cause: directorName(director) + " " + what, since: at, to: -1, failedBefore: w.total.failed(), gauge: newGauge(len(w.plan.services))}
	w.event(at, m.cause)
	w.move = m
}

// asked takes the outcome of a request.
func (w *watcher) asked(o outcome) {
	w.total.add(o)
	if w.move != nil {
		w.move.gauge.add(o)
	}
}

// looked takes what was seen.
func (w *watcher) looked(l look) {
	w.holding = l.holding
	now := l.holding.master()
	if now >= 0 && now != w.master {
		w.moved(l, now)
	}
	if l.known {
		w.saw(l.at, l.table)
	}
	if w.move != nil && !l.at.Before(w.move.until) {
		w.settle(l.at)
	}
}

// settle ends the move under way, if it has come to its end, and says what it
// cost.
func (w *watcher) settle(at time.Time) {
	m := w.move
	if m == nil || m.to < 0 {
		return
	}
	m.failed, m.gap = w.total.failed()-m.failedBefore, m.gauge.gap(at)
	w.event(at, fmt.Sprintf("%d requests failed, longest gap %s", m.failed, seconds(m.gap)))
	w.moves = append(w.moves, *m)
	w.move = nil
}

// moved notes that another director has all addresses.
func (w *watcher) moved(l look, to int) {
	w.master = to
	text := directorName(to) + " is master"
	if m := w.move; m != nil && m.to < 0 {
		m.to, m.took = to, l.at.Sub(m.since)
		// Only then is every request that was lost known to be.
		m.until = l.at.Add(probeTimeout + redrawPause)
		text += " after " + seconds(m.took)
	}
	if l.known && len(l.status.VRRP) > 0 {
		text += ": " + l.status.VRRP[0].Reason
	}
	w.event(l.at, text)
}

// words say what each director is.
func (w *watcher) words() (words [directorCount]string) {
	for i, s := range w.states {
		switch {
		case s == off:
			words[i] = "no power"
		case s == stopped:
			words[i] = "stopped"
		case w.holding.all(i):
			words[i] = "MASTER"
		case w.holding.has[i] > 0:
			words[i] = "moving"
		default:
			words[i] = "backup"
		}
	}
	return words
}
