package keep

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// route is a route of the configuration.
type route model.Route

// String returns the route as ip writes it, as far as it tells it from others.
func (r route) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "route %s", r.Dst)
	if r.Type != unix.RTN_UNICAST {
		fmt.Fprintf(&b, " type %d", r.Type)
	}
	for _, h := range r.hops() {
		if h.Via.IsValid() {
			fmt.Fprintf(&b, " via %s", h.Via)
		}
		if h.Interface != "" {
			fmt.Fprintf(&b, " dev %s", h.Interface)
		}
	}
	fmt.Fprintf(&b, " table %d metric %d tos %d", r.Table, r.metric(), r.TOS)
	return b.String()
}

// hops returns the ways, also of a route with one.
func (r route) hops() []model.RouteNextHop {
	if len(r.NextHops) > 0 || !r.Via.IsValid() && r.Interface == "" {
		return r.NextHops
	}
	return []model.RouteNextHop{{Via: r.Via, Interface: r.Interface, OnLink: r.OnLink}}
}

// metric is 1024 where the kernel makes it that.
func (r route) metric() uint32 {
	if r.Metric == 0 && r.Dst.Addr().Is6() {
		return 1024
	}
	return r.Metric
}

// scope chooses as ip route does. IPv6 has none.
func (r route) scope() uint8 {
	switch {
	case r.Dst.Addr().Is6():
		return unix.RT_SCOPE_UNIVERSE
	case r.ScopeSet:
		return r.Scope
	case r.Type == unix.RTN_LOCAL:
		return unix.RT_SCOPE_HOST
	case r.Type == unix.RTN_BROADCAST || r.Type == unix.RTN_MULTICAST || r.Type == unix.RTN_ANYCAST:
		return unix.RT_SCOPE_LINK
	case r.Type == unix.RTN_UNICAST && !slices.ContainsFunc(r.hops(), func(h model.RouteNextHop) bool { return h.Via.IsValid() }):
		return unix.RT_SCOPE_LINK
	}
	return unix.RT_SCOPE_UNIVERSE
}

func (r route) resolve(l links) (object, error) {
	r.Protocol = markOf(r.Protocol)
	o := routeObject{route: r, metrics: metricsOf(r.Metrics)}
	for _, h := range r.hops() {
		out := hop{via: h.Via, weight: max(h.Weight, 1), onLink: h.OnLink}
		if h.Interface != "" {
			found, err := l.find(h.Interface)
			if err != nil {
				return nil, err
			}
			out.link = found.index
		}
		o.ways = append(o.ways, out)
	}
	return o, nil
}

// hop is a way with its link found.
type hop struct {
	via    netip.Addr
	link   int
	weight int
	onLink bool
}

// routeObject is a route with its links found. Of a seen one, Via, Interface,
// NextHops and Metrics are empty.
type routeObject struct {
	route
	ways    []hop
	metrics metrics
}

// id holds the ways too: the kernel has several routes to a prefix beside each
// other, and somebody else's is not ours. A gateway stands for its link, which
// the wanted route need not name.
func (r routeObject) id() id {
	var b strings.Builder
	fmt.Fprintf(&b, "%d/%d/%d/%d", r.Type, r.Table, r.metric(), r.TOS)
	for _, w := range r.ways {
		fmt.Fprintf(&b, "/%s", w.via)
		if !w.via.IsValid() {
			fmt.Fprintf(&b, "%%%d", w.link)
		}
	}
	return id{kind: kindRoute, prefix: r.Dst.Masked(), words: b.String()}
}

func (r routeObject) equal(seen object) bool {
	s, ok := seen.(routeObject)
	if !ok || s.Source != r.Source && r.Source.IsValid() || s.Scope != r.scope() ||
		s.Protocol != r.Protocol || s.metrics != r.metrics || len(s.ways) != len(r.ways) {
		return false
	}
	for i, w := range r.ways {
		if w.link != 0 && w.link != s.ways[i].link || len(r.ways) > 1 && w.weight != s.ways[i].weight {
			return false
		}
	}
	return true
}

func (r routeObject) ours() bool { return r.Protocol == Protocol }

// needsLink names the first link only; the kernel speaks for the others.
func (r routeObject) needsLink() (int, bool) {
	for _, w := range r.ways {
		if w.link != 0 {
			return w.link, true
		}
	}
	return 0, false
}

func (r routeObject) add() message {
	b := r.head(r.scope())
	if r.metrics != (metrics{}) {
		b = attr(b, unix.RTA_METRICS|unix.NLA_F_NESTED, r.metrics.attrs())
	}
	// Without NLM_F_EXCL the route goes before another one to the same prefix,
	// as keepalived puts it; the same route twice is EEXIST.
	return message{unix.RTM_NEWROUTE, unix.NLM_F_CREATE, b}
}

