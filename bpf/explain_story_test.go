//go:build bpf

package bpf

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// Each service of the random test has one of these, in both families.
var explainedServices = []struct {
	by          EkScheduler
	flags       uint8
	proto       uint8
	persistence time.Duration
	forward     EkForward
}{
	{EkSchedulerSCHED_RR, 0, 6, 0, EkForwardFORWARD_DR},
	{EkSchedulerSCHED_WRR, 0, 6, 0, EkForwardFORWARD_NAT},
	{EkSchedulerSCHED_WLC, 0, 6, 0, EkForwardFORWARD_NAT},
	{EkSchedulerSCHED_SH, 8, 17, 0, EkForwardFORWARD_DR},
	{EkSchedulerSCHED_MH, 0, 17, 0, EkForwardFORWARD_NAT},
	{EkSchedulerSCHED_RR, serviceOnePacket, 17, 0, EkForwardFORWARD_DR},
	{EkSchedulerSCHED_LC, 0, 6, time.Minute, EkForwardFORWARD_NAT},
	{EkSchedulerSCHED_RR, 0, 17, time.Minute, EkForwardFORWARD_TUN},
	{EkSchedulerSCHED_WLC, 0, 132, 0, EkForwardFORWARD_DR},
}

const serviceOnePacket = 4

// story makes random services, changes and packets.
type story struct {
	*twin
	*rand.Rand
	known   []frame // clients that were forwarded
	answers []frame // of NAT servers to the packets that they got
}

// explained is the number of services, those of IPv6 after those of IPv4.
var explained = 2 * len(explainedServices)

func familyOf(id int) family { return family(id >= len(explainedServices)) }

func (s *story) vip(id int) netip.AddrPort {
	addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(id % len(explainedServices))})
	return familyOf(id).of(netip.AddrPortFrom(addr, 80))
}

func (s *story) serverAddr(slot uint32) netip.AddrPort {
	addr := netip.AddrFrom4([4]byte{10, 1, 0, byte(slot)})
	return familyOf(int(slot / 4)).of(netip.AddrPortFrom(addr, 80+uint16(slot%2)))
}

// setUp gives each service four servers.
func (s *story) setUp() {
	for id := range explained {
		svc, prefix := explainedServices[id%len(explainedServices)], uint8(32)
		if familyOf(id) {
			prefix = 128
		}
		s.scheduled(uint32(id), svc.proto, s.vip(id), svc.by, svc.flags)
		if svc.persistence > 0 {
			s.persistent(svc.proto, s.vip(id), svc.persistence, prefix)
		}
		s.change(id)
	}
}

// change writes the servers of a service anew, at random, and its order.
func (s *story) change(id int) {
	svc := explainedServices[id%len(explainedServices)]
	s.forget("ek_tables")
	var order []entry
	var table []uint32
	for i := range uint32(4) {
		slot := uint32(id)*4 + i
		weight := int32(s.IntN(4))
		s.server(slot, uint32(id), s.serverAddr(slot), svc.forward, func(e *EkServer) {
			e.Dmac, e.Weight = slotMAC(slot), weight
			switch s.IntN(14) {
			case 0:
				e.Flags = 0
			case 1, 5, 6, 7:
				e.Flags |= serverDeleted
			case 2:
				e.Ifindex, e.Smac = outside, farMAC
			case 3:
				e.Mtu = 45
				if familyOf(id) {
					e.Mtu = 66
				}
			case 4:
				e.Forward = EkForwardFORWARD_TUN
			case 8:
				e.Flags |= serverLocal
			}
		})
		s.tunnel(slot, familyOf(id))
		order = append(order, entry{slot, weight})
		for range weight {
			table = append(table, slot)
		}
	}
	if svc.by == EkSchedulerSCHED_SH {
		table = slices.Repeat(order2slots(order), 64)
	}
	s.publish(uint32(id), nil, table, 0, order...)
}

func order2slots(order []entry) (slots []uint32) {
	for _, e := range order {
		slots = append(slots, e.slot)
	}
	return slots
}

