package daemon

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/notify"
)

// listener notes what it is told.
type listener struct{ journal }

func (l *listener) Service(c notify.ServiceChange, s *model.Script, mail bool) {
	l.note("VS "+c.Service, c.Up, s, mail, c.Reason)
}

func (l *listener) Server(c notify.ServerChange, s *model.Script, mail bool) {
	l.note("RS "+c.Server+" "+c.Service, c.Up, s, mail, c.Reason)
}

func (l *listener) note(what string, up bool, s *model.Script, mail bool, reason string) {
	if reason == "" {
		reason = "no reason"
	}
	word := map[bool]string{true: "UP", false: "DOWN"}[up]
	if s != nil {
		word += " " + s.Command
	}
	if mail {
		word += " mail"
	}
	l.add("%s %s: %s", what, word, reason)
}

// told is a director whose changes are told.
type told struct {
	*listener
	dir     *director.Director
	notices *serviceNotices
}

func tellingOf(services ...model.VirtualServer) *told {
	dir, _ := director.New(services, director.ThisVersion())
	l := &listener{}
	tell := newServiceNotices(l, services)
	tell.started(dir.Snapshot())
	return &told{l, dir, tell}
}

func (o *told) verdict(server string, up bool) {
	v := health.Verdict{Service: model.ServiceKey{Protocol: model.TCP, Addr: netip.MustParseAddrPort(vip)}, Server: netip.MustParseAddrPort(server), Up: up, Reason: "checked"}
	o.notices.changed(o.dir.Verdict(v).Events)
}

func (o *told) reload(services ...model.VirtualServer) {
	before := o.dir.Snapshot()
	o.dir.Reload(services, director.ThisVersion())
	o.notices.reloaded(before, o.dir.Snapshot(), services)
}

