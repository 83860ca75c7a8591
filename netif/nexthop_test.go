package netif

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNextHopReasons(t *testing.T) {
	var (
		v4  = netip.MustParseAddr("10.0.0.1")
		v6  = netip.MustParseAddr("2001:db8::1")
		gw6 = netip.MustParseAddr("fe80::1")
		up  = Link{Index: 2, Name: "eth0", Ethernet: true, Up: true, Carrier: true}
		ok  = Neighbour{Exists: true, Valid: true}
		uni = Route{Kind: RouteUnicast, IfIndex: 2}
	)
	link := func(change func(*Link)) Link {
		l := up
		change(&l)
		return l
	}
	tests := []struct {
		name  string
		dst   netip.Addr
		route Route
		link  Link
		neigh Neighbour
		want  string
	}{
		{"good", v4, uni, up, ok, ""},
		{"silent", v4, uni, up, Neighbour{Exists: true}, "no answer to ARP from 10.0.0.1 on eth0"},
		{"silent IPv6", v6, uni, up, Neighbour{}, "no answer to neighbour discovery from 2001:db8::1 on eth0"},
		{"silent IPv6 gateway of IPv4", v4, Route{Kind: RouteUnicast, IfIndex: 2, Gateway: gw6}, up, Neighbour{},
			"no answer to neighbour discovery from fe80::1 on eth0"},
		{"down", v4, uni, link(func(l *Link) { l.Up, l.Carrier = false, false }), ok, "interface eth0 is down"},
		{"unplugged", v4, uni, link(func(l *Link) { l.Carrier = false }), ok, "interface eth0 has no carrier"},
		{"tunnel", v4, uni, link(func(l *Link) { l.Ethernet = false }), ok, "interface eth0 is not Ethernet"},
		{"loopback", v4, uni, link(func(l *Link) { l.Loopback = true }), ok, "interface eth0 is a loopback"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := nextHop(tt.dst, tt.route, tt.link, tt.neigh)
			if h.Reason != tt.want || h.Resolved != (tt.want == "") {
				t.Errorf("next hop = %+v, want reason %q", h, tt.want)
			}
			if !h.Resolved && h.SrcMAC != [6]byte{} {
				t.Errorf("next hop = %+v, want no address", h)
			}
		})
	}
}

func TestDeadRoutes(t *testing.T) {
	dst := netip.MustParseAddr("10.0.0.1")
	for kind, want := range map[RouteKind]string{
		RouteNone:        "no route to 10.0.0.1",
		RouteLocal:       "10.0.0.1 is an address of this host",
		RouteUnreachable: "the route to 10.0.0.1 is of type unreachable",
		RouteProhibit:    "the route to 10.0.0.1 is of type prohibit",
		RouteBlackhole:   "the route to 10.0.0.1 is of type blackhole",
		RouteGroup:       "10.0.0.1 is a broadcast or multicast address",
	} {
		h := deadRoute(dst, kind)
		if h.Reason != want || h.Resolved || h.Local != (kind == RouteLocal) {
			t.Errorf("deadRoute(%d) = %+v, want reason %q", kind, h, want)
		}
	}
}

func TestLinkByName(t *testing.T) {
	links := []Link{{Name: "lo"}, {Name: "eth0", Index: 2}}
	if l, err := linkByName(links, "eth0"); err != nil || l.Index != 2 {
		t.Errorf("linkByName = %+v, %v", l, err)
	}
	_, err := linkByName(links, "eth9")
	if want := "interface eth9 does not exist (have: eth0, lo)"; err == nil || err.Error() != want || !errors.Is(err, ErrNoLink) {
		t.Errorf("error = %v, want %q that is ErrNoLink", err, want)
	}
}

// TestParseNeighbour also gives the parser every shorter form of a message in
// the steps that netlink messages have.
func TestParseNeighbour(t *testing.T) {
	msg := []byte{
		unix.AF_INET, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 1, // eth0, NUD_REACHABLE
		8, 0, 1, 0, 10, 77, 1, 11, // NDA_DST
		10, 0, 2, 0, 2, 0, 10, 77, 1, 11, 0, 0, // NDA_LLADDR
		5, 0, 12, 0, 69, 0, 0, 0, // NDA_PROTOCOL
		8, 0, 15, 0, 1, 0, 0, 0, // NDA_FLAGS_EXT
	}
	key, n, err := parseNeighbour(msg)
	wantKey := NeighKey{2, netip.MustParseAddr("10.77.1.11")}
	want := Neighbour{Exists: true, MAC: [6]byte{2, 0, 10, 77, 1, 11}, Valid: true, Managed: true, Protocol: 69}
	if err != nil || key != wantKey || n != want {
		t.Errorf("parseNeighbour = %v, %+v, %v, want %v, %+v", key, n, err, wantKey, want)
	}
	for size := 0; size < len(msg); size += 4 {
		_, _, _ = parseNeighbour(msg[:size]) // must not panic
		_, _ = eventFrom(unix.RTM_NEWNEIGH, msg[:size])
	}
	if ev, ok := eventFrom(unix.RTM_DELNEIGH, msg); !ok || ev.Neighbour != wantKey {
		t.Errorf("eventFrom = %+v, %t", ev, ok)
	}
	bridge := append([]byte{unix.AF_BRIDGE}, msg[1:]...)
	if ev, ok := eventFrom(unix.RTM_NEWNEIGH, bridge); ok {
		t.Errorf("eventFrom(bridge entry) = %+v, want none", ev)
	}
	if ev, ok := eventFrom(unix.RTM_NEWROUTE, nil); !ok || ev != (Event{}) {
		t.Errorf("eventFrom(route) = %+v, %t, want the zero event", ev, ok)
	}
}
