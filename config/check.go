package config

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// checkDraft is a TCP_CHECK block before inheritance.
type checkDraft struct {
	timing
	st            *statement
	connectIP     netip.Addr
	connectPort   *uint32
	bindTo        netip.Addr
	bindToAt      *statement
	bindPort      *uint32
	bindIf        string
	fwmark        *uint32
	logAllFailure *bool
}

// tcpCheck reads a TCP_CHECK block.
func (b *builder) tcpCheck(st *statement) *checkDraft {
	c := &checkDraft{st: st}
	for _, s := range st.block.statements {
		if s.skip || b.timing(&c.timing, s, 0) {
			continue
		}
		switch s.keyword() {
		case "connect_ip":
			b.address(s, &c.connectIP)
		case "connect_port":
			b.number(s, &c.connectPort, 1, 65535)
		case "bindto":
			b.address(s, &c.bindTo)
			c.bindToAt = s
		case "bind_port":
			b.number(s, &c.bindPort, 1, 65535)
		case "bind_if":
			if len(s.arg(0)) > 15 {
				b.bad(s, 0, fmt.Errorf("longer than the 15 characters of an interface name"), lineIgnored, "write the interface's name")
				continue
			}
			c.bindIf = s.arg(0)
		case "fwmark":
			b.number(s, &c.fwmark, 0, math.MaxUint32)
		case "log_all_failures":
			b.boolean(s, &c.logAllFailure)
		}
	}
	return c
}

// check applies inheritance: own settings, then the real server's, then the
// virtual server's (both in outer), then keepalived's defaults. It reports
// whether the check can run.
func (b *builder) check(c *checkDraft, server netip.AddrPort, outer timing) (model.Check, bool) {
	t := c.inherit(outer)
	delayLoop := or(time.Minute, t.delayLoop)
	out := model.Check{
		Kind:             model.TCPCheck,
		Pos:              b.position(c.st.at()),
		ConnectTo:        b.target(c, server),
		BindTo:           netip.AddrPortFrom(c.bindTo, uint16(or(0, c.bindPort))),
		BindInterface:    c.bindIf,
		FWMark:           or(0, c.fwmark),
		ConnectTimeout:   or(5*time.Second, t.connectTimeout),
		DelayLoop:        delayLoop,
		Retry:            or(1, t.retry),
		DelayBeforeRetry: or(time.Second, t.delayBeforeRetry),
		Warmup:           or(delayLoop, t.warmup),
		Alpha:            or(false, t.alpha),
		LogAllFailures:   or(b.global.CheckerLogAllFailures, c.logAllFailure),
	}
	if out.ConnectTo.Port() == 0 {
		b.add(Error, c.st.at(), "TCP_CHECK", "the real server has no port that TCP_CHECK could connect to; the check is left out and the server counts as up", "write connect_port in it")
		return out, false
	}
	if c.bindTo.IsValid() && c.bindTo.Is4() != out.ConnectTo.Addr().Is4() {
		b.add(Error, c.bindToAt.at(), "bindto", fmt.Sprintf("bindto %s is not of the address family of %s; the line is ignored", c.bindTo, out.ConnectTo.Addr()), "write an address of the same family")
		out.BindTo = netip.AddrPortFrom(netip.Addr{}, out.BindTo.Port())
	}
	return out, true
}

// target is where the check connects.
func (b *builder) target(c *checkDraft, server netip.AddrPort) netip.AddrPort {
	addr := server.Addr()
	if c.connectIP.IsValid() {
		addr = c.connectIP
	}
	return netip.AddrPortFrom(addr, uint16(or(uint32(server.Port()), c.connectPort)))
}
