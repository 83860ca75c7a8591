package vrrp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"
)

// The model check: random schedules of loss, delay, reordering, crash, restart,
// pause, fault and partition over two or three nodes on one or two links (two
// links make a sync group), each followed by a heal. Steps are those of the
// real instances; only the network is a model. A failure prints its seed;
// EVENKEEL_VRRP_SEED=n plays that schedule alone, with a trace.

const (
	chaosOps   = 25
	modelBase  = 100 * time.Millisecond
	calmDelay  = 2 * time.Millisecond
	inboxBound = 64
)

// sim is one schedule.
type sim struct {
	seed    uint64
	rng     *rand.Rand
	now     time.Time
	start   time.Time
	nodes   []*simNode
	links   []simLink
	flying  []delivery
	order   uint64
	loss    float64
	delay   time.Duration
	longest time.Duration // the longest advert interval
	version Version
	// disturbed is when anything last went wrong.
	disturbed time.Time
	watch     [2]sideWatch
	trace     *strings.Builder
	failure   string
	orders    []Order
}

// simLink is a segment: nodes of the same side hear each other, unless deaf
// says that one does not hear another.
type simLink struct {
	side [3]int
	deaf [3][3]bool
	// client is the node that a client of side 0 believes to be the owner.
	client int
}

type simNode struct {
	cfg      GroupConfig
	group    *Group
	up       bool
	paused   bool
	inbox    []delivery
	crashed  time.Time
	wasOwner bool
	holding  []bool
}

type delivery struct {
	at       time.Time
	order    uint64
	link     int
	from, to int
	heard    Heard
}

// sideWatch remembers since when a side has had too many masters, or none.
type sideWatch struct{ dual, none time.Time }

func newSim(seed uint64) *sim {
	s := &sim{seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), start: time.Unix(1_700_000_000, 0)}
	s.now, s.disturbed = s.start, s.start
	s.version = []Version{V2, V3, V3}[s.rng.IntN(3)]
	s.links = make([]simLink, 1+s.rng.IntN(4)/3)
	shared := Config{
		NoPreempt:          s.chance(0.25),
		HigherPrioNoAdvert: s.chance(0.25),
	}
	if s.chance(0.2) {
		shared.PreemptDelay = time.Duration(s.rng.IntN(5)) * time.Second
	}
	for n := range 2 + s.rng.IntN(2) {
		s.addNode(n, shared)
	}
	return s
}

func (s *sim) chance(p float64) bool { return s.rng.Float64() < p }

func (s *sim) addNode(n int, shared Config) {
	priority := []uint8{1, 100, 100, 150, 253, 254}[s.rng.IntN(6)]
	interval := time.Second
	if s.version == V3 {
		interval = modelBase * []time.Duration{1, 3, 10}[s.rng.IntN(3)]
	}
	node := &simNode{up: true, holding: make([]bool, len(s.links))}
	if len(s.links) > 1 {
		node.cfg.Name = "VG"
	}
	for l := range s.links {
		c := shared
		c.Name, c.VRID, c.Version = fmt.Sprintf("VI_%d", l), 51, s.version
		c.Priority, c.Interval = priority, interval
		c.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, 90, byte(l), 100})}
		c.Source = netip.AddrFrom4([4]byte{10, 90, byte(l), byte(1 + n)})
		c.Tracks = []Track{{Kind: TrackInterface, Name: "eth"}}
		node.cfg.Members = append(node.cfg.Members, c)
	}
	s.longest = max(s.longest, interval)
	s.nodes = append(s.nodes, node)
	s.boot(n)
}

func (s *sim) logf(format string, args ...any) {
	if s.trace != nil {
		fmt.Fprintf(s.trace, "%10.4f  %s\n", s.now.Sub(s.start).Seconds(), fmt.Sprintf(format, args...))
	}
}

func (s *sim) fail(format string, args ...any) {
	if s.failure == "" {
		s.failure = fmt.Sprintf("after %s: ", s.now.Sub(s.start)) + fmt.Sprintf(format, args...)
		s.logf("FAILED %s", s.failure)
	}
}

// boot starts a node's process. One that was master a moment ago goes on.
func (s *sim) boot(n int) {
	node := s.nodes[n]
	group, err := NewGroup(node.cfg)
	if err != nil {
		panic(err)
	}
	node.group, node.up, node.paused, node.inbox = group, true, false, nil
	adopt := node.wasOwner && s.now.Sub(node.crashed) < group.members[0].takeover() && s.chance(0.8)
	starts := make([]Start, len(s.links))
	for l := range s.links {
		starts[l].Adopt = adopt
		s.give(n, l, Tracked{Kind: TrackInterface, Name: "eth", Status: Up})
	}
	s.logf("node %d starts, adopt %v", n, adopt)
	s.carryOut(n, group.StartAll(s.now, starts, nil))
}

func (s *sim) give(n, link int, ev Event) {
	s.orders = s.nodes[n].group.Step(s.now, link, ev, s.orders[:0])
	s.carryOut(n, s.orders)
}

