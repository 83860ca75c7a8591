package model

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Static is what is there as long as the daemon runs: static_ipaddress,
// static_routes and static_rules.
type Static struct {
	Addresses []Address
	Routes    []Route
	Rules     []Rule
}

// Address is one line of virtual_ipaddress and its like.
type Address struct {
	Pos Position
	// Prefix is the address with its prefix length, host bits kept.
	Prefix netip.Prefix
	// Interface is where it goes.
	Interface string
	// Peer is the other end of a point-to-point link, or unset.
	Peer netip.Prefix
	// Broadcast is unset for none. brd + and brd - are worked out.
	Broadcast netip.Addr
	// Label is for IPv4, or empty.
	Label string
	// Scope is the kernel's RT_SCOPE_*: 0 is global, 253 link, 254 host.
	Scope uint8
	// PreferredLifetime is preferred_lft; Deprecated is 0 seconds of it, the
	// default of an IPv6 address with a prefix length of 128. A lifetime of zero
	// without Deprecated is forever.
	PreferredLifetime time.Duration
	Deprecated        bool
	// DAD asks for duplicate address detection (-nodad), which addresses of VRRP
	// otherwise skip.
	DAD bool
	// Home, ManageTemporary, NoPrefixRoute and AutoJoin are flags of the kernel:
	// home, mngtmpaddr, noprefixroute, autojoin.
	Home, ManageTemporary, NoPrefixRoute, AutoJoin bool
	// UseVMAC puts it on the virtual MAC of its interface.
	UseVMAC bool
	// NoTrack: its interface going down is no fault.
	NoTrack bool
}

// String prints the address as ip and keepalived's dumps do:
// 192.0.2.1/24 dev eth0 scope global.
func (a Address) String() string {
	var b strings.Builder
	b.WriteString(spellPrefix(a.Prefix))
	if a.Peer.IsValid() {
		b.WriteString(" peer " + spellPrefix(a.Peer))
	}
	if a.Broadcast.IsValid() {
		b.WriteString(" brd " + a.Broadcast.String())
	}
	fmt.Fprintf(&b, " dev %s scope %s", a.Interface, ScopeName(a.Scope))
	if a.Label != "" {
		b.WriteString(" label " + a.Label)
	}
	return b.String()
}

// spellPrefix leaves the length of a single address out.
func spellPrefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// ScopeName returns iproute2's name for a scope of the kernel, or its number.
func ScopeName(scope uint8) string {
	switch scope {
	case 0:
		return "global"
	case 200:
		return "site"
	case 253:
		return "link"
	case 254:
		return "host"
	case 255:
		return "nowhere"
	}
	return fmt.Sprint(scope)
}
