package failover

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/netif/vmac"
	"github.com/evenkeel/evenkeel/track"
	"github.com/evenkeel/evenkeel/vrrp"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// instance is a version 3 instance on eth0 with one address.
func instance(name string, vrid uint8) model.VRRPInstance {
	return model.VRRPInstance{
		Name: name, VRID: vrid, Version: 3, Interface: "eth0", Priority: 100, Interval: time.Second,
		Addresses: []model.Address{{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 90, 0, 100 + vrid}), 24), Interface: "eth0"}},
		Multicast: vrrp.MulticastGroup(false), UnicastTTL: 255, DownAdverts: 3,
		Announce: model.VRRPAnnounce{Delay: 5 * time.Second, Repeat: 5, LowerPrioDelay: 5 * time.Second, LowerPrioRepeat: 5, RefreshRepeat: 1},
	}
}

func mustPlan(t *testing.T, cfg model.VRRP) plan {
	t.Helper()
	p, err := newPlan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestUnits(t *testing.T) {
	bad := instance("bad", 4)
	bad.Addresses = nil
	p, err := newPlan(model.VRRP{
		Instances: []model.VRRPInstance{instance("A", 1), instance("B", 2), bad, instance("C", 3)},
		Groups:    []model.SyncGroup{{Name: "G", Members: []string{"A", "C", "bad"}}},
	})
	if err == nil || !strings.Contains(err.Error(), "vrrp_instance bad: virtual_ipaddress") {
		t.Errorf("error %v, want bad left out", err)
	}
	var got []string
	for _, u := range p.units {
		var names []string
		for _, m := range u.members {
			names = append(names, m.instance.Name)
		}
		got = append(got, u.key()+": "+strings.Join(names, " "))
	}
	if want := []string{"group G: A C", "instance B: B"}; !slices.Equal(got, want) {
		t.Errorf("units %q, want %q", got, want)
	}
}

func TestVirtualMACs(t *testing.T) {
	six := instance("six", 51)
	six.IPv6, six.Multicast = true, vrrp.MulticastGroup(true)
	six.Addresses = []model.Address{{Prefix: prefix("fe80::5a:100/64"), Interface: "eth0"}}
	four := instance("four", 51)
	four.Excluded = []model.Address{
		{Prefix: prefix("fd5a::1/64"), Interface: "eth0"},
		{Prefix: prefix("10.91.0.1/24"), Interface: "eth1"},
		{Prefix: prefix("10.92.0.1/24"), Interface: "eth2", UseVMAC: true},
	}
	other := instance("other", 51)
	other.Interface, other.Addresses[0].Interface = "eth1", "eth1"
	for _, i := range []*model.VRRPInstance{&six, &four, &other} {
		i.VMAC = &model.VMAC{}
	}
	other.VMAC.TransmitBase, other.VMAC.MAC = true, [6]byte{2, 0, 0, 0, 0, 9}
	p := mustPlan(t, model.VRRP{Instances: []model.VRRPInstance{six, four, other}})
	m6, m4, mo := p.units[0].members[0], p.units[1].members[0], p.units[2].members[0]

	want := []vmac.Interface{
		{Name: "vrrp6.51", Parent: "eth0", MAC: vmac.MAC{0, 0, 0x5e, 0, 2, 51}, IPv6: true},
		{Name: "vrrp.51", Parent: "eth0", MAC: vmac.MAC{0, 0, 0x5e, 0, 1, 51}, IPv6: true},
		{Name: "vrrp.51.1", Parent: "eth2", MAC: vmac.MAC{0, 0, 0x5e, 0, 1, 51}},
		{Name: "vrrp.51.2", Parent: "eth1", MAC: vmac.MAC{2, 0, 0, 0, 0, 9}},
	}
	if got := p.vmacs(); !slices.Equal(got, want) {
		t.Errorf("interfaces\n %v, want\n %v", got, want)
	}
	var on []string
	for _, a := range m4.set.Addresses {
		on = append(on, a.Interface)
	}
	if want := []string{"vrrp.51", "vrrp.51", "eth1", "vrrp.51.1"}; !slices.Equal(on, want) {
		t.Errorf("addresses on %q, want %q", on, want)
	}
	if m4.conn.VirtualMAC != want[1].MAC || m6.conn.VirtualMAC != want[0].MAC || mo.conn.VirtualMAC != (vmac.MAC{}) {
		t.Error("adverts leave from the wrong MAC")
	}
	if !slices.Contains(m4.election.Tracks, vrrp.Track{Kind: vrrp.TrackInterface, Name: "vrrp.51"}) {
		t.Errorf("tracks %v: a missing virtual MAC is no fault", m4.election.Tracks)
	}
}

// TestTracks: what counts in a group, and each thing once.
func TestTracks(t *testing.T) {
	i := instance("A", 1)
	i.Tracks = []model.Track{
		{Kind: model.TrackingInterface, Name: "eth0"},
		{Kind: model.TrackingInterface, Name: "eth1", Weight: 10},
		{Kind: model.TrackingScript, Name: "weighs", Weight: -20},
		{Kind: model.TrackingScript, Name: "decides", Reverse: true},
		{Kind: model.TrackingFile, Name: "file", Weight: 3},
	}
	g := model.SyncGroup{Name: "G", Members: []string{"A"}, Tracks: []model.Track{
		{Kind: model.TrackingScript, Name: "of the group", Weight: 5},
		{Kind: model.TrackingInterface, Name: "eth0", Weight: 7},
	}}
	own := []vrrp.Track{
		{Kind: vrrp.TrackInterface, Name: "eth0"},
		{Kind: vrrp.TrackInterface, Name: "eth1"},
		{Kind: vrrp.TrackScript, Name: "decides", Reverse: true},
		{Kind: vrrp.TrackFile, Name: "file"},
		{Kind: vrrp.TrackScript, Name: "of the group", Weight: 5},
	}
	weighed := mustPlan(t, model.VRRP{Instances: []model.VRRPInstance{i}, Groups: []model.SyncGroup{g}})
	if got := weighed.units[0].members[0].election.Tracks; !slices.Equal(got, own) {
		t.Errorf("in a group: %+v, want\n%+v", got, own)
	}
	g.TrackingWeight = true
	free := mustPlan(t, model.VRRP{Instances: []model.VRRPInstance{i}, Groups: []model.SyncGroup{g}})
	if got := free.units[0].members[0].election.Tracks; len(got) != 6 || got[2].Weight != -20 || got[4].Weight != 3 {
		t.Errorf("with sync_group_tracking_weight: %+v", got)
	}
}

func TestChooseSource(t *testing.T) {
	links := []netif.Link{
		{Name: "lo", Addrs: []netip.Prefix{prefix("127.0.0.1/8")}},
		{Name: "eth0", Addrs: []netip.Prefix{
			prefix("10.90.0.100/24"), prefix("10.90.0.1/24"), prefix("10.90.0.2/24"),
			prefix("fd5a::1/64"), prefix("fe80::5a:100/64"), prefix("fe80::1/64"),
		}},
	}
	virtual := map[netip.Addr]bool{ip("10.90.0.100"): true, ip("fe80::5a:100"): true}
	change := func(f func(*model.VRRPInstance)) model.VRRPInstance {
		i := instance("A", 1)
		f(&i)
		return i
	}
	for _, tt := range []struct {
		name string
		i    model.VRRPInstance
		want string
	}{
		{"first that is not virtual", instance("A", 1), "10.90.0.1"},
		{"link-local", change(func(i *model.VRRPInstance) { i.IPv6 = true }), "fe80::1"},
		{"no such link", change(func(i *model.VRRPInstance) { i.Interface = "eth9" }), "invalid IP"},
		{"no such family", change(func(i *model.VRRPInstance) { i.Interface, i.IPv6 = "lo", true }), "invalid IP"},
		{"configured", change(func(i *model.VRRPInstance) { i.Source = ip("192.0.2.1") }), "192.0.2.1"},
		{"tracked and lost", change(func(i *model.VRRPInstance) { i.Source, i.TrackSource = ip("192.0.2.1"), true }), "invalid IP"},
		{"tracked and there", change(func(i *model.VRRPInstance) { i.Source, i.TrackSource = ip("127.0.0.1"), true }), "127.0.0.1"},
		{"nobody to talk to", change(func(i *model.VRRPInstance) { i.NoPeerFault, i.Multicast = true, netip.Addr{} }), "invalid IP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := chooseSource(tt.i, links, virtual).String(); got != tt.want {
				t.Errorf("source %s, want %s", got, tt.want)
			}
		})
	}
}

