//go:build bpf

package bpf

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// ipvs is a model of IPVS beside the program: what becomes of each packet, and
// all counters. It was written from IPVS's rules, not from the program; which
// server a new flow gets is package sched's decision.
type ipvs struct {
	state   *sched.State
	profile sched.Profile
	now     time.Duration

	ids       map[model.ServiceKey]uint32
	services  map[model.ServiceKey]model.Service
	dests     map[uint32]sched.Dest // by slot, deleted ones too
	flows     map[ipvsTuple]*ipvsFlow
	replies   map[ipvsTuple]*ipvsFlow
	templates map[ipvsGroup]*ipvsTemplate
	open      map[model.ServiceKey][]*ipvsFlow // the flows of a service, oldest first

	// The counters in the form that the maps have.
	conns        []EkServerConns
	serverStats  []EkStats
	serviceStats []EkStats
	reasons      [64]uint64
}

// ipvsTuple is of a client's packet in flows, of a server's in replies.
type ipvsTuple struct {
	src, dst netip.AddrPort
	proto    model.Protocol
}

type ipvsFlow struct {
	tuple      ipvsTuple
	slot       uint32
	state      string
	method     model.Forward // that it was born with
	expires    time.Duration
	controlled *ipvsGroup
	from       [6]byte // where the client's frames came from
	gone       bool
}

// ipvsGroup is a group of clients with a template.
type ipvsGroup struct {
	clients netip.Prefix
	service model.ServiceKey
}

type ipvsTemplate struct {
	slot             uint32
	timeout, expires time.Duration
	controls         uint32
}

// fate is what becomes of a packet. flow and slot hold if it has a flow.
type fate struct {
	reason reasons.Reason
	slot   uint32
	method model.Forward
	flow   *ipvsFlow
}

func newIPVS(p sched.Profile, servers, services int) *ipvs {
	return &ipvs{
		state: sched.New(p), profile: p,
		ids: map[model.ServiceKey]uint32{}, services: map[model.ServiceKey]model.Service{}, dests: map[uint32]sched.Dest{},
		flows: map[ipvsTuple]*ipvsFlow{}, replies: map[ipvsTuple]*ipvsFlow{}, templates: map[ipvsGroup]*ipvsTemplate{},
		open:  map[model.ServiceKey][]*ipvsFlow{},
		conns: make([]EkServerConns, servers), serverStats: make([]EkStats, servers), serviceStats: make([]EkStats, services),
	}
}

func (f frame) ipvsTuple() ipvsTuple { return ipvsTuple{f.src, f.dst, model.Protocol(f.proto)} }

// asks says whether a packet asks for a connection.
func (f frame) asks() bool { return f.has("S") || f.proto == 132 && sctpEvent(f.flags) == "INIT" }

func (f frame) has(flag string) bool { return f.proto == 6 && strings.Contains(f.flags, flag) }

func (f *ipvsFlow) service() model.ServiceKey {
	return model.ServiceKey{Protocol: f.tuple.proto, Addr: f.tuple.dst}
}

func (f *ipvsFlow) active() bool { return active[f.state] }

// take decides about a packet of so many bytes and counts it.
func (v *ipvs) take(f frame, size int) fate {
	fate := v.decide(f, uint64(size))
	v.reasons[fate.reason]++
	return fate
}

func (v *ipvs) decide(f frame, size uint64) fate {
	tuple := f.ipvsTuple()
	flow := v.flows[tuple]
	switch {
	case f.to != ownMAC:
		return fate{reason: reasons.NotOurMAC}
	case flow == nil && v.replies[tuple] != nil:
		return v.answer(v.replies[tuple], f, size)
	case flow == nil:
		return v.stranger(f, size)
	case f.asks() && flow.controlled == nil && (flow.state == "TW" || flow.state == "CL" || flow.state == "sCL"):
		// A new connection on the ports of one that is over. The old one counts
		// while the new one's server is chosen, and ends whatever comes of it.
		out := v.stranger(f, size)
		v.end(flow)
		return out
	}
	return v.follow(flow, f, size)
}

// follow is a client's packet of a flow.
func (v *ipvs) follow(flow *ipvsFlow, f frame, size uint64) fate {
	if v.dests[flow.slot].Deleted {
		return fate{reason: reasons.ServerDeleted, slot: flow.slot, flow: flow}
	}
	table := "input only"
	if flow.method == model.NAT {
		table = "input"
	}
	v.advance(flow, table, f)
	v.countIn(flow.slot, v.dests[flow.slot].Service, size, 0)
	return v.send(f, flow.slot, flow.method, flow)
}

