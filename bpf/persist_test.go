//go:build bpf

package bpf

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/bpf/reasons"
)

// newPersistent is a rig with two servers in a service that sticks for 100 s.
func newPersistent(tb testing.TB, forward EkForward, prefix uint8) *rig {
	tb.Helper()
	r := newService(tb, forward)
	r.server(2, 0, real3, forward)
	r.order(0, nil, entry{0, 1}, entry{2, 1})
	r.persistent(6, vip, 100*time.Second, prefix)
	return r
}

func (r *rig) wantPersistent(slot, want uint32) {
	r.tb.Helper()
	if got := r.conns(slot).Persistent; got != want {
		r.tb.Fatalf("server %d has %d templates, want %d", slot, got, want)
	}
}

// fromAddr is the same packet from another client.
func (f frame) fromAddr(addr string) frame {
	f.src = netip.AddrPortFrom(netip.MustParseAddr(addr), f.src.Port())
	return f
}

// open sends a SYN and returns the slot whose total went up, or -1.
func (r *rig) openAnywhere(f frame, slots ...uint32) int {
	r.tb.Helper()
	before := map[uint32]uint32{}
	for _, slot := range slots {
		before[slot] = r.conns(slot).Total
	}
	r.run(f.bytes(r.tb))
	r.reason()
	for _, slot := range slots {
		if r.conns(slot).Total > before[slot] {
			return int(slot)
		}
	}
	return -1
}

// Directed sequence 18: a client stays with its server, also one that is over
// its threshold or has no weight; another client gets the next.
func TestPersistenceKeepsTheServer(t *testing.T) {
	for _, forward := range []EkForward{EkForwardFORWARD_DR, EkForwardFORWARD_NAT} {
		r := newPersistent(t, forward, 32)
		first := r.openAnywhere(syn().fromPort(1000), 0, 2)
		r.put(r.o.EkServerConns, uint32(first), EkServerConns{Active: 1, Total: 1, Persistent: 1, Overloaded: 1})
		r.order(0, nil, entry{uint32(first), 0}, entry{uint32(2 - first), 1})
		for port := uint16(1001); port < 1005; port++ {
			if got := r.openAnywhere(syn().fromPort(port), 0, 2); got != first {
				t.Fatalf("port %d went to slot %d, want %d", port, got, first)
			}
		}
		if got := r.openAnywhere(syn().fromAddr("203.0.113.10"), 0, 2); got != 2-first {
			t.Errorf("another client went to slot %d, want %d", got, 2-first)
		}
		r.wantPersistent(0, 1)
		r.wantPersistent(2, 1)
	}
}

func TestPersistenceGranularity(t *testing.T) {
	r := newPersistent(t, EkForwardFORWARD_DR, 24)
	first := r.openAnywhere(syn(), 0, 2)
	if got := r.openAnywhere(syn().fromAddr("203.0.113.200"), 0, 2); got != first {
		t.Errorf("a neighbour in the /24 went to slot %d, want %d", got, first)
	}
	if got := r.openAnywhere(syn().fromAddr("203.0.114.1"), 0, 2); got != 2-first {
		t.Errorf("another /24 went to slot %d, want %d", got, 2-first)
	}
}

// A template lives as long as it is used, and 60 s more, again and again, while
// it holds live flows; it never gets its own time back.
func TestTemplateOutlivesItsTimeByItsFlows(t *testing.T) {
	r := newPersistent(t, EkForwardFORWARD_DR, 32)
	first := r.openAnywhere(syn().fromPort(1000), 0, 2)
	r.run(syn().fromPort(1000).flag("A").bytes(t)) // established, 900 s
	r.reason()
	r.advance(99 * time.Second)
	r.sweep()
	if r.templates.Seen != 1 {
		t.Fatalf("before its time: %+v", r.templates)
	}
	for range 5 { // its time is over, the flow lives
		r.advance(59 * time.Second)
		r.sweep()
		if r.templates.Seen != 1 || r.templates.Expired != 0 {
			t.Fatalf("with a live flow: %+v", r.templates)
		}
	}
	if got := r.openAnywhere(syn().fromPort(1001), 0, 2); got != first {
		t.Errorf("a new flow went to slot %d, want %d", got, first)
	}
	for r.conns(uint32(first)).Total > 0 {
		r.advance(time.Second)
		r.sweep()
	}
	// The flows are dead; the template has the rest of its last minute.
	r.wantPersistent(uint32(first), 1)
	r.advance(61 * time.Second)
	r.sweep()
	if r.templates.Expired != 1 {
		t.Fatalf("at the end: %+v", r.templates)
	}
	r.wantPersistent(uint32(first), 0)
	r.sweep()
	if r.templates.Removed != 1 {
		t.Errorf("after the end: %+v", r.templates)
	}
}

