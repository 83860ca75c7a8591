//go:build bpf

package bpf

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/sched"
)

// overload returns what a service lost, over all CPUs.
func (r *rig) overload(service uint32) (sum EkOverload) {
	r.tb.Helper()
	var cpus []EkOverload
	if err := r.o.EkOverload.Lookup(service, &cpus); err != nil {
		r.tb.Fatal(err)
	}
	for _, c := range cpus {
		sum.Limited += c.Limited
		sum.Evicted += c.Evicted
	}
	return sum
}

// attacker is the nth address of a flood.
func attacker(n int) netip.AddrPort {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x64400000+uint32(n)) // 100.64.0.0/10
	return netip.AddrPortFrom(netip.AddrFrom4(b), uint16(1024+n%50000))
}

func (f frame) by(src netip.AddrPort) frame {
	f.src = src
	return f
}

// A full table makes room for new connections at the cost of the oldest that are
// half-open. Established ones stay, and all is counted.
func TestFloodEvictsHalfOpenFlowsOnly(t *testing.T) {
	for _, forward := range []EkForward{EkForwardFORWARD_DR, EkForwardFORWARD_NAT} {
		r := newRig(t, 1024, sched.Profile{})
		r.service(0, 6, vip)
		r.server(0, 0, real2, forward)
		r.order(0, nil, entry{0, 1})
		const established, flood = 100, 5000
		for port := range uint16(established) {
			for _, flags := range []string{"S", "A"} {
				if verdict, _ := r.run(syn().fromPort(1000 + port).flag(flags).bytes(t)); verdict != xdpTX {
					t.Fatalf("connection %d: verdict %d because of %s", port, verdict, r.reason())
				}
				r.reason()
			}
		}
		for n := range flood {
			verdict, _ := r.run(syn().by(attacker(n)).bytes(t))
			if why := r.reason(); verdict != xdpTX {
				t.Fatalf("SYN %d of the flood: verdict %d because of %s", n, verdict, why)
			}
			if n%100 == 0 { // a connection in between
				good := syn().by(netip.AddrPortFrom(netip.MustParseAddr("198.18.0.1"), uint16(2000+n)))
				r.run(good.bytes(t))
				r.reason()
				r.run(good.flag("A").bytes(t))
				if why := r.reason(); why.Verdict() != reasons.Forward {
					t.Fatalf("the ACK of a connection during the flood: %s", why)
				}
			}
		}
		for port := range uint16(established) {
			if verdict, _ := r.run(syn().fromPort(1000 + port).flag("A").bytes(t)); verdict != xdpTX {
				t.Fatalf("established connection %d was lost: %s", port, r.reason())
			}
			r.reason()
		}
		if got := r.overload(0); got.Evicted == 0 || got.Limited != 0 {
			t.Errorf("overload %+v", got)
		}
		live := uint32(0)
		r.shards(r.o.EkFlows, func(m *ebpf.Map) {
			var key EkFlowKey
			var flow EkFlow
			for all := m.Iterate(); all.Next(&key, &flow); {
				if unpack(flow.Now.Word).state < EkFlowStateFLOW_STATES {
					live++
				}
			}
		})
		r.wantConns(0, live, live)
		r.advance(time.Hour)
		for range 2 {
			r.sweep()
		}
		r.wantConns(0, 0, 0)
		for shard := range uint32(16) {
			var ring EkHalfRing
			if err := r.o.EkHalfRings.Lookup(shard, &ring); err != nil || ring.Used != 0 {
				t.Errorf("shard %d counts %+v, %v", shard, ring, err)
			}
		}
		var key EkReplyKey
		if err := r.o.EkReplies.NextKey(nil, &key); err == nil {
			t.Errorf("reply tuple %+v is left", key)
		}
	}
}

// Nothing half-open, nothing evicted: the table refuses, and keeps what it has.
func TestFullOfEstablishedRefuses(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	opened := 0
	for n := 0; ; n++ {
		r.run(syn().by(attacker(n)).bytes(t))
		if why := r.reason(); why == reasons.FlowTableFull {
			break
		} else if why != reasons.ForwardedDR {
			t.Fatal(why)
		}
		r.send(syn().by(attacker(n)).flag("A").bytes(t), xdpTX, reasons.ForwardedDR)
		opened++
	}
	r.wantConns(0, uint32(opened), uint32(opened))
	if got := r.overload(0); got.Evicted != 0 {
		t.Errorf("overload %+v", got)
	}
}

