package vrrp

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// groupBench plays a sync group in virtual time.
type groupBench struct {
	t     *testing.T
	now   time.Time
	group *Group
	done  []Order
}

// members returns n instances of different VRIDs with a tracked interface.
func members(n int, change func(*Config)) []Config {
	var list []Config
	for m := range n {
		list = append(list, with(base(V3), func(c *Config) {
			c.Name, c.VRID = fmt.Sprintf("VI_%d", m), uint8(51+m)
			c.Tracks = []Track{{Kind: TrackInterface, Name: fmt.Sprintf("eth%d", m)}}
			change(c)
		}))
	}
	return list
}

func newGroupBench(t *testing.T, cfg GroupConfig) *groupBench {
	t.Helper()
	g, err := NewGroup(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &groupBench{t: t, now: time.Unix(1_700_000_000, 0), group: g}
	for m := range cfg.Members {
		b.link(m, Up)
	}
	b.done = g.StartAll(b.now, make([]Start, len(cfg.Members)), b.done)
	return b
}

func (b *groupBench) give(member int, ev Event) []Order {
	from := len(b.done)
	b.done = b.group.Step(b.now, member, ev, b.done)
	b.check()
	return b.done[from:]
}

// check holds what is true at all times: all are master, or none is.
func (b *groupBench) check() {
	b.t.Helper()
	masters := 0
	for _, m := range b.group.Members() {
		if s, _ := m.State(); s == Master {
			masters++
		}
	}
	if masters != 0 && masters != len(b.group.Members()) || (masters != 0) != (b.group.State() == Master) {
		b.t.Fatalf("%d of %d members are master, the group is %s", masters, len(b.group.Members()), b.group.State())
	}
}

func (b *groupBench) link(member int, s TrackStatus) []Order {
	return b.give(member, Tracked{Kind: TrackInterface, Name: fmt.Sprintf("eth%d", member), Status: s})
}

func (b *groupBench) hear(member int, priority uint8) []Order {
	return b.give(member, Heard{Source: addr("10.90.0.1"), Priority: priority, Interval: time.Second})
}

func (b *groupBench) run(d time.Duration) {
	end := b.now.Add(d)
	for {
		next, ok := b.group.Next()
		if !ok || next.After(end) {
			break
		}
		b.now = next
		for m := range b.group.Members() {
			if b.group.Due(m, b.now) {
				b.give(m, Tick{})
			}
		}
	}
	b.now = end
}

func (b *groupBench) wantState(want State) {
	b.t.Helper()
	if got := b.group.State(); got != want {
		b.t.Fatalf("group is %s, want %s", got, want)
	}
}

// notices returns the notices of state as "who STATE".
func notices(list []Order) []string {
	var out []string
	for _, o := range list {
		if o.Kind != Notify || o.Notice != NoticeState && o.Notice != NoticeStop {
			continue
		}
		who := "group"
		if o.Member != groupItself {
			who = fmt.Sprintf("VI_%d", o.Member)
		}
		out = append(out, who+" "+o.Notice.Event(o.State))
	}
	return out
}

func goodbyes(list []Order) (who []int) {
	for _, o := range list {
		if o.Kind == SendAdvert && o.Priority == 0 {
			who = append(who, o.Member)
		}
	}
	return who
}

func keep(*Config) {}

func TestGroupPromotion(t *testing.T) {
	b := newGroupBench(t, GroupConfig{Name: "VG", Members: members(2, keep)})
	b.wantState(Backup)
	b.run(4 * time.Second)
	b.wantState(Master)
	want := []string{"group BACKUP", "VI_0 BACKUP", "VI_1 BACKUP", "VI_0 MASTER", "VI_1 MASTER", "group MASTER"}
	if got := notices(b.done); !slices.Equal(got, want) {
		t.Errorf("notices %q, want %q", got, want)
	}
	for _, m := range b.group.Members() {
		if m.Reason().Code != ReasonSilence {
			t.Errorf("%s is master: %s", m.Name(), m.Reason())
		}
	}
}

// TestGroupWaitsForAll: a member without a peer and a member with a better one
// settle on backup.
func TestGroupWaitsForAll(t *testing.T) {
	b := newGroupBench(t, GroupConfig{Name: "VG", Members: members(2, keep)})
	for range 20 {
		b.run(time.Second)
		b.hear(1, 200)
	}
	b.wantState(Backup)
	if got := b.group.Members()[0].Wants(); got != Master {
		t.Errorf("the lone member wants %s", got)
	}
	// The better one is heard on the first link too, and then on none.
	b.hear(0, 200)
	if got := b.group.Members()[0].Wants(); got != Backup {
		t.Errorf("the member with a better peer wants %s", got)
	}
	b.run(3609375*time.Microsecond - 1)
	b.wantState(Backup)
	b.run(1)
	b.wantState(Master)
}

// TestVC111GroupMovesTogether: one member fails, all say goodbye at once.
func TestVC111GroupMovesTogether(t *testing.T) {
	b := newGroupBench(t, GroupConfig{Name: "VG", Members: members(3, keep)})
	b.run(4 * time.Second)
	out := b.link(1, Down)
	b.wantState(Fault)
	if got := goodbyes(out); !slices.Equal(got, []int{1, 0, 2}) {
		t.Errorf("goodbyes of %v, want one each", got)
	}
	want := []string{"VI_1 FAULT", "VI_0 FAULT", "VI_2 FAULT", "group FAULT"}
	if got := notices(out); !slices.Equal(got, want) {
		t.Errorf("notices %q, want %q", got, want)
	}
	if got := b.group.Members()[0].Reason().String(); got != "sync group member VI_1 is in fault" {
		t.Errorf("reason %q", got)
	}
	// A second fault, then both are over.
	b.link(0, Down)
	b.link(1, Up)
	b.wantState(Fault)
	if got := b.group.Members()[1].Faults(); len(got) != 1 || got[0].Name != "VI_0" {
		t.Errorf("faults %v", got)
	}
	b.link(0, Up)
	b.wantState(Backup)
	b.run(4 * time.Second)
	b.wantState(Master)
}

func TestGroupYieldsTogether(t *testing.T) {
	b := newGroupBench(t, GroupConfig{Name: "VG", Members: members(2, keep)})
	b.run(4 * time.Second)
	out := b.hear(0, 200)
	b.wantState(Backup)
	if got := goodbyes(out); len(got) != 0 {
		t.Errorf("goodbyes of %v: a better master is there", got)
	}
	if got := b.group.Members()[1].Reason().String(); got != "sync group member VI_0 left" {
		t.Errorf("reason %q", got)
	}
}

func TestGroupStops(t *testing.T) {
	b := newGroupBench(t, GroupConfig{Name: "VG", Members: members(2, keep)})
	b.run(4 * time.Second)
	out := b.group.StopAll(b.now, Stop{}, nil)
	if got := goodbyes(out); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("goodbyes of %v", got)
	}
	if got := notices(out); !slices.Equal(got, []string{"VI_0 STOP", "VI_1 STOP", "group STOP"}) {
		t.Errorf("notices %q", got)
	}
}

