//go:build bpf

package bpf

import (
	"bytes"
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/model"
)

// comment sends an ICMP error about a packet of the service: of a router behind it
// about an answer, or of one before the server about a request, as NAT sends it.
func (s *parityStory) comment(c *cell) {
	s.tb.Helper()
	about := errorKinds(c.six)[s.IntN(6)]
	about.ttl = uint8(2 + s.IntN(254))
	if s.IntN(20) == 0 {
		about.ttl = 1
	}
	quoted := frame{proto: uint8(c.service.Key.Protocol), flags: "A", payload: "what was said", ttl: 63}
	at, server, client := c.service.Key.Addr, s.server(c, s.IntN(3)).Addr, s.request(c).src
	if flows := s.ipvs.open[c.service.Key]; len(flows) > 0 && s.IntN(8) > 0 {
		flow := flows[s.IntN(len(flows))]
		client = flow.tuple.src
		if d := s.ipvs.dests[flow.slot].Server.Addr; d.Addr().Is6() == bool(c.six) {
			server = d
		}
	}
	if server.Addr().Is6() != bool(c.six) || s.IntN(2) == 0 {
		quoted.src, quoted.dst = at, client
		about.from, about.to = clientMAC, ownMAC
		about.src, about.dst = c.six.of(router).Addr(), at.Addr()
	} else {
		quoted.src, quoted.dst = client, server
		about.from, about.to = serverMAC, ownMAC
		about.src, about.dst = server.Addr(), client.Addr()
	}
	about.quote = quoteOf(s.tb, quoted, []int{8, 9 + s.IntN(20), -1}[s.IntN(3)])
	s.sendComment(about, quoted)
}

// sendComment runs an error through the program and the model and compares what
// becomes of it.
func (w *world) sendComment(about notice, quoted frame) {
	w.tb.Helper()
	in := about.bytes(w.tb)
	want := w.ipvs.comment(about, quoted, uint64(ipSize(in)))
	w.note("%s > %s: error %d code %d about %s > %s proto %d: %s by server %d",
		about.src, about.dst, about.typ, about.code, quoted.src, quoted.dst, quoted.proto, want.reason, want.slot)
	options := ebpf.RunOptions{Data: in, DataOut: w.out, Context: xdpContext{DataEnd: uint32(len(in)), Ingress: inside}}
	verdict, err := w.o.EkXdp.Run(&options)
	if err != nil {
		w.tb.Fatalf("run an error of %d bytes: %v", len(in), err)
	}
	w.compareFate(want, verdict)
	expect := w.commentLeaves(about, quoted, want)
	got := options.DataOut
	if want.method == model.TUN && len(got) > len(expect) {
		got = got[len(got)-len(expect):] // what is in the tunnel
	}
	if expect != nil && !bytes.Equal(got, expect) {
		w.fail("%s: sent\n% x, want\n% x", want.reason, got, expect)
	}
	w.compare()
}

// comment is IPVS's decision about an ICMP error. It moves no flow on, and counts to
// servers that are not deleted.
func (v *ipvs) comment(about notice, quoted frame, size uint64) fate {
	fate := v.decideComment(about, quoted, size)
	v.reasons[fate.reason]++
	return fate
}

func (v *ipvs) decideComment(about notice, quoted frame, size uint64) fate {
	back := ipvsTuple{quoted.dst, quoted.src, model.Protocol(quoted.proto)}
	if flow := v.flows[back]; flow != nil { // about an answer
		if d := v.dests[flow.slot]; !d.Deleted {
			v.countIn(flow.slot, d.Service, size, 0)
		}
		if about.ttl == 1 {
			return fate{reason: reasons.TTLExceeded}
		}
		return fate{reason: reasons.ForwardedICMP, slot: flow.slot, method: flow.method, flow: flow}
	}
	flow := v.replies[back]
	if flow == nil {
		return fate{reason: reasons.ICMPUnrelated}
	}
	if d := v.dests[flow.slot]; !d.Deleted {
		for _, s := range []*EkStats{&v.serverStats[flow.slot], &v.serviceStats[d.Service]} {
			s.OutPkts++
			s.OutBytes += size
		}
	}
	if about.ttl == 1 {
		return fate{reason: reasons.TTLExceeded}
	}
	return fate{reason: reasons.ForwardedICMPReply, slot: flow.slot, flow: flow}
}

// commentLeaves is the frame that leaves, by TUN the packet inside; nil where none
// does.
func (w *world) commentLeaves(about notice, quoted frame, what fate) []byte {
	w.tb.Helper()
	out := about
	out.from, out.ttl = ownMAC, about.ttl-1
	translate := func(src, dst netip.AddrPort) {
		out.quote = translated(w.tb, about.quote, quoted.with(func(f *frame) { f.src, f.dst = src, dst }))
	}
	switch what.reason {
	case reasons.ForwardedICMP:
		out.to = slotMAC(what.slot)
		if what.method == model.TUN {
			return out.bytes(w.tb)[14:]
		}
		if server := w.ipvs.dests[what.slot].Server.Addr; what.method == model.NAT {
			out.dst = server.Addr()
			translate(server, quoted.dst)
		}
	case reasons.ForwardedICMPReply:
		out.to, out.src = what.flow.from, what.flow.tuple.dst.Addr()
		translate(quoted.src, what.flow.tuple.dst)
	case reasons.ICMPUnrelated:
		return about.bytes(w.tb)
	default:
		return nil
	}
	return out.bytes(w.tb)
}