// answer is a NAT server's packet of a flow.
func (v *ipvs) answer(flow *ipvsFlow, f frame, size uint64) fate {
	v.advance(flow, "output", f)
	for _, s := range []*EkStats{&v.serverStats[flow.slot], &v.serviceStats[v.dests[flow.slot].Service]} {
		s.OutPkts++
		s.OutBytes += size
	}
	if f.ttl == 1 {
		return fate{reason: reasons.TTLExceeded}
	}
	return fate{reason: reasons.ForwardedReply, slot: flow.slot, flow: flow}
}

// advance moves a flow on by a packet.
func (v *ipvs) advance(flow *ipvsFlow, table string, f frame) {
	was := flow.active()
	switch flow.tuple.proto {
	case model.TCP:
		flow.state = nextState(table, f.flags, flow.state)
	case model.SCTP:
		flow.state = sctpNext(table, f.flags, flow.state)
	default:
	}
	conns := &v.conns[flow.slot]
	switch {
	case flow.active() && !was:
		conns.Active++
	case was && !flow.active():
		conns.Active--
	}
	// The program leaves a time of death that is right to a second, or an
	// eighth of the time-out; IPVS's own timers are coarser.
	life := lifetime(flow.state)
	if off := (v.now + life - flow.expires).Abs(); off > min(life/8, time.Second) {
		flow.expires = v.now + life
	}
}

func nextState(table, flags, state string) string {
	e := event(flags)
	if e == "" {
		return "CL"
	}
	return stateAt(tcpTables[table][e], int(stateNumber(state)))
}

// flowState is the program's number of a state.
func flowState(name string) EkFlowState {
	switch {
	case name == "UDP":
		return EkFlowStateFLOW_UDP
	case name[0] == 's':
		return EkFlowState(16 + sctpNumber(name))
	}
	return stateNumber(name)
}

func lifetime(state string) time.Duration {
	return time.Duration(timeouts[flowState(state)]) * time.Second
}

func (v *ipvs) countIn(slot, service uint32, size, conns uint64) {
	for _, s := range []*EkStats{&v.serverStats[slot], &v.serviceStats[service]} {
		s.Conns += conns
		s.InPkts++
		s.InBytes += size
	}
}

// send transmits a client's packet that has been counted.
func (v *ipvs) send(f frame, slot uint32, method model.Forward, flow *ipvsFlow) fate {
	reason := reasons.TimeExceeded
	if f.ttl != 1 {
		reason = map[model.Forward]reasons.Reason{
			model.NAT: reasons.ForwardedNAT, model.DR: reasons.ForwardedDR, model.TUN: reasons.ForwardedTUN,
		}[method]
	}
	return fate{reason: reason, slot: slot, method: method, flow: flow}
}

// stranger is a packet without a flow.
func (v *ipvs) stranger(f frame, size uint64) fate {
	svc, ok := v.services[model.ServiceKey{Protocol: model.Protocol(f.proto), Addr: f.dst}]
	switch {
	case !ok:
		return fate{reason: reasons.NoService}
	case f.src.Port() == 20:
		return fate{reason: reasons.SourcePort20}
	case f.proto != 17 && (!f.asks() || f.has("R")):
		return fate{reason: reasons.NoFlow}
	}
	slot, group, ok := v.schedule(svc, f)
	if !ok {
		return fate{reason: reasons.PortUnreachable}
	}
	dest := v.dests[slot]
	if svc.OnePacket {
		v.bind(dest, false)
		v.countIn(slot, dest.Service, size, 1)
		v.unbind(dest, false)
		return v.send(f, slot, dest.Server.Forward, nil)
	}
	flow := v.born(f, dest, group)
	v.bind(dest, flow.active())
	v.countIn(slot, dest.Service, size, 1)
	return v.send(f, slot, flow.method, flow)
}

// born makes the flow that a packet opens.
func (v *ipvs) born(f frame, dest sched.Dest, group *ipvsGroup) *ipvsFlow {
	flow := &ipvsFlow{tuple: f.ipvsTuple(), slot: dest.Slot, method: dest.Server.Forward, controlled: group, from: f.from, state: "UDP"}
	switch f.proto {
	case 6:
		flow.state = nextState("input", f.flags, "NO")
	case 132:
		flow.state = sctpNext("input", f.flags, "sNO")
	}
	flow.expires = v.now + lifetime(flow.state)
	v.flows[flow.tuple] = flow
	if flow.method == model.NAT {
		v.replies[flow.reply(dest)] = flow
	}
	v.open[flow.service()] = append(v.open[flow.service()], flow)
	return flow
}

