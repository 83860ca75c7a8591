//go:build bpf

package loader

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/sched"
)

// list returns the last byte and weight of each server of a service, newest
// first.
func list(tables model.Tables, key model.ServiceKey) [][2]int {
	var got [][2]int
	for _, s := range tables.Services {
		if s.Key == key {
			for _, e := range s.Servers {
				a := e.Addr.Addr().As4()
				got = append(got, [2]int{int(a[3]), int(e.Weight)})
			}
		}
	}
	return got
}

func TestApply(t *testing.T) {
	r := newRig(t)
	svc := service(vip)
	r.apply(
		op(sched.AddService, svc),
		op(sched.AddServer, svc, realServer(1, 1)),
		op(sched.AddServer, svc, realServer(2, 1)),
		op(sched.AddServer, svc, realServer(3, 1)),
		op(sched.EditServer, svc, realServer(2, 0)),
	)
	if got, want := list(r.tables(), svc.Key), [][2]int{{3, 1}, {2, 0}, {1, 1}}; !slices.Equal(got, want) {
		t.Fatalf("servers are %v, want %v", got, want)
	}
	// Newest first, without the one of weight 0: slots 2, 0.
	for i, want := range []int{2, 0, 2, 0} {
		if got := r.chosen(uint16(1000 + i)); got != want {
			t.Errorf("flow %d is on slot %d, want %d", i, got, want)
		}
	}
	s := r.tables().Services[0]
	if s.Counters.Conns != 4 || s.Servers[0].Counters.Conns != 2 || s.Servers[0].Inactive != 2 || s.Servers[0].Active != 0 {
		t.Errorf("counters are %+v", s)
	}

	r.apply(op(sched.DelServer, svc, realServer(3, 0)))
	r.run(datagram(netip.AddrPortFrom(client, 1000), vip))
	if n := r.count(reasons.ServerDeleted); n != 1 {
		t.Errorf("%d packets met a deleted server, want 1", n)
	}
	r.apply(op(sched.AddServer, svc, realServer(3, 1)))
	if got := r.chosen(1000); got != 2 {
		t.Errorf("flow of the server that came back is on slot %d, want 2", got)
	}
	if got := r.tables().Services[0].Servers[0].Counters; got.Conns != 2 || got.InPkts != 3 {
		t.Errorf("counters of the server that came back are %+v, want 2 conns and 3 packets", got)
	}

	r.apply(op(sched.DelService, svc))
	if got := r.tables(); got.Services != nil {
		t.Errorf("after its deletion there is %+v", got)
	}
	if verdict, _ := r.run(datagram(netip.AddrPortFrom(client, 2000), vip)); verdict != xdpPass {
		t.Errorf("packet to a deleted service has verdict %d, want XDP_PASS", verdict)
	}
	// A new service of that name starts from zero but takes its servers back.
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
	s = r.tables().Services[0]
	if s.Counters != (model.Counters{}) || s.Servers[0].Inactive != 2 {
		t.Errorf("service that was added again is %+v", s)
	}
}

func TestApplyIsIdempotent(t *testing.T) {
	r := newRig(t)
	svc := service(vip)
	ops := []sched.Op{
		op(sched.AddService, svc),
		op(sched.AddServer, svc, realServer(1, 1)),
		op(sched.AddServer, svc, realServer(2, 1)),
		op(sched.EditServer, svc, realServer(2, 3)),
		op(sched.DelServer, svc, realServer(9, 1)),
		op(sched.DelService, service(netip.MustParseAddrPort("198.51.100.7:7"))),
	}
	r.apply(ops...)
	want := r.tables()
	r.apply(ops...)
	wantSame(t, r.tables(), want)
	r.restart()
	r.apply(ops...)
	wantSame(t, r.tables(), want)
}

