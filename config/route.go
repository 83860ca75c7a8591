package config

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// routeLeftOut and ruleLeftOut end complaints about a line, since a route with
// half its words would lead elsewhere, and a rule match more.
const (
	routeLeftOut = "the route is left out"
	ruleLeftOut  = "the rule is left out"
)

// routeTypes are the types of routes with the kernel's numbers (RTN_*).
func routeTypes() map[string]uint8 {
	return map[string]uint8{
		"unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5,
		"blackhole": 6, "unreachable": 7, "prohibit": 8, "throw": 9,
	}
}

// harmlessRouteWords are words without which a route leads to the same place,
// with the number of their values. Nothing runs them.
func harmlessRouteWords() map[string]int {
	return map[string]int{
		"add": 0, "prepend": 0, "append": 0, "features": 1, "quickack": 1, "congctl": 1,
		"fastopen_no_cookie": 1, "ttl-propagate": 1, "pref": 1, "expires": 1,
	}
}

// routes reads a block of routes.
func (v *vrrpBuilder) routes(st *statement) []model.Route {
	var list []model.Route
	v.each(st.block, func(s *statement) {
		r := &routeDraft{lineReader: lineReader{collector: v.collector, names: v.names, rest: s.words}}
		r.out = model.Route{Pos: v.position(s.at()), Line: joined(s.words), Type: 1, Table: 254, Protocol: 18}
		if fault := r.read(); fault != nil {
			v.fault(st, fault, routeLeftOut)
			return
		}
		list = append(list, r.out)
	})
	return list
}

// routeDraft reads one route.
type routeDraft struct {
	lineReader
	out   model.Route
	dst   string
	dstAt word
	// hop is the next hop that words belong to, or nil.
	hop *model.RouteNextHop
}

// read reads all words of the line.
func (r *routeDraft) read() *lineFault {
	for len(r.rest) > 0 {
		if f := r.word(r.next()); f != nil {
			return f
		}
	}
	return r.finish()
}

// word takes one word and its values.
func (r *routeDraft) word(w word) *lineFault {
	if t, ok := routeTypes()[w.s]; ok {
		r.out.Type = t
		return nil
	}
	if n, ok := harmlessRouteWords()[w.s]; ok {
		if n > 0 {
			r.take("lock")
			if r.next().s == "" {
				return missing(w)
			}
		}
		return nil
	}
	switch w.s {
	case "inet", "inet6":
		return r.family(w, w.s == "inet6")
	case "to":
		r.takeFamily()
		return r.destination(r.next(), w)
	case "via", "gw":
		r.takeFamily()
		return r.address(w, r.gateway())
	case "src":
		return r.address(w, &r.out.Source)
	case "dev", "oif":
		return r.device(w)
	case "onlink":
		if r.hop != nil {
			r.hop.OnLink = true
		} else {
			r.out.OnLink = true
		}
		return nil
	case "no_track":
		r.out.NoTrack = true
		return nil
	case "nexthop":
		r.out.NextHops = append(r.out.NextHops, model.RouteNextHop{Weight: 1})
		r.hop = &r.out.NextHops[len(r.out.NextHops)-1]
		return nil
	case "weight":
		return r.hopWeight(w)
	case "from", "encap", "or", "vrf", "track_group", "realms":
		return &lineFault{at: w, notYet: true}
	}
	return r.attribute(w)
}

// attribute takes the words with a number, and what is left: the destination.
func (r *routeDraft) attribute(w word) *lineFault {
	switch w.s {
	case "table":
		return r.number(w, routeTables, math.MaxUint32, func(n uint32) { r.out.Table = n })
	case "metric", "priority", "preference":
		return r.number(w, "", math.MaxUint32, func(n uint32) { r.out.Metric = n })
	case "scope":
		return r.number(w, routeScopes, 255, func(n uint32) { r.out.Scope, r.out.ScopeSet = uint8(n), true })
	case "protocol":
		return r.number(w, routeProtocols, 255, func(n uint32) { r.out.Protocol = uint8(n) })
	case "tos", "dsfield":
		return r.number(w, routeTOS, 255, func(n uint32) { r.out.TOS = uint8(n) })
	}
	if r.metric(w) {
		return r.metricValue(w)
	}
	if r.dst == "" {
		return r.destination(w, w)
	}
	return &lineFault{at: w, why: "no word of a route", hint: r.didYouMean(w.s, routeOptions())}
}

func (r *routeDraft) takeFamily() {
	if len(r.rest) > 0 && (r.rest[0].s == "inet" || r.rest[0].s == "inet6") {
		w := r.next()
		_ = r.family(w, w.s == "inet6") // the address after it tells
	}
}

func (r *routeDraft) gateway() *netip.Addr {
	if r.hop != nil {
		return &r.hop.Via
	}
	return &r.out.Via
}

// address takes the address after w.

func (r *routeDraft) device(w word) *lineFault {
	if r.hop != nil {
		return r.iface(w, &r.hop.Interface)
	}
	return r.iface(w, &r.out.Interface)
}

