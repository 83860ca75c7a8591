package keep

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// RouteType says what a route does with packets. The zero value is unicast.
type RouteType uint8

// The types, with the kernel's numbers but for the first.
const (
	RouteUnicast     RouteType = 0
	RouteLocal       RouteType = unix.RTN_LOCAL
	RouteBroadcast   RouteType = unix.RTN_BROADCAST
	RouteAnycast     RouteType = unix.RTN_ANYCAST
	RouteMulticast   RouteType = unix.RTN_MULTICAST
	RouteBlackhole   RouteType = unix.RTN_BLACKHOLE
	RouteUnreachable RouteType = unix.RTN_UNREACHABLE
	RouteProhibit    RouteType = unix.RTN_PROHIBIT
	RouteThrow       RouteType = unix.RTN_THROW
)

func (t RouteType) number() uint8 {
	if t == RouteUnicast {
		return unix.RTN_UNICAST
	}
	return uint8(t)
}

// Route is a virtual route.
type Route struct {
	Type RouteType
	// To is the destination; 0.0.0.0/0 and ::/0 are the default routes.
	To netip.Prefix
	// Via and Link say where packets leave, unless Hops does. A zero Via: to
	// neighbours of the link.
	Via  netip.Addr
	Link string
	// OnLink: the gateway is reached through Link whatever its address.
	OnLink bool
	Hops   []Hop
	// Source is the address that packets of this host get; optional.
	Source netip.Addr
	// Table is optional, default main, for local types local.
	Table uint32
	// Metric is optional; the kernel makes 1024 of 0 for IPv6.
	Metric uint32
	// Scope is for IPv4, as the kernel numbers them. Optional, default what
	// suits type and gateway.
	Scope *uint8
	TOS   uint8
	// Protocol is optional, default ours. A route of another protocol is not
	// recognised by a later process.
	Protocol uint8
	// MTU and AdvMSS are optional.
	MTU, AdvMSS uint32
}

// Hop is one of several ways of a Route.
type Hop struct {
	Via    netip.Addr
	Link   string
	OnLink bool
	// Weight is 1 to 256; optional, default 1.
	Weight int
}

// String returns the route as ip writes it.
func (r Route) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "route %s", r.To)
	if r.Type != RouteUnicast {
		fmt.Fprintf(&b, " type %d", r.Type)
	}
	for _, h := range r.hops() {
		if h.Via.IsValid() {
			fmt.Fprintf(&b, " via %s", h.Via)
		}
		if h.Link != "" {
			fmt.Fprintf(&b, " dev %s", h.Link)
		}
	}
	fmt.Fprintf(&b, " table %d metric %d tos %d", r.table(), r.metric(), r.TOS)
	return b.String()
}

// hops returns the ways, also of a route with one.
func (r Route) hops() []Hop {
	if len(r.Hops) > 0 || !r.Via.IsValid() && r.Link == "" {
		return r.Hops
	}
	return []Hop{{Via: r.Via, Link: r.Link, OnLink: r.OnLink}}
}

func (r Route) table() uint32 {
	switch {
	case r.Table != 0:
		return r.Table
	case r.Type == RouteLocal || r.Type == RouteBroadcast || r.Type == RouteAnycast:
		return unix.RT_TABLE_LOCAL
	}
	return unix.RT_TABLE_MAIN
}

func (r Route) metric() uint32 {
	if r.Metric == 0 && r.To.Addr().Is6() {
		return 1024
	}
	return r.Metric
}

// scope chooses as ip route does. IPv6 has none.
func (r Route) scope() uint8 {
	switch {
	case r.To.Addr().Is6():
		return unix.RT_SCOPE_UNIVERSE
	case r.Scope != nil:
		return *r.Scope
	case r.Type == RouteLocal:
		return unix.RT_SCOPE_HOST
	case r.Type == RouteBroadcast || r.Type == RouteMulticast || r.Type == RouteAnycast:
		return unix.RT_SCOPE_LINK
	case r.Type == RouteUnicast && !slices.ContainsFunc(r.hops(), func(h Hop) bool { return h.Via.IsValid() }):
		return unix.RT_SCOPE_LINK
	}
	return unix.RT_SCOPE_UNIVERSE
}

