package bench

import (
	"net/netip"
	"testing"

	"github.com/evenkeel/evenkeel/model"
)

func TestConfigCases(t *testing.T) {
	at := func(addr string, servers ...model.Forward) model.VirtualServer {
		vs := model.VirtualServer{Service: model.Service{Key: model.ServiceKey{Protocol: model.TCP, Addr: netip.MustParseAddrPort(addr)}, Scheduler: "wlc"}}
		for i, f := range servers {
			server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 80)
			vs.Servers = append(vs.Servers, model.RealServer{Server: model.Server{Addr: server, Forward: f, Weight: 1}})
		}
		return vs
	}
	mark := model.VirtualServer{Service: model.Service{Key: model.ServiceKey{FWMark: 7}}}
	cases, skipped := configCases([]model.VirtualServer{
		at("192.0.2.1:80", model.DR, model.DR), mark, at("192.0.2.1:443"), at("[2001:db8::1]:80", model.NAT, model.TUN),
	}, 1<<20)
	if len(cases) != 4 || len(skipped) != 2 {
		t.Fatalf("%d cases, skipped %q", len(cases), skipped)
	}
	names := map[string]bool{}
	for _, c := range cases {
		names[c.Name()] = true
		if len(c.given.ops) != 6 || c.given.servers != 4 {
			t.Errorf("%s: %d operations, %d servers, want all of the file", c.Name(), len(c.given.ops), c.given.servers)
		}
	}
	if len(names) != 4 {
		t.Errorf("names %v", names)
	}
	if cases[0].others != 0 || cases[2].others == 0 {
		t.Error("only a service with two methods sends packets two ways")
	}
}
