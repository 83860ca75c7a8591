package config

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/evenkeel/evenkeel/model"
)

// target is one service of a block: an address and port, or a firewall mark.
type target struct {
	addr netip.AddrPort
	mark uint32
	// v6 is the family of the packets.
	v6 bool
}

// key names the service. A mark has no protocol.
func (t target) key(p model.Protocol) model.ServiceKey {
	switch {
	case t.mark != 0 && t.v6:
		return model.ServiceKey{FWMark: t.mark, Addr: netip.AddrPortFrom(netip.IPv6Unspecified(), 0)}
	case t.mark != 0:
		return model.ServiceKey{FWMark: t.mark}
	}
	return model.ServiceKey{Protocol: p, Addr: t.addr}
}

// familyOf says whose family a server should have.
func (t target) familyOf() string {
	switch {
	case t.mark == 0:
		return t.addr.Addr().String()
	case t.v6:
		return "the virtual server, IPv6"
	}
	return "the virtual server, IPv4"
}

// name is what people call the block.
func (d *serviceDraft) name() string {
	switch {
	case d.group != nil:
		return "group " + d.group.name
	case d.fwmark != 0:
		return fmt.Sprintf("fwmark %d", d.fwmark)
	}
	return spell(d.addr)
}

// what names a service in a message about a server.
func (d *serviceDraft) what(at target) string {
	if d.group == nil {
		return "the virtual server"
	}
	return fmt.Sprintf("%s of the group", spell(at.addr))
}

// onlyMarks reports whether all services are of firewall marks.
func (d *serviceDraft) onlyMarks() bool {
	if d.group == nil {
		return d.fwmark != 0
	}
	for _, e := range d.group.entries {
		if e.mark == 0 {
			return false
		}
	}
	return true
}

// hasMark reports whether a service is of a firewall mark.
func (d *serviceDraft) hasMark() bool {
	if d.group == nil {
		return d.fwmark != 0
	}
	for _, e := range d.group.entries {
		if e.mark != 0 {
			return true
		}
	}
	return false
}

// everyPort reports whether a service is for every port.
func (d *serviceDraft) everyPort() bool {
	if d.group == nil {
		return d.fwmark == 0 && d.addr.Port() == 0
	}
	for _, e := range d.group.entries {
		if e.mark == 0 && e.port == 0 {
			return true
		}
	}
	return false
}

// onlyV6 reports whether the block names IPv6 addresses and no others.
func (d *serviceDraft) onlyV6() bool {
	if d.group == nil {
		return d.addr.Addr().Is6()
	}
	return d.group.v6 && !d.group.v4
}

// family reads ip_family.
func (b *builder) family(d *serviceDraft, s *statement) {
	switch s.arg(0) {
	case "inet", "inet6":
		d.ipFamily = s
	default:
		b.bad(s, 0, errors.New("neither inet nor inet6"), lineIgnored, "write ip_family inet or ip_family inet6")
	}
}

// settleFamily finds the family of the packets, as keepalived does: that of the
// address, of ip_family, of the first server without a tunnel, of the group; for
// marks that of the servers if all have the same one, and otherwise IPv4. It
// reports false for a group that does not fit, which is left out.
func (b *builder) settleFamily(d *serviceDraft, forward method) bool {
	v6, known := d.serverFamily(forward)
	if d.addr.IsValid() {
		v6, known = d.addr.Addr().Is6(), true
	}
	if s := d.ipFamily; s != nil {
		wanted := s.arg(0) == "inet6"
		if known && wanted != v6 {
			b.bad(s, 0, errors.New("not the family of the addresses"), lineIgnored, "remove the line")
		}
		if !known {
			v6, known = wanted, true
		}
	}
	if d.group != nil {
		return b.settleGroup(d, v6, known)
	}
	if !known {
		v6 = d.allV6()
	}
	d.v6 = v6
	return true
}

// serverFamily returns the family of the first server that no tunnel leads to.
func (d *serviceDraft) serverFamily(forward method) (v6, known bool) {
	for _, r := range d.servers {
		if or(forward, r.forward).forward != model.TUN {
			return r.addr.Addr().Is6(), true
		}
	}
	if d.sorry != nil && or(forward, d.sorryForward).forward != model.TUN {
		if a, err := parseAddr(d.sorry.arg(0)); err == nil {
			return a.Is6(), true
		}
	}
	return false, false
}

// allV6 reports whether all servers are IPv6.
func (d *serviceDraft) allV6() bool {
	for _, r := range d.servers {
		if !r.addr.Addr().Is6() {
			return false
		}
	}
	return len(d.servers) > 0
}

// settleGroup compares the family of the servers, if one is known, with that of
// the group.
func (b *builder) settleGroup(d *serviceDraft, v6, known bool) bool {
	g := d.group
	switch {
	case known && g.v4 && g.v6:
		b.add(silent(Error), d.st.at(), d.st.keyword(), fmt.Sprintf("virtual_server_group %s has addresses of both families, which needs lvs_method TUN for all servers and no ip_family; %s", g.name, serviceLeftOut),
			"write a group for each family")
		return false
	case known && (v6 && g.v4 || !v6 && g.v6):
		b.add(silent(Error), d.st.at(), d.st.keyword(), fmt.Sprintf("the servers are not of the address family of virtual_server_group %s; %s", g.name, serviceLeftOut), "write servers of the same family, or lvs_method TUN")
		return false
	}
	d.v6 = known && v6 || !known && d.onlyV6()
	return true
}
