//go:build netns

package netif

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// TestReadLinks reads a switch's ports, which have native XDP programs, and a
// director's interface.
func TestReadLinks(t *testing.T) {
	w := newReal(t)
	port, err := openKernel(t, w.top.Lab.Node("lan")).LinkByName("director-eth0")
	if err != nil || port.XDPMode != XDPNative || port.XDPProgram == 0 || port.Kind != "veth" || !port.Ethernet {
		t.Errorf("port = %+v, %v, want a veth with a native program", port, err)
	}
	own, err := w.LinkByName("eth0")
	if err != nil || own.XDPMode != XDPNone || own.XDPProgram != 0 || !own.Up || !own.Carrier ||
		own.MAC != w.directorMAC() || own.MTU != 1500 || !own.HasIPv4() || own.Loopback {
		t.Errorf("eth0 = %+v, %v", own, err)
	}
	same, err := w.Link(own.Index)
	if err != nil || same.Name != "eth0" || same.MAC != own.MAC {
		t.Errorf("Link(%d) = %+v, %v", own.Index, same, err)
	}
	lo, err := w.LinkByName("lo")
	if err != nil || !lo.Loopback || lo.Ethernet {
		t.Errorf("lo = %+v, %v", lo, err)
	}
	if _, err := w.Link(4711); !errors.Is(err, ErrNoLink) {
		t.Errorf("Link(4711) = %v, want ErrNoLink", err)
	}
	_, err = w.LinkByName("eth9")
	if want := "interface eth9 does not exist (have: eth0, lo)"; err == nil || err.Error() != want {
		t.Errorf("LinkByName(eth9) = %v, want %q", err, want)
	}
}

// TestReadRoutes asks for every kind of route.
func TestReadRoutes(t *testing.T) {
	w := newReal(t)
	for addr, kind := range map[string]int{
		"10.98.1.0/24": unix.RTN_UNREACHABLE, "10.98.2.0/24": unix.RTN_PROHIBIT, "10.98.3.0/24": unix.RTN_BLACKHOLE,
	} {
		_, dst, err := net.ParseCIDR(addr)
		w.check(err)
		w.check(w.top.Director.Netlink().RouteAdd(&netlink.Route{Dst: dst, Type: kind}))
	}
	w.routeThrough(0)
	eth0 := w.linkIndex()
	director := w.top.ClientSide.Addr()
	for dst, want := range map[string]Route{
		"10.77.1.11":  {Kind: RouteUnicast, IfIndex: eth0, Source: director},
		"10.99.0.5":   {Kind: RouteUnicast, IfIndex: eth0, Source: director, Gateway: w.server(0)},
		"10.98.1.1":   {Kind: RouteUnreachable},
		"10.98.2.1":   {Kind: RouteProhibit},
		"10.98.3.1":   {Kind: RouteBlackhole},
		"10.97.0.1":   {Kind: RouteNone},
		"2001:db8::1": {Kind: RouteNone},
	} {
		if got, err := w.Route(netip.MustParseAddr(dst)); err != nil || got != want {
			t.Errorf("Route(%s) = %+v, %v, want %+v", dst, got, err, want)
		}
	}
	for dst, want := range map[string]RouteKind{"10.77.1.100": RouteLocal, "10.77.1.255": RouteGroup} {
		addr := netip.MustParseAddr(dst)
		if got, err := w.Route(addr); err != nil || got.Kind != want {
			t.Errorf("Route(%s) = %+v, %v, want kind %d", dst, got, err, want)
		}
		if local, err := w.IsLocal(addr); err != nil || local != (want == RouteLocal) {
			t.Errorf("IsLocal(%s) = %t, %v", dst, local, err)
		}
		if all, err := w.Local(); err != nil || all(addr) != (want == RouteLocal) {
			t.Errorf("Local says of %s: %t, %v", dst, err == nil && all(addr), err)
		}
	}
}

