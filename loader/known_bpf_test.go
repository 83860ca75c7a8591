//go:build bpf

package loader

import (
	"net/netip"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// wantKnown compares the bytes in the map with those of so many ends.
func (r *rig) wantKnown(when string, ends ...netip.AddrPort) {
	r.t.Helper()
	var want lbmaps.Known
	for _, end := range ends {
		want.Add(end)
	}
	got, err := r.maps.Known()
	check(r.t, err)
	if *got != want || r.known != want {
		r.t.Errorf("%s: the map or what is remembered of it differs from the bytes of %v", when, ends)
	}
}

// collectAll frees, two minutes later, the slots of all servers without flows.
func (r *rig) collectAll(from time.Time) {
	r.t.Helper()
	for _, after := range []time.Duration{0, trashPeriod} {
		check(r.t, r.collect(from.Add(after)))
	}
}

func TestKnownEndsComeAndGo(t *testing.T) {
	r := newRig(t)
	svc, real := service(vip), realServer(1, 1)
	packet := func(want reasons.Reason) {
		t.Helper()
		before := r.count(want)
		r.run(datagram(netip.AddrPortFrom(client, 1000), vip))
		if r.count(want) != before+1 {
			counts, _ := r.Reasons()
			t.Errorf("the packet did not end as %s; all reasons: %v", want, counts)
		}
	}
	start := time.Now()
	r.wantKnown("at first")
	packet(reasons.NoService)
	for range 2 {
		r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, real))
		r.wantKnown("with a service", vip, real.Addr)
		packet(reasons.NoNextHop) // and a flow is there
		r.apply(op(sched.DelServer, svc, real))
		r.collectAll(start)
		r.wantKnown("with a server that is gone, but not its flow", vip, real.Addr)
		packet(reasons.ServerDeleted)
		r.apply(op(sched.DelService, svc))
		r.collectAll(start)
		r.wantKnown("with a service that is gone, but not its flow", vip, real.Addr)
		packet(reasons.ServerDeleted)
		r.restart()
		r.collectAll(start)
		r.wantKnown("with the same after a restart", vip, real.Addr)
		packet(reasons.ServerDeleted)
		r.advance(time.Hour)
		check(t, r.SweepNow(plainly))
		r.collectAll(start)
		r.wantKnown("when all is gone")
		packet(reasons.NoService)
	}
}

// A start sets what is missing at once, and clears what is too much when it looks after
// the slots.
func TestStartMendsKnownEnds(t *testing.T) {
	r := newRig(t)
	ends := []netip.AddrPort{vip, netip.MustParseAddrPort("[2001:db8:100::1]:53")}
	reals := []netip.AddrPort{realServer(1, 1).Addr, netip.MustParseAddrPort("[2001:db8::51]:5353")}
	for i, end := range ends {
		r.apply(op(sched.AddService, service(end)), op(sched.AddServer, service(end), model.Server{Addr: reals[i], Forward: model.NAT, Weight: 1}))
	}
	all := append(ends, reals...)
	r.wantKnown("with two services", all...)
	check(t, r.maps.PutKnown(lbmaps.KnownEnd(vip), 0))
	r.restart()
	r.wantKnown("with one missing before the start", all...)

	stray := netip.MustParseAddrPort("192.0.2.77:7")
	check(t, r.maps.PutKnown(lbmaps.KnownEnd(stray), 1))
	r.restart()
	r.wantKnown("with one too many before the start", append(all, stray)...)
	r.collectAll(time.Now())
	r.wantKnown("after the slots were looked after", all...)
}