func (r Route) resolve(l links) (object, error) {
	o := routeObject{Route: r, protocol: r.Protocol}
	if o.protocol == 0 {
		o.protocol = Protocol
	}
	for _, h := range r.hops() {
		out := hop{via: h.Via, weight: max(h.Weight, 1), onLink: h.OnLink}
		if h.Link != "" {
			found, err := l.find(h.Link)
			if err != nil {
				return nil, err
			}
			out.link = found.index
		}
		o.ways = append(o.ways, out)
	}
	return o, nil
}

// hop is a Hop with its link found.
type hop struct {
	via    netip.Addr
	link   int
	weight int
	onLink bool
}

// routeObject is a Route with its links found. Of a seen one, Via, Link and
// Hops are empty.
type routeObject struct {
	Route
	ways     []hop
	protocol uint8
}

// id holds the ways too: the kernel has several routes to a prefix beside each
// other, and somebody else's is not ours. A gateway stands for its link, which
// the wanted route need not name.
func (r routeObject) id() id {
	var b strings.Builder
	fmt.Fprintf(&b, "%d/%d/%d/%d", r.Type.number(), r.table(), r.metric(), r.TOS)
	for _, w := range r.ways {
		fmt.Fprintf(&b, "/%s", w.via)
		if !w.via.IsValid() {
			fmt.Fprintf(&b, "%%%d", w.link)
		}
	}
	return id{kind: kindRoute, prefix: r.To.Masked(), words: b.String()}
}

func (r routeObject) equal(seen object) bool {
	s, ok := seen.(routeObject)
	if !ok || s.Source != r.Source && r.Source.IsValid() || s.seenScope() != r.scope() ||
		s.protocol != r.protocol || s.MTU != r.MTU || s.AdvMSS != r.AdvMSS || len(s.ways) != len(r.ways) {
		return false
	}
	for i, w := range r.ways {
		if w.link != 0 && w.link != s.ways[i].link || len(r.ways) > 1 && w.weight != s.ways[i].weight {
			return false
		}
	}
	return true
}

func (r routeObject) seenScope() uint8 {
	if r.Scope == nil {
		return 0
	}
	return *r.Scope
}

func (r routeObject) ours() bool { return r.protocol == Protocol }

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
	if r.MTU != 0 || r.AdvMSS != 0 {
		var metrics []byte
		if r.MTU != 0 {
			metrics = attr32(metrics, unix.RTAX_MTU, r.MTU)
		}
		if r.AdvMSS != 0 {
			metrics = attr32(metrics, unix.RTAX_ADVMSS, r.AdvMSS)
		}
		b = attr(b, unix.RTA_METRICS|unix.NLA_F_NESTED, metrics)
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
	table := r.table()
	b := make([]byte, unix.SizeofRtMsg)
	b[0], b[1], b[3] = family(r.To.Addr().Is6()), uint8(r.To.Bits()), r.TOS
	b[4] = uint8(min(table, unix.RT_TABLE_COMPAT))
	if table > 255 {
		b[4] = unix.RT_TABLE_COMPAT
	}
	b[5], b[6], b[7] = r.protocol, scope, r.Type.number()
	if len(r.ways) == 1 && r.ways[0].onLink {
		binary.NativeEndian.PutUint32(b[8:], unix.RTNH_F_ONLINK)
	}
	b = attr32(b, unix.RTA_TABLE, table)
	if r.To.Bits() > 0 {
		b = attrAddr(b, unix.RTA_DST, r.To.Masked().Addr())
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
	case via.Is4() == r.To.Addr().Is4():
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
	r := routeObject{protocol: b[5]}
	to := anyPrefix(b[0] == unix.AF_INET6).Addr()
	r.TOS, r.Table, r.Scope = b[3], uint32(b[4]), &b[6]
	if r.Type = RouteType(b[7]); b[7] == unix.RTN_UNICAST {
		r.Type = RouteUnicast
	}
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
			r.parseMetrics(value)
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
	r.To = netip.PrefixFrom(to, int(b[1]))
	return r, r.To.IsValid()
}

// refuses says whether packets end here. The kernel shows such IPv6 routes with
// lo as their link.
func (r routeObject) refuses() bool {
	switch r.Type {
	case RouteBlackhole, RouteUnreachable, RouteProhibit, RouteThrow:
		return true
	}
	return false
}

func (r *routeObject) parseMetrics(b []byte) {
	attrs(b, func(kind uint16, value []byte) {
		switch kind {
		case unix.RTAX_MTU:
			r.MTU = u32(value)
		case unix.RTAX_ADVMSS:
			r.AdvMSS = u32(value)
		}
	})
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
