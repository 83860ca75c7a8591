package director

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

type serverAddr = netip.AddrPort

// service is a virtual service and what is known of it.
type service struct {
	conf      model.VirtualServer
	placement Placement
	servers   []*server
	// quorumUp is held only by updateQuorum, which has a memory: hysteresis.
	quorumUp    bool
	quorumSince time.Time
}

// server is a real server and what is known of it.
type server struct {
	conf   model.RealServer
	alive  bool
	reason string
	since  time.Time
	// start is told to the health runner until the first verdict.
	start  health.Start
	judged bool
	// change is what the checks do to the weight.
	change health.WeightChange
}

// weight is the weight that the server takes flows with while it is alive.
func (s *server) weight() int32 { return s.change.Apply(s.conf.Weight) }

// newService returns a service whose servers start by their alpha rule. Of
// servers with the same address the first counts.
func newService(conf model.VirtualServer, p Placement, now time.Time) *service {
	s := &service{conf: conf, placement: p, quorumSince: now}
	seen := make(map[serverAddr]bool, len(conf.Servers))
	for _, rs := range conf.Servers {
		if !seen[rs.Addr] {
			seen[rs.Addr] = true
			s.servers = append(s.servers, newServer(rs, now))
		}
	}
	s.startQuorum()
	return s
}

func newServer(conf model.RealServer, now time.Time) *server {
	s := &server{conf: conf, since: now, alive: health.StartsUp(conf.Checks)}
	switch {
	case len(conf.Checks) == 0:
		s.reason = "no checks: always up"
	case s.alive:
		s.reason = "not checked yet"
	default:
		s.reason = "alpha: down until its first check succeeds"
	}
	return s
}

func (s *service) key() model.ServiceKey { return s.conf.Key }

func (s *service) server(addr serverAddr) *server {
	i := slices.IndexFunc(s.servers, func(rs *server) bool { return rs.conf.Addr == addr })
	if i < 0 {
		return nil
	}
	return s.servers[i]
}

// aliveWeight is the sum of the weights of live servers. A live server of
// weight 0 adds nothing.
func (s *service) aliveWeight() uint64 {
	var sum uint64
	for _, rs := range s.servers {
		if rs.alive {
			sum += uint64(rs.weight())
		}
	}
	return sum
}

// startQuorum sets the quorum state of a service without a past. Hysteresis
// does not count yet.
func (s *service) startQuorum() {
	sum := s.aliveWeight()
	s.quorumUp = sum > 0 && sum >= uint64(s.conf.Quorum)
}

// updateQuorum applies keepalived's rule: gained at quorum plus hysteresis or
// more, lost below quorum minus hysteresis or with nothing alive. It reports
// whether the state changed.
func (s *service) updateQuorum(now time.Time) bool {
	sum := s.aliveWeight()
	quorum, hysteresis := uint64(s.conf.Quorum), uint64(s.conf.Hysteresis)
	var up bool
	switch {
	case sum == 0:
		up = false
	case !s.quorumUp:
		up = sum >= quorum+hysteresis
	default:
		up = sum+hysteresis >= quorum
	}
	if up == s.quorumUp {
		return false
	}
	s.quorumUp, s.quorumSince = up, now
	return true
}

// sorryActive reports whether the sorry server stands in for the others.
func (s *service) sorryActive() bool { return s.conf.Sorry != nil && !s.quorumUp }

// table returns what is to run of the service. Without a sorry server, live
// servers stay in the table below quorum too.
func (s *service) table() Table {
	t := Table{Service: s.conf.Service}
	for _, rs := range s.servers {
		entry := rs.conf.Server
		entry.Weight = rs.weight()
		switch {
		case rs.alive && !s.sorryActive():
		case rs.conf.InhibitOnFailure:
			entry.Weight = 0
		default:
			continue
		}
		t.Servers = append(t.Servers, entry)
	}
	if s.conf.Sorry == nil || !s.sorryActive() && !s.conf.SorryInhibit {
		return t
	}
	sorry := s.conf.Sorry.Server
	if !s.sorryActive() {
		sorry.Weight = 0
	}
	return t.withSorry(sorry, s.sorryActive())
}

// withSorry adds the sorry server. Where a real server has its address, the
// one that is to take flows wins.
func (t Table) withSorry(sorry model.Server, active bool) Table {
	i := slices.IndexFunc(t.Servers, func(s model.Server) bool { return s.Addr == sorry.Addr })
	switch {
	case i < 0:
		t.Servers = append(t.Servers, sorry)
	case active:
		t.Servers[i] = sorry
	}
	return t
}

// carry takes over what the service was before a reload.
func (s *service) carry(old *service) {
	for _, rs := range s.servers {
		was := old.server(rs.conf.Addr)
		switch {
		case was == nil || len(rs.conf.Checks) == 0:
		case len(was.conf.Checks) == 0:
			// Up until its first checks say otherwise, also with alpha:
			// a reload makes no live server flap.
			rs.alive, rs.start, rs.reason = true, health.StartUp, "not checked yet"
		default:
			rs.alive, rs.reason, rs.since, rs.start, rs.judged = was.alive, was.reason, was.since, was.start, was.judged
			rs.change = was.change
		}
	}
	s.quorumUp, s.quorumSince = old.quorumUp, old.quorumSince
}

// adopt takes over what ran of the service before the daemon started; see the
// package comment.
func (s *service) adopt(running []model.Server) {
	weights := make(map[serverAddr]int32, len(running))
	for _, entry := range running {
		weights[entry.Addr] = entry.Weight
	}
	for _, rs := range s.servers {
		weight, in := weights[rs.conf.Addr]
		switch {
		case len(rs.conf.Checks) == 0:
		case in && (weight > 0 || rs.conf.Weight == 0):
			rs.alive, rs.start, rs.reason = true, health.StartUp, "was in the table before the restart"
		default:
			rs.alive, rs.start, rs.reason = false, health.StartDown, "was not taking flows before the restart: down until its first check succeeds"
		}
	}
	sorry := s.conf.Sorry
	s.quorumUp = sorry == nil || weights[sorry.Addr] == 0
}

func (s *service) quorumReason() string {
	return fmt.Sprintf("weight alive %d, quorum %d, hysteresis %d", s.aliveWeight(), s.conf.Quorum, s.conf.Hysteresis)
}
