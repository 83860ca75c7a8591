package model

import (
	"net/netip"
	"time"
)

// Route is one line of virtual_routes or static_routes. Numbers are the
// kernel's (linux/rtnetlink.h). All addresses are of the family of Dst.
type Route struct {
	Pos Position
	// Line is the line as written, with single blanks.
	Line string
	// Type is RTN_*: 1 unicast (the default), 2 local, 3 broadcast, 4 anycast,
	// 5 multicast, 6 blackhole, 7 unreachable, 8 prohibit, 9 throw.
	Type uint8
	// Dst has its host bits zero; the default route is 0.0.0.0/0 or ::/0.
	Dst netip.Prefix
	// Via, Interface and Source are unset where the line has none.
	Via       netip.Addr
	Interface string
	Source    netip.Addr
	// Table is 254 (main) by default.
	Table uint32
	// Metric is 0 by default: the kernel's choice.
	Metric uint32
	// Scope counts if ScopeSet; otherwise it follows from the rest.
	Scope    uint8
	ScopeSet bool
	// Protocol is 18 (keepalived) by default.
	Protocol uint8
	TOS      uint8
	OnLink   bool
	Metrics  RouteMetrics
	// NextHops are for a route with several ways; Via and Interface are unset
	// then.
	NextHops []RouteNextHop
	// NoTrack: its interface going down is no fault.
	NoTrack bool
}

// RouteNextHop is one way of a route.
type RouteNextHop struct {
	Via       netip.Addr
	Interface string
	// Weight is 1 to 256, default 1.
	Weight int
	OnLink bool
}

// RouteMetrics are the path metrics of a route (RTAX_*); zero is unset.
type RouteMetrics struct {
	MTU, AdvMSS, Reordering, Window, Cwnd, SSThresh, InitCwnd, InitRwnd, HopLimit uint32
	// RTT, RTTVar and RTOMin have millisecond resolution.
	RTT, RTTVar, RTOMin time.Duration
	// MTULock and the others forbid the kernel to change the metric.
	MTULock, AdvMSSLock, ReorderingLock, CwndLock, SSThreshLock, RTTLock, RTTVarLock, RTOMinLock bool
}

// Rule is one line of virtual_rules or static_rules. Numbers are the kernel's
// (linux/fib_rules.h). A selector that is not set matches all.
type Rule struct {
	Pos Position
	// Line is the line as written, with single blanks.
	Line string
	IPv6 bool
	// Priority is assigned downward from 16384 where the line has none.
	Priority uint32
	// Invert is not.
	Invert bool
	// From and To are unset for all.
	From, To netip.Prefix
	// InInterface and OutInterface are iif and oif.
	InInterface, OutInterface string
	// Mark and Mask are fwmark; a Mask of 0 is no mark.
	Mark, Mask uint32
	TOS        uint8
	// IPProtocol is ipproto, or 0.
	IPProtocol uint8
	// SourcePorts and DestinationPorts are sport and dport; both ends 0 are all.
	SourcePorts, DestinationPorts PortRange
	// UIDs is uidrange, or nil.
	UIDs *UIDRange
	// L3MDev takes the table of the VRF.
	L3MDev bool
	// SuppressPrefixLength is suppress_prefixlength, or nil.
	SuppressPrefixLength *uint8
	// SuppressGroup is suppress_ifgroup, or nil.
	SuppressGroup *uint32
	// Action is FR_ACT_*: 1 to table, 2 goto, 3 nop, 6 blackhole, 7 unreachable,
	// 8 prohibit.
	Action uint8
	// Table is for action 1, Goto for action 2.
	Table, Goto uint32
	// Protocol is 18 (keepalived) by default.
	Protocol uint8
	// NoTrack: its interface going down is no fault.
	NoTrack bool
}

// PortRange is a range of ports, both ends included.
type PortRange struct{ First, Last uint16 }

// UIDRange is a range of user numbers, both ends included.
type UIDRange struct{ First, Last uint32 }