func (r *routeDraft) hopWeight(w word) *lineFault {
	value := r.next()
	n, err := parseUint(value.s, 1, 256)
	switch {
	case r.hop == nil:
		return &lineFault{at: w, why: "without a nexthop before it", hint: "write nexthop via ADDRESS weight 1"}
	case value.s == "":
		return missing(w)
	case err != nil:
		return &lineFault{at: value, why: err.Error(), hint: "write weight 1"}
	}
	r.hop.Weight = int(n)
	return nil
}

// destination takes the destination. Its family may be known later.
func (r *routeDraft) destination(w, before word) *lineFault {
	switch {
	case w.s == "":
		return missing(before)
	case r.dst != "":
		return &lineFault{at: w, why: "a second destination", hint: "write one"}
	}
	r.dst, r.dstAt = w.s, w
	switch w.s {
	case "default", "any", "all":
		return nil
	case "default6":
		return r.family(w, true)
	}
	p, err := parseNetwork(w.s)
	if err != nil {
		return &lineFault{at: w, why: err.Error(), hint: r.didYouMean(w.s, routeOptions())}
	}
	r.out.Dst = p
	return r.family(w, p.Addr().Is6())
}

// parseNetwork reads ADDRESS[/LENGTH] and drops the host bits.
func parseNetwork(s string) (netip.Prefix, error) {
	host, _, has := strings.Cut(s, "/")
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("neither a prefix nor a known word")
	}
	if !has {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("no prefix, whose length is from 0 to %d", a.BitLen())
	}
	return p.Masked(), nil
}

// finish checks the route as a whole.
func (r *routeDraft) finish() *lineFault {
	first := r.at
	if r.dst == "" {
		return &lineFault{at: first, why: "the end of a route without a destination", hint: "write a prefix or default in it"}
	}
	if !r.out.Dst.IsValid() {
		if r.v6 != nil && *r.v6 {
			r.out.Dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		} else {
			r.out.Dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		}
	}
	for _, h := range r.out.NextHops {
		if !h.Via.IsValid() && h.Interface == "" {
			return &lineFault{at: first, why: "the end of a route with a nexthop that has neither via nor dev", hint: "write nexthop via ADDRESS"}
		}
	}
	if len(r.out.NextHops) > 0 && (r.out.Via.IsValid() || r.out.Interface != "") {
		return &lineFault{at: r.dstAt, why: "the destination of a route with a gateway beside its nexthops", hint: "write each gateway as a nexthop"}
	}
	return nil
}

// metric reports whether w is a path metric.
func (r *routeDraft) metric(w word) bool {
	n, d, _ := r.metricFields(w.s)
	return n != nil || d != nil
}

// metricFields returns where a path metric goes, and its lock or nil.
func (r *routeDraft) metricFields(name string) (*uint32, *time.Duration, *bool) {
	m := &r.out.Metrics
	switch name {
	case "mtu":
		return &m.MTU, nil, &m.MTULock
	case "advmss":
		return &m.AdvMSS, nil, &m.AdvMSSLock
	case "reordering":
		return &m.Reordering, nil, &m.ReorderingLock
	case "window":
		return &m.Window, nil, nil
	case "cwnd":
		return &m.Cwnd, nil, &m.CwndLock
	case "ssthresh":
		return &m.SSThresh, nil, &m.SSThreshLock
	case "initcwnd":
		return &m.InitCwnd, nil, nil
	case "initrwnd":
		return &m.InitRwnd, nil, nil
	case "hoplimit":
		return &m.HopLimit, nil, nil
	case "rtt":
		return nil, &m.RTT, &m.RTTLock
	case "rttvar":
		return nil, &m.RTTVar, &m.RTTVarLock
	case "rto_min":
		return nil, &m.RTOMin, &m.RTOMinLock
	}
	return nil, nil, nil
}

// metricValue takes [lock] VALUE.
func (r *routeDraft) metricValue(w word) *lineFault {
	number, duration, lock := r.metricFields(w.s)
	if lock != nil && r.take("lock") {
		*lock = true
	}
	value := r.next()
	if value.s == "" {
		return missing(w)
	}
	if number != nil {
		n, err := parseUint(value.s, 1, math.MaxUint32)
		if err != nil {
			return &lineFault{at: value, why: err.Error(), hint: "write a number after " + w.s}
		}
		*number = uint32(n)
		return nil
	}
	d, err := parseRouteTime(value.s)
	if err != nil {
		return &lineFault{at: value, why: err.Error(), hint: "write " + w.s + " 200ms"}
	}
	*duration = d
	return nil
}

// parseRouteTime reads iproute2's times: a number of milliseconds, or one with
// s or ms after it.
func parseRouteTime(s string) (time.Duration, error) {
	unit := time.Millisecond
	number := s
	if n, ok := strings.CutSuffix(s, "ms"); ok {
		number = n
	} else if n, ok := strings.CutSuffix(s, "s"); ok {
		number, unit = n, time.Second
	}
	n, err := parseUint(number, 1, math.MaxInt32/1000)
	if err != nil {
		return 0, fmt.Errorf("not a time such as 200ms or 1s")
	}
	return time.Duration(n) * unit, nil
}