func TestApplyRefuses(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Services, o.Servers = 2, 2 })
	svc := service(vip)
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
	want := r.tables()

	with := func(change func(*model.Service)) sched.Op {
		s := service(netip.MustParseAddrPort("198.51.100.2:53"))
		change(&s)
		return op(sched.AddService, s)
	}
	server := func(change func(*model.Server)) sched.Op {
		s := realServer(2, 1)
		change(&s)
		return op(sched.AddServer, svc, s)
	}
	v6 := netip.MustParseAddrPort("[2001:db8::1]:53")
	for name, o := range map[string]sched.Op{
		"mark":        with(func(s *model.Service) { s.Key = model.ServiceKey{FWMark: 1} }),
		"protocol":    with(func(s *model.Service) { s.Key.Protocol = 50 }),
		"any port":    with(func(s *model.Service) { s.Key.Addr = netip.AddrPortFrom(vip.Addr(), 0) }),
		"scheduler":   with(func(s *model.Service) { s.Scheduler = "lblcr" }),
		"ops":         with(func(s *model.Service) { s.OnePacket, s.Persistence = true, time.Minute }),
		"Local":       server(func(s *model.Server) { s.Forward = model.Local }),
		"IPv6 server": server(func(s *model.Server) { s.Addr = v6 }),
		"weight":      server(func(s *model.Server) { s.Weight = -1 }),
		"SCTP to another port": {
			Kind: sched.AddServer, Service: model.Service{Key: model.ServiceKey{Protocol: model.SCTP, Addr: vip}},
			Server: model.Server{Addr: netip.MustParseAddrPort("10.0.0.9:54"), Forward: model.NAT},
		},
	} {
		if err := r.Apply(t.Context(), []sched.Op{o}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
	if err := r.Apply(t.Context(), []sched.Op{op(sched.AddServer, service(netip.MustParseAddrPort("198.51.100.9:9")), realServer(1, 1))}); !errors.Is(err, sched.ErrNoService) {
		t.Errorf("server without service: %v, want sched.ErrNoService", err)
	}
	wantSame(t, r.tables(), want)

	r.apply(with(func(*model.Service) {}), server(func(*model.Server) {}))
	full := r.tables()
	third := service(netip.MustParseAddrPort("198.51.100.3:53"))
	for name, o := range map[string]sched.Op{
		"service": op(sched.AddService, third),
		"server":  op(sched.AddServer, svc, realServer(3, 1)),
	} {
		if err := r.Apply(t.Context(), []sched.Op{o}); !errors.Is(err, ErrFull) {
			t.Errorf("one %s too many: %v, want ErrFull", name, err)
		}
	}
	wantSame(t, r.tables(), full)
	r.apply(op(sched.DelServer, svc, realServer(2, 1)), op(sched.AddServer, svc, realServer(2, 1)))
}

func TestTrashIsKeptWhileFlowsLive(t *testing.T) {
	r := newRig(t)
	svc := service(vip)
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
	r.chosen(1000)
	r.apply(op(sched.DelServer, svc, realServer(1, 1)))
	start := time.Now()
	at := func(minutes int, trash int) {
		t.Helper()
		check(t, r.collect(start.Add(time.Duration(minutes)*time.Minute)))
		if got := len(r.state.Trash()); got != trash {
			t.Fatalf("after %d minutes %d deleted servers are kept, want %d", minutes, got, trash)
		}
	}
	at(1, 1)
	at(10, 1) // its flow lives
	r.advance(301 * time.Second)
	r.sweepAll()
	at(11, 1) // idle from now on
	at(12, 1)
	if s, err := r.maps.Server(0); err != nil || !s.Deleted {
		t.Errorf("slot of the deleted server is %+v, %v", s, err)
	}
	at(13, 0)
	if s, err := r.maps.Server(0); err != nil || s.Used() {
		t.Errorf("freed slot is %+v, %v", s, err)
	}
	// The slot's next server has nothing of it.
	r.apply(op(sched.AddServer, svc, realServer(2, 1)))
	if s := r.tables().Services[0].Servers[0]; s.Counters != (model.Counters{}) || s.Inactive != 0 {
		t.Errorf("new server on the slot is %+v", s)
	}
}

// sweepAll is one pass over the flow table.
func (r *rig) sweepAll() {
	r.t.Helper()
	for shard := range uint32(lbmaps.Shards) {
		check(r.t, r.sweepStep(shard))
	}
}

func TestSweep(t *testing.T) {
	r := newRig(t)
	svc := service(vip)
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
	for port := range uint16(100) {
		r.run(datagram(netip.AddrPortFrom(client, 1000+port), vip))
	}
	counts := func(live, expired uint64, entries int) {
		t.Helper()
		r.sweepAll()
		s, err := r.Status()
		check(t, err)
		got := 0
		check(t, r.maps.Flows(0, func(lbmaps.Flow) bool { got++; return true }))
		if s.Flows.Live != live || s.Flows.Expired != expired || got != entries {
			t.Errorf("%d flows live, %d expired, %d in the table; want %d, %d, %d",
				s.Flows.Live, s.Flows.Expired, got, live, expired, entries)
		}
	}
	counts(100, 0, 100)
	r.advance(200 * time.Second)
	for port := range uint16(40) {
		r.run(datagram(netip.AddrPortFrom(client, 1000+port), vip))
	}
	r.advance(150 * time.Second)
	counts(40, 60, 40)
	seen := 0
	check(t, flowsAt(t.Context(), r.maps, uint64(r.now), func(f model.Flow) bool {
		seen++
		want := model.Flow{
			Protocol: model.UDP, Client: f.Client, Virtual: vip, Server: realServer(1, 1).Addr,
			Forward: model.DR, State: "UDP", Expires: 150 * time.Second,
		}
		if f != want {
			t.Fatalf("flow is %+v, want %+v", f, want)
		}
		return true
	}))
	if seen != 40 {
		t.Errorf("%d flows listed, want 40", seen)
	}
	if got := r.tables().Services[0].Servers[0].Inactive; got != 40 {
		t.Errorf("%d flows counted, want 40", got)
	}
	r.advance(time.Hour)
	counts(0, 100, 0)
}

// TestSweepInPieces has more flows in each shard, and more templates, than one piece.
func TestSweepInPieces(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Flows = 1 << 14 })
	svc := service(vip)
	svc.Persistence = 10 * time.Second
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
	const flows = 10_000
	send := func(n int) {
		addr := netip.AddrFrom4([4]byte{10, 9, byte(n >> 8), byte(n)})
		r.run(datagram(netip.AddrPortFrom(addr, 4711), vip))
	}
	for n := range flows {
		send(n)
	}
	counts := func(live, expired uint64) {
		t.Helper()
		for step := range uint32(sweepSteps) {
			check(t, r.sweepStep(step))
		}
		s, err := r.Status()
		check(t, err)
		if s.Flows.Live != live || s.Flows.Expired != expired {
			t.Errorf("%d flows live, %d expired; want %d, %d", s.Flows.Live, s.Flows.Expired, live, expired)
		}
		if got := r.tables().Services[0].Servers[0]; uint64(got.Inactive) != live {
			t.Errorf("the server has %d flows, want %d", got.Inactive, live)
		}
	}
	counts(flows, 0)
	r.advance(200 * time.Second)
	for n := 0; n < flows; n += 2 {
		send(n)
	}
	r.advance(150 * time.Second)
	counts(flows/2, flows/2)
	r.advance(time.Hour)
	counts(0, flows)
	r.advance(time.Hour)
	counts(0, flows) // the templates, which outlive their flows
	left, err := r.maps.Conns(0)
	check(t, err)
	if left != (lbmaps.Conns{}) {
		t.Errorf("the server's slot has %+v left", left)
	}
}