func (s *sim) carryOut(n int, orders []Order) {
	node := s.nodes[n]
	for _, o := range orders {
		switch o.Kind {
		case SendAdvert:
			s.logf("node %d link %d sends %d", n, o.Member, o.Priority)
			s.send(n, o.Member, o.Priority)
		case TakeAddresses:
			node.holding[o.Member] = true
		case ReleaseAddresses:
			node.holding[o.Member] = false
		case Announce:
			if link := &s.links[o.Member]; link.side[n] == 0 {
				link.client = n
			}
			s.logf("node %d link %d announces: %s", n, o.Member, o.Cause)
		case Notify:
			if o.Member != groupItself && o.Notice == NoticeState {
				s.logf("node %d link %d is %s: %s", n, o.Member, o.State, o.Reason)
			}
		default:
		}
	}
	for l := range node.group.members {
		m := &node.group.members[l]
		if m.state == Master != node.holding[l] && (m.state != Backup || !m.wants) && m.state != Init {
			s.fail("node %d link %d is %s, holds addresses: %v", n, l, m.state, node.holding[l])
		}
		if (m.state == Master) != (node.group.members[0].state == Master) && len(orders) > 0 && m.state != Init {
			s.fail("node %d: its members do not agree", n)
		}
	}
}

func (s *sim) send(from, link int, priority uint8) {
	c := s.nodes[from].group.members[link].cfg
	for to := range s.nodes {
		if to == from || s.loss > 0 && s.chance(s.loss) {
			continue
		}
		s.order++
		s.push(delivery{
			at:    s.now.Add(time.Duration(s.rng.Int64N(int64(s.delay) + 1))),
			order: s.order, link: link, from: from, to: to,
			heard: Heard{Source: c.Source, Priority: priority, Interval: c.Interval},
		})
	}
}

// push and pop keep flying ordered by time.
func (s *sim) push(d delivery) {
	at := len(s.flying)
	s.flying = append(s.flying, d)
	for at > 0 && (d.at.Before(s.flying[at-1].at) || d.at.Equal(s.flying[at-1].at) && d.order < s.flying[at-1].order) {
		s.flying[at] = s.flying[at-1]
		at--
	}
	s.flying[at] = d
}

func (s *sim) deliver(d delivery) {
	node, link := s.nodes[d.to], &s.links[d.link]
	switch {
	case !node.up || link.side[d.from] != link.side[d.to] || link.deaf[d.from][d.to]:
	case node.paused:
		if len(node.inbox) < inboxBound {
			node.inbox = append(node.inbox, d)
		}
	default:
		s.give(d.to, d.link, d.heard)
	}
}

// run plays until end.
func (s *sim) run(end time.Time) {
	for s.failure == "" {
		next, who := end, -1
		for n, node := range s.nodes {
			if at, ok := node.group.Next(); ok && node.up && !node.paused && at.Before(next) {
				next, who = at, n
			}
		}
		if len(s.flying) > 0 && s.flying[0].at.Before(next) {
			d := s.flying[0]
			s.flying = s.flying[1:]
			s.now = d.at
			s.deliver(d)
		} else if who >= 0 {
			if next.After(s.now) {
				s.now = next
			}
			s.tick(who)
		} else {
			s.now = end
			s.check()
			return
		}
		s.check()
	}
}

func (s *sim) tick(n int) {
	for l := range s.links {
		if s.nodes[n].group.Due(l, s.now) {
			s.give(n, l, Tick{})
		}
	}
}

// check counts the masters of each side of an undisturbed network.
func (s *sim) check() {
	for side := range s.watch {
		masters, able := s.census(side)
		w := &s.watch[side]
		s.watchFor(&w.dual, masters > 1, s.dualBound(), "two masters on side %d for %s", side)
		s.watchFor(&w.none, masters == 0 && able > 0, s.noneBound(), "no master on side %d for %s", side)
	}
}

func (s *sim) watchFor(since *time.Time, bad bool, bound time.Duration, format string, side int) {
	if !bad {
		*since = time.Time{}
		return
	}
	if since.IsZero() {
		*since = s.now
	}
	from := *since
	if s.disturbed.After(from) {
		from = s.disturbed
	}
	if lasted := s.now.Sub(from); lasted > bound && s.calm() {
		s.fail(format, side, lasted)
	}
}

// census counts, on the first link, who is master and who could be.
func (s *sim) census(side int) (masters, able int) {
	for n, node := range s.nodes {
		if !node.up || node.paused || s.links[0].side[n] != side {
			continue
		}
		switch node.group.State() {
		case Master:
			masters++
			able++
		case Backup:
			able++
		default:
		}
	}
	return masters, able
}

// calm says that nothing is in the way of adverts, and that links agree on who
// hears whom.
func (s *sim) calm() bool {
	for _, l := range s.links {
		if l.deaf != [3][3]bool{} || l.side != s.links[0].side {
			return false
		}
	}
	return s.loss == 0 && s.delay == calmDelay
}

// dualBound is how long two masters may last: until the slower one's next
// advert has been there and back.
func (s *sim) dualBound() time.Duration { return s.longest + 4*calmDelay }

// noneBound is the longest down interval, and the patience of one that was
// paused.
func (s *sim) noneBound() time.Duration {
	down := DownInterval(s.version, 1, s.longest, 3)
	return down + s.longest + SkewTime(s.version, 1, s.longest) + 4*calmDelay
}
