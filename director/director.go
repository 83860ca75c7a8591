package director

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

// Director holds the state of all virtual services. It belongs to one
// goroutine.
type Director struct {
	// services are in the order of the file. byKey leaves out those that the
	// file names a second time.
	services []*service
	byKey    map[model.ServiceKey]*service
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

	var events []Event
	for _, s := range d.services {
		events = append(events, s.event(ServiceAdded, now, s.placement.String()))
		if !s.placement.Runs() {
			continue
		}
		if was, ok := findRunning(before, s); ok {
			s.adopt(was.Servers)
			s.updateQuorum(now)
			events = append(events, s.eventsOfDown(now)...)
		}
		if !s.quorumUp {
			events = append(events, s.event(QuorumLost, now, s.quorumReason()))
		}
	}
	return d, Change{Steps: transition(before, d.tables()), Events: events}
}

// findRunning returns the running table of a service, that of its present
// datapath before any other.
func findRunning(running []placedTable, s *service) (placedTable, bool) {
	var found placedTable
	ok := false
	for _, t := range running {
		if t.Service.Key == s.key() && (!ok || t.datapath == s.placement.Datapath) {
			found, ok = t, true
		}
	}
	return found, ok
}

// configure replaces all services by fresh ones.
func (d *Director) configure(services []model.VirtualServer, caps Capabilities, now time.Time) {
	d.services = nil
	d.byKey = make(map[model.ServiceKey]*service, len(services))
	for _, conf := range services {
		if d.byKey[conf.Key] != nil {
			d.services = append(d.services, newService(conf, Placement{Reason: ReasonDuplicate}, now))
			continue
		}
		s := newService(conf, Choose(conf, caps), now)
		d.services = append(d.services, s)
		d.byKey[conf.Key] = s
	}
}

// Verdict takes a server in or out, or changes its weight. A verdict that
// changes nothing, or on a
// server that is not in the configuration, gives an empty change.
func (d *Director) Verdict(v health.Verdict) Change {
	s := d.byKey[v.Service]
	if s == nil || !s.placement.Runs() {
		return Change{}
	}
	rs := s.server(v.Server)
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
	before, oldServices, oldByKey := d.tables(), d.services, d.byKey
	d.configure(services, caps, now)

	var events []Event
	for _, old := range oldServices {
		if oldByKey[old.key()] == old && d.byKey[old.key()] == nil {
			events = append(events, old.event(ServiceRemoved, now, "no longer in the file"))
		}
	}
	for _, s := range d.services {
		old := oldByKey[s.key()]
		switch {
		case d.byKey[s.key()] != s:
			continue
		case old == nil:
			events = append(events, s.event(ServiceAdded, now, s.placement.String()))
		case old.placement != s.placement:
			events = append(events, s.event(ServiceMoved, now, s.placement.String()))
		}
		if !s.placement.Runs() {
			continue
		}
		if old != nil && old.placement.Runs() {
			s.carry(old)
			events = append(events, s.judgeQuorum(now)...)
		} else if !s.quorumUp {
			events = append(events, s.event(QuorumLost, now, s.quorumReason()))
		}
	}
	return Change{Steps: transition(before, d.tables()), Events: events}
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
// services that run, with what they count as now.
func (d *Director) Targets() []health.Target {
	var targets []health.Target
	for _, s := range d.services {
		if !s.placement.Runs() {
			continue
		}
		for _, rs := range s.servers {
			t := health.Target{Service: s.key(), Server: rs.conf.Addr, Checks: rs.conf.Checks, Start: rs.start}
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

// tables returns the wanted tables of all services that run.
func (d *Director) tables() []placedTable { return d.tablesOf(d.services...) }

func (d *Director) tablesOf(services ...*service) []placedTable {
	var tables []placedTable
	for _, s := range services {
		if s.placement.Runs() {
			tables = append(tables, placedTable{Table: s.table(), datapath: s.placement.Datapath})
		}
	}
	return tables
}

// judgeQuorum updates the quorum state and returns the event of a change.
func (s *service) judgeQuorum(now time.Time) []Event {
	if !s.updateQuorum(now) {
		return nil
	}
	kind := QuorumLost
	if s.quorumUp {
		kind = QuorumGained
	}
	return []Event{s.event(kind, now, s.quorumReason())}
}

func (s *service) eventsOfDown(now time.Time) []Event {
	var events []Event
	for _, rs := range s.servers {
		if !rs.alive {
			events = append(events, s.serverEvent(ServerDown, rs, now, rs.reason))
		}
	}
	return events
}

func (s *service) event(kind EventKind, now time.Time, reason string) Event {
	return Event{Kind: kind, At: now, Service: s.key(), Reason: reason}
}

func (s *service) serverEvent(kind EventKind, rs *server, now time.Time, reason string) Event {
	e := s.event(kind, now, reason)
	e.Server = rs.conf.Addr
	return e
}
