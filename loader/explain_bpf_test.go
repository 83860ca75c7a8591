//go:build bpf

package loader

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// explained asks the datapath, and a view of its pins, which must agree.
func (r *rig) explained(source netip.AddrPort) Explanation {
	r.t.Helper()
	got, err := r.Explain(r.t.Context(), Packet{Protocol: model.UDP, Source: source, Destination: vip})
	check(r.t, err)
	if got.Interface != "lo" || got.Protocol != "UDP" || got.Source != source.String() || got.Destination != vip.String() {
		r.t.Errorf("explained %s %s -> %s in by %s", got.Protocol, got.Source, got.Destination, got.Interface)
	}
	return got
}

func TestExplain(t *testing.T) {
	resolver := newFakeResolver()
	r := newRig(t, func(o *Options) { o.Resolver = resolver })
	if got := r.explained(netip.AddrPortFrom(client, 1000)); got.Kind != KindNone || got.Service != nil || got.Reason.Name != "no_service" {
		t.Errorf("before the service: %+v", got)
	}
	svc := service(vip)
	r.apply(op(sched.AddService, svc))
	if got := r.explained(netip.AddrPortFrom(client, 1000)); got.Service == nil || got.Server != nil || got.Reason.Name != "port_unreachable" {
		t.Errorf("without servers: %+v", got)
	}
	for n := range 3 {
		resolver.set(nil, realServer(n, 1).Addr.Addr(), resolved(serverMAC))
		r.apply(op(sched.AddServer, svc, realServer(n, 1)))
	}
	for port := uint16(1000); port < 1007; port++ {
		from := netip.AddrPortFrom(client, port)
		told := r.explained(from)
		if told.Kind != KindNew || told.Server == nil || told.Server.ChosenBy != "scheduler" || told.Flow.Becomes != "UDP" ||
			len(told.Service.Candidates) != 3 || told.Service.Scheduler != "rr" || told.Reason.Name != "forwarded_dr" {
			t.Fatalf("a new flow: %+v", told)
		}
		if told.Out.Interface != "lo" || told.Out.Destination != "02:00:00:00:00:51" {
			t.Errorf("it leaves by %+v", told.Out)
		}
		slot := r.chosen(port)
		if uint32(slot) != told.Server.Slot {
			t.Fatalf("told server %d, then it was %d", told.Server.Slot, slot)
		}
		again := r.explained(from)
		if again.Kind != KindFlow || again.Server.ChosenBy != "flow" || again.Server.Slot != told.Server.Slot ||
			again.Flow.State != "UDP" || again.Flow.ExpiresSeconds != 300 {
			t.Fatalf("the flow that is there: %+v, flow %+v", again, again.Flow)
		}
	}
	counts, err := r.Reasons()
	check(t, err)
	var sum uint64
	for _, n := range counts {
		sum += n
	}
	if sum != 7 {
		t.Errorf("%d packets were counted, 7 were sent", sum)
	}
}

// A view explains without the daemon, by the real clock, and says what is wrong
// with the question.
func TestExplainFromPins(t *testing.T) {
	r := newRig(t, func(o *Options) { o.testClock = false })
	r.apply(op(sched.AddService, service(vip)))
	view, err := Open(string(r.pins))
	check(t, err)
	defer view.Close()
	p := Packet{Protocol: model.UDP, Source: netip.AddrPortFrom(client, 1), Destination: vip}
	got, err := view.Explain(t.Context(), p)
	check(t, err)
	if got.Reason.Name != "port_unreachable" || got.Service.Service != service(vip).Key.String() {
		t.Errorf("%+v", got)
	}
	p.Interface = "nowhere"
	if _, err := view.Explain(t.Context(), p); err == nil || !strings.Contains(err.Error(), "no interface nowhere") {
		t.Errorf("an interface that does not exist: %v", err)
	}
	p = Packet{Protocol: model.TCP, Source: netip.MustParseAddrPort("[2001:db8::9]:1"), Destination: vip}
	if _, err := view.Explain(t.Context(), p); err == nil || !strings.Contains(err.Error(), "two families") {
		t.Errorf("two families: %v", err)
	}
	p.Destination = netip.MustParseAddrPort("[2001:db8::1]:80")
	if _, err := view.Explain(t.Context(), p); err != nil {
		t.Errorf("IPv6: %v", err)
	}
}