// reply is the tuple of the server's packets.
func (f *ipvsFlow) reply(dest sched.Dest) ipvsTuple {
	return ipvsTuple{src: dest.Server.Addr, dst: f.tuple.src, proto: f.tuple.proto}
}

// schedule chooses a server by the client's template or by the scheduler.
func (v *ipvs) schedule(svc model.Service, f frame) (slot uint32, group *ipvsGroup, ok bool) {
	if svc.Persistence == 0 {
		dest, ok := v.choose(svc, f)
		return dest.Slot, nil, ok
	}
	clients, err := f.src.Addr().Prefix(int(svc.PersistencePrefix))
	if err != nil {
		return 0, nil, false
	}
	group = &ipvsGroup{clients, svc.Key}
	t := v.templates[*group]
	if t != nil && !v.dests[t.slot].Deleted {
		t.controls++
		t.rearm(v.now)
		return t.slot, group, true
	}
	dest, ok := v.choose(svc, f)
	if !ok {
		return 0, nil, false
	}
	fresh := &ipvsTemplate{slot: dest.Slot, timeout: svc.Persistence, expires: v.now + svc.Persistence, controls: 1}
	v.conns[dest.Slot].Persistent++
	if v.profile.OldThresholds {
		v.overload(dest, v.conns[dest.Slot].Total)
	}
	if t != nil {
		// IPVS parks the template of a deleted server until its time is over; the
		// program ends it at once, and its flows hold the new one.
		v.conns[t.slot].Persistent--
		fresh.controls += t.controls
	}
	v.templates[*group] = fresh
	return dest.Slot, group, true
}

func (t *ipvsTemplate) rearm(now time.Duration) {
	if t.expires <= now {
		t.timeout = time.Minute
	}
	t.expires = now + t.timeout
}

func (v *ipvs) choose(svc model.Service, f frame) (sched.Dest, bool) {
	client := sched.Client{Addr: f.src.Addr(), Port: f.src.Port()}
	return v.state.Choose(svc.Key, client, func(d sched.Dest) sched.Load { return v.load(d.Slot) })
}

func (v *ipvs) load(slot uint32) sched.Load {
	c := v.conns[slot]
	return sched.Load{Active: c.Active, Total: c.Total, Overloaded: c.Overloaded != 0}
}

func (v *ipvs) setLoad(slot uint32, l sched.Load) {
	c := &v.conns[slot]
	c.Total, c.Overloaded = l.Total, uint32(flag(l.Overloaded))
}

func (v *ipvs) bind(dest sched.Dest, active bool) {
	v.setLoad(dest.Slot, v.profile.Bound(v.load(dest.Slot), dest.Server.Upper, dest.Server.Lower))
	if active {
		v.conns[dest.Slot].Active++
	}
}

// overload marks a server by the old rules at a number of flows.
func (v *ipvs) overload(dest sched.Dest, total uint32) {
	if dest.Server.Upper != 0 && total >= dest.Server.Upper {
		v.conns[dest.Slot].Overloaded = 1
	}
}

func (v *ipvs) unbind(dest sched.Dest, active bool) {
	if active {
		v.conns[dest.Slot].Active--
	}
	v.setLoad(dest.Slot, v.profile.Unbound(v.load(dest.Slot), dest.Server.Upper, dest.Server.Lower))
}

// end frees a flow.
func (v *ipvs) end(flow *ipvsFlow) {
	dest := v.dests[flow.slot]
	v.unbind(dest, flow.active())
	if v.flows[flow.tuple] == flow {
		delete(v.flows, flow.tuple)
	}
	if reply := flow.reply(dest); flow.method == model.NAT && v.replies[reply] == flow {
		delete(v.replies, reply)
	}
	if flow.controlled != nil {
		v.templates[*flow.controlled].controls--
	}
	flow.gone = true
	key := flow.service()
	v.open[key] = slices.DeleteFunc(v.open[key], func(f *ipvsFlow) bool { return f.gone })
}

// pass lets time go by and ends what is over; the numbers of flows and of
// templates that ended are returned.
func (v *ipvs) pass(d time.Duration) (flows, templates int) {
	v.now += d
	for _, flow := range v.flows {
		if flow.expires <= v.now {
			v.end(flow)
			flows++
		}
	}
	for group, t := range v.templates {
		switch {
		case t.expires > v.now:
		case t.controls > 0:
			t.rearm(v.now)
		default:
			v.conns[t.slot].Persistent--
			delete(v.templates, group)
			templates++
		}
	}
	return flows, templates
}
