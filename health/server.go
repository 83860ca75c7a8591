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
	// weight is what the checks do to the server's weight, weightReason and
	// weightEvidence why.
	weight         WeightChange
	weightReason   string
	weightEvidence Evidence
	// sentUp, sentJudged and sentWeight are what the reader of Verdicts knows.
	sentUp, sentJudged bool
	sentWeight         WeightChange
	// waits is set while the server is in the runner's pending list.
	waits bool
	gone  bool
	// suspended is that of the target.
	suspended bool
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
	// again is set when the check was touched during a try.
	again bool

	last Evidence
	// lastFailure is the evidence of the last failed try; nil before the
	// first.
	lastFailure *Evidence
	// since is when state.Up became what it is.
	since time.Time
	// streak counts how often in a row the last result came.
	streak uint64
	counts counts
	weight WeightChange
}

type counts struct {
	tries, successes, failed, changes uint64
}

// suspended reports whether the check makes no tries for now.
func (c *check) suspended() bool {
	return c.server.suspended && c.definition.Kind != model.FileCheck
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
		c.lastFailure = &e
	case NotTried:
	}
	if was.Up != c.state.Up {
		c.counts.changes++
		c.since = e.At
	}
}

// weigh takes over what a try does to the weight. A failure that retry
// forgives leaves it as it was.
func (c *check) weigh(f finished) {
	switch {
	case f.evidence.Result == Succeeded:
		c.weight = f.weight
	case !c.state.Up:
		c.weight = WeightChange{}
	}
}

// objectOf names what a check is about: an address, a script, a file.
func objectOf(c model.Check) string {
	switch {
	case c.Misc != nil:
		return c.Misc.Script.String()
	case c.File != nil:
		return "track_file " + c.File.TrackFile
	case c.BFD != nil:
		return "bfd_instance " + c.BFD.Name
	case c.Kind == model.PingCheck:
		return c.ConnectTo.Addr().String()
	}
	return c.ConnectTo.String()
}

// reason says in one line what the last try showed.
func (c *check) reason() string {
	what := fmt.Sprintf("%s to %s", c.definition.Kind, objectOf(c.definition))
	if !c.definition.ConnectTo.IsValid() {
		what = fmt.Sprintf("%s of %s", c.definition.Kind, objectOf(c.definition))
	}
	if c.last.Path != "" {
		what += " " + c.last.Path
	}
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

// proven reports whether every check has succeeded here at least once, with
// all its urls.
func (s *server) proven() bool {
	for _, c := range s.checks {
		if !c.state.Proven || c.counts.successes < uint64(urls(c.definition)) {
			return false
		}
	}
	return true
}

// judge renews the verdict on a server after one of its checks.
func (r *Runner) judge(s *server, reason string, e Evidence) {
	r.judgeWeight(s, reason, e)
	up := s.allUp()
	switch {
	case up != s.up:
		s.up, s.since = up, time.Now()
	case !up || s.judged || !s.proven():
		return
	}
	s.reason, s.evidence, s.judged = reason, e, true
	r.tell(s)
}

// judgeWeight renews what the checks do to the weight.
func (r *Runner) judgeWeight(s *server, reason string, e Evidence) {
	var sum WeightChange
	for _, c := range s.checks {
		sum = sum.plus(c.weight)
	}
	if sum != s.weight {
		s.weight, s.weightReason, s.weightEvidence = sum, reason, e
		r.tell(s)
	}
}

// tell puts a server among those whose verdicts are to be sent.
func (r *Runner) tell(s *server) {
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
		if !s.gone && s.news() {
			return s.verdict(), s, r.verdicts
		}
		s.waits = false
		r.pending = r.pending[1:]
	}
	r.pending = nil
	return Verdict{}, nil, nil
}

// news reports whether the reader of Verdicts does not know all of it.
func (s *server) news() bool {
	return s.up != s.sentUp || s.judged && !s.sentJudged || s.weight != s.sentWeight
}

// sent notes what the reader knows now. An update may have come between the
// choice of the verdict and its reading, so that the server is another by
// now; then the reader is told again.
func (r *Runner) sent(v Verdict, s *server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.sentUp, s.sentWeight = v.Up, v.Weight
	s.sentJudged = s.sentJudged || v.judged
	now := r.byKey[s.key]
	if now == nil || now == s {
		return
	}
	now.sentUp, now.sentWeight = v.Up, v.Weight
	if now.up != v.Up || now.weight != v.Weight {
		now.reason = "the server is new in the file"
		now.weightReason = now.reason
		r.tell(now)
	}
}

// verdict returns what is to be said of the server now. When only the weight
// is news, the reason is that of the weight.
func (s *server) verdict() Verdict {
	v := Verdict{
		Service: s.key.service, Server: s.key.addr, Up: s.up, Weight: s.weight,
		Reason: s.reason, Evidence: s.evidence, judged: s.judged,
	}
	if s.up == s.sentUp && (s.sentJudged || !s.judged) {
		v.Reason, v.Evidence = s.weightReason, s.weightEvidence
	}
	return v
}