func TestTemplateWithoutFlowsExpires(t *testing.T) {
	r := newPersistent(t, EkForwardFORWARD_DR, 32)
	first := r.openAnywhere(syn(), 0, 2) // 60 s in SYN_RECV
	r.advance(61 * time.Second)
	r.sweep()
	r.advance(40 * time.Second) // nobody swept: packets see the end themselves
	if got := r.openAnywhere(syn().fromPort(1), 0, 2); got != 2-first {
		t.Errorf("after the end of the template: slot %d, want %d", got, 2-first)
	}
	r.wantPersistent(uint32(first), 0)
	r.wantPersistent(uint32(2-first), 1)
}

func TestTemplateOfADeletedServerIsMadeAnew(t *testing.T) {
	r := newPersistent(t, EkForwardFORWARD_DR, 32)
	first := r.openAnywhere(syn(), 0, 2)
	other := uint32(2 - first)
	r.order(0, nil, entry{other, 1})
	r.server(uint32(first), 0, real1, EkForwardFORWARD_DR, func(s *EkServer) { s.Flags |= serverDeleted })
	if got := r.openAnywhere(syn().fromPort(1), 0, 2); got != int(other) {
		t.Errorf("went to slot %d, want %d", got, other)
	}
	r.wantPersistent(uint32(first), 0)
	r.wantPersistent(other, 1)
	r.send(syn().flag("A").bytes(t), xdpDrop, reasons.ServerDeleted)
}

// A flow that a template controls is not rescheduled when its port is used
// again (IPVS excepts it from conn_reuse_mode).
func TestNoPortReuseUnderATemplate(t *testing.T) {
	r := newPersistent(t, EkForwardFORWARD_NAT, 32)
	first := r.openAnywhere(syn(), 0, 2)
	back := serverSegment("R").with(func(f *frame) {
		if first == 2 {
			f.src = real3
		}
	})
	r.send(back.bytes(t), xdpTX, reasons.ForwardedReply)
	r.wantConns(uint32(first), 0, 1)
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedNAT)
	r.wantConns(uint32(first), 1, 1)
}

func TestNoServerMakesNoTemplate(t *testing.T) {
	r := newPersistent(t, EkForwardFORWARD_DR, 32)
	r.order(0, nil)
	r.send(syn().bytes(t), xdpTX, reasons.PortUnreachable)
	r.order(0, nil, entry{2, 1})
	if got := r.openAnywhere(syn(), 0, 2); got != 2 {
		t.Errorf("went to slot %d, want 2", got)
	}
	r.wantPersistent(2, 1)
}

// Templates and what they control under concurrency: all counted in and out.
func TestTemplatesUnderConcurrency(t *testing.T) {
	r := newPersistent(t, EkForwardFORWARD_NAT, 32)
	var work sync.WaitGroup
	for worker := range 4 {
		work.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 3))
			for range 6000 {
				f := syn().fromPort(uint16(1000 + random.IntN(50)))
				f.src = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(random.IntN(20))}), f.src.Port())
				f.flags = []string{"S", "A", "F", "R"}[random.IntN(4)]
				if _, _, err := r.try(f.bytes(t)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	stop := make(chan struct{})
	var control sync.WaitGroup
	control.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			r.advance(7 * time.Second)
			r.sweep()
		}
	})
	work.Wait()
	close(stop)
	control.Wait()
	for range 3 {
		r.advance(time.Hour)
		r.sweep()
	}
	for _, slot := range []uint32{0, 2} {
		r.wantConns(slot, 0, 0)
		r.wantPersistent(slot, 0)
	}
}

// Directed sequence 19: every datagram is scheduled for itself and leaves
// nothing behind.
func TestOnePacketScheduling(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	r.server(2, 1, real3, EkForwardFORWARD_DR, func(s *EkServer) { s.Dmac = slotMAC(2) })
	r.order(1, nil, entry{1, 1}, entry{2, 1})
	r.scheduled(1, 17, vip, EkSchedulerSCHED_RR, 0x04)
	for i, want := range [][6]byte{serverMAC, slotMAC(2), serverMAC, slotMAC(2)} {
		out := r.send(datagram("x").bytes(t), xdpTX, reasons.ForwardedDR)
		if [6]byte(out[:6]) != want {
			t.Errorf("datagram %d went to % x, want % x", i, out[:6], want)
		}
	}
	r.wantConns(1, 0, 0)
	r.wantConns(2, 0, 0)
	if got := r.sweep(); got.Seen != 0 {
		t.Errorf("flows are left: %+v", got)
	}
	if got := r.stats(r.o.EkServiceStat, 1); got.Conns != 4 || got.InPkts != 4 {
		t.Errorf("statistics %+v", got)
	}
}
