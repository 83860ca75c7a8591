package vrrp

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// GroupConfig describes a sync group, or one instance that is in none.
type GroupConfig struct {
	// Name is the group's. Empty: no group, and one member only.
	Name string
	// Members have different names.
	Members []Config
	// TrackingWeight lets weighted tracks of members count
	// (sync_group_tracking_weight). Without it they could pull the group
	// apart, so a group treats interfaces and files as weight 0 and ignores
	// other weighted tracks.
	TrackingWeight bool
}

// Group is instances that change state together: all are master, or none is.
// Each sends its own adverts. It belongs to one goroutine.
type Group struct {
	name    string
	weights bool
	members []Instance
	state   State
	actions []Action
}

// Order is an action of one member, or of the group.
type Order struct {
	// Member is the index of the instance; -1 is the group, whose only
	// actions are notices.
	Member int
	Action
}

// groupItself is Order.Member of the group.
const groupItself = -1

// NewGroup returns a group whose members wait for Start. The error names the
// member that cannot run.
func NewGroup(cfg GroupConfig) (*Group, error) {
	g := &Group{name: cfg.Name, weights: cfg.TrackingWeight}
	switch {
	case len(cfg.Members) == 0:
		return nil, errors.New("vrrp_sync_group: no members")
	case cfg.Name == "" && len(cfg.Members) > 1:
		return nil, errors.New("vrrp_sync_group: no name")
	}
	for _, m := range cfg.Members {
		if _, taken := g.Find(m.Name); taken {
			return nil, fmt.Errorf("vrrp_sync_group %s: two members %s", cfg.Name, m.Name)
		}
		i, err := New(g.adapt(m))
		if err != nil {
			return nil, fmt.Errorf("vrrp_instance %s: %w", m.Name, err)
		}
		g.add(i)
	}
	return g, nil
}

func (g *Group) add(i Instance) {
	i.grouped = g.name != ""
	g.members = append(g.members, i)
}

// resume replaces a member by one of an earlier group.
func (g *Group) resume(member int, i Instance) {
	i.grouped = g.name != ""
	g.members[member] = i
	g.state = g.merge()
}

// adapt gives a member the tracks that count in the group.
func (g *Group) adapt(cfg Config) Config {
	if g.name == "" || g.weights {
		return cfg
	}
	var tracks []Track
	for _, t := range cfg.Tracks {
		switch {
		case t.Kind == TrackInterface || t.Kind == TrackFile:
			t.Weight = 0
		case t.Kind == TrackScript && t.Weight != 0:
			continue // processes and BFD sessions keep their weight
		}
		tracks = append(tracks, t)
	}
	cfg.Tracks = tracks
	return cfg
}

// rejoin frees a lone instance from what a group of earlier had decided.
func (g *Group) rejoin(now time.Time, member int, out []Order) []Order {
	if g.name != "" {
		return out
	}
	out = g.give(now, member, groupFault{}, out)
	if g.members[member].wants {
		out = g.give(now, member, groupMaster{}, out)
	}
	g.state = g.merge()
	return out
}

// Name returns the group's name, empty for a lone instance.
func (g *Group) Name() string { return g.name }

// State returns the state of the group: MASTER if all members are, FAULT if
// one is, INIT before the first has started.
func (g *Group) State() State { return g.state }

// Members returns the instances in order, as values of this moment.
func (g *Group) Members() []Instance { return slices.Clone(g.members) }

// Find returns the index of a member.
func (g *Group) Find(name string) (int, bool) {
	at := slices.IndexFunc(g.members, func(i Instance) bool { return i.cfg.Name == name })
	return at, at >= 0
}

// Next returns the earliest deadline of any member.
func (g *Group) Next() (next time.Time, ok bool) {
	for m := range g.members {
		if at, set := g.members[m].next(); set && (!ok || at.Before(next)) {
			next, ok = at, true
		}
	}
	return next, ok
}

// Due says whether a deadline of a member has passed.
func (g *Group) Due(member int, now time.Time) bool {
	at, set := g.members[member].next()
	return set && !now.Before(at)
}