func TestChangedLinks(t *testing.T) {
	was := []netif.Link{{Index: 1, Name: "lo", Up: true}, {Index: 2, Name: "eth0", Up: true, Carrier: true}, {Index: 3, Name: "eth1"}, {Index: 4, Name: "eth2"}}
	now := []netif.Link{{Index: 1, Name: "lo", Up: true, MTU: 9}, {Index: 2, Name: "eth0", Up: true}, {Index: 5, Name: "eth1"}, {Index: 6, Name: "eth3"}}
	if got, want := changedLinks(was, now), []string{"eth0", "eth1", "eth2", "eth3"}; !slices.Equal(got, want) {
		t.Errorf("changed %q, want %q", got, want)
	}
}

// TestDisabledScriptHasNoSay: neither a fault nor a weight.
func TestDisabledScriptHasNoSay(t *testing.T) {
	for _, tt := range []struct {
		track vrrp.Track
		want  vrrp.TrackStatus
	}{
		{vrrp.Track{Kind: vrrp.TrackScript}, vrrp.Up},
		{vrrp.Track{Kind: vrrp.TrackScript, Reverse: true}, vrrp.Down},
		{vrrp.Track{Kind: vrrp.TrackScript, Weight: 5}, vrrp.Unknown},
		{vrrp.Track{Kind: vrrp.TrackScript, Weight: -5}, vrrp.Unknown},
	} {
		if got := statusOf(tt.track, track.Status{State: track.Disabled}).Status; got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.track, got, tt.want)
		}
	}
}

func TestMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	open := func(boot string) *memory {
		t.Helper()
		m, err := openMemory(path, boot)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	slotOf := func(m *memory, name string) slot {
		t.Helper()
		s, err := m.slot(name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := open("boot 1")
	a, b := slotOf(first, "A"), slotOf(first, "B")
	if _, ok := a.age(); ok {
		t.Error("a fresh slot remembers a mastership")
	}
	a.stamp()
	b.stamp()
	b.clear()
	first.close()

	second := open("boot 1") // the next process
	if age, ok := slotOf(second, "A").age(); !ok || age < 0 || age > time.Minute {
		t.Errorf("A: age %v, %t", age, ok)
	}
	if _, ok := slotOf(second, "B").age(); ok {
		t.Error("B: remembers what was given up")
	}
	second.close()

	third := open("boot 2")
	defer third.close()
	if _, ok := slotOf(third, "A").age(); ok {
		t.Error("A: remembers across a boot")
	}
	for n := range slotCount - 1 {
		slotOf(third, string(rune(n))+"x")
	}
	if _, err := third.slot("one too many"); err == nil {
		t.Error("no error when full")
	}
	var none *memory
	slotOf(none, "A").stamp()
	if _, ok := slotOf(none, "A").age(); ok {
		t.Error("no memory remembers")
	}
}

// TestMemoryDropped: a start that fails leaves no file behind, and takes none away.
func TestMemoryDropped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	for _, there := range []bool{false, true} {
		m, err := openMemory(path, "boot")
		if err != nil {
			t.Fatal(err)
		}
		if err := m.drop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); (err == nil) != there {
			t.Errorf("file was there: %t; afterwards %v", there, err)
		}
		if m, err = openMemory(path, "boot"); err != nil { // the next one finds it
			t.Fatal(err)
		}
		if err := m.close(); err != nil {
			t.Error(err)
		}
	}
	var none *memory
	if err := none.drop(); err != nil {
		t.Error(err)
	}
}

func TestWasMaster(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	was := func(want bool, when string, within time.Duration) {
		t.Helper()
		if got := WasMaster(path, within); got != want {
			t.Errorf("%s: %t, want %t", when, got, want)
		}
	}
	was(false, "no file", time.Hour)
	boot, err := readBootID()
	if err != nil {
		t.Fatal(err)
	}
	m, err := openMemory(path, boot)
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.slot("A")
	if err != nil {
		t.Fatal(err)
	}
	was(false, "never a master", time.Hour)
	a.stamp()
	was(true, "an advert ago", time.Hour)
	was(false, "long ago", 0)
	a.clear()
	was(false, "given up", time.Hour)
	a.stamp()
	m.close()
	if m, err = openMemory(path, "another boot"); err != nil {
		t.Fatal(err)
	}
	defer m.close()
	was(false, "of another boot", time.Hour)
}

