package director

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

// Director holds the state of all virtual services. It belongs to one
// goroutine.
type Director struct {
	// blocks are in the order of the file. byBlock and byKey leave out blocks and
	// services that the file names a second time.
	blocks  []*block
	byBlock map[model.ServiceKey]*block
	byKey   map[model.ServiceKey]*service
}

// New returns a director and the change that starts services from nothing.
// A service that is named twice runs as it is named first.
func New(services []model.VirtualServer, caps Capabilities) (*Director, Change) {
	return Adopt(services, caps, nil)
}

// Adopt returns a director for services of which some run already, as after a
// crash of the daemon, and the change from what runs to what is wanted.
// running has the tables of each datapath that was found running. Services
// that run and are not wanted are deleted.
func Adopt(services []model.VirtualServer, caps Capabilities, running map[model.DatapathChoice]model.Tables) (*Director, Change) {
	now := time.Now()
	before := placeAll(running)
	d := &Director{}
	d.configure(services, caps, now)

	found := make(map[placedKey]placedTable, len(before))
	for _, t := range before {
		found[t.key()] = t
	}
	var events []Event
	for _, b := range d.blocks {
		for _, s := range b.services {
			events = append(events, s.event(ServiceAdded, now, s.placement.String()))
		}
		if !b.runs() {
			continue
		}
		if s, was, ok := b.findRunning(found); ok {
			b.adopt(s, was.Servers)
			b.updateQuorum(now)
			events = append(events, b.eventsOfDown(now)...)
		}
		if !b.quorumUp {
			events = append(events, b.event(QuorumLost, now, b.quorumReason()))
		}
	}
	return d, Change{Steps: transition(before, d.tables()), Events: events}
}

// findRunning returns the first service of a block that is running, with its
// table: that of its present datapath before any other.
func (b *block) findRunning(running map[placedKey]placedTable) (*service, placedTable, bool) {
	for _, s := range b.services {
		for _, datapath := range []model.DatapathChoice{s.placement.Datapath, model.DatapathXDP, model.DatapathIPVS} {
			if t, ok := running[placedKey{datapath, s.key()}]; ok && s.placement.Reason != ReasonDuplicate {
				return s, t, true
			}
		}
	}
	return nil, placedTable{}, false
}

// configure replaces all services by fresh ones.
func (d *Director) configure(services []model.VirtualServer, caps Capabilities, now time.Time) {
	d.blocks = nil
	d.byBlock = make(map[model.ServiceKey]*block, len(services))
	d.byKey = make(map[model.ServiceKey]*service, len(services))
	for _, conf := range services {
		s := &service{conf: conf, placement: Placement{Reason: ReasonDuplicate}}
		if d.byKey[conf.Key] == nil {
			s.placement = Choose(conf, caps)
			d.byKey[conf.Key] = s
		}
		b := d.byBlock[conf.Block()]
		if b == nil || conf.GroupBlock.Group == "" {
			b = newBlock(conf, now)
			d.blocks = append(d.blocks, b)
			if d.byBlock[b.key] == nil {
				d.byBlock[b.key] = b
			}
		}
		b.add(s, now)
	}
	for _, b := range d.blocks {
		b.startQuorum()
	}
}

// Verdict takes a server in or out, or changes its weight. A verdict that
// changes nothing, or on a
// server that is not in the configuration, gives an empty change.
func (d *Director) Verdict(v health.Verdict) Change {
	s := d.byBlock[v.Service]
	if s == nil || !s.runs() {
		return Change{}
	}
	rs := s.byName[v.Server]
	if rs == nil || len(rs.conf.Checks) == 0 {
		return Change{}
	}
	now := time.Now()
	before, weight := d.tablesOf(s), rs.weight()
	rs.change = v.Weight
	var events []Event
	switch {
	case rs.alive != v.Up:
		rs.alive, rs.reason, rs.since, rs.judged = v.Up, v.Reason, now, true
		kind := ServerDown
		if v.Up {
			kind = ServerUp
		}
		events = append(events, s.serverEvent(kind, rs, now, v.Reason))
	case !rs.judged:
		rs.reason, rs.judged = v.Reason, true
	}
	if rs.weight() != weight {
		events = append(events, s.serverEvent(ServerWeight, rs, now, fmt.Sprintf("weight %d: %s", rs.weight(), v.Reason)))
	}
	events = append(events, s.judgeQuorum(now)...)
	return Change{Steps: transition(before, d.tablesOf(s)), Events: events}
}

// Reload replaces the configuration. Servers that stay keep their verdict and
// services their quorum state; new servers start by their alpha rule. A
// service that did not run before is new.
func (d *Director) Reload(services []model.VirtualServer, caps Capabilities) Change {
	now := time.Now()
	before, old := d.tables(), *d
	d.configure(services, caps, now)

	var events []Event
	for _, b := range old.blocks {
		for _, s := range b.services {
			if old.byKey[s.key()] == s && d.byKey[s.key()] == nil {
				events = append(events, s.event(ServiceRemoved, now, "no longer in the file"))
			}
		}
	}
	for _, b := range d.blocks {
		for _, s := range b.services {
			if d.byKey[s.key()] == s {
				events = append(events, s.eventOfReload(old.byKey[s.key()], now)...)
			}
		}
		if !b.runs() {
			continue
		}
		if was := old.byBlock[b.key]; was != nil && was.runs() {
			b.carry(was)
			events = append(events, b.judgeQuorum(now)...)
		} else if !b.quorumUp {
			events = append(events, b.event(QuorumLost, now, b.quorumReason()))
		}
	}
	return Change{Steps: transition(before, d.tables()), Events: events}
}

