package config

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// serverDraft is a real_server block before inheritance; nil is not set.
type serverDraft struct {
	timing
	st           *statement
	addr         netip.AddrPort
	forward      *method
	weight       *uint32
	upper, lower *uint32
	lowerAt      *statement
	inhibit      *bool
	virtualHost  string

	notifyUp, notifyDown *model.Script
	mail                 *bool

	checks []*checkDraft

	// built is the server with all inheritance applied, once it is made; the
	// services of a group share it.
	built *model.RealServer
}

// realServer reads one real_server block into the draft of its service.
func (b *builder) realServer(d *serviceDraft, st *statement) {
	addr, ok := b.addrPort(st, serverLeftOut)
	if !ok {
		return
	}
	r := &serverDraft{st: st, addr: addr}
	for _, s := range st.block.statements {
		ok = ok && !s.spoils
		if s.skip || b.timing(&r.timing, s, 1) {
			continue
		}
		ok = b.serverSetting(r, s) && ok
	}
	if ok {
		d.servers = append(d.servers, r)
	}
}

// serverSetting takes one line of a real_server block. It reports false if
// the server must not run without it.
func (b *builder) serverSetting(r *serverDraft, s *statement) bool {
	switch s.keyword() {
	case "weight":
		n, err := parseUint(s.arg(0), 0, math.MaxInt32)
		if err != nil {
			b.bad(s, 0, err, serverLeftOut, "write weight 1 for an equal share, or weight 0 to send it no new connections")
			return false
		}
		r.weight = new(uint32(n))
	case "lvs_method":
		return b.forward(s, &r.forward, serverLeftOut)
	case "inhibit_on_failure":
		b.boolean(s, &r.inhibit)
	case "uthreshold":
		b.number(s, &r.upper, 0, math.MaxUint32)
	case "lthreshold":
		b.number(s, &r.lower, 0, math.MaxUint32)
		r.lowerAt = s
	case "notify_up":
		r.notifyUp = b.script(s)
	case "notify_down":
		r.notifyDown = b.script(s)
	case "smtp_alert":
		b.boolean(s, &r.mail)
	case "virtualhost":
		b.hostName(s, &r.virtualHost)
	default:
		if kind, ok := checkKind(s.keyword()); ok {
			r.checks = append(r.checks, b.checker(s, kind))
		}
	}
	return true
}

// servers applies inheritance and the rules about ports, families and
// duplicates to the real servers of a block, for one of its services.
func (b *builder) servers(d *serviceDraft, at target, forward method) []model.RealServer {
	list := make([]model.RealServer, 0, len(d.servers))
	seen := make(map[netip.AddrPort]place, len(d.servers))
	for _, r := range d.servers {
		by := or(forward, r.forward)
		addr, ok := b.serverAddr(d, at, r.st, r.addr, by.forward, serverLeftOut)
		if !ok {
			continue
		}
		if was, dup := seen[addr]; dup {
			b.add(Error, r.st.at(), r.st.keyword(), fmt.Sprintf("real_server %s is there already, at line %d; %s", spell(addr), was.line, serverLeftOut), "remove one of the two")
			continue
		}
		seen[addr] = r.st.at()
		if d.group == nil {
			list = append(list, b.server(d, r, addr, by))
			continue
		}
		if r.built == nil {
			r.built = new(b.server(d, r, d.checked(r.addr), by))
		}
		rs := *r.built
		rs.Addr = addr
		if addr != r.addr {
			rs.Named = r.addr
		}
		list = append(list, rs)
	}
	return list
}

// checked returns the address that checks of a server of a group connect to: what
// the file says, or the port that all addresses of the group have.
func (d *serviceDraft) checked(written netip.AddrPort) netip.AddrPort {
	if written.Port() != 0 {
		return written
	}
	return netip.AddrPortFrom(written.Addr(), d.group.port())
}

// server applies inheritance to one real server.
func (b *builder) server(d *serviceDraft, r *serverDraft, addr netip.AddrPort, by method) model.RealServer {
	t := r.inherit(d.timing)
	out := model.RealServer{
		Server: model.Server{
			Addr:    addr,
			Forward: by.forward,
			Tunnel:  by.tunnel,
			Weight:  int32(or(1, r.weight, d.weight)),
			Upper:   or(0, r.upper),
			Lower:   or(0, r.lower),
		},
		Pos:              b.position(r.st.at()),
		InhibitOnFailure: or(false, r.inhibit, d.inhibit),
		Alpha:            or(false, t.alpha),
		NotifyUp:         r.notifyUp,
		NotifyDown:       r.notifyDown,
		// Unlike those of services and instances, mail is on by default.
		Mail: or(true, r.mail, d.mail, b.alerts.checkers, b.alerts.all),
	}
	if out.Lower > out.Upper {
		b.add(Error, r.lowerAt.at(), "lthreshold", fmt.Sprintf("lthreshold %d is above uthreshold %d; the line is ignored", out.Lower, out.Upper), "write a uthreshold that is not below it")
		out.Lower = 0
	}
	outer := around{server: addr, timing: t, serviceLoop: or(time.Minute, d.delayLoop), virtualHost: r.virtualHost}
	if outer.virtualHost == "" {
		outer.virtualHost = d.virtualHost
	}
	for _, c := range r.checks {
		out.Checks = append(out.Checks, b.checks(c, outer)...)
	}
	return out
}

// serverAddr applies the rules for the address and port of a real server or
// a sorry server of the service at.
func (b *builder) serverAddr(d *serviceDraft, at target, s *statement, addr netip.AddrPort, method model.Forward, consequence string) (netip.AddrPort, bool) {
	if addr.Addr().Is6() != at.v6 && method != model.TUN {
		b.add(Error, s.at(), s.keyword(), fmt.Sprintf("%s %s is not of the address family of %s; %s", s.keyword(), addr.Addr(), at.familyOf(), consequence), "write a server of the same family, or lvs_method TUN")
		return addr, false
	}
	vip := at.addr
	switch {
	case at.mark != 0 && method != model.NAT && addr.Port() != 0:
		b.add(Warning, s.at(), s.keyword(), fmt.Sprintf("%s %s has a port, which %s cannot set for a firewall mark; it is cleared", s.keyword(), spell(addr), method), "write the address alone")
		addr = netip.AddrPortFrom(addr.Addr(), 0)
	case at.mark != 0:
		return addr, true
	case addr.Port() == 0:
		addr = netip.AddrPortFrom(addr.Addr(), vip.Port())
	case method != model.NAT && addr.Port() != vip.Port():
		b.add(Warning, s.at(), s.keyword(), fmt.Sprintf("%s %s has another port than %s, which %s cannot change; port %d is used", s.keyword(), spell(addr), d.what(at), method, vip.Port()),
			fmt.Sprintf("write %s %s %d, or lvs_method NAT", s.keyword(), addr.Addr(), vip.Port()))
		addr = netip.AddrPortFrom(addr.Addr(), vip.Port())
	}
	if at.mark == 0 && addr == vip {
		var sev grade = Error
		if d.group != nil { // the other services have it
			sev = silent(Warning)
		}
		b.add(sev, s.at(), s.keyword(), fmt.Sprintf("%s %s is the virtual server itself; %s", s.keyword(), spell(addr), consequence), "write the server's own address")
		return addr, false
	}
	return addr, true
}

// spell prints an address and port as keepalived.conf writes them.
func spell(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return fmt.Sprintf("%s %d", a.Addr(), a.Port())
}