func TestLingers(t *testing.T) {
	reason := func(c vrrp.ReasonCode) vrrp.Action { return vrrp.Action{Reason: vrrp.Reason{Code: c}} }
	fault := func(k vrrp.TrackKind) vrrp.Action {
		return vrrp.Action{Reason: vrrp.Reason{Code: vrrp.ReasonFault, Cause: vrrp.Cause{Kind: k}}}
	}
	for _, tt := range []struct {
		name     string
		a        vrrp.Action
		interval time.Duration
		want     time.Duration
		awaits   bool
	}{
		{"stop", reason(vrrp.ReasonStop), time.Second, 255*time.Second/256 + 250*time.Millisecond, true},
		{"script", fault(vrrp.TrackScript), time.Second, 255*time.Second/256 + 250*time.Millisecond, true},
		{"a better master", reason(vrrp.ReasonHigherPriority), time.Second, 50 * time.Millisecond, false},
		{"of a short interval", reason(vrrp.ReasonHigherAddress), 10 * time.Millisecond, 50 * time.Millisecond, false},
		{"back too late", reason(vrrp.ReasonStart), time.Second, 3*time.Second + 257*time.Second/256 + 250*time.Millisecond, true},
		{"others took over long ago", reason(vrrp.ReasonLate), time.Second, 0, false},
		{"interface", fault(vrrp.TrackInterface), time.Second, 0, false},
		{"source", fault(vrrp.FaultSource), time.Second, 0, false},
	} {
		m := &member{plan: memberPlan{instance: model.VRRPInstance{Version: 3, Interval: tt.interval}, election: vrrp.Config{Version: vrrp.V3, Interval: tt.interval}}}
		if got, awaits := m.lingers(tt.a); got != tt.want || awaits != tt.awaits {
			t.Errorf("%s: %s, %t, want %s, %t", tt.name, got, awaits, tt.want, tt.awaits)
		}
	}
}

// TestNoFault: what is not known of a mastership that goes on is taken for good,
// also where good is the other way round.
func TestNoFault(t *testing.T) {
	for _, tt := range []struct {
		track  vrrp.Track
		status vrrp.TrackStatus
		value  int
	}{
		{vrrp.Track{Kind: vrrp.TrackScript}, vrrp.Up, 0},
		{vrrp.Track{Kind: vrrp.TrackScript, Reverse: true}, vrrp.Down, 0},
		{vrrp.Track{Kind: vrrp.TrackScript, Reverse: true, Weight: 10}, vrrp.Up, 0},
		{vrrp.Track{Kind: vrrp.TrackFile}, vrrp.Up, 0},
		{vrrp.Track{Kind: vrrp.TrackFile, Reverse: true}, vrrp.Up, 1},
	} {
		if status, value := noFault(tt.track); status != tt.status || value != tt.value {
			t.Errorf("%+v: %s %d, want %s %d", tt.track, status, value, tt.status, tt.value)
		}
	}
}

// TestSpread spreads the adverts of a crowded interface over half an interval, each
// instance at a place of its own, and leaves the others alone.
func TestSpread(t *testing.T) {
	var cfg model.VRRP
	for i := range uint8(crowd) {
		cfg.Instances = append(cfg.Instances, instance(fmt.Sprintf("VI_%d", i), i*16+1))
	}
	alone := instance("alone", 200)
	alone.Interface = "eth1"
	cfg.Instances = append(cfg.Instances, alone)
	early := func(cfg model.VRRP) map[time.Duration]int {
		list := make(map[time.Duration]int)
		for _, u := range mustPlan(t, cfg).units {
			for _, m := range u.members {
				list[m.election.Early]++
				if m.election.Early < 0 || m.election.Early >= m.instance.Interval/2 {
					t.Errorf("%s is %s early", m.instance.Name, m.election.Early)
				}
			}
		}
		return list
	}
	if got := early(cfg); len(got) != crowd+1 || got[0] != 1 {
		t.Errorf("early by %v, want %d ways and one not at all", got, crowd)
	}
	cfg.Instances = cfg.Instances[1:]
	if got := early(cfg); len(got) != 1 {
		t.Errorf("early by %v, want nobody to be", got)
	}
}
