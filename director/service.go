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

// block is a virtual_server block and what is known of it: a single service,
// or those of a group, which share servers and quorum.
type block struct {
	key model.ServiceKey
	// conf has the settings, which all services share but for key and servers.
	conf     model.VirtualServer
	services []*service
	// servers are in the order of the file, and byName by their names.
	servers []*server
	byName  map[serverAddr]*server
	// quorumUp is held only by updateQuorum, which has a memory: hysteresis.
	quorumUp    bool
	quorumSince time.Time
	// suspended is set while the checks rest (Suspend).
	suspended bool
}

// service is a virtual service and where it runs.
type service struct {
	conf      model.VirtualServer
	placement Placement
	// distinct is set where no two servers are known to have one address.
	distinct bool
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

// newBlock returns a block without services.
func newBlock(conf model.VirtualServer, now time.Time) *block {
	return &block{key: conf.Block(), conf: conf, byName: make(map[serverAddr]*server, len(conf.Servers)), quorumSince: now}
}

// add adds a service. Servers start by their alpha rule; of servers with the
// same name the first counts.
func (b *block) add(s *service, now time.Time) {
	if n := len(b.services); n == 0 || !sameList(b.services[n-1].conf.Servers, s.conf.Servers) {
		known := len(b.byName)
		for _, rs := range s.conf.Servers {
			if b.byName[rs.Name()] == nil {
				state := newServer(rs, now)
				b.byName[rs.Name()] = state
				b.servers = append(b.servers, state)
			}
		}
		// By themselves they have the addresses that are their names.
		s.distinct = s.conf.GroupBlock.Group == "" && len(b.byName)-known == len(s.conf.Servers)
	}
	b.services = append(b.services, s)
}

// sameList reports whether both are one list, which services of a group often
// share.
func sameList(a, b []model.RealServer) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// runs reports whether a datapath runs some of the services.
func (b *block) runs() bool {
	return slices.ContainsFunc(b.services, func(s *service) bool { return s.placement.Runs() })
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

// aliveWeight is the sum of the weights of live servers. A live server of
// weight 0 adds nothing.
func (b *block) aliveWeight() uint64 {
	var sum uint64
	for _, rs := range b.servers {
		if rs.alive {
			sum += uint64(rs.weight())
		}
	}
	return sum
}

// startQuorum sets the quorum state of a service without a past. Hysteresis
// does not count yet.
func (b *block) startQuorum() {
	sum := b.aliveWeight()
	b.quorumUp = sum > 0 && sum >= uint64(b.conf.Quorum)
}

// updateQuorum applies keepalived's rule: gained at quorum plus hysteresis or
// more, lost below quorum minus hysteresis or with nothing alive. It reports
// whether the state changed.
func (b *block) updateQuorum(now time.Time) bool {
	sum := b.aliveWeight()
	quorum, hysteresis := uint64(b.conf.Quorum), uint64(b.conf.Hysteresis)
	var up bool
	switch {
	case sum == 0:
		up = false
	case !b.quorumUp:
		up = sum >= quorum+hysteresis
	default:
		up = sum+hysteresis >= quorum
	}
	if up == b.quorumUp {
		return false
	}
	b.quorumUp, b.quorumSince = up, now
	return true
}

// sorryActive reports whether the sorry server stands in for the others.
func (b *block) sorryActive() bool { return b.conf.Sorry != nil && !b.quorumUp }

// table returns what is to run of a service of the block. Without a sorry
// server, live servers stay in the table below quorum too.
func (b *block) table(s *service) Table {
	conf := &s.conf
	t := Table{Service: conf.Service, Servers: make([]model.Server, 0, serverCount(*conf))}
	var seen map[serverAddr]bool
	if !s.distinct {
		seen = make(map[serverAddr]bool, len(conf.Servers))
	}
	for i := range conf.Servers {
		rs := &conf.Servers[i]
		if seen[rs.Addr] {
			continue
		}
		if seen != nil {
			seen[rs.Addr] = true
		}
		state, entry := b.byName[rs.Name()], rs.Server
		entry.Weight = state.weight()
		switch {
		case state.alive && !b.sorryActive():
		case rs.InhibitOnFailure:
			entry.Weight = 0
		default:
			continue
		}
		t.Servers = append(t.Servers, entry)
	}
	if conf.Sorry == nil || !b.sorryActive() && !b.conf.SorryInhibit {
		return t
	}
	sorry := conf.Sorry.Server
	if !b.sorryActive() {
		sorry.Weight = 0
	}
	return t.withSorry(sorry, b.sorryActive())
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
func (b *block) carry(old *block) {
	for _, rs := range b.servers {
		was := old.byName[rs.conf.Name()]
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
	b.quorumUp, b.quorumSince = old.quorumUp, old.quorumSince
	b.suspended = old.suspended
}

// adopt takes over what ran of the block, in its service on, before the daemon
// started; see the package comment.
func (b *block) adopt(on *service, running []model.Server) {
	weights := make(map[serverAddr]int32, len(running))
	for _, entry := range running {
		weights[entry.Addr] = entry.Weight
	}
	for _, conf := range on.conf.Servers {
		rs := b.byName[conf.Name()]
		weight, in := weights[conf.Addr]
		switch {
		case len(conf.Checks) == 0:
		case in && (weight > 0 || conf.Weight == 0):
			rs.alive, rs.start, rs.reason = true, health.StartUp, "was in the table before the restart"
		default:
			rs.alive, rs.start, rs.reason = false, health.StartDown, "was not taking flows before the restart: down until its first check succeeds"
		}
	}
	sorry := on.conf.Sorry
	b.quorumUp = sorry == nil || weights[sorry.Addr] == 0
}

func (b *block) quorumReason() string {
	return fmt.Sprintf("weight alive %d, quorum %d, hysteresis %d", b.aliveWeight(), b.conf.Quorum, b.conf.Hysteresis)
}
