//go:build bpf

package loader

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// A service that is released hands all of its flows over and none of another's,
// and takes them back as they were.
func TestReleaseAndImport(t *testing.T) {
	r := newRig(t, func(o *Options) { o.testClock = false })
	second := netip.MustParseAddrPort("192.0.2.2:53")
	svc, other := service(vip), service(second)
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)), op(sched.AddServer, svc, realServer(2, 1)))
	r.apply(op(sched.AddService, other), op(sched.AddServer, other, realServer(3, 1)))
	for port := range uint16(20) {
		r.run(datagram(netip.AddrPortFrom(client, 1000+port), vip))
		r.run(datagram(netip.AddrPortFrom(client, 1000+port), second))
	}
	count := func(key model.ServiceKey) (active, inactive uint32) {
		for _, s := range r.tables().Services {
			for _, server := range s.Servers {
				if s.Key == key {
					active, inactive = active+server.Active, inactive+server.Inactive
				}
			}
		}
		return active, inactive
	}

	var flows []model.Flow
	check(t, r.Release(t.Context(), svc.Key, func(all []model.Flow) error {
		flows = all
		return nil
	}))
	if len(flows) != 20 {
		t.Fatalf("%d flows were handed over, want 20", len(flows))
	}
	before := r.count(reasons.NoService)
	r.run(datagram(netip.AddrPortFrom(client, 1000), vip))
	if r.count(reasons.NoService) != before+1 {
		t.Error("a packet of the service does not go up as one of no service")
	}
	if _, n := count(other.Key); n != 20 {
		t.Errorf("the other service counts %d flows, want 20", n)
	}
	r.apply(op(sched.DelService, svc))

	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)), op(sched.AddServer, svc, realServer(2, 1)))
	if _, n := count(svc.Key); n != 0 {
		t.Errorf("after the release %d flows count", n)
	}
	stray := flows[0]
	stray.Client, stray.Server = netip.MustParseAddrPort("192.0.2.99:9"), realServer(9, 1).Addr
	for range 2 {
		if n, err := r.Import(t.Context(), append(flows, stray)); n != 20 || err != nil {
			t.Errorf("Import = %d, %v; want 20", n, err)
		}
	}
	if _, n := count(svc.Key); n != 20 {
		t.Errorf("after the import %d flows count, want 20", n)
	}
	was := make(map[netip.AddrPort]model.Flow)
	for _, f := range flows {
		was[f.Client] = f
	}
	check(t, r.Flows(t.Context(), func(f model.Flow) bool {
		want := was[f.Client]
		if f.Virtual != vip {
			return true
		}
		late := want.Expires - f.Expires
		if f.Expires, want.Expires = 0, 0; f != want || late.Abs() > time.Minute {
			t.Errorf("flow is %+v, %v late; it was %+v", f, late, want)
		}
		return true
	}))
}

// copied sends a packet until its flow, the only one, has a copy: two packets in short
// order make it.
func copied(t *testing.T, r *rig, frame []byte) (shard *ebpf.Map, key bpf.EkFlowKey, flow bpf.EkFlow) {
	t.Helper()
	for range 1000 {
		r.run(frame)
		for i := range lbmaps.FlowShards {
			shard = r.maps.Shard(i)
			if shard.Iterate().Next(&key, &flow) && flow.Copied == 1 {
				return shard, key, flow
			}
		}
	}
	t.Fatal("the flow gets no copy")
	return nil, key, flow
}

// A flow whose own time is over, and which its copy keeps, is handed over with the rest.
func TestReleaseOfFlowsThatLiveByTheirCopy(t *testing.T) {
	resolver := newFakeResolver()
	resolver.set(nil, realServer(1, 1).Addr.Addr(), resolved(serverMAC))
	r := newRig(t, func(o *Options) { o.testClock, o.Resolver = false, resolver })
	svc := service(vip)
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
	frame := datagram(netip.AddrPortFrom(client, 1000), vip)
	shard, key, flow := copied(t, r, frame)
	flow.Expires = 1
	check(t, shard.Update(key, flow, ebpf.UpdateExist))
	check(t, r.Flows(t.Context(), func(f model.Flow) bool {
		t.Fatalf("flow %+v has time left of its own", f)
		return true
	}))
	var flows []model.Flow
	check(t, r.Release(t.Context(), svc.Key, func(all []model.Flow) error {
		flows = all
		return nil
	}))
	if len(flows) != 1 || flows[0].Expires < 200*time.Second {
		t.Errorf("flows %+v are handed over, want the one with its whole time", flows)
	}
}

