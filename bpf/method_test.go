//go:build bpf

package bpf

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/bpf/reasons"
)

// A flow keeps the method that it was born with when the server's is changed.
func TestFlowKeepsItsMethod(t *testing.T) {
	nat := newService(t, EkForwardFORWARD_NAT)
	nat.send(syn().bytes(t), xdpTX, reasons.ForwardedNAT)
	nat.server(0, 0, real2, EkForwardFORWARD_DR)
	nat.send(syn().flag("A").bytes(t), xdpTX, reasons.ForwardedNAT)
	nat.send(serverSegment("A").bytes(t), xdpTX, reasons.ForwardedReply)
	nat.send(syn().fromPort(1).bytes(t), xdpTX, reasons.ForwardedDR)

	dr := newService(t, EkForwardFORWARD_DR)
	dr.send(syn().bytes(t), xdpTX, reasons.ForwardedDR)
	dr.server(0, 0, real2, EkForwardFORWARD_NAT)
	dr.send(syn().flag("A").bytes(t), xdpTX, reasons.ForwardedDR)
	dr.send(syn().fromPort(1).bytes(t), xdpTX, reasons.ForwardedNAT)
}

// A time-out of a second keeps a busy flow alive, too.
func TestShortTimeoutIsRefreshed(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	settings := EkSettings{LayoutVersion: layoutVersion}
	copy(settings.Timeout[:], timeouts[:])
	settings.Timeout[EkFlowStateFLOW_UDP] = 1
	r.put(r.o.EkSettings, uint32(0), settings)
	for range 20 {
		r.send(datagram("x").bytes(t), xdpTX, reasons.ForwardedDR)
		r.advance(300 * time.Millisecond)
		if got := r.sweep(); got.Expired != 0 {
			t.Fatalf("a flow that is used every 0.3 s ended: %+v", got)
		}
	}
	if got := r.stats(r.o.EkServiceStat, 1).Conns; got != 1 {
		t.Errorf("%d flows, want 1", got)
	}
}