func TestFullTableIsReported(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Flows = 16 })
	svc := service(vip)
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
	for port := range uint16(200) {
		r.run(datagram(netip.AddrPortFrom(client, 1000+port), vip))
	}
	r.sweepAll()
	s, err := r.Status()
	check(t, err)
	if s.Flows.Live+s.Flows.Refused != 200 || s.Flows.Refused == 0 {
		t.Errorf("%d flows live and %d were refused, want 200 together", s.Flows.Live, s.Flows.Refused)
	}
}

func TestSetTimeouts(t *testing.T) {
	r := newRig(t)
	check(t, r.SetTimeouts(lbmaps.Timeouts{lbmaps.UDP: 7 * time.Second}))
	want := lbmaps.DefaultTimeouts()
	want[lbmaps.UDP] = 7 * time.Second
	for range 2 {
		s, err := r.maps.Settings()
		check(t, err)
		if s.Timeouts != want {
			t.Errorf("time-outs are %v, want %v", s.Timeouts, want)
		}
		r.o.Timeouts = want
		r.resume()
	}
}

func TestNextHops(t *testing.T) {
	resolver := newFakeResolver()
	r := newRig(t, func(o *Options) { o.Resolver, o.ResolveWait = resolver, time.Millisecond })
	svc := service(vip)
	addr := realServer(1, 1).Addr.Addr()
	way := func() lbmaps.Way {
		t.Helper()
		s, err := r.maps.Server(0)
		check(t, err)
		return s.Way
	}
	good := lbmaps.Way{Resolved: true, Ifindex: inside, Source: ownMAC, Destination: serverMAC, MTU: 1500}

	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
	if got := way(); got != (lbmaps.Way{}) {
		t.Errorf("way before the first answer is %+v", got)
	}
	if v, _ := r.run(datagram(netip.AddrPortFrom(client, 1), vip)); v != xdpDrop || r.count(reasons.NoNextHop) != 1 {
		t.Errorf("packet without a next hop has verdict %d", v)
	}
	resolver.set(r.XDP, addr, resolved(serverMAC))
	if got := way(); got != good {
		t.Errorf("way is %+v, want %+v", got, good)
	}
	if v, out := r.run(datagram(netip.AddrPortFrom(client, 1), vip)); v != xdpTX || [6]byte(out[:6]) != serverMAC {
		t.Errorf("packet has verdict %d and leaves for %x", v, out[:6])
	}

	// After a restart the way counts until it is known better.
	check(t, r.Close())
	again := newFakeResolver()
	r.o.Resolver = again
	r.start()
	again.set(r.XDP, addr, netif.NextHop{IfIndex: inside, Reason: "no answer to ARP"})
	if got := way(); got != good {
		t.Errorf("way after a restart is %+v, want %+v", got, good)
	}
	if got := r.tables().Services[0].Servers[0].NextHop; !got.Resolved || got.MAC != serverMAC {
		t.Errorf("snapshot says %+v", got)
	}
	r.endEarly(r.early)
	if got := way(); got != (lbmaps.Way{}) {
		t.Errorf("way after the time of grace is %+v", got)
	}
	if got := r.tables().Services[0].Servers[0].NextHop; got.Resolved || got.Reason != "no answer to ARP" {
		t.Errorf("snapshot says %+v", got)
	}
	again.set(r.XDP, addr, resolved(otherMAC))
	if got := way().Destination; got != otherMAC {
		t.Errorf("way leads to %x, want %x", got, otherMAC)
	}

	r.apply(op(sched.DelServer, svc, realServer(1, 1)))
	if len(again.watched) != 0 {
		t.Errorf("after the deletion %v are watched", again.watched)
	}
	again.set(nil, addr, netif.NextHop{Local: true})
	local := realServer(1, 1)
	local.Forward = model.NAT
	if err := r.Apply(t.Context(), []sched.Op{op(sched.AddServer, svc, local)}); !errors.Is(err, ErrLocal) {
		t.Errorf("adding this machine: %v, want ErrLocal", err)
	}
	if len(again.watched) != 0 {
		t.Errorf("after the refusal %v are watched", again.watched)
	}
	r.apply(op(sched.AddServer, svc, realServer(1, 1)))
	if got := way(); got != (lbmaps.Way{Local: true}) {
		t.Errorf("way to this machine is %+v", got)
	}
	tunnelled := realServer(1, 1)
	tunnelled.Forward = model.TUN
	hop := resolved(otherMAC)
	hop.Source = netip.MustParseAddr("10.0.0.9")
	again.set(r.XDP, addr, hop)
	r.apply(op(sched.EditServer, svc, tunnelled))
	if got := way(); got.Tunnel != hop.Source || !got.Resolved || got.Local {
		t.Errorf("way through the tunnel is %+v", got)
	}
}