// packet is of a few clients, so that most meet a flow sooner or later.
func (s *story) packet() []byte {
	id := s.IntN(explained + 1)
	f := frame{from: clientMAC, to: ownMAC, dst: s.vip(id), proto: 6, flags: []string{"S", "S", "S", "A", "FA", "R", "SA", "PA", ""}[s.IntN(9)]}
	f.src = familyOf(id).of(netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(s.IntN(6))}), uint16(1000+s.IntN(12))))
	if id < explained {
		f.proto = explainedServices[id%len(explainedServices)].proto
	}
	if n := len(s.known); n > 0 && s.IntN(2) == 0 {
		known := s.known[s.IntN(n)]
		f.proto, f.src, f.dst = known.proto, known.src, known.dst
		f.flags = []string{"S", "S", "S", "A", "FA", "R", "", "", "SR"}[s.IntN(9)]
	}
	if s.IntN(4) == 0 { // as a server would answer
		id %= len(explainedServices)
		if f.src.Addr().Is6() {
			id += len(explainedServices)
		}
		f.from, f.src, f.dst = serverMAC, s.serverAddr(uint32(id*4+s.IntN(4))), f.src
		if n := len(s.answers); n > 0 {
			answered := s.answers[s.IntN(n)]
			f.proto, f.src, f.dst = answered.proto, answered.src, answered.dst
		}
	}
	switch s.IntN(40) {
	case 0:
		f.ttl = 1
	case 1:
		f.to = clientMAC
	case 2:
		f.proto = 1
	case 3:
		f.src = netip.AddrPortFrom(f.src.Addr(), 20)
	case 4, 5, 6, 7, 8, 9:
		f.payload = "long enough for a small MTU"
		if s.IntN(2) == 0 {
			f.ip = func(ip *layers.IPv4) { ip.Flags = 0 }
		}
	}
	return f.bytes(s.tb)
}

// remember keeps the last tuples that were forwarded, for packets to come.
func (s *story) remember(told EkDryExplanation, why reasons.Reason) {
	const most = 40
	if why != reasons.ForwardedNAT && why != reasons.ForwardedDR && why != reasons.ForwardedTUN {
		return
	}
	answer := s.answerTo(told)
	if why == reasons.ForwardedNAT {
		s.answers = append(s.answers, answer)
		s.answers = s.answers[max(0, len(s.answers)-most):]
	}
	s.known = append(s.known, frame{proto: answer.proto, src: answer.dst, dst: s.vip(int(told.Service))})
	s.known = s.known[max(0, len(s.known)-most):]
}

// answerTo is the tuple of a server's answer.
func (s *story) answerTo(told EkDryExplanation) frame {
	if told.V6 != 0 {
		addr := netip.AddrFrom16(told.Key6.Caddr)
		return frame{
			proto: told.Key6.Proto, src: s.serverAddr(told.Server), dst: netip.AddrPortFrom(addr, wire16(told.Key6.Cport)),
		}
	}
	var addr [4]byte
	binary.NativeEndian.PutUint32(addr[:], told.Key.Caddr)
	return frame{
		proto: told.Key.Proto, src: s.serverAddr(told.Server),
		dst: netip.AddrPortFrom(netip.AddrFrom4(addr), wire16(told.Key.Cport)),
	}
}

// between lets something happen.
func (s *story) between() {
	switch s.IntN(20) {
	case 0:
		s.change(s.IntN(explained))
	case 1:
		s.turn(time.Duration(s.IntN(90)) * time.Second)
	case 2:
		s.sweep()
	}
}

