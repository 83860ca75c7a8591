package health

import (
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// Update replaces the set of targets. Checks whose definition (apart from its
// place in the file) and server are unchanged keep their state and their next
// due time. New and changed checks of a server that stays take over whether
// it is up, so that a reload makes nothing flap. Checks that are gone stop;
// when that brings a server up, a verdict says so.
func (r *Runner) Update(targets []Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.sameServers(targets) {
		for i, t := range targets {
			r.renewServer(r.servers[i], t, now)
			r.servers[i].suspended = t.Suspended
		}
		r.wakeUp()
		return
	}
	old := r.byKey
	r.servers = make([]*server, 0, len(targets))
	r.byKey = make(map[serverKey]*server, len(targets))
	for _, t := range targets {
		key := serverKey{t.Service, t.Server}
		if r.byKey[key] != nil {
			continue
		}
		s := old[key]
		if s == nil {
			s = r.newServer(key, t, now)
		} else {
			r.renewServer(s, t, now)
		}
		s.suspended = t.Suspended
		r.byKey[key] = s
		r.servers = append(r.servers, s)
	}
	for key, s := range old {
		if r.byKey[key] == nil {
			s.gone = true
			r.retire(s.checks)
		}
	}
	r.wakeUp()
}

// sameServers reports whether targets are of the servers that are there, in their
// order, as after most reloads.
func (r *Runner) sameServers(targets []Target) bool {
	if len(targets) != len(r.servers) {
		return false
	}
	for i, t := range targets {
		if r.servers[i].key != (serverKey{t.Service, t.Server}) {
			return false
		}
	}
	return true
}

// Touch tries the FILE_CHECKs of a track_file now. It is called when the value
// of the file has changed.
func (r *Runner) Touch(trackFile string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, s := range r.servers {
		for _, c := range s.checks {
			switch {
			case c.definition.File == nil || c.definition.File.TrackFile != trackFile:
			case c.stop != nil:
				c.again = true
			default:
				r.due.remove(c)
				c.due = now
				r.due.add(c)
			}
		}
	}
	r.wakeUp()
}

// wakeUp lets Run look at what is due.
func (r *Runner) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Runner) newServer(key serverKey, t Target, now time.Time) *server {
	s := &server{key: key, since: now}
	for _, definition := range t.Checks {
		s.checks = append(s.checks, r.newCheck(s, definition, t.Start, now))
	}
	s.up = s.allUp()
	s.sentUp = s.up
	return s
}

func (r *Runner) newCheck(s *server, definition model.Check, start Start, now time.Time) *check {
	c := &check{server: s, definition: definition, place: -1, state: Initial(definition, start), since: now}
	c.due = now.Add(r.firstDelay(definition, start))
	r.due.add(c)
	return c
}

// renewServer gives a server its new checks.
func (r *Runner) renewServer(s *server, t Target, now time.Time) {
	if s.sameChecks(t.Checks) {
		for i, c := range s.checks {
			c.definition.Pos = t.Checks[i].Pos
		}
		return
	}
	start := StartDown
	if s.up {
		start = StartUp
	}
	left := s.checks
	s.checks = nil
	for _, definition := range t.Checks {
		i := indexOf(left, definition)
		if i < 0 {
			s.checks = append(s.checks, r.newCheck(s, definition, start, now))
			continue
		}
		c := left[i]
		c.definition.Pos = definition.Pos
		s.checks = append(s.checks, c)
		left = append(left[:i:i], left[i+1:]...)
	}
	r.retire(left)
	r.judgeWeight(s, "the check that changed the weight is no longer in the file", Evidence{})
	if s.allUp() != s.up {
		r.judge(s, "the check that was down is no longer in the file", Evidence{})
	}
}

// sameChecks reports whether definitions are those of the checks that are there,
// in their order.
func (s *server) sameChecks(definitions []model.Check) bool {
	return slices.EqualFunc(s.checks, definitions, func(c *check, d model.Check) bool { return c.definition.Equal(d) })
}

// indexOf returns the check with the same definition wherever in the file it
// stands, or -1.
func indexOf(checks []*check, definition model.Check) int {
	for i, c := range checks {
		if c.definition.Equal(definition) {
			return i
		}
	}
	return -1
}

// retire stops checks for good.
func (r *Runner) retire(checks []*check) {
	for _, c := range checks {
		c.gone = true
		r.due.remove(c)
		if c.stop != nil {
			c.stop()
		}
	}
}
