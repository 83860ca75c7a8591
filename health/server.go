package health

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

type serverKey struct {
	service model.ServiceKey
	addr    netip.AddrPort
}

// server is one target and what has been said of it.
type server struct {
	key    serverKey
	checks []*check
	// up, reason, evidence and since are the present verdict.
	up       bool
	reason   string
	evidence Evidence
	since    time.Time
	// judged is set by the first verdict or proof.
	judged bool
	// sentUp and sentJudged are what the reader of Verdicts knows.
	sentUp, sentJudged bool
	// waits is set while the server is in the runner's pending list.
	waits bool
	gone  bool
}

// check is one check of a server.
type check struct {
	server     *server
	definition model.Check
	state      State
	due        time.Time
	// place is the index in the queue, -1 while it is not in it.
	place int
	// stop ends the try in flight; nil when there is none.
	stop func()
	// gone is set when an update took the check away during a try.
	gone bool

	last Evidence
	// streak counts how often in a row the last result came.
	streak uint64
	counts counts
}

type counts struct {
	tries, successes, failed, changes uint64
}

// note keeps the evidence and counts it.
func (c *check) note(e Evidence, was State) {
	if c.last.At.IsZero() || c.last.Result != e.Result {
		c.streak = 0
	}
	c.streak++
	c.last = e
	c.counts.tries++
	switch e.Result {
	case Succeeded:
		c.counts.successes++
	case Failed:
		c.counts.failed++
	case NotTried:
	}
	if was.Up != c.state.Up {
		c.counts.changes++
	}
}

// reason says in one line what the last try showed.
func (c *check) reason() string {
	what := fmt.Sprintf("%s to %s", c.definition.Kind, c.definition.ConnectTo)
	if c.last.From != "" {
		what += " from " + c.last.From
	}
	switch {
	case c.last.Result == Succeeded:
		return what + ": answered"
	case c.streak > 1:
		return fmt.Sprintf("%s: %s (%d tries)", what, c.last.Error, c.streak)
	}
	return what + ": " + c.last.Error
}

// allUp reports whether no check of the server is down.
func (s *server) allUp() bool {
	for _, c := range s.checks {
		if !c.state.Up {
			return false
		}
	}
	return true
}

// proven reports whether every check has succeeded here at least once.
func (s *server) proven() bool {
	for _, c := range s.checks {
		if c.counts.successes == 0 {
			return false
		}
	}
	return true
}

// judge renews the verdict on a server after one of its checks.
func (r *Runner) judge(s *server, reason string, e Evidence) {
	up := s.allUp()
	switch {
	case up != s.up:
		s.up, s.since = up, time.Now()
	case !up || s.judged || !s.proven():
		return
	}
	s.reason, s.evidence, s.judged = reason, e, true
	if !s.waits {
		s.waits = true
		r.pending = append(r.pending, s)
	}
}

// nextVerdict returns the first verdict that its reader does not know yet and
// the channel to send it on; the channel is nil when there is none.
func (r *Runner) nextVerdict() (Verdict, *server, chan<- Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.pending) > 0 {
		s := r.pending[0]
		if !s.gone && (s.up != s.sentUp || !s.sentJudged) {
			return s.verdict(), s, r.verdicts
		}
		s.waits = false
		r.pending = r.pending[1:]
	}
	r.pending = nil
	return Verdict{}, nil, nil
}

// sent notes what the reader knows now. An update may have come between the
// choice of the verdict and its reading, so that the server is another by
// now; then the reader is told again.
func (r *Runner) sent(v Verdict, s *server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.sentUp, s.sentJudged = v.Up, true
	now := r.byKey[s.key]
	if now == nil || now == s {
		return
	}
	now.sentUp = v.Up
	if now.up != v.Up && !now.waits {
		now.waits = true
		now.reason = "the server is new in the file"
		r.pending = append(r.pending, now)
	}
}

func (s *server) verdict() Verdict {
	return Verdict{Service: s.key.service, Server: s.key.addr, Up: s.up, Reason: s.reason, Evidence: s.evidence}
}