// TestGroupAdopts: a restarted group keeps its addresses.
func TestGroupAdopts(t *testing.T) {
	g, err := NewGroup(GroupConfig{Name: "VG", Members: []Config{base(V3), with(base(V3), func(c *Config) { c.Name = "VI_2" })}})
	if err != nil {
		t.Fatal(err)
	}
	out := g.StartAll(time.Unix(1_700_000_000, 0), []Start{{Adopt: true}, {Adopt: true}}, nil)
	if g.State() != Master {
		t.Fatalf("group is %s", g.State())
	}
	if slices.ContainsFunc(out, func(o Order) bool { return o.Kind == ReleaseAddresses }) {
		t.Error("the addresses were released in between")
	}
	// With only one to adopt, the group waits as backup and lets go.
	g, _ = NewGroup(GroupConfig{Name: "VG", Members: []Config{base(V3), with(base(V3), func(c *Config) { c.Name = "VI_2" })}})
	now := time.Unix(1_700_000_000, 0)
	g.StartAll(now, []Start{{Adopt: true}, {}}, nil)
	out = g.Step(now, 0, Heard{Source: addr("10.90.0.1"), Priority: 200, Interval: time.Second}, nil)
	if !slices.ContainsFunc(out, func(o Order) bool { return o.Kind == ReleaseAddresses && o.Member == 0 }) {
		t.Errorf("orders %v", out)
	}
}

