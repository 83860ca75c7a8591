package netif

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/evenkeel/evenkeel/model"
)

// trunk is a host with VLAN devices: of eth0, of eth1, which takes tags off, and of a bond; and
// one within a VLAN.
func trunk() []Link {
	links := []Link{
		{Index: 1, Name: "lo", Loopback: true},
		{Index: 2, Name: "eth0", Kind: "device", Ethernet: true},
		{Index: 3, Name: "eth1", Kind: "device", Ethernet: true, StripsTags: true},
		{Index: 4, Name: "bond0", Kind: "bond", Ethernet: true},
		{Index: 5, Name: "eth2", Kind: "device", Ethernet: true, Master: 4},
		{Index: 6, Name: "eth3", Kind: "device", Ethernet: true, Master: 4},
		{Index: 10, Name: "vlan100", Kind: "vlan", Ethernet: true, Lower: 2, VLAN: 100},
		{Index: 11, Name: "eth0.200", Kind: "vlan", Ethernet: true, Lower: 2, VLAN: 200},
		{Index: 12, Name: "eth1.100", Kind: "vlan", Ethernet: true, Lower: 3, VLAN: 100},
		{Index: 13, Name: "bond0.7", Kind: "vlan", Ethernet: true, Lower: 4, VLAN: 7},
	}
	return append(links, oneTag(Link{Index: 14, Name: "inner", Kind: "vlan", Ethernet: true, Lower: 10, VLAN: 5}, links[6]))
}

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		names string
		mode  model.XDPMode
		want  string
	}{
		{"eth0", model.XDPAuto, "eth0"},
		{"vlan100", model.XDPAuto, "eth0"},
		{"vlan100 eth0.200 eth0", model.XDPAuto, "eth0"},
		{"bond0.7 vlan100", model.XDPNative, "bond0 eth0"},
		{"vlan100 eth0", model.XDPGeneric, "vlan100 eth0"},
		{"eth1.100 vlan100", model.XDPAuto, "eth1.100 eth0"},
		{"eth1.100", model.XDPNative, "eth1"},
		{"inner", model.XDPAuto, "inner"},
		{"gone", model.XDPAuto, "gone"},
	} {
		if got := strings.Join(Place(trunk(), strings.Fields(c.names), c.mode), " "); got != c.want {
			t.Errorf("for %s in mode %s: %s, want %s", c.names, c.mode, got, c.want)
		}
	}
}

func TestTagProblem(t *testing.T) {
	for _, l := range trunk() {
		problem, fix := TagProblem(trunk(), l)
		want := ""
		if l.Name == "eth1" || l.Name == "eth1.100" {
			want = "ethtool -K eth1 rxvlan off"
		}
		if fix != want || (problem == "") != (want == "") {
			t.Errorf("%s: %q, %q; want %q", l.Name, problem, fix, want)
		}
	}
}

func TestMembers(t *testing.T) {
	links := trunk()
	if got := Members(links, links[3]); !slices.EqualFunc(got, []int{5, 6}, func(l Link, i int) bool { return l.Index == i }) {
		t.Errorf("members of bond0: %v", got)
	}
	if got := Members(links, links[1]); len(got) != 0 {
		t.Errorf("members of eth0: %v", got)
	}
}

func TestVLANFrom(t *testing.T) {
	vlan := func(change func(*netlink.Vlan)) netlink.Link {
		v := &netlink.Vlan{
			LinkAttrs: netlink.LinkAttrs{Index: 9, ParentIndex: 2, NetNsID: -1},
			VlanId:    100, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q,
		}
		change(v)
		return v
	}
	for name, c := range map[string]struct {
		link  netlink.Link
		lower int
		id    uint16
	}{
		"802.1Q":            {vlan(func(*netlink.Vlan) {}), 2, 100},
		"802.1ad":           {vlan(func(v *netlink.Vlan) { v.VlanProtocol = netlink.VLAN_PROTOCOL_8021AD }), 0, 0},
		"id 0":              {vlan(func(v *netlink.Vlan) { v.VlanId = 0 }), 0, 0},
		"another namespace": {vlan(func(v *netlink.Vlan) { v.NetNsID = 3 }), 0, 0},
		"no VLAN device":    {&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{ParentIndex: 2, NetNsID: -1}}, 0, 0},
	} {
		if lower, id := vlanFrom(c.link); lower != c.lower || id != c.id {
			t.Errorf("%s: VLAN %d over %d, want %d over %d", name, id, lower, c.id, c.lower)
		}
	}
}

func TestNextHopOfAVLAN(t *testing.T) {
	l := trunk()[6]
	l.Up, l.Carrier, l.MTU = true, true, 1496
	hop := nextHop(netip.MustParseAddr("10.0.0.1"), Route{Kind: RouteUnicast, IfIndex: l.Index}, l, Neighbour{Valid: true, MAC: [6]byte{2}})
	if !hop.Resolved || hop.IfIndex != 10 || hop.Lower != 2 || hop.VLAN != 100 || hop.MTU != 1496 {
		t.Errorf("next hop: %+v", hop)
	}
}
