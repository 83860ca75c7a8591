//go:build bpf

package bpf

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/sched"
)

// from is the same packet from another port of the client.
func (f frame) fromPort(port uint16) frame {
	f.src = netip.AddrPortFrom(f.src.Addr(), port)
	return f
}

func TestUDPIsNeverActive(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	for range 3 {
		r.send(datagram("x").bytes(t), xdpTX, reasons.ForwardedDR)
	}
	r.wantConns(1, 0, 1)
}

func TestSweepCountsOutWhatExpired(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		for _, forward := range []EkForward{EkForwardFORWARD_DR, EkForwardFORWARD_NAT} {
			testSweep(t, six, forward)
		}
	})
}

func testSweep(t *testing.T, six family, forward EkForward) {
	r := newServiceOf(t, six, forward)
	r.run(six.syn().bytes(t))         // 60 s in SYN_RECV
	r.run(six.datagram("x").bytes(t)) // 300 s
	r.advance(60 * time.Second)
	if got := r.sweep(); got.Expired != 1 || got.Seen != 1 || got.Removed != 0 {
		t.Errorf("after 60 s: %+v", got)
	}
	r.wantConns(0, 0, 0)
	r.wantConns(1, 0, 1)
	r.advance(240 * time.Second)
	if got := r.sweep(); got.Expired != 1 || got.Removed != 1 {
		t.Errorf("after 300 s: %+v", got)
	}
	if got := r.sweep(); got.Removed != 1 || got.Seen != 0 {
		t.Errorf("last pass: %+v", got)
	}
	r.wantConns(1, 0, 0)
	for _, replies := range []*ebpf.Map{r.o.EkReplies, r.o.EkReplies6} {
		key := make([]byte, replies.KeySize())
		if err := replies.NextKey(nil, &key); err == nil {
			t.Errorf("reply tuple % x is left", key)
		}
	}
	r.entries(func(f EkFlow) { t.Errorf("the entry %+v is left", f) })
}

func TestPacketsKeepAFlowAlive(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	for range 10 {
		r.send(datagram("x").bytes(t), xdpTX, reasons.ForwardedDR)
		r.advance(299 * time.Second)
		if got := r.sweep(); got.Expired != 0 {
			t.Fatalf("%+v", got)
		}
	}
}

// An expired flow that the sweep has not met yet is over for packets as well.
func TestExpiredFlowIsAMiss(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	r.server(2, 0, real3, EkForwardFORWARD_DR)
	r.order(0, nil, entry{0, 1}, entry{2, 1})
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedDR)
	r.wantConns(0, 1, 1)
	r.advance(61 * time.Second)
	r.send(syn().flag("A").bytes(t), xdpPass, reasons.NoFlow)
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedDR) // takes the entry over
	r.wantConns(0, 0, 0)
	r.wantConns(2, 1, 1)
	if got := r.sweep(); got.Seen != 1 || got.Expired != 0 || got.Removed != 0 {
		t.Errorf("sweep %+v", got)
	}
}

func TestDeadEntryIsTakenOver(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedNAT)
	r.advance(61 * time.Second)
	if got := r.sweep(); got.Expired != 1 {
		t.Fatalf("sweep %+v", got)
	}
	r.send(syn().flag("A").bytes(t), xdpPass, reasons.NoFlow)
	r.send(serverSegment("A").bytes(t), xdpPass, reasons.NoService)
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedNAT)
	r.send(serverSegment("SA").bytes(t), xdpTX, reasons.ForwardedReply)
	r.wantConns(0, 1, 1)
	if got := r.sweep(); got.Seen != 1 || got.Removed != 0 {
		t.Errorf("sweep %+v", got)
	}
}

// A SYN on a flow that is over is a new connection (conn_reuse_mode 1): a new
// decision, counted in before the old flow is counted out.
func TestPortReuse(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	r.server(2, 0, real3, EkForwardFORWARD_NAT)
	r.order(0, nil, entry{0, 1}, entry{2, 1})
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedNAT)
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedNAT) // a repeated SYN is not
	r.wantConns(0, 1, 1)
	r.send(syn().flag("R").bytes(t), xdpTX, reasons.ForwardedNAT) // SYN_RECV stays, as IPVS has it
	r.wantConns(0, 1, 1)
	r.send(serverSegment("R").bytes(t), xdpTX, reasons.ForwardedReply)
	r.wantConns(0, 0, 1)
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedNAT)
	r.wantConns(0, 0, 0)
	r.wantConns(2, 1, 1)
	r.send(serverSegment("A").bytes(t), xdpPass, reasons.NoService) // the old server's tuple is gone
	back := serverSegment("SA").with(func(f *frame) { f.src = real3 })
	r.send(back.bytes(t), xdpTX, reasons.ForwardedReply)
	if got := r.stats(r.o.EkServiceStat, 0).Conns; got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
}

