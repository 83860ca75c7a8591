package ipvs

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/evenkeel/evenkeel/model"
)

const listing = `Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0000209 2134 C6336422 0050 0A010001 0050 ESTABLISHED     898
TCP C0000209 0000 C6336422 0050 0A010001 0050 ASSURED         298
IP  C0000209 0000 00000007 0000 0A010001 0000 NONE             50
UDP C0000209 2135 C6336422 0050 0A010002 0035 UDP              12
UDP 2001:0db8:0000:0000:0000:0000:0000:0009 2136 2001:0db8:0001:0000:0000:0000:0000:0001 0035 0A010002 0035 UDP             299
TCP C0000209 2134 C6336477 0050 0A010001 0050 SYN_RECV         58
`

func TestReadFlows(t *testing.T) {
	addr := netip.MustParseAddrPort
	tcp := model.ServiceKey{Protocol: model.TCP, Addr: addr("198.51.100.34:80")}
	udp := model.ServiceKey{Protocol: model.UDP, Addr: addr("198.51.100.34:80")}
	udp6 := model.ServiceKey{Protocol: model.UDP, Addr: addr("[2001:db8:1::1]:53")}
	entry := func(k model.ServiceKey, servers ...model.Server) model.ServiceEntry {
		e := model.ServiceEntry{Service: model.Service{Key: k}}
		for _, s := range servers {
			e.Servers = append(e.Servers, model.ServerEntry{Server: s})
		}
		return e
	}
	known := methods(model.Tables{Services: []model.ServiceEntry{
		entry(tcp, model.Server{Addr: addr("10.1.0.1:80"), Forward: model.DR}),
		entry(udp), // its server was deleted
		entry(udp6, model.Server{Addr: addr("10.1.0.2:53"), Forward: model.TUN}),
	}})
	want := []model.Flow{
		{
			Protocol: model.TCP, Client: addr("192.0.2.9:8500"), Virtual: tcp.Addr, Server: addr("10.1.0.1:80"),
			Forward: model.DR, State: "ESTABLISHED", Expires: 898 * time.Second,
		},
		{
			Template: true,
			Protocol: model.TCP, Client: addr("192.0.2.9:0"), Virtual: tcp.Addr, Server: addr("10.1.0.1:80"),
			Forward: model.DR, Expires: 298 * time.Second,
		},
		{
			Protocol: model.UDP, Client: addr("192.0.2.9:8501"), Virtual: udp.Addr, Server: addr("10.1.0.2:53"),
			State: "UDP", Expires: 12 * time.Second,
		},
		{
			Protocol: model.UDP, Client: addr("[2001:db8::9]:8502"), Virtual: udp6.Addr, Server: addr("10.1.0.2:53"),
			Forward: model.TUN, State: "UDP", Expires: 299 * time.Second,
		},
	}
	var got []model.Flow
	err := readFlows(t.Context(), strings.NewReader(listing), known, func(f model.Flow) bool {
		got = append(got, f)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("flows (-want +got):\n%s", diff)
	}

	n := 0
	err = readFlows(t.Context(), strings.NewReader(listing), known, func(model.Flow) bool { n++; return false })
	if err != nil || n != 1 {
		t.Errorf("after false: %d flows, %v; want one", n, err)
	}
	const broken = "TCP C00002 2134 C6336422 0050 0A010001 0050 ESTABLISHED 898\n"
	if err := readFlows(t.Context(), strings.NewReader(broken), known, nil); err == nil {
		t.Error("read a flow with an address of 3 bytes")
	}
}
