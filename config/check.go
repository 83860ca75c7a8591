package config

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// checkDraft is a checker's block before inheritance.
type checkDraft struct {
	timing
	connection
	st            *statement
	kind          model.CheckKind
	logAllFailure *bool

	http  *httpDraft
	smtp  *model.SMTPSpec
	hosts []connectDraft // host blocks of SMTP_CHECK
	dns   *model.DNSSpec
	udp   *model.UDPSpec
	misc  *miscDraft
	file  *fileDraft
}

// connection is from where to where a check connects; nil is not set.
type connection struct {
	connectIP   netip.Addr
	connectPort *uint32
	bindTo      netip.Addr
	bindToAt    *statement
	bindPort    *uint32
	bindIf      string
	fwmark      *uint32
}

// connectDraft is a host block of SMTP_CHECK.
type connectDraft struct {
	timing
	connection
	st *statement
}

// checkLeftOut is how messages about a check that cannot run end.
const checkLeftOut = "the check is left out and the server counts as up"

// checkKind returns which check a block's keyword makes.
func checkKind(keyword string) (model.CheckKind, bool) {
	switch kind := model.CheckKind(keyword); kind {
	case model.TCPCheck, model.HTTPGet, model.SSLGet, model.SMTPCheck,
		model.DNSCheck, model.UDPCheck, model.PingCheck, model.MiscCheck, model.FileCheck:
		return kind, true
	case model.BFDCheck: // not supported yet
	}
	return "", false
}

// checker reads a checker's block.
func (b *builder) checker(st *statement, kind model.CheckKind) *checkDraft {
	c := &checkDraft{st: st, kind: kind}
	own := func(*statement) {}
	switch kind {
	case model.HTTPGet, model.SSLGet:
		c.http = &httpDraft{}
		own = func(s *statement) { b.httpSetting(c, s) }
	case model.SMTPCheck:
		c.smtp = &model.SMTPSpec{HeloName: model.DefaultHeloName}
		own = func(s *statement) { b.smtpSetting(c, s) }
	case model.DNSCheck:
		c.dns = &model.DNSSpec{Type: "SOA", Name: "."}
		own = func(s *statement) { b.dnsSetting(c.dns, s) }
	case model.UDPCheck:
		c.udp = &model.UDPSpec{MaxReply: 255}
		own = func(s *statement) { b.udpSetting(c.udp, s) }
	case model.MiscCheck:
		c.misc = &miscDraft{}
		own = func(s *statement) { b.miscSetting(c, s) }
	case model.FileCheck:
		c.file = &fileDraft{}
		own = func(s *statement) { b.fileSetting(c.file, s) }
	case model.TCPCheck, model.PingCheck, model.BFDCheck:
	}
	for _, s := range st.block.statements {
		switch {
		case s.skip, b.timing(&c.timing, s, 0), b.connection(&c.connection, s):
		case s.keyword() == "log_all_failures":
			b.boolean(s, &c.logAllFailure)
		default:
			own(s)
		}
	}
	b.udpRule(c)
	return c
}

// connection takes a keyword that says from where to where to connect and
// reports whether it was one.
func (b *builder) connection(c *connection, s *statement) bool {
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
			break
		}
		c.bindIf = s.arg(0)
	case "fwmark":
		b.number(s, &c.fwmark, 0, math.MaxUint32)
	default:
		return false
	}
	return true
}

// inherit fills what c does not set from outer.
func (c connection) inherit(outer connection) connection {
	if !c.connectIP.IsValid() {
		c.connectIP = outer.connectIP
	}
	if !c.bindTo.IsValid() {
		c.bindTo, c.bindToAt = outer.bindTo, outer.bindToAt
	}
	if c.bindIf == "" {
		c.bindIf = outer.bindIf
	}
	c.connectPort = first(c.connectPort, outer.connectPort)
	c.bindPort = first(c.bindPort, outer.bindPort)
	c.fwmark = first(c.fwmark, outer.fwmark)
	return c
}