func (o *told) want(t *testing.T, when string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, o.take()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestServiceNotices(t *testing.T) {
	const (
		vs = "VS [192.0.2.1]:tcp:80"
		s1 = "RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80"
		s2 = "RS [10.0.0.2]:tcp:80 [192.0.2.1]:tcp:80"
	)
	conf := virtual(vip, rs1, rs2)
	conf.Quorum = 2
	conf.QuorumUp, conf.QuorumDown = &model.Script{Command: "/qup"}, &model.Script{Command: "/qdown"}
	conf.Servers[0].NotifyUp, conf.Servers[0].NotifyDown = &model.Script{Command: "/up"}, &model.Script{Command: "/down"}
	conf.Servers[1].Mail = true

	o := tellingOf(conf)
	o.want(t, "start", vs+" UP /qup: weight alive 2, quorum 2, hysteresis 0")
	o.verdict(rs2, false)
	o.want(t, "server fails", s2+" DOWN mail: checked", vs+" DOWN /qdown: weight alive 1, quorum 2, hysteresis 0")
	o.verdict(rs2, false)
	o.want(t, "server fails again")
	o.verdict(rs2, true)
	o.want(t, "server is back", s2+" UP mail: checked", vs+" UP /qup: weight alive 2, quorum 2, hysteresis 0")
	o.verdict(rs2, false)
	o.take()

	less := conf
	less.Servers = conf.Servers[1:]
	o.reload(less)
	o.want(t, "reload without the live server", s1+" DOWN /down: no longer in the configuration")
	o.reload(conf)
	o.want(t, "reload with it again, which counts as up until it was checked")
	o.verdict(rs2, true)
	o.want(t, "quorum again", s2+" UP mail: checked", vs+" UP /qup: weight alive 2, quorum 2, hysteresis 0")
	o.reload()
	o.want(t, "reload without the service", s1+" DOWN /down: no longer in the configuration",
		s2+" DOWN mail: no longer in the configuration", vs+" DOWN /qdown: no longer in the configuration")

	conf.Omega = true
	o.reload(conf)
	o.want(t, "reload with the service", vs+" UP /qup: weight alive 2, quorum 2, hysteresis 0")
	o.notices.stopping(o.dir.Snapshot())
	o.want(t, "stop with omega", s1+" DOWN /down: the daemon is stopping", s2+" DOWN mail: the daemon is stopping",
		vs+" DOWN /qdown: the daemon is stopping")

	conf.Alpha, conf.Omega = true, false
	for i := range conf.Servers {
		conf.Servers[i].Checks = slices.Clone(conf.Servers[i].Checks)
		conf.Servers[i].Checks[0].Alpha = true
	}
	o = tellingOf(conf)
	o.want(t, "start with alpha")
	o.verdict(rs1, true)
	o.verdict(rs2, true)
	o.want(t, "first verdicts", s1+" UP /up: checked", s2+" UP mail: checked", vs+" UP /qup: weight alive 2, quorum 2, hysteresis 0")
	o.notices.stopping(o.dir.Snapshot())
	o.want(t, "stop without omega")
}

func TestServerName(t *testing.T) {
	addr := netip.MustParseAddrPort("[2001:db8::1]:53")
	for _, tt := range []struct {
		key  model.ServiceKey
		want string
	}{
		{model.ServiceKey{Protocol: model.UDP}, "[2001:db8::1]:udp:53"},
		{model.ServiceKey{FWMark: 7}, "[2001:db8::1]:none:53"},
	} {
		if got := serverName(tt.key, addr); got != tt.want {
			t.Errorf("serverName(%v) = %s, want %s", tt.key, got, tt.want)
		}
	}
}

// The services of a group are one virtual server for whoever is told.
func TestGroupNotices(t *testing.T) {
	block := model.ServiceKey{Protocol: model.TCP, Group: "web"}
	group := func(ports ...uint16) []model.VirtualServer {
		var list []model.VirtualServer
		for _, port := range ports {
			vs := virtual(vip, rs1, rs2)
			vs.GroupBlock = block
			vs.Key.Addr = netip.AddrPortFrom(vs.Key.Addr.Addr(), port)
			vs.Servers = slices.Clone(vs.Servers)
			for i := range vs.Servers {
				vs.Servers[i].Named = vs.Servers[i].Addr
				vs.Servers[i].Addr = netip.AddrPortFrom(vs.Servers[i].Addr.Addr(), port)
			}
			list = append(list, vs)
		}
		return list
	}
	verdict := func(o *told, server string, up bool) {
		o.notices.changed(o.dir.Verdict(health.Verdict{Service: block, Server: netip.MustParseAddrPort(server), Up: up, Reason: "checked"}).Events)
	}
	o := tellingOf(group(80, 81)...)
	o.want(t, "start", "VS [web]:0 UP: weight alive 2, quorum 1, hysteresis 0")
	verdict(o, rs1, false)
	o.want(t, "a server fails", "RS [10.0.0.1]:tcp:80 [web]:0 DOWN: checked")
	o.reload(group(80, 81, 82)...)
	o.want(t, "reload with one address more")
	o.reload(group(81)...)
	o.want(t, "reload with one address")
	verdict(o, rs2, false)
	o.want(t, "the other fails", "RS [10.0.0.2]:tcp:80 [web]:0 DOWN: checked", "VS [web]:0 DOWN: weight alive 0, quorum 1, hysteresis 0")
	verdict(o, rs2, true)
	o.take()
	o.reload(virtual("192.0.2.77:80", rs1))
	o.want(t, "reload without the group", "RS [10.0.0.2]:tcp:80 [web]:0 DOWN: no longer in the configuration",
		"VS [web]:0 DOWN: no longer in the configuration", "VS [192.0.2.77]:tcp:80 UP: weight alive 1, quorum 1, hysteresis 0")
}

// With rs_init_notifies servers that count as up when they begin are told, before
// their quorum.
func TestInitNotices(t *testing.T) {
	conf := virtual(vip, rs1)
	conf.Servers[0].NotifyUp = &model.Script{Command: "/up"}
	dir, _ := director.New([]model.VirtualServer{conf}, director.ThisVersion())
	l := &listener{}
	tell := newServiceNotices(l, []model.VirtualServer{conf})
	tell.serversAtStart = true
	tell.started(dir.Snapshot())
	o := &told{l, dir, tell}
	o.want(t, "start", "RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 UP /up: not checked yet", "VS [192.0.2.1]:tcp:80 UP: weight alive 1, quorum 1, hysteresis 0")
	more := virtual(vip, rs1, rs2)
	more.Servers[0].NotifyUp = conf.Servers[0].NotifyUp
	o.reload(more)
	o.want(t, "reload with another server", "RS [10.0.0.2]:tcp:80 [192.0.2.1]:tcp:80 UP: not checked yet")
	o.reload(more)
	o.want(t, "reload of the same")
}