// TestInstanceLeavesGroup: what the group had held back happens.
func TestInstanceLeavesGroup(t *testing.T) {
	b := newGroupBench(t, GroupConfig{Name: "VG", Members: members(3, keep)})
	b.run(2 * time.Second)
	b.hear(1, 200)
	b.run(2 * time.Second)
	waiting := b.group.Members()[0]
	b.link(1, Down)
	held := b.group.Members()[0]
	for want, i := range map[State]Instance{Master: waiting, Backup: held} {
		g, err := NewGroup(GroupConfig{Members: []Config{i.Config()}})
		if err != nil {
			t.Fatal(err)
		}
		g.resume(0, i)
		g.rejoin(b.now, 0, nil)
		if g.State() != want {
			t.Errorf("alone it is %s, want %s", g.State(), want)
		}
	}
}

// TestGroupAnnouncesTogether: an advert of lower priority on one link makes
// the others announce too.
func TestGroupAnnouncesTogether(t *testing.T) {
	b := newGroupBench(t, GroupConfig{Name: "VG", Members: members(2, keep)})
	b.run(8 * time.Second)
	var who []int
	for _, o := range b.hear(0, 50) {
		if o.Kind == Announce {
			who = append(who, o.Member)
		}
	}
	if !slices.Equal(who, []int{0, 1}) {
		t.Errorf("announcements of %v", who)
	}
}

func TestGroupWeights(t *testing.T) {
	weighted := func(c *Config) {
		c.Tracks = []Track{
			{Kind: TrackInterface, Name: "eth", Weight: 10},
			{Kind: TrackFile, Name: "f", Weight: 10},
			{Kind: TrackScript, Name: "s", Weight: 10},
			{Kind: TrackScript, Name: "s0"},
			{Kind: TrackProcess, Name: "p", Weight: 10},
		}
	}
	names := func(cfg GroupConfig) (list []string) {
		g, err := NewGroup(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range g.Members()[0].Contributions() {
			list = append(list, fmt.Sprint(c.Name, c.Weight))
		}
		return list
	}
	cfg := GroupConfig{Name: "VG", Members: members(2, weighted)}
	if got, want := names(cfg), []string{"eth0", "f0", "s00", "p10"}; !slices.Equal(got, want) {
		t.Errorf("tracks %q, want %q", got, want)
	}
	cfg.TrackingWeight = true
	if got, want := names(cfg), []string{"eth10", "f10", "s10", "s00", "p10"}; !slices.Equal(got, want) {
		t.Errorf("tracks %q with sync_group_tracking_weight, want %q", got, want)
	}
	if got := names(GroupConfig{Members: members(1, weighted)}); len(got) != 5 {
		t.Errorf("tracks %q without a group", got)
	}
}

func TestNewGroupRefuses(t *testing.T) {
	for name, cfg := range map[string]GroupConfig{
		"no members":  {Name: "VG"},
		"no name":     {Members: members(2, keep)},
		"same name":   {Name: "VG", Members: []Config{base(V3), base(V3)}},
		"bad member":  {Name: "VG", Members: members(2, prio(0))},
		"bad, lonely": {Members: members(1, prio(0))},
	} {
		if _, err := NewGroup(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
