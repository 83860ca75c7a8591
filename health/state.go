package health

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// Result is what came of one try.
type Result uint8

// The results. NotTried means that this machine could not make the try (no
// descriptor, the bind address is not here); it says nothing about the server.
const (
	NotTried Result = iota
	Succeeded
	Failed
)

// String returns the result as a word: not tried, succeeded, failed.
func (r Result) String() string {
	switch r {
	case NotTried:
		return "not tried"
	case Succeeded:
		return "succeeded"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("result %d", uint8(r))
}

// MarshalText returns String, so that JSON shows words.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// State is where one check stands. It is a value; Next returns the following
// one.
type State struct {
	// Up is the check's own verdict.
	Up bool
	// Proven is set by the first success, for HTTP_GET and SSL_GET by that of
	// all urls. Before it a failure counts at once; after it retries are
	// allowed.
	Proven bool
	// Failures counts the failed tries in a row that retry has forgiven so
	// far. It is zero while the check is down, but for SMTP_CHECK.
	Failures uint32

	// The rest is for HTTP_GET and SSL_GET.

	// URL is the index of the url that is tried next.
	URL int
	// URLFailed is set from the failure that took the check down until the
	// url that failed succeeds.
	URLFailed bool
	// Ran is set by the first failure or by Proven.
	Ran bool
}

// Initial returns the state in which a check starts.
func Initial(c model.Check, start Start) State {
	switch start {
	case StartUp:
		return State{Up: true, Proven: true, Ran: true}
	case StartDown:
		return State{}
	default:
		return State{Up: !c.Alpha}
	}
}

// Next returns the state after a try and the pause before the next one. The
// verdict has changed when Up differs from that of s.
func (s State) Next(c model.Check, r Result) (State, time.Duration) {
	if r == NotTried {
		return s, c.DelayLoop
	}
	switch c.Kind {
	case model.HTTPGet, model.SSLGet:
		return s.nextURL(c, r)
	case model.SMTPCheck:
		return s.nextSMTP(c, r)
	default:
	}
	switch {
	case r == Succeeded:
		return State{Up: true, Proven: true}, c.DelayLoop
	case !s.Up:
		return s, c.DelayLoop
	case s.Proven && s.Failures < c.Retry:
		s.Failures++
		return s, c.DelayBeforeRetry
	}
	// A check that was proven once stays so: it matters again only after
	// its next success, which sets it anyway.
	return State{Proven: s.Proven}, c.DelayLoop
}

// nextSMTP is Next for SMTP_CHECK, which has its retries always: before its
// first success, and in each round while it is down.
func (s State) nextSMTP(c model.Check, r Result) (State, time.Duration) {
	switch {
	case r == Succeeded:
		return State{Up: true, Proven: true}, c.DelayLoop
	case s.Failures < c.Retry:
		s.Failures++
		return s, c.DelayBeforeRetry
	}
	return State{Proven: s.Proven}, c.DelayLoop
}

// nextURL is Next for HTTP_GET and SSL_GET. Each try is about one url, and the
// next one follows a delay_loop later, also while the check is up. A check that
// went down comes up when the url that failed has succeeded and then all urls
// have, so that even a single url takes two successes.
func (s State) nextURL(c model.Check, r Result) (State, time.Duration) {
	if r == Failed {
		return s.urlFailed(c)
	}
	s.Failures = 0
	switch {
	case s.URLFailed:
		s.URLFailed, s.URL = false, 0
	case s.URL+1 < urls(c):
		s.URL++
	default:
		s = State{Up: true, Proven: true, Ran: true}
	}
	onTheWayUp := !s.Ran || !s.Up
	if onTheWayUp && c.HTTP != nil && c.HTTP.FastRecovery {
		return s, 0
	}
	return s, c.DelayLoop
}

func (s State) urlFailed(c model.Check) (State, time.Duration) {
	again := max(c.DelayLoop, c.DelayBeforeRetry)
	switch {
	case s.Proven && s.Up && s.Failures < c.Retry:
		s.Failures++
		return s, c.DelayBeforeRetry
	case s.Up || !s.Ran:
		return State{Proven: s.Proven, Ran: true, URL: s.URL, URLFailed: true}, again
	case s.URLFailed:
		return s, again
	}
	// Another url failed on the way up. keepalived tries that one again
	// (with fast_recovery without any pause, which we do not).
	return s, c.DelayBeforeRetry
}

// urls returns how many urls a check has; checks of other kinds count as one.
func urls(c model.Check) int {
	if c.HTTP == nil {
		return 1
	}
	return max(len(c.HTTP.URLs), 1)
}

// step returns the check as its next try is to see it: with one url.
func (s State) step(c model.Check) model.Check {
	if c.HTTP == nil || len(c.HTTP.URLs) < 2 {
		return c
	}
	one := *c.HTTP
	one.URLs = c.HTTP.URLs[s.URL : s.URL+1]
	c.HTTP = &one
	return c
}