// TestChooseXDPReal asks on the networks that the lab builds.
func TestChooseXDPReal(t *testing.T) {
	top, err := lab.NAT(labtest.New(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	k := openKernel(t, top.Director)
	choices, err := k.ChooseXDP([]netip.Addr{top.VIP}, []netip.Addr{top.ServerAddr(0)})
	if err != nil || len(choices) != 2 || choices[0].Link.Name != "eth0" || choices[1].Link.Name != "eth1" ||
		choices[0].Problem+choices[1].Problem != "" {
		t.Errorf("choices = %+v, %v, want eth0 and eth1", choices, err)
	}
	server := openKernel(t, top.Servers[0])
	if links, err := server.DefaultLinks(); err != nil || len(links) != 1 || links[0] != top.ServerIfs[0].Index {
		t.Errorf("DefaultLinks = %v, %v, want eth0's", links, err)
	}
	if links, err := k.DefaultLinks(); err != nil || len(links) != 0 {
		t.Errorf("DefaultLinks = %v, %v, want none", links, err)
	}
}

func TestFacts(t *testing.T) {
	w := newReal(t)
	for _, on := range []bool{true, false} {
		if err := w.top.Director.SetForwarding(on); err != nil {
			t.Fatal(err)
		}
		if got, err := w.Forwarding(); err != nil || got != on {
			t.Errorf("Forwarding = %t, %v, want %t", got, err, on)
		}
	}
	for _, tt := range []struct {
		all, own string
		want     int
	}{{"0", "0", 0}, {"0", "1", 1}, {"2", "1", 2}, {"2", "0", 2}} {
		w.check(w.top.Director.SetSysctl("net/ipv4/conf/all/rp_filter", tt.all))
		w.check(w.top.Director.SetSysctl("net/ipv4/conf/eth0/rp_filter", tt.own))
		if got, err := w.RPFilter(w.linkIndex()); err != nil || got != tt.want {
			t.Errorf("RPFilter with all %s and own %s = %d, %v, want %d", tt.all, tt.own, got, err, tt.want)
		}
	}
	if _, err := w.RPFilter(4711); err == nil {
		t.Error("RPFilter of no interface worked")
	}
}

// TestPermanentNeighbour has an entry by the administrator, which must survive
// with its mark.
func TestPermanentNeighbour(t *testing.T) {
	w := newReal(t)
	given := net.HardwareAddr{2, 9, 9, 9, 9, 9}
	w.check(w.top.Director.Netlink().NeighAdd(&netlink.Neigh{
		LinkIndex: w.linkIndex(), IP: w.server(0).AsSlice(), HardwareAddr: given, State: netlink.NUD_PERMANENT,
	}))
	s := newStage(t, w)
	defer s.stop()
	s.resolver.Watch(w.server(0))
	s.expect(w.server(0), "the given address", resolvedTo(mac(given)))
	s.resolver.Unwatch(w.server(0))
	s.settle()
	s.stop()
	w.check(s.resolver.Release())
	n, err := w.Neighbour(NeighKey{w.linkIndex(), w.server(0)})
	if err != nil || !n.Fixed || n.Managed || n.Protocol == Protocol {
		t.Errorf("neighbour = %+v, %v, want it untouched", n, err)
	}
}

// TestOverrun lets a subscription's queue overflow: Next must say so, as the
// Resolver relies on it.
func TestOverrun(t *testing.T) {
	w := newReal(t)
	sub, err := w.Subscribe()
	w.check(err)
	defer sub.Close()
	for range 20000 {
		w.routeThrough(0)
		w.routeThrough(1)
	}
	for {
		if _, err := sub.Next(); err != nil {
			if !errors.Is(err, unix.ENOBUFS) {
				t.Errorf("Next = %v, want ENOBUFS", err)
			}
			return
		}
	}
}

// TestSubscribeLocal asks IsLocal at the event of a local route alone, as it
// comes after that of its address.
func TestSubscribeLocal(t *testing.T) {
	w := newReal(t)
	sub, err := w.SubscribeLocal()
	w.check(err)
	defer sub.Close()
	addr := netip.MustParseAddr("198.18.7.7")
	local := &netlink.Route{
		LinkIndex: w.linkIndex(), Dst: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(32, 32)},
		Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST, Type: unix.RTN_LOCAL,
	}
	for _, step := range []struct {
		change func(*netlink.Route) error
		want   bool
	}{{w.handle.RouteAdd, true}, {w.handle.RouteDel, false}} {
		w.check(step.change(local))
		for told := false; !told; {
			events, err := sub.Next()
			w.check(err)
			told = len(events) > 0
		}
		if got, err := w.IsLocal(addr); err != nil || got != step.want {
			t.Errorf("IsLocal = %v, %v at the event, want %v", got, err, step.want)
		}
	}
}