// Step gives ev to one member and lets the group follow. The orders are
// appended to out.
func (g *Group) Step(now time.Time, member int, ev Event, out []Order) []Order {
	if re, ok := ev.(Reconfigured); ok {
		re.Config = g.adapt(re.Config)
		ev = re
	}
	from := len(out)
	out = g.give(now, member, ev, out)
	if g.name == "" {
		g.state = g.members[0].state
		return out
	}
	_, isHeard := ev.(Heard)
	if isHeard && slices.ContainsFunc(out[from:], againstLesser) {
		out = g.giveOthers(now, member, groupAnnounce{}, out)
	}
	return g.settle(now, out)
}

// StartAll starts the members, each as its own Start says. The group's notice
// comes before theirs, as keepalived's does.
func (g *Group) StartAll(now time.Time, starts []Start, out []Order) []Order {
	from := len(out)
	for m := range g.members {
		out = g.give(now, m, starts[m], out)
	}
	if g.name == "" {
		g.state = g.members[0].state
		return out
	}
	if was := g.state; was == Init && g.merge() == Backup {
		g.state = Backup
		out = slices.Insert(out, from, g.notice())
	}
	return g.settle(now, out)
}

// StopAll stops the members. Each that is master says goodbye.
func (g *Group) StopAll(now time.Time, ev Stop, out []Order) []Order {
	for m := range g.members {
		out = g.give(now, m, ev, out)
	}
	if g.name == "" {
		g.state = Init
		return out
	}
	return g.settle(now, out)
}

func againstLesser(o Order) bool { return o.Kind == Announce && o.Cause == CauseLowerPriority }

// give steps one member.
func (g *Group) give(now time.Time, member int, ev Event, out []Order) []Order {
	g.members[member], g.actions = g.members[member].Step(now, ev, g.actions[:0])
	for _, a := range g.actions {
		out = append(out, Order{member, a})
	}
	return out
}

func (g *Group) giveOthers(now time.Time, but int, ev Event, out []Order) []Order {
	for m := range g.members {
		if m != but {
			out = g.give(now, m, ev, out)
		}
	}
	return out
}

// settle makes the members agree after one of them has changed: first a fault
// of one is a fault of all, then one that yielded takes the others along, then
// all become master if all want to.
func (g *Group) settle(now time.Time, out []Order) []Order {
	out = g.shareFaults(now, out)
	if yielded := g.yielded(); yielded >= 0 {
		ev := groupBackup{g.members[yielded].cfg.Name}
		out = g.giveOthers(now, yielded, ev, out)
	}
	if g.agreed() {
		for m := range g.members {
			out = g.give(now, m, groupMaster{}, out)
		}
	}
	if was := g.state; g.merge() != was {
		g.state = g.merge()
		out = append(out, g.notice())
	}
	return out
}

// shareFaults tells each member which other one is in fault of its own.
func (g *Group) shareFaults(now time.Time, out []Order) []Order {
	var faulty []int
	for m := range g.members {
		if i := &g.members[m]; i.state != Init && len(i.ownFaults()) > 0 {
			faulty = append(faulty, m)
		}
	}
	for m := range g.members {
		name := ""
		if at := slices.IndexFunc(faulty, func(f int) bool { return f != m }); at >= 0 {
			name = g.members[faulty[at]].cfg.Name
		}
		if g.members[m].groupFault != name {
			out = g.give(now, m, groupFault{name}, out)
		}
	}
	return out
}

// yielded returns a member that is backup while another is master, or -1.
func (g *Group) yielded() int {
	backup, master := -1, false
	for m := range g.members {
		switch g.members[m].state {
		case Master:
			master = true
		case Backup:
			backup = m
		default:
		}
	}
	if !master {
		return -1
	}
	return backup
}

// agreed says whether all members wait to become master.
func (g *Group) agreed() bool {
	for m := range g.members {
		if i := &g.members[m]; i.state != Backup || !i.wants {
			return false
		}
	}
	return true
}

// merge returns the state of the members as one.
func (g *Group) merge() State {
	var in [Fault + 1]int
	for m := range g.members {
		in[g.members[m].state]++
	}
	switch {
	case in[Fault] > 0:
		return Fault
	case in[Master] == len(g.members):
		return Master
	case in[Init] == len(g.members):
		return Init
	}
	return Backup
}

// notice tells of the group's state, for the reason of the first member in it.
func (g *Group) notice() Order {
	a := Action{Kind: Notify, Notice: NoticeState, State: g.state}
	if g.state == Init {
		a.Notice = NoticeStop
	}
	for _, m := range g.members {
		if m.state == g.state {
			a.Reason = m.reason
			break
		}
	}
	return Order{groupItself, a}
}