// What explain says is what then happens, byte for byte and counter for
// counter, and saying it changes nothing.
func TestExplainIsWhatHappens(t *testing.T) {
	cases := steps(10000)
	seed := labtest.Seed(t)
	s := &story{twin: newTwin(t, 64), Rand: rand.New(rand.NewPCG(seed, 0))}
	s.setUp()
	happened, ways := map[reasons.Reason]int{}, map[string]int{}
	onOneCPU(t, func() {
		for i := range cases {
			s.between()
			in := s.packet()
			before := s.sum()
			told, verdict, out := s.explain(in)
			if s.sum() != before {
				t.Fatalf("case %d: explaining % x changed a map", i, in)
			}
			gotVerdict, gotOut := s.run(in)
			why := s.reason()
			happened[why]++
			if gotVerdict != verdict || uint32(why) != told.Reason || !bytes.Equal(gotOut, out) {
				t.Fatalf("case %d: told verdict %d because of %s and % x, then it was %d because of %s and % x",
					i, verdict, reasons.Reason(told.Reason), out, gotVerdict, why, gotOut)
			}
			ways[wayOf(told)]++
			s.compare(i, told, why)
			s.remember(told, why)
		}
	})
	t.Log(happened)
	t.Log(ways)
	if testing.Short() {
		return // with some cases of most ways, not of all
	}
	for _, six := range []family{false, true} {
		for _, want := range []string{"a flow", "a closed flow", "a reply", "a new flow", "ports of a closed flow", "a template", "a datagram alone"} {
			if ways[six.String()+", "+want] == 0 {
				t.Errorf("no case of %s, %s", six, want)
			}
		}
	}
	for _, want := range []reasons.Reason{
		reasons.NotOurMAC, reasons.OtherProtocol, reasons.NoService, reasons.NoFlow, reasons.SourcePort20, reasons.ServerDeleted,
		reasons.NoNextHop, reasons.FlowTableFull, reasons.TooBig, reasons.TemplatesFull, reasons.PortUnreachable,
		reasons.TimeExceeded, reasons.FragNeeded, reasons.ForwardedDR, reasons.ForwardedNAT, reasons.ForwardedReply,
		reasons.ForwardedTUN, reasons.LocalServer,
	} {
		if happened[want] == 0 {
			t.Errorf("no case ended in %s", want)
		}
	}
}

// wayOf says what kind of case an explanation is of.
func wayOf(told EkDryExplanation) string {
	six, state := family(told.V6 != 0).String()+", ", unpack(told.Flow.Now.Word).state
	closed := told.HasFlow != 0 && (state == EkFlowStateFLOW_CLOSE || state == EkFlowStateFLOW_TIME_WAIT)
	switch {
	case told.Templated != 0:
		return six + "a template"
	case told.Way == EkDryExplainedWayWAY_ONE_PACKET:
		return six + "a datagram alone"
	case told.Way == EkDryExplainedWayWAY_REPLY:
		return six + "a reply"
	case told.Way == EkDryExplainedWayWAY_NEW && closed:
		return six + "ports of a closed flow"
	case told.Way == EkDryExplainedWayWAY_NEW:
		return six + "a new flow"
	case told.Way == EkDryExplainedWayWAY_FLOW && closed:
		return six + "a closed flow"
	case told.Way == EkDryExplainedWayWAY_FLOW:
		return six + "a flow"
	}
	return six + "none"
}

// compare looks at the flow that is there after the packet.
func (s *story) compare(i int, told EkDryExplanation, why reasons.Reason) {
	s.tb.Helper()
	if told.Way == EkDryExplainedWayWAY_NONE || told.Way == EkDryExplainedWayWAY_ONE_PACKET ||
		why == reasons.FlowTableFull || why == reasons.ServerDeleted {
		return
	}
	flow := s.entry(i, told)
	if flow.Now.Word != told.Becomes.Word {
		s.tb.Fatalf("case %d: the flow is %+v, told %+v", i, unpack(flow.Now.Word), unpack(told.Becomes.Word))
	}
	if told.HasServer == 0 || unpack(flow.Now.Word).server != told.Server {
		s.tb.Fatalf("case %d: the flow went to server %d, told %d", i, unpack(flow.Now.Word).server, told.Server)
	}
}

// entry is what lies in the flow table for the tuple of an explanation.
func (s *story) entry(i int, told EkDryExplanation) (flow EkFlow) {
	s.tb.Helper()
	var err error
	if told.V6 != 0 {
		k := told.Key6
		key := EkFlow6Key{Caddr: k.Caddr, Vaddr: k.Vaddr, Cport: k.Cport, Vport: k.Vport, Proto: k.Proto}
		err = s.innerOf("ek_flows6")[told.Shard].Lookup(key, &flow)
	} else {
		k := told.Key
		key := EkFlowKey{Caddr: k.Caddr, Vaddr: k.Vaddr, Cport: k.Cport, Vport: k.Vport, Proto: k.Proto}
		err = s.innerOf("ek_flows")[told.Shard].Lookup(key, &flow)
	}
	if err != nil {
		s.tb.Fatalf("case %d: flow %+v %+v: %v", i, told.Key, told.Key6, err)
	}
	return flow
}