// around is what a check inherits from the blocks around it.
type around struct {
	server netip.AddrPort
	// timing is the real server's, with the virtual server's filled in.
	timing timing
	// serviceLoop is the virtual server's own delay_loop.
	serviceLoop time.Duration
	virtualHost string
}

// checks returns what a block runs: one check, or one for each host block of
// SMTP_CHECK.
func (b *builder) checks(c *checkDraft, outer around) []model.Check {
	if len(c.hosts) == 0 {
		if out, ok := b.check(c, c.st, c.connection, c.timing, outer); ok {
			return []model.Check{out}
		}
		return nil
	}
	var list []model.Check
	for _, h := range c.hosts {
		if out, ok := b.check(c, h.st, h.connection.inherit(c.connection), h.timing.inherit(c.timing), outer); ok {
			list = append(list, out)
		}
	}
	return list
}

// check applies inheritance: own settings, then the real server's, then the
// virtual server's (both in outer), then keepalived's defaults. It reports
// whether the check can run.
func (b *builder) check(c *checkDraft, at *statement, conn connection, own timing, outer around) (model.Check, bool) {
	t := own.inherit(outer.timing)
	delayLoop := or(time.Minute, t.delayLoop)
	retry, pause := retryDefaults(c.kind, delayLoop)
	out := model.Check{
		Kind:             c.kind,
		Pos:              b.position(at.at()),
		ConnectTimeout:   or(5*time.Second, t.connectTimeout),
		DelayLoop:        delayLoop,
		Retry:            or(retry, t.retry),
		DelayBeforeRetry: or(pause, t.delayBeforeRetry),
		Warmup:           or(delayLoop, t.warmup),
		Alpha:            or(false, t.alpha),
		LogAllFailures:   or(b.global.CheckerLogAllFailures, c.logAllFailure),
		SMTP:             c.smtp,
		DNS:              c.dns,
		UDP:              c.udp,
	}
	switch c.kind {
	case model.MiscCheck:
		return b.misc(c, out, outer)
	case model.FileCheck:
		return b.file(c, out)
	default:
	}
	if !b.connect(&out, conn, at, outer.server) {
		return out, false
	}
	if c.http != nil {
		return b.http(c, out, outer)
	}
	return out, true
}

// retryDefaults are keepalived's defaults of retry and delay_before_retry.
func retryDefaults(kind model.CheckKind, delayLoop time.Duration) (uint32, time.Duration) {
	switch kind {
	case model.HTTPGet, model.SSLGet:
		return 1, 3 * time.Second
	case model.DNSCheck:
		return 3, delayLoop
	case model.MiscCheck, model.FileCheck:
		return 0, time.Second
	case model.TCPCheck, model.SMTPCheck, model.UDPCheck, model.PingCheck, model.BFDCheck:
	}
	return 1, time.Second
}

// connect sets from where to where a check connects. It reports whether the
// check can run.
func (b *builder) connect(out *model.Check, c connection, at *statement, server netip.AddrPort) bool {
	addr := server.Addr()
	if c.connectIP.IsValid() {
		addr = c.connectIP
	}
	out.ConnectTo = netip.AddrPortFrom(addr, uint16(or(uint32(server.Port()), c.connectPort)))
	out.BindTo = netip.AddrPortFrom(c.bindTo, uint16(or(0, c.bindPort)))
	out.BindInterface = c.bindIf
	out.FWMark = or(0, c.fwmark)
	if out.ConnectTo.Port() == 0 && out.Kind != model.PingCheck {
		b.add(Error, at.at(), string(out.Kind), fmt.Sprintf("the real server has no port that %s could connect to; %s", out.Kind, checkLeftOut), "write connect_port in it")
		return false
	}
	if c.bindTo.IsValid() && c.bindTo.Is4() != addr.Is4() {
		b.add(Error, c.bindToAt.at(), "bindto", fmt.Sprintf("bindto %s is not of the address family of %s; the line is ignored", c.bindTo, addr), "write an address of the same family")
		out.BindTo = netip.AddrPortFrom(netip.Addr{}, out.BindTo.Port())
	}
	return true
}