// The new flow of a victim's tuple is another flow.
func TestVictimMayComeBack(t *testing.T) {
	const flood = 2000
	r := newRig(t, 1024, sched.Profile{})
	r.service(0, 6, vip)
	r.server(0, 0, real2, EkForwardFORWARD_NAT)
	r.order(0, nil, entry{0, 1})
	for n := range flood {
		r.send(syn().by(attacker(n)).bytes(t), xdpTX, reasons.ForwardedNAT)
	}
	first := r.overload(0).Evicted
	for n := range flood {
		r.send(syn().by(attacker(n)).bytes(t), xdpTX, reasons.ForwardedNAT)
	}
	if again := r.overload(0).Evicted; first < flood-1024 || again-first < flood-1024 {
		t.Errorf("%d and then %d evicted", first, again)
	}
	if got := r.conns(0); got.Total > 1024 || got.Total != got.Active {
		t.Errorf("%+v", got)
	}
}

// A service takes burst new flows at once and then rate a second; packets of
// flows that are there pass.
func TestNewFlowRate(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	key := EkServiceKey{Addr: mapped(vip.Addr()), Port: wire16(vip.Port()), Proto: 17}
	r.put(r.o.EkServices, key, EkService{Id: 1, Scheduler: EkSchedulerSCHED_RR, Rate: 10, Burst: 3})
	port := uint16(1000)
	open := func(want reasons.Reason) {
		t.Helper()
		port++
		r.run(datagram("x").fromPort(port).bytes(t))
		if got := r.reason(); got != want {
			t.Errorf("new flow: %s, want %s", got, want)
		}
	}
	for range 3 {
		open(reasons.ForwardedDR)
	}
	open(reasons.RateLimited)
	r.send(datagram("x").fromPort(1001).bytes(t), xdpTX, reasons.ForwardedDR)
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedDR) // another service
	r.advance(99 * time.Millisecond)
	open(reasons.RateLimited)
	r.advance(time.Millisecond)
	open(reasons.ForwardedDR)
	open(reasons.RateLimited)
	r.advance(time.Minute)
	for range 3 {
		open(reasons.ForwardedDR)
	}
	open(reasons.RateLimited)
	if got := r.overload(1); got.Limited != 4 || got.Evicted != 0 {
		t.Errorf("overload %+v", got)
	}
	r.wantConns(1, 0, 7)
}

// A connection that was opened anew is young, though the ring has the entry of its
// first opening still: the next SYN takes an older one.
func TestEvictionSparesTheYoungest(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR) // with 64 entries in each shard
	var flows []frame
	for n := 0; len(flows) < 66; n++ {
		f := syn().by(attacker(n))
		if len(flows) < 10 { // datagrams have no place in the ring
			f = datagram("x").by(attacker(n))
		}
		if k := f.tuple(); shardOf(k.Caddr, k.Cport, k.Vport) == 3 {
			flows = append(flows, f)
		}
	}
	for _, f := range flows[:63] { // one of 64 is kept free
		r.send(f.bytes(t), xdpTX, reasons.ForwardedDR)
	}
	for _, flags := range []string{"F", "S"} {
		r.send(flows[10].flag(flags).bytes(t), xdpTX, reasons.ForwardedDR)
	}
	if got := r.overload(0); got.Evicted != 0 {
		t.Fatalf("%d were evicted from a table with room", got.Evicted)
	}
	for _, f := range flows[63:] {
		r.send(f.bytes(t), xdpTX, reasons.ForwardedDR)
	}
	if got := r.overload(0); got.Evicted != 3 {
		t.Errorf("%d were evicted, want 3", got.Evicted)
	}
	for i, f := range flows {
		_, _, err := r.flow(f.tuple())
		if gone := i >= 11 && i <= 13; gone != (err != nil) {
			t.Errorf("flow %d: %v, gone should be %t", i, err, gone)
		}
	}
}
