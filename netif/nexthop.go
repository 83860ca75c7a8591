package netif

import (
	"fmt"
	"net/netip"

	"github.com/evenkeel/evenkeel/model"
)

// NextHop says where frames to an address leave, and with which Ethernet
// addresses. It is comparable.
type NextHop struct {
	IfIndex int
	IfName  string
	// Gateway is invalid when the address is on the link itself.
	Gateway netip.Addr
	// Source is the address that the host itself would use.
	Source netip.Addr
	// VLAN is the id of a VLAN device, and Lower the interface that its frames leave by
	// with that tag. Both are 0 for others.
	VLAN  uint16
	Lower int
	// MTU is the interface's, in bytes of IP.
	MTU int
	// SrcMAC is the interface's address, DstMAC the neighbour's. They count
	// only when Resolved is set.
	SrcMAC, DstMAC [6]byte
	Resolved       bool
	// Local is set for an address of this host. It is never resolved.
	Local bool
	// Reason says in one line why the next hop is not resolved.
	Reason string
}

// Model returns the part that datapaths report.
func (h NextHop) Model() model.NextHop {
	return model.NextHop{Interface: h.IfName, Gateway: h.Gateway, MAC: h.DstMAC, Resolved: h.Resolved, Reason: h.Reason}
}

// neighbourOf returns the neighbour entry that a route leads to.
func neighbourOf(dst netip.Addr, r Route) NeighKey {
	if r.Gateway.IsValid() {
		return NeighKey{IfIndex: r.IfIndex, Addr: r.Gateway}
	}
	return NeighKey{IfIndex: r.IfIndex, Addr: dst}
}

// deadRoute describes a route that leads to no interface.
func deadRoute(dst netip.Addr, kind RouteKind) NextHop {
	switch kind {
	case RouteLocal:
		return NextHop{Local: true, Reason: fmt.Sprintf("%s is an address of this host", dst)}
	case RouteUnreachable:
		return NextHop{Reason: fmt.Sprintf("the route to %s is of type unreachable", dst)}
	case RouteProhibit:
		return NextHop{Reason: fmt.Sprintf("the route to %s is of type prohibit", dst)}
	case RouteBlackhole:
		return NextHop{Reason: fmt.Sprintf("the route to %s is of type blackhole", dst)}
	case RouteGroup:
		return NextHop{Reason: fmt.Sprintf("%s is a broadcast or multicast address", dst)}
	case RouteNone, RouteUnicast:
	}
	return NextHop{Reason: fmt.Sprintf("no route to %s", dst)}
}

// linkProblem says why frames cannot leave through the link, or nothing.
func linkProblem(l Link) string {
	switch {
	case l.Loopback:
		return fmt.Sprintf("interface %s is a loopback", l.Name)
	case !l.Ethernet:
		return fmt.Sprintf("interface %s is not Ethernet", l.Name)
	case !l.Up:
		return fmt.Sprintf("interface %s is down", l.Name)
	case !l.Carrier:
		return fmt.Sprintf("interface %s has no carrier", l.Name)
	}
	return ""
}

// nextHop combines what the kernel said of a unicast route.
func nextHop(dst netip.Addr, r Route, l Link, n Neighbour) NextHop {
	h := NextHop{
		IfIndex: l.Index, IfName: l.Name, VLAN: l.VLAN, Lower: l.Lower,
		Gateway: r.Gateway, Source: r.Source, MTU: l.MTU, Reason: linkProblem(l),
	}
	if h.Reason != "" {
		return h
	}
	if !n.Valid {
		h.Reason = noAnswer(neighbourOf(dst, r).Addr, l.Name)
		return h
	}
	h.SrcMAC, h.DstMAC, h.Resolved = l.MAC, n.MAC, true
	return h
}

func noAnswer(addr netip.Addr, ifname string) string {
	how := "ARP"
	if addr.Is6() {
		how = "neighbour discovery"
	}
	return fmt.Sprintf("no answer to %s from %s on %s", how, addr, ifname)
}
