package netif

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RouteKind says what the routing table does with an address.
type RouteKind uint8

// The kinds of answers to a route lookup.
const (
	RouteNone        RouteKind = iota // no route at all
	RouteUnicast                      // leaves through an interface
	RouteLocal                        // an address of this host
	RouteUnreachable                  // an unreachable route
	RouteProhibit                     // a prohibit route
	RouteBlackhole                    // a blackhole route
	RouteGroup                        // a broadcast, multicast or anycast address
)

// Route is the answer to a route lookup. The other fields count only for
// RouteUnicast.
type Route struct {
	Kind    RouteKind
	IfIndex int
	// Gateway is invalid when the destination is on the link itself. It may be
	// an IPv6 address for an IPv4 destination.
	Gateway netip.Addr
	// Source is the address that the host itself would use.
	Source netip.Addr
}

// Route asks the kernel how packets to dst leave. No route is an answer, not an
// error.
func (k *Kernel) Route(dst netip.Addr) (Route, error) {
	routes, err := k.handle.RouteGet(dst.AsSlice())
	if err != nil {
		if kind, ok := refusedRoute(err); ok {
			return Route{Kind: kind}, nil
		}
		return Route{}, fmt.Errorf("look up route to %s: %w", dst, err)
	}
	if len(routes) == 0 {
		return Route{Kind: RouteNone}, nil
	}
	return routeFrom(routes[0]), nil
}

// refusedRoute maps the errors by which the kernel answers for routes that lead
// nowhere.
func refusedRoute(err error) (RouteKind, bool) {
	switch {
	case errors.Is(err, unix.ENETUNREACH):
		return RouteNone, true
	case errors.Is(err, unix.EHOSTUNREACH):
		return RouteUnreachable, true
	case errors.Is(err, unix.EACCES):
		return RouteProhibit, true
	case errors.Is(err, unix.EINVAL):
		return RouteBlackhole, true
	}
	return RouteNone, false
}

func routeFrom(r netlink.Route) Route {
	out := Route{Kind: routeKind(r.Type), IfIndex: r.LinkIndex, Gateway: addrFrom(r.Gw), Source: addrFrom(r.Src)}
	if via, ok := r.Via.(*netlink.Via); ok && via != nil {
		out.Gateway = addrFrom(via.Addr)
	}
	return out
}

func routeKind(rtn int) RouteKind {
	switch rtn {
	case unix.RTN_UNICAST:
		return RouteUnicast
	case unix.RTN_LOCAL:
		return RouteLocal
	case unix.RTN_BROADCAST, unix.RTN_MULTICAST, unix.RTN_ANYCAST:
		return RouteGroup
	case unix.RTN_UNREACHABLE:
		return RouteUnreachable
	case unix.RTN_PROHIBIT:
		return RouteProhibit
	case unix.RTN_BLACKHOLE:
		return RouteBlackhole
	}
	return RouteNone
}

// IsLocal says whether addr is an address of this host, on any interface.
func (k *Kernel) IsLocal(addr netip.Addr) (bool, error) {
	r, err := k.Route(addr)
	return r.Kind == RouteLocal, err
}

// Local returns what says whether an address is this host's own, on any
// interface, as the kernel's table of local routes is now. It is for many
// addresses, where IsLocal asks the kernel for each.
func (k *Kernel) Local() (func(netip.Addr) bool, error) {
	own := make(map[netip.Addr]bool)
	var networks []netip.Prefix
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := k.handle.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_LOCAL}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("list local routes: %w", err)
		}
		for _, r := range routes {
			if r.Type != unix.RTN_LOCAL || r.Dst == nil {
				continue
			}
			addr, ok := netip.AddrFromSlice(r.Dst.IP)
			bits, _ := r.Dst.Mask.Size()
			addr = addr.Unmap()
			switch {
			case !ok:
			case bits == addr.BitLen():
				own[addr] = true
			default:
				networks = append(networks, netip.PrefixFrom(addr, bits))
			}
		}
	}
	return func(a netip.Addr) bool {
		a = a.Unmap()
		return own[a] || slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
	}, nil
}

// DefaultLinks returns the indexes of the interfaces that the IPv4 default
// route with the lowest metric uses. None is no error.
func (k *Kernel) DefaultLinks() ([]int, error) {
	filter := &netlink.Route{Table: unix.RT_TABLE_MAIN}
	routes, err := k.handle.RouteListFiltered(netlink.FAMILY_V4, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	if err != nil {
		return nil, fmt.Errorf("list default routes: %w", err)
	}
	if len(routes) == 0 {
		return nil, nil
	}
	best := slices.MinFunc(routes, func(a, b netlink.Route) int { return a.Priority - b.Priority })
	if len(best.MultiPath) == 0 {
		return []int{best.LinkIndex}, nil
	}
	var links []int
	for _, hop := range best.MultiPath {
		if !slices.Contains(links, hop.LinkIndex) {
			links = append(links, hop.LinkIndex)
		}
	}
	return links, nil
}
