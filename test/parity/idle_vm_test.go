//go:build vm

package parity

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// A datagram's flow lives for the kernel's 300 s after it, which in the lane
// counted take seconds. The kernel's timers of that length are up to 16 s late.
func TestCountedIdleFlow(t *testing.T) {
	const idle, late = 300 * time.Second, 20 * time.Second
	s := newSite(t, portsOfKernel)
	r := s.newRun(t, nil, sched.Profile{}, model.Service{Key: model.ServiceKey{Protocol: model.UDP}, Scheduler: "rr"}, model.NAT)
	r.change(t, sched.Op{Kind: sched.AddServer, Service: r.service, Server: r.serverAt(0, 1)})
	p := packet{proto: model.UDP, src: r.client(2000), dst: r.service.Key.Addr, ttl: 64}
	sent := time.Now()
	s.clientSide.send(t, p.bytes(t))
	if side, _ := either(t, s.clientSide, s.serverSide); side.name != s.serverSide.name {
		t.Fatal("the datagram was not forwarded")
	}
	flows := func() (n int) {
		if err := s.kernel.Flows(t.Context(), func(model.Flow) bool { n++; return true }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := flows(); n != 1 {
		t.Fatalf("%d flows after the datagram, want 1", n)
	}
	for flows() > 0 {
		if time.Since(sent) > 2*idle {
			t.Fatalf("the flow still lives after %v", time.Since(sent))
		}
		time.Sleep(time.Second)
	}
	lived := time.Since(sent)
	t.Logf("the flow lived for %v", lived.Round(time.Second))
	if lived < idle-time.Second || lived > idle+late {
		t.Errorf("it lived for %v, want %v", lived, idle)
	}
}
