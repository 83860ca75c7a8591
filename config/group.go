package config

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// group is a virtual_server_group.
type group struct {
	name    string
	at      place
	entries []groupEntry
	// v4 and v6 say which families its lines name; anyFamily is set by a mark
	// without one.
	v4, v6, anyFamily bool
	// size is the number of its addresses and marks, at most math.MaxUint32.
	size uint64
	// blocks counts the virtual_server blocks for it.
	blocks uint16
	// broken is set for a group that a complaint has left out.
	broken bool
}

// groupEntry is a line of a group: the addresses from first to last, both
// included, with a port (0 for every port), or a firewall mark.
type groupEntry struct {
	at          place
	first, last netip.Addr
	port        uint16
	mark        uint32
	// family is that of a mark: inet, inet6 or none.
	family string
}

const serverGroupLeftOut = "the virtual_server_group is left out"

// serverGroup reads a virtual_server_group.
func (b *builder) serverGroup(st *statement) {
	name := st.arg(0)
	if was := b.groups[name]; was != nil {
		b.add(silent(Warning), st.at(), st.keyword(), fmt.Sprintf("virtual_server_group %s is there already, at %s; the first one counts, as in keepalived", name, b.position(was.at)), "give it another name")
		return
	}
	g := &group{name: name, at: st.at()}
	b.groups[name] = g
	for _, s := range st.block.statements {
		if s.skip {
			continue
		}
		e, ok := b.groupEntry(s)
		if !ok {
			continue
		}
		g.entries = append(g.entries, e)
		g.size = min(g.size+e.size(), math.MaxUint32)
		v6 := e.first.Is6() || e.family == "inet6"
		g.v6 = g.v6 || v6
		g.anyFamily = g.anyFamily || e.mark != 0 && e.family == ""
		g.v4 = g.v4 || !v6 && (e.mark == 0 || e.family != "")
	}
	switch {
	case len(g.entries) == 0:
		b.add(Error, st.at(), st.keyword(), fmt.Sprintf("virtual_server_group %s has no address that can be used; %s", name, serverGroupLeftOut), "write lines such as 192.0.2.1 80 in it")
		g.broken = true
	case g.v4 && g.v6 && g.anyFamily:
		b.add(Error, st.at(), st.keyword(), fmt.Sprintf("virtual_server_group %s has addresses of both families and a fwmark without one; %s", name, serverGroupLeftOut), "write fwmark 1 inet or fwmark 1 inet6")
		g.broken = true
	}
}

// groupEntry reads a line: ADDRESSES [PORT] or fwmark MARK [inet|inet6].
func (b *builder) groupEntry(s *statement) (groupEntry, bool) {
	e := groupEntry{at: s.at()}
	if s.keyword() == "fwmark" {
		return b.groupMark(s, e)
	}
	var err error
	if e.first, e.last, err = parseRange(s.keyword()); err != nil {
		b.add(Error, s.at(), "virtual_server_group", fmt.Sprintf("%q is %v; %s", s.keyword(), err, lineIgnored),
			"write an address, 192.0.2.1-9, 192.0.2.1-192.0.2.9 or 192.0.2.0/29, and a port")
		return e, false
	}
	if port := s.arg(0); port != "" {
		n, err := parseUint(port, 0, math.MaxUint16)
		if err != nil {
			b.bad(s, 0, errors.New("not a port from 0 to 65535"), lineIgnored, "write "+s.keyword()+" 80")
			return e, false
		}
		e.port = uint16(n)
	}
	return e, true
}

func (b *builder) groupMark(s *statement, e groupEntry) (groupEntry, bool) {
	n, err := parseUint(s.arg(0), 1, math.MaxUint32)
	if err != nil {
		b.bad(s, 0, err, lineIgnored, "write fwmark and a mark from 1 to 4294967295")
		return e, false
	}
	e.mark, e.family = uint32(n), s.arg(1)
	switch e.family {
	case "", "inet", "inet6":
		return e, true
	}
	b.bad(s, 1, errors.New("neither inet nor inet6"), lineIgnored, fmt.Sprintf("write fwmark %d, or fwmark %d inet6", n, n))
	return e, false
}

// parseRange reads what keepalived takes for addresses: one, a prefix without
// bits behind its length, first-last, or first-N where N replaces the last
// byte of an IPv4 address or the last 16 bits, in hexadecimal, of an IPv6 one.
func parseRange(s string) (first, last netip.Addr, err error) {
	if strings.Contains(s, "/") {
		return parsePrefixRange(s)
	}
	from, to, isRange := strings.Cut(s, "-")
	if first, err = parseAddr(from); err != nil || !isRange {
		return first, first, err
	}
	if strings.ContainsAny(to, ".:") {
		last, err = parseAddr(to)
		switch {
		case err != nil:
			return first, last, fmt.Errorf("no range, since %q is %w", to, err)
		case first.Is4() != last.Is4():
			return first, last, errors.New("a range from one family to the other")
		case last.Less(first):
			return first, last, errors.New("a range that ends before it begins")
		}
		return first, last, nil
	}
	if last, err = replaceEnd(first, to); err != nil {
		return first, last, err
	}
	if !first.Less(last) {
		return first, last, errors.New("a range that does not end behind its beginning")
	}
	return first, last, nil
}