func (r routeObject) del() message {
	return message{unix.RTM_DELROUTE, 0, r.head(r.scope())}
}

// head is struct rtmsg and all that tells the route from others.
func (r routeObject) head(scope uint8) []byte {
	table := r.Table
	b := make([]byte, unix.SizeofRtMsg)
	b[0], b[1], b[3] = family(r.Dst.Addr().Is6()), uint8(r.Dst.Bits()), r.TOS
	b[4] = uint8(min(table, unix.RT_TABLE_COMPAT))
	if table > 255 {
		b[4] = unix.RT_TABLE_COMPAT
	}
	b[5], b[6], b[7] = r.Protocol, scope, r.Type
	if len(r.ways) == 1 && r.ways[0].onLink {
		binary.NativeEndian.PutUint32(b[8:], unix.RTNH_F_ONLINK)
	}
	b = attr32(b, unix.RTA_TABLE, table)
	if r.Dst.Bits() > 0 {
		b = attrAddr(b, unix.RTA_DST, r.Dst.Masked().Addr())
	}
	if m := r.metric(); m != 0 {
		b = attr32(b, unix.RTA_PRIORITY, m)
	}
	if r.Source.IsValid() {
		b = attrAddr(b, unix.RTA_PREFSRC, r.Source)
	}
	if len(r.ways) == 1 {
		b = r.gateway(b, r.ways[0].via)
		if r.ways[0].link != 0 {
			b = attr32(b, unix.RTA_OIF, uint32(r.ways[0].link))
		}
	} else if len(r.ways) > 1 {
		b = attr(b, unix.RTA_MULTIPATH, r.multipath())
	}
	return b
}

// gateway appends the gateway, which for IPv4 may be an IPv6 address.
func (r routeObject) gateway(b []byte, via netip.Addr) []byte {
	switch {
	case !via.IsValid():
		return b
	case via.Is4() == r.Dst.Addr().Is4():
		return attrAddr(b, unix.RTA_GATEWAY, via)
	}
	value := binary.NativeEndian.AppendUint16(nil, uint16(family(via.Is6())))
	return attr(b, unix.RTA_VIA, append(value, via.AsSlice()...))
}

func (r routeObject) multipath() (b []byte) {
	for _, w := range r.ways {
		inner := r.gateway(nil, w.via)
		b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtNexthop+len(inner)))
		flags := uint8(0)
		if w.onLink {
			flags = unix.RTNH_F_ONLINK
		}
		b = append(b, flags, uint8(w.weight-1))
		b = binary.NativeEndian.AppendUint32(b, uint32(w.link))
		b = append(b, inner...)
	}
	return b
}

// parseRoute reads a message of the kernel about a route.
func parseRoute(b []byte) (routeObject, bool) {
	if len(b) < unix.SizeofRtMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return routeObject{}, false
	}
	var r routeObject
	r.Protocol, r.Type, r.TOS, r.Table = b[5], b[7], b[3], uint32(b[4])
	r.Scope, r.ScopeSet = b[6], true
	to := anyPrefix(b[0] == unix.AF_INET6).Addr()
	var one hop
	attrs(b[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.RTA_TABLE:
			r.Table = u32(value)
		case unix.RTA_DST:
			to = addrIn(value)
		case unix.RTA_PRIORITY:
			r.Metric = u32(value)
		case unix.RTA_PREFSRC:
			r.Source = addrIn(value)
		case unix.RTA_METRICS:
			r.metrics.parse(value)
		case unix.RTA_MULTIPATH:
			r.ways = parseMultipath(value)
		default:
			one.parse(kind, value)
		}
	})
	if len(r.ways) == 0 && (one.via.IsValid() || one.link != 0) && !r.refuses() {
		one.weight = 1
		r.ways = []hop{one}
	}
	r.Dst = netip.PrefixFrom(to, int(b[1]))
	return r, r.Dst.IsValid()
}

// refuses says whether packets end here. The kernel shows such IPv6 routes with
// lo as their link.
func (r routeObject) refuses() bool {
	switch r.Type {
	case unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT, unix.RTN_THROW:
		return true
	}
	return false
}

func (h *hop) parse(kind uint16, value []byte) {
	switch kind {
	case unix.RTA_GATEWAY:
		h.via = addrIn(value)
	case unix.RTA_VIA:
		if len(value) > 2 {
			h.via = addrIn(value[2:])
		}
	case unix.RTA_OIF:
		h.link = int(u32(value))
	}
}

func parseMultipath(b []byte) (ways []hop) {
	for len(b) >= unix.SizeofRtNexthop {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtNexthop || length > len(b) {
			return ways
		}
		h := hop{weight: int(b[3]) + 1, link: int(u32(b[4:]))}
		attrs(b[unix.SizeofRtNexthop:length], h.parse)
		ways = append(ways, h)
		b = b[min((length+3)&^3, len(b)):]
	}
	return ways
}