// A connection that is over ends by the SYN on its ports even if that opens no new
// one: for want of a server, or because the segment is a reset as well.
func TestPortReuseEndsTheOldFlowInAnyCase(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_DR)
		for flags, want := range map[string]reasons.Reason{"S": reasons.PortUnreachable, "SR": reasons.NoFlow} {
			r.order(0, nil, entry{0, 1})
			r.send(six.syn().bytes(t), xdpTX, reasons.ForwardedDR)
			r.send(six.syn().flag("").bytes(t), xdpTX, reasons.ForwardedDR) // CLOSE
			r.wantConns(0, 0, 1)
			r.order(0, nil)
			if _, _ = r.run(six.syn().flag(flags).bytes(t)); r.reason() != want {
				t.Errorf("flags %s: not %s", flags, want)
			}
			r.wantConns(0, 0, 0)
			if got := r.sweep(); got.Seen != 0 || got.Expired != 0 || got.Removed != 1 {
				t.Errorf("flags %s: sweep %+v", flags, got)
			}
		}
	})
}

// The client's address and port may come back by another service with the same
// server; the reply belongs to the younger flow and outlives the older one.
func TestReplyTupleOfTwoServices(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	second := netip.MustParseAddrPort("192.0.2.2:80")
	r.service(2, 6, second)
	r.server(2, 2, real2, EkForwardFORWARD_NAT)
	r.order(2, nil, entry{2, 1})
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedNAT)
	r.advance(30 * time.Second)
	r.send(syn().with(func(f *frame) { f.dst = second }).bytes(t), xdpTX, reasons.ForwardedNAT)
	r.advance(31 * time.Second)
	if got := r.sweep(); got.Expired != 1 {
		t.Fatalf("sweep %+v", got)
	}
	out := r.send(serverSegment("SA").bytes(t), xdpTX, reasons.ForwardedReply)
	want := frame{from: ownMAC, to: clientMAC, src: second, dst: client, proto: 6, flags: "SA", ttl: 63}
	wantFrame(t, out, want.bytes(t))
}

// A full table refuses new flows, keeps what it has, and says so.
func TestFullTableRefusesVisibly(t *testing.T) {
	for _, forward := range []EkForward{EkForwardFORWARD_DR, EkForwardFORWARD_NAT} {
		r := newRig(t, 64, sched.Profile{})
		r.service(0, 17, vip)
		r.server(0, 0, real1, forward)
		r.order(0, nil, entry{0, 1})
		var opened, refused []uint16
		for port := uint16(1000); port < 1400; port++ {
			verdict, _ := r.run(datagram("x").fromPort(port).bytes(t))
			switch why := r.reason(); {
			case verdict == xdpTX:
				opened = append(opened, port)
			case verdict == xdpDrop && why == reasons.FlowTableFull:
				refused = append(refused, port)
			default:
				t.Fatalf("verdict %d because of %s", verdict, why)
			}
		}
		if len(opened) < 48 || len(opened) > 80 || len(refused) == 0 {
			t.Fatalf("%d opened, %d refused with room for 64", len(opened), len(refused))
		}
		r.wantConns(0, 0, uint32(len(opened)))
		for _, port := range opened {
			if verdict, _ := r.run(datagram("x").fromPort(port).bytes(t)); verdict != xdpTX {
				t.Fatalf("port %d has a flow and got verdict %d", port, verdict)
			}
			r.reason()
		}
		r.advance(301 * time.Second)
		for range 2 {
			r.sweep()
		}
		r.wantConns(0, 0, 0)
		if verdict, _ := r.run(datagram("x").fromPort(refused[0]).bytes(t)); verdict != xdpTX {
			t.Errorf("after the sweep the table still refuses: verdict %d because of %s", verdict, r.reason())
		}
	}
}

// Without room for the reply tuple the flow is not left behind either.
func TestFullReplyTableUndoesTheFlow(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	for i := range r.o.EkReplies.MaxEntries() {
		r.put(r.o.EkReplies, EkReplyKey{Saddr: i, Proto: 6}, EkReply{})
	}
	r.send(syn().bytes(t), xdpDrop, reasons.FlowTableFull)
	r.wantConns(0, 0, 0)
}
