package config

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// finish applies defaults and rules to a virtual server and adds its services.
func (b *builder) finish(d *serviceDraft) {
	forward := b.forwardDefault(d)
	if !b.settleFamily(d, forward) {
		return
	}
	b.protocolDefault(d)
	vs := model.VirtualServer{
		Service: model.Service{
			Scheduler:         b.schedulerDefault(d),
			Persistence:       b.persistenceRule(d),
			PersistencePrefix: granularity(d),
			OnePacket:         b.onePacket(d),
			NewFlowRate:       or(0, d.newFlowRate),
			NewFlowBurst:      or(or(0, d.newFlowRate), d.newFlowBurst),
		},
		Pos:          b.position(d.st.at()),
		Datapath:     d.datapath,
		SorryInhibit: d.sorryInhibit,
		HASuspend:    b.suspend(d),
		Alpha:        or(false, d.alpha),
		Omega:        d.omega,
		QuorumUp:     d.quorumUp,
		QuorumDown:   d.quorumDown,
		Mail:         or(false, d.mail, b.alerts.checkers, b.alerts.all),
	}
	vs.SchedFlags = b.flags(d, vs.Scheduler)
	vs.PersistenceEngine = b.engineRule(d, vs.Persistence)
	if vs.Datapath == "" {
		vs.Datapath = b.global.Datapath
	}
	if d.group != nil {
		b.addGroup(d, vs, forward)
		return
	}
	at := target{addr: d.addr, mark: d.fwmark, v6: d.v6}
	vs.Key = at.key(d.protocol)
	if was, dup := b.seen[vs.Key]; dup {
		b.add(Error, d.st.at(), d.st.keyword(), fmt.Sprintf("virtual_server %s is there already, at %s; %s", vs.Key, b.position(was), serviceLeftOut), "put the real servers into one block")
		return
	}
	vs.Servers = b.servers(d, at, forward)
	if len(vs.Servers) == 0 {
		b.add(Warning, d.st.at(), d.st.keyword(), fmt.Sprintf("virtual_server %s has no real server that can run; %s", vs.Key, serviceLeftOut), "write at least one real_server in it")
		return
	}
	vs.Sorry = b.sorry(d, at, or(forward, d.sorryForward))
	b.quorum(d, &vs)
	b.seen[vs.Key] = d.st.at()
	b.services = append(b.services, vs)
}

// protocolDefault settles the protocol. None means UDP, which is rarely meant;
// firewall marks have none.
func (b *builder) protocolDefault(d *serviceDraft) {
	switch marked := d.onlyMarks(); {
	case marked && d.protocol != 0:
		b.add(Warning, d.st.at(), "protocol", fmt.Sprintf("virtual_server %s is for a firewall mark, so that its protocol means nothing; it is ignored", d.name()), "remove the line")
		d.protocol = 0
	case !marked && d.protocol == 0:
		d.protocol = model.UDP
		b.add(Warning, d.st.at(), "protocol", fmt.Sprintf("virtual_server %s names no protocol and becomes UDP, as in keepalived", d.name()), `write "protocol TCP" or "protocol UDP" in it`)
	}
}

func (b *builder) schedulerDefault(d *serviceDraft) string {
	if d.scheduler == "" {
		b.add(Note, d.st.at(), "lb_algo", "no lb_algo is given; wlc is used, as in keepalived", "")
		return "wlc"
	}
	return d.scheduler
}

func (b *builder) forwardDefault(d *serviceDraft) method {
	if d.forward != nil {
		return *d.forward
	}
	for _, r := range d.servers {
		if r.forward == nil {
			b.add(Note, d.st.at(), "lb_kind", "no lb_kind is given; NAT is used, as in keepalived", "")
			break
		}
	}
	return method{forward: model.NAT}
}

// persistenceRule: a service for every port must be persistent, since only
// persistence keeps the ports of one client together.
func (b *builder) persistenceRule(d *serviceDraft) time.Duration {
	if d.persistence != nil {
		return *d.persistence
	}
	if !d.everyPort() {
		return 0
	}
	b.add(Warning, d.st.at(), "persistence_timeout", fmt.Sprintf("virtual_server %s is for every port (port 0), which needs persistence; 360 s are used, as in keepalived", d.name()),
		"write the port after the address, or persistence_timeout in the block")
	return 6 * time.Minute
}