// replaceEnd returns the address with the end of a short range.
func replaceEnd(a netip.Addr, end string) (netip.Addr, error) {
	if a.Is4() {
		n, err := parseUint(end, 0, 255)
		if err != nil {
			return a, fmt.Errorf("no range, since %q is %w", end, err)
		}
		bytes := a.As4()
		bytes[3] = byte(n)
		return netip.AddrFrom4(bytes), nil
	}
	n, err := parseHexWord(end)
	if err != nil {
		return a, fmt.Errorf("no range, since %q is %w", end, err)
	}
	bytes := a.As16()
	bytes[14], bytes[15] = byte(n>>8), byte(n)
	return netip.AddrFrom16(bytes), nil
}

func parsePrefixRange(s string) (first, last netip.Addr, err error) {
	p, err := parseHostPrefix(s)
	if err != nil {
		return first, last, err
	}
	if p.Bits() == 0 {
		return first, last, errors.New("no range of addresses: /0 is all of them")
	}
	if p.Masked() != p {
		return first, last, fmt.Errorf("no prefix: behind its first %d bits are others than 0", p.Bits())
	}
	return p.Addr(), lastOf(p), nil
}

// size is the number of services that the line names, at most math.MaxUint32.
func (e groupEntry) size() uint64 {
	if e.mark != 0 {
		return 1
	}
	first, last := e.first.As16(), e.last.As16()
	var n uint64
	for i := range first {
		n = n<<8 + uint64(last[i]) - uint64(first[i])
		if int64(n) > math.MaxUint32 {
			return math.MaxUint32
		}
	}
	return min(n+1, math.MaxUint32)
}

// port returns the port that all addresses of the group have, or 0.
func (g *group) port() uint16 {
	var port uint16
	for _, e := range g.entries {
		switch {
		case e.mark != 0 || e.port == port:
		case port != 0 || e.port == 0:
			return 0
		default:
			port = e.port
		}
	}
	return port
}

// placement is the servers of those services of a block that have the same
// ports.
type placement struct {
	servers []model.RealServer
	sorry   *model.RealServer
}

// placements are the placements of a block by what they depend on. The address
// of the service is not part of it.
type placements map[target]placement

// addGroup adds the services of a block for a group. They share what they can,
// since a range has many of them.
func (b *builder) addGroup(d *serviceDraft, vs model.VirtualServer, forward method) {
	g := d.group
	if b.expanded += g.size; b.expanded > b.limit {
		b.expanded -= g.size
		b.add(Error, d.st.at(), d.st.keyword(), fmt.Sprintf("virtual_server_group %s has %d addresses, more than the %d services that groups may have in all; %s", g.name, g.size, b.limit, serviceLeftOut),
			"mark the packets by a rule of nftables, and write the fwmark into the group")
		return
	}
	vs.GroupBlock = model.ServiceKey{Protocol: d.protocol, Group: g.name, Ordinal: g.blocks}
	g.blocks++
	first, shared := len(b.services), make(placements)
	for _, e := range g.entries {
		for t := range e.targets(d.v6) {
			vs.Key = t.key(d.protocol)
			if was, dup := b.seen[vs.Key]; dup {
				b.add(silent(Warning), e.at, d.st.keyword(), fmt.Sprintf("virtual_server %s is there already, at %s; group %s goes without it", vs.Key, b.position(was), g.name), "put the real servers into one block")
				continue
			}
			p := b.place(d, t, forward, shared)
			if len(p.servers) == 0 {
				continue
			}
			vs.Servers, vs.Sorry = p.servers, p.sorry
			b.seen[vs.Key] = e.at
			b.services = append(b.services, vs)
		}
	}
	services := b.services[first:]
	if len(services) == 0 {
		b.add(Warning, d.st.at(), d.st.keyword(), fmt.Sprintf("virtual_server group %s has no real server that can run; %s", g.name, serviceLeftOut), "write at least one real_server in it")
		return
	}
	b.quorum(d, &services[0])
	for i := range services {
		services[i].Quorum, services[i].Hysteresis = services[0].Quorum, services[0].Hysteresis
	}
}

// targets yields the services of a line; v6 is the family of marks that name
// none.
func (e groupEntry) targets(v6 bool) iter.Seq[target] {
	return func(yield func(target) bool) {
		if e.mark != 0 {
			yield(target{mark: e.mark, v6: e.family == "inet6" || e.family == "" && v6})
			return
		}
		for a := e.first; ; a = a.Next() {
			if !yield(target{addr: netip.AddrPortFrom(a, e.port), v6: a.Is6()}) || a == e.last {
				return
			}
		}
	}
}

// place returns the servers of a service.
func (b *builder) place(d *serviceDraft, t target, forward method, shared placements) placement {
	alike := target{addr: netip.AddrPortFrom(netip.Addr{}, t.addr.Port()), v6: t.v6}
	if t.mark != 0 {
		alike.mark = 1
	}
	own := d.hasServer(t.addr.Addr())
	if p, ok := shared[alike]; ok && !own {
		return p
	}
	p := placement{servers: b.servers(d, t, forward), sorry: b.sorry(d, t, or(forward, d.sorryForward))}
	if !own {
		shared[alike] = p
	}
	return p
}

// hasServer reports whether a server has the address, which it cannot have in a
// service of that address.
func (d *serviceDraft) hasServer(a netip.Addr) bool {
	for _, r := range d.servers {
		if r.addr.Addr() == a {
			return true
		}
	}
	return d.sorry != nil && d.sorry.arg(0) == a.String()
}