// Preview returns the director that Reload would make of this one, and its
// change. This one stays as it is.
func (d *Director) Preview(services []model.VirtualServer, caps Capabilities) (*Director, Change) {
	after := *d
	change := after.Reload(services, caps)
	return &after, change
}

// eventOfReload says what a reload did to the place of a service; old is nil
// for a new one.
func (s *service) eventOfReload(old *service, now time.Time) []Event {
	switch {
	case old == nil:
		return []Event{s.event(ServiceAdded, now, s.placement.String())}
	case old.placement != s.placement:
		return []Event{s.event(ServiceMoved, now, s.placement.String())}
	}
	return nil
}

// Repair returns the steps that bring a datapath whose tables are known to
// what is wanted of it, as after a failed Apply.
func (d *Director) Repair(datapath model.DatapathChoice, running model.Tables) []Step {
	var wanted []placedTable
	for _, t := range d.tables() {
		if t.datapath == datapath {
			wanted = append(wanted, t)
		}
	}
	return transition(placeRunning(datapath, running), wanted)
}

// RepairAll is Repair for all datapaths at once. A service that is in the wrong
// one is added to the right one before it is deleted there.
func (d *Director) RepairAll(running map[model.DatapathChoice]model.Tables) []Step {
	return transition(placeAll(running), d.tables())
}

// Clear returns the steps that delete all services of a datapath.
func Clear(datapath model.DatapathChoice, running model.Tables) []Step {
	return transition(placeRunning(datapath, running), nil)
}

func placeAll(running map[model.DatapathChoice]model.Tables) []placedTable {
	var all []placedTable
	for _, datapath := range []model.DatapathChoice{model.DatapathXDP, model.DatapathIPVS} {
		all = append(all, placeRunning(datapath, running[datapath])...)
	}
	return all
}

// Targets returns what the health runner is to check: all servers of the
// services that run, with what they count as now. The services of a group share
// their servers' checks.
func (d *Director) Targets() []health.Target {
	n := 0
	for _, s := range d.blocks {
		n += len(s.servers)
	}
	targets := make([]health.Target, 0, n)
	for _, s := range d.blocks {
		if !s.runs() {
			continue
		}
		for _, rs := range s.servers {
			t := health.Target{Service: s.key, Server: rs.conf.Name(), Checks: rs.conf.Checks, Start: rs.start, Suspended: s.suspended}
			switch {
			case rs.judged && rs.alive:
				t.Start = health.StartUp
			case rs.judged:
				t.Start = health.StartDown
			}
			targets = append(targets, t)
		}
	}
	return targets
}

// Suspend lets the checks of blocks with ha_suspend rest while no address of
// theirs is this machine's, as local says, and go on when one is. Changes are for
// people; whether there are any is whether Targets differ. Verdicts stay as they
// are meanwhile.
func (d *Director) Suspend(local func(netip.Addr) bool) []Event {
	now := time.Now()
	var events []Event
	for _, b := range d.blocks {
		here := !b.conf.HASuspend || slices.ContainsFunc(b.services, func(s *service) bool { return local(s.key().Addr.Addr()) })
		if here != b.suspended || !b.runs() {
			continue
		}
		b.suspended = !here
		if here {
			events = append(events, b.event(ChecksResumed, now, "its address is here"))
		} else {
			events = append(events, b.event(ChecksSuspended, now, "ha_suspend: its address is not here"))
		}
	}
	return events
}

// tables returns the wanted tables of all services that run.
func (d *Director) tables() []placedTable { return d.tablesOf(d.blocks...) }

func (d *Director) tablesOf(blocks ...*block) []placedTable {
	var tables []placedTable
	for _, b := range blocks {
		for _, s := range b.services {
			if s.placement.Runs() {
				tables = append(tables, placedTable{Table: b.table(s), datapath: s.placement.Datapath})
			}
		}
	}
	return tables
}

// judgeQuorum updates the quorum state and returns the event of a change.
func (b *block) judgeQuorum(now time.Time) []Event {
	if !b.updateQuorum(now) {
		return nil
	}
	kind := QuorumLost
	if b.quorumUp {
		kind = QuorumGained
	}
	return []Event{b.event(kind, now, b.quorumReason())}
}

func (b *block) eventsOfDown(now time.Time) []Event {
	var events []Event
	for _, rs := range b.servers {
		if !rs.alive {
			events = append(events, b.serverEvent(ServerDown, rs, now, rs.reason))
		}
	}
	return events
}

func (s *service) event(kind EventKind, now time.Time, reason string) Event {
	return Event{Kind: kind, At: now, Service: s.key(), Reason: reason}
}

func (b *block) event(kind EventKind, now time.Time, reason string) Event {
	return Event{Kind: kind, At: now, Service: b.key, Reason: reason}
}

func (b *block) serverEvent(kind EventKind, rs *server, now time.Time, reason string) Event {
	e := b.event(kind, now, reason)
	e.Server = rs.conf.Name()
	return e
}