// engineRule: an engine does nothing by itself, and sip reads datagrams only.
func (b *builder) engineRule(d *serviceDraft, persistence time.Duration) string {
	why := ""
	switch {
	case d.engine == nil:
		return ""
	case persistence == 0:
		why = "without persistence_timeout"
	case d.protocol != model.UDP && d.protocol != 0:
		why = fmt.Sprintf("for %s", d.protocol)
	default:
		return d.engine.arg(0)
	}
	b.add(silent(Warning), d.engine.at(), d.engine.keyword(), fmt.Sprintf("persistence_engine %s does nothing %s; %s", d.engine.arg(0), why, lineIgnored), "")
	return ""
}

// granularity is 0 for the whole address.
func granularity(d *serviceDraft) uint8 {
	whole := uint8(32)
	if d.onlyV6() {
		whole = 128
	}
	if d.granularity == whole {
		return 0
	}
	return d.granularity
}

func (b *builder) onePacket(d *serviceDraft) bool {
	if d.ops == nil {
		return false
	}
	if !d.onlyMarks() && d.protocol != model.UDP {
		b.add(Warning, d.ops.at(), "ops", fmt.Sprintf("ops needs UDP, and the virtual server is %s; it is turned off, as in keepalived", d.protocol), "remove the line")
		return false
	}
	return true
}

// suspend reports whether the checks follow the address. A firewall mark has
// none.
func (b *builder) suspend(d *serviceDraft) bool {
	if d.haSuspend == nil {
		return false
	}
	if d.hasMark() {
		b.add(Warning, d.haSuspend.at(), "ha_suspend", fmt.Sprintf("ha_suspend needs addresses, and virtual_server %s has a firewall mark; it is turned off, as in keepalived", d.name()), "remove the line")
		return false
	}
	return true
}

// flags drops sh-port and the like when the scheduler is another one.
func (b *builder) flags(d *serviceDraft, scheduler string) uint32 {
	flags := d.flags
	for _, s := range d.flagLines {
		if want, _, _ := strings.Cut(s.keyword(), "-"); want != scheduler {
			b.add(Warning, s.at(), s.keyword(), fmt.Sprintf("%s only applies to the scheduler %s, not to %s; the line is ignored", s.keyword(), want, scheduler), "remove it or change lb_algo")
			flags &^= schedulerFlag(s.keyword())
		}
	}
	return flags
}

// sorry reads the sorry server for one service of the block.
func (b *builder) sorry(d *serviceDraft, at target, by method) *model.RealServer {
	if d.sorry == nil {
		return nil
	}
	const consequence = "the sorry server is left out"
	addr, ok := b.addrPort(d.sorry, consequence)
	if !ok {
		return nil
	}
	if addr, ok = b.serverAddr(d, at, d.sorry, addr, by.forward, consequence); !ok {
		return nil
	}
	return &model.RealServer{
		Server: model.Server{Addr: netip.AddrPortFrom(addr.Addr(), addr.Port()), Forward: by.forward, Tunnel: by.tunnel, Weight: 1},
		Pos:    b.position(d.sorry.at()),
	}
}

// quorum keeps the quorum reachable and the hysteresis below it.
func (b *builder) quorum(d *serviceDraft, vs *model.VirtualServer) {
	vs.Quorum = or(1, d.quorum)
	vs.Hysteresis = or(0, d.hysteresis)
	var total uint64
	for _, s := range vs.Servers {
		total += uint64(s.Weight)
	}
	if reach := uint32(max(1, min(total, math.MaxUint32))); vs.Quorum > reach {
		b.add(Warning, d.quorumAt.at(), "quorum", fmt.Sprintf("quorum %d is above the weight of all real servers, %d; it is reduced to %d", vs.Quorum, total, reach), "lower it or raise the weights")
		vs.Quorum = reach
	}
	if vs.Hysteresis >= vs.Quorum && vs.Hysteresis > 0 {
		b.add(Warning, d.hystAt.at(), "hysteresis", fmt.Sprintf("hysteresis %d is not below quorum %d; it is set to 0", vs.Hysteresis, vs.Quorum), "write a smaller hysteresis")
		vs.Hysteresis = 0
	}
}
