//go:build bpf

package bpf

import (
	"net/netip"
	"testing"

	"github.com/evenkeel/evenkeel/bpf/reasons"
)

// unknow clears all bytes, as if neither services nor servers had ever been there.
func (r *rig) unknow() {
	r.tb.Helper()
	r.known = EkKnown{}
	zero(r.tb, r.o.EkKnown)
}

// A packet is looked at only when one of its ends is known: the destination as a
// service's, or the source as a server's. Nothing is an answer whose source is not known.
func TestForeignPacketsEndAtOneTest(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		for _, f := range []frame{six.syn(), six.datagram("ping")} {
			r.know(six.of(vip))
			r.send(f.bytes(t), xdpTX, reasons.ForwardedNAT)
			back := six.frame(frame{
				from: serverMAC, to: ownMAC, src: real2, dst: client, proto: f.proto, flags: "SA", payload: "pong",
			}).bytes(t)
			for _, known := range []struct {
				end               netip.AddrPort
				request, response bool
			}{
				{six.of(vip), true, false},
				{six.of(real2), false, true},
				{six.of(client), true, false},
				{netip.AddrPortFrom(six.of(client).Addr(), client.Port()+1), false, false},
				{netip.AddrPortFrom(six.of(vip).Addr(), vip.Port()+1), false, false},
			} {
				r.unknow()
				r.know(known.end)
				r.fate(f.bytes(t), known.request, reasons.ForwardedNAT)
				r.fate(back, known.response, reasons.ForwardedReply)
			}
			r.unknow()
		}
	})
}

// fate sends a packet that is either forwarded or nobody's, and then goes up as it
// came.
func (r *rig) fate(packet []byte, forwarded bool, as reasons.Reason) {
	r.tb.Helper()
	if forwarded {
		r.send(packet, xdpTX, as)
		return
	}
	r.goesUp(packet, reasons.NoService)
}

// A known end alone makes nothing ours. What is nobody's is so before anything else that is wrong
// with it, and what may be ours keeps its reason to go up.
func TestWhatIsKnownIsLookedAt(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_DR)
		elsewhere := six.of(netip.MustParseAddrPort("192.0.2.99:80"))
		stray := six.syn().with(func(f *frame) { f.dst = elsewhere }).bytes(t)
		r.send(stray, xdpPass, reasons.NoService)
		r.know(elsewhere)
		r.send(stray, xdpPass, reasons.NoService)
		r.send(six.syn().flag("A").bytes(t), xdpPass, reasons.NoFlow)
		cut, other := six.syn().bytes(t)[:14+six.header()+8], six.syn().with(func(f *frame) { f.to = serverMAC }).bytes(t)
		r.send(cut, xdpPass, reasons.Truncated)
		r.send(other, xdpPass, reasons.NotOurMAC)
		r.unknow()
		r.send(six.syn().flag("A").bytes(t), xdpPass, reasons.NoService)
		r.send(cut, xdpPass, reasons.NoService)
		r.send(other, xdpPass, reasons.NoService)
	})
}

// SCTP, and what has IPv6's extension headers, is nobody's too when no end is known, though a
// service would take it.
func TestForeignPacketsOfAllKinds(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		takes := func(r *rig, f frame) {
			t.Helper()
			r.unknow()
			r.fate(f.bytes(t), false, reasons.ForwardedDR)
			r.know(six.of(vip))
			r.fate(f.bytes(t), true, reasons.ForwardedDR)
		}
		takes(newSCTP(t, six, EkForwardFORWARD_DR), six.frame(association("INIT")))
		if six {
			takes(newServiceOf(t, six, EkForwardFORWARD_DR), six.syn().with(func(f *frame) { f.extType, f.ext = 60, hop(6, 1) }))
		}
	})
}