// Whatever becomes of the flows, they end here.
func TestReleaseEndsFlowsAfterAnError(t *testing.T) {
	r := newRig(t, func(o *Options) { o.testClock = false })
	svc := service(vip)
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
	r.run(datagram(netip.AddrPortFrom(client, 1000), vip))
	failure := errors.New("the other one does not take them")
	if err := r.Release(t.Context(), svc.Key, func([]model.Flow) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("Release = %v, want %v", err, failure)
	}
	check(t, r.Flows(t.Context(), func(f model.Flow) bool {
		t.Errorf("flow %+v is left", f)
		return true
	}))
	check(t, r.Release(t.Context(), service(netip.MustParseAddrPort("192.0.2.9:9")).Key, nil))
}

// A client keeps its server over a hand-over though its flows are gone: the
// templates of a service are told with its flows, and one that comes counts for new
// flows, for as long as it had left.
func TestReleaseAndImportOfTemplates(t *testing.T) {
	for _, prefix := range []uint8{0, 24} {
		r := newRig(t, func(o *Options) { o.testClock = false })
		svc := service(vip)
		svc.Persistence, svc.PersistencePrefix = 500*time.Second, prefix
		r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)), op(sched.AddServer, svc, realServer(2, 1)))
		r.run(datagram(netip.AddrPortFrom(client, 1000), vip))
		templates := r.release(svc.Key)
		group := netip.PrefixFrom(client, 32)
		if prefix != 0 {
			group = netip.PrefixFrom(client, int(prefix)).Masked()
		}
		if len(templates) != 1 || templates[0].Client != netip.AddrPortFrom(group.Addr(), 0) ||
			templates[0].Expires <= 400*time.Second || templates[0].Expires > 500*time.Second {
			t.Fatalf("templates %+v are told, want one of %s", templates, group)
		}
		r.apply(op(sched.DelService, svc))

		// Of two servers without a template the next would have this client.
		held := templates[0].Server
		r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)), op(sched.AddServer, svc, realServer(2, 1)))
		stray := templates[0]
		stray.Client, stray.Server = netip.MustParseAddrPort("192.0.2.99:0"), realServer(9, 1).Addr
		templates[0].Expires = 300 * time.Second
		for range 2 {
			if n, err := r.Import(t.Context(), append(templates[:1:1], stray)); n != 1 || err != nil {
				t.Fatalf("Import = %d, %v; want 1", n, err)
			}
		}
		check(t, r.maps.Templates(0, func(f lbmaps.Flow) bool {
			now, err := lbmaps.Now()
			check(t, err)
			if left := f.Expires - time.Duration(now); left > 301*time.Second || left < 200*time.Second {
				t.Errorf("the template has %v left, want 300 s", left)
			}
			return true
		}))
		for port := range uint16(4) {
			r.run(datagram(netip.AddrPortFrom(client, 2000+port), vip))
		}
		opened := 0
		check(t, r.Flows(t.Context(), func(f model.Flow) bool {
			if opened++; f.Server != held {
				t.Errorf("the flow of %s went to %s, want %s", f.Client, f.Server, held)
			}
			return true
		}))
		if opened != 4 {
			t.Errorf("%d flows, want 4", opened)
		}
		// Counted once: after their end nothing is left of either.
		if again := r.release(svc.Key); len(again) != 1 || again[0].Server != held {
			t.Errorf("afterwards templates %+v are told", again)
		}
		for n := range 2 {
			d, _ := r.state.Find(svc.Key, realServer(1+n, 1).Addr)
			if conns, err := r.maps.Conns(d.Slot); err != nil || !conns.Idle() {
				t.Errorf("server %s counts %+v, %v after the end", d.Server.Addr, conns, err)
			}
		}
	}
}

// release lets go of a service and returns its templates.
func (r *rig) release(key model.ServiceKey) (templates []model.Flow) {
	r.t.Helper()
	check(r.t, r.Release(r.t.Context(), key, func(all []model.Flow) error {
		for _, f := range all {
			if f.Template {
				templates = append(templates, f)
			}
		}
		return nil
	}))
	return templates
}