// TestApplyWaitsForNextHops answers while Apply waits, which is bounded by an
// hour: without the answer the test would not end.
func TestApplyWaitsForNextHops(t *testing.T) {
	resolver := newFakeResolver()
	r := newRig(t, func(o *Options) { o.Resolver, o.ResolveWait = resolver, time.Hour })
	svc := service(vip)
	one, two := realServer(1, 1), realServer(2, 1)
	go func() {
		for _, s := range []model.Server{one, two} {
			resolver.set(r.XDP, s.Addr.Addr(), resolved(serverMAC))
		}
	}()
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, one), op(sched.AddServer, svc, two))
	for slot := range uint32(2) {
		if s, err := r.maps.Server(slot); err != nil || !s.Way.Resolved {
			t.Errorf("server %d after Apply is %+v, %v", slot, s, err)
		}
	}
}

// One service's trouble keeps no operation from another.
func TestApplyGoesOnWithOtherServices(t *testing.T) {
	r := newRig(t)
	first, second := service(netip.MustParseAddrPort("198.51.100.2:53")), service(vip)
	wrong := realServer(2, 1)
	wrong.Forward = model.Local
	err := r.Apply(t.Context(), []sched.Op{
		op(sched.AddService, first),
		op(sched.AddService, second),
		op(sched.AddServer, first, wrong),
		op(sched.AddServer, first, realServer(1, 1)),
		op(sched.AddServer, second, realServer(1, 1)),
	})
	if !errors.Is(err, ErrUnsupported) {
		t.Errorf("error %v, want ErrUnsupported", err)
	}
	if got := list(r.tables(), second.Key); len(got) != 1 {
		t.Errorf("the other service has the servers %v, want one", got)
	}
	if got := list(r.tables(), first.Key); got != nil {
		t.Errorf("the refused service has the servers %v, want none after its trouble", got)
	}
}
