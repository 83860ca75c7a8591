//go:build bpf

package bpf

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf/reasons"
)

// taken is the flow of a client's packet as another datapath hands it over.
func (f frame) taken(server uint32, state EkFlowState, seconds uint32) EkImport {
	in := EkImport{State: state, Server: server, Seconds: seconds}
	if f.src.Addr().Is6() {
		in.V6 = 1
		in.Key = EkFlow6Key{
			Caddr: f.src.Addr().As16(), Vaddr: f.dst.Addr().As16(),
			Cport: wire16(f.src.Port()), Vport: wire16(f.dst.Port()), Proto: f.proto,
		}
		return in
	}
	key := f.tuple()
	if _, err := binary.Encode(in.Key.Caddr[:], binary.NativeEndian, key); err != nil {
		panic(err)
	}
	return in
}

func (r *rig) take(in EkImport, want uint32) {
	r.tb.Helper()
	if ret, err := r.o.EkImport.Run(&ebpf.RunOptions{Context: in}); err != nil || ret != want {
		r.tb.Fatalf("import = %d, %v; want %d", int32(ret), err, want)
	}
}

// A flow that began elsewhere goes on here: with its server, its state, its time
// and its place in the counters.
func TestImportedFlowGoesOn(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		for forward, why := range map[EkForward]reasons.Reason{
			EkForwardFORWARD_NAT: reasons.ForwardedNAT, EkForwardFORWARD_DR: reasons.ForwardedDR,
		} {
			r := newServiceOf(t, six, forward)
			segment := six.syn().flag("A")
			r.send(segment.bytes(t), xdpPass, reasons.NoFlow)
			r.take(segment.taken(0, EkFlowStateFLOW_ESTABLISHED, 20), 0)
			r.wantConns(0, 1, 1)
			r.take(segment.taken(0, EkFlowStateFLOW_TIME_WAIT, 20), 1)
			r.send(segment.bytes(t), xdpTX, why)
			r.wantConns(0, 1, 1)
			r.send(segment.flag("R").bytes(t), xdpTX, why)
			r.wantConns(0, 0, 1)

			query := six.datagram("x")
			r.take(query.taken(1, EkFlowStateFLOW_UDP, 20), 0)
			r.wantConns(1, 0, 1)
			r.advance(20 * time.Second)
			r.sweep()
			r.wantConns(0, 0, 0)
			r.wantConns(1, 0, 0)

			// In the place of one that is over.
			r.take(query.taken(1, EkFlowStateFLOW_UDP, 20), 0)
			r.send(query.bytes(t), xdpTX, why)
			r.wantConns(1, 0, 1)
		}
	})
}

func TestImportRefusesWhatItDoesNotKnow(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	failed := -1
	r.take(syn().taken(1<<20, EkFlowStateFLOW_ESTABLISHED, 20), uint32(failed))
	r.take(syn().taken(0, EkFlowStateFLOW_STATES, 20), uint32(failed))
	r.wantConns(0, 0, 0)
}

// A service that leaves takes its flows along, and leaves those of others.
func TestLeavingServiceEndsItsFlows(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		r.send(six.syn().bytes(t), xdpTX, reasons.ForwardedNAT)
		r.send(six.datagram("x").bytes(t), xdpTX, reasons.ForwardedNAT)
		r.sweepFlows(1) // service 0
		r.wantConns(0, 0, 0)
		r.wantConns(1, 0, 1)
		r.send(six.syn().flag("A").bytes(t), xdpPass, reasons.NoFlow)
	})
}

// A template that comes from elsewhere sends the client's new flows to its server,
// until its time is over, and each of them gives it the time of the service again.
func TestImportedTemplateHolds(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_DR)
		r.server(2, 0, six.of(real3), EkForwardFORWARD_DR)
		r.order(0, nil, entry{0, 1}, entry{2, 1})
		prefix := uint8(24)
		if six {
			prefix = 56
		}
		r.persistent(6, six.of(vip), 100*time.Second, prefix)
		in := six.syn().fromPort(0).taken(2, 0, 20)
		in.Timeout, in.Prefix = 100, prefix
		r.take(in, 0)
		r.take(in, 1)
		if got := r.conns(2); got.Persistent != 1 || got.Total != 0 {
			t.Fatalf("server 2 counts %+v", got)
		}
		for port := range uint16(3) {
			r.advance(19 * time.Second) // the first one comes in the last second
			if got := r.openAnywhere(six.syn().fromPort(5000+port), 0, 2); got != 2 {
				t.Errorf("flow %d went to slot %d, want 2", port, got)
			}
		}
		r.wantConns(2, 3, 3)
	})
}

// Of a template whose time was over before a packet came nothing is left.
func TestImportedTemplateExpires(t *testing.T) {
	r := newServiceOf(t, false, EkForwardFORWARD_DR)
	r.persistent(6, vip, 100*time.Second, 32)
	in := syn().fromPort(0).taken(0, 0, 20)
	in.Timeout, in.Prefix = 100, 32
	r.take(in, 0)
	r.advance(21 * time.Second)
	for range 2 {
		r.sweep()
	}
	if got, left := r.conns(0), len(keys(t, r.o.EkTemplates)); got.Persistent != 0 || left != 0 {
		t.Errorf("server 0 counts %+v, and %d templates are left", got, left)
	}
}
