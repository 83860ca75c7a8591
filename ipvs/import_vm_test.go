//go:build vm

package ipvs

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// flowsOf returns this datapath's flows by client, as "state server".
func flowsOf(t *testing.T, v *IPVS) map[netip.AddrPort]string {
	t.Helper()
	all := make(map[netip.AddrPort]string)
	err := v.Flows(t.Context(), func(f model.Flow) bool {
		all[f.Client] = fmt.Sprintf("%s %s by %s", f.State, f.Server, f.Forward)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The services of these tests have addresses of their own: flows outlive them, and
// would count for another test's service of the same name.

// Flows of another datapath are the kernel's afterwards, as many as fit in many
// datagrams: with their state, their server and their place in the counters. No
// daemon is left behind.
func TestImport(t *testing.T) {
	v := start(t, Options{})
	web, dns := service(model.TCP, "203.0.113.1:80"), service(model.UDP, "203.0.113.2:53")
	six := service(model.TCP, "[2001:db8:7::1]:80")
	apply(t, v, add(web, server("10.0.0.1:80", model.NAT, 1), server("10.0.0.2:80", model.TUN, 1))...)
	apply(t, v, add(dns, server("10.0.0.1:53", model.DR, 1))...)
	apply(t, v, add(six, server("[2001:db8::99]:80", model.DR, 1))...)

	var flows []model.Flow
	want := make(map[netip.AddrPort]string)
	take := func(s model.Service, client, to string, forward model.Forward, state string) {
		f := model.Flow{
			Protocol: s.Key.Protocol, Virtual: s.Key.Addr, Forward: forward, State: state, Expires: 77 * time.Second,
			Client: netip.MustParseAddrPort(client), Server: netip.MustParseAddrPort(to),
		}
		flows = append(flows, f)
		want[f.Client] = fmt.Sprintf("%s %s by %s", state, to, forward)
	}
	for i := range 3000 {
		take(web, fmt.Sprintf("192.0.2.%d:%d", i%100, 1000+i), "10.0.0.1:80", model.NAT, "ESTABLISHED")
	}
	take(web, "192.0.2.1:7", "10.0.0.2:80", model.TUN, "FIN_WAIT")
	take(dns, "192.0.2.1:8", "10.0.0.1:53", model.DR, "UDP")
	take(six, "[2001:db8::7]:9", "[2001:db8::99]:80", model.DR, "SYN_RECV")
	for range 2 { // again, they are what they were
		n, err := v.Import(t.Context(), flows)
		if err != nil || n != len(flows) {
			t.Fatalf("Import = %d, %v; want %d", n, err, len(flows))
		}
	}
	if got := flowsOf(t, v); !maps.Equal(got, want) {
		for client, flow := range want {
			if got[client] != flow {
				t.Fatalf("%d flows, want %d; that of %s is %q, want %q", len(got), len(want), client, got[client], flow)
			}
		}
		t.Fatalf("%d flows, want %d", len(got), len(want))
	}
	tables, err := v.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]string)
	for _, svc := range tables.Services {
		for _, s := range svc.Servers {
			counts[s.Addr.String()] = fmt.Sprintf("%d active, %d inactive", s.Active, s.Inactive)
		}
	}
	wantCounts := map[string]string{
		"10.0.0.1:80": "3000 active, 0 inactive", "10.0.0.2:80": "0 active, 1 inactive",
		"10.0.0.1:53": "0 active, 1 inactive", "[2001:db8::99]:80": "1 active, 0 inactive",
	}
	if !maps.Equal(counts, wantCounts) {
		t.Errorf("counters are %v, want %v", counts, wantCounts)
	}
	if left, err := v.SyncDaemons(t.Context()); len(left) > 0 || err != nil {
		t.Errorf("sync daemons are left: %+v, %v", left, err)
	}
}

// A daemon that runs already is used and stays.
func TestImportThroughARunningDaemon(t *testing.T) {
	v := start(t, Options{})
	syncing(t, v, SyncDaemon{Role: SyncBackup, Interface: "lo", ID: 9})
	b, err := v.SyncDaemons(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	web := service(model.TCP, "203.0.113.7:80")
	apply(t, v, add(web, server("10.0.0.1:80", model.NAT, 1))...)
	f := model.Flow{
		Protocol: model.TCP, Client: netip.MustParseAddrPort("192.0.2.1:1"), Virtual: web.Key.Addr,
		Server: netip.MustParseAddrPort("10.0.0.1:80"), State: "ESTABLISHED", Expires: time.Minute,
	}
	if n, err := v.Import(t.Context(), []model.Flow{f}); n != 1 || err != nil {
		t.Fatalf("Import = %d, %v", n, err)
	}
	if got, err := v.SyncDaemons(t.Context()); !slices.Equal(got, b) || err != nil {
		t.Errorf("the daemons are %+v, %v; want %+v", got, err, b)
	}
}

// Templates of another datapath are the kernel's afterwards, as they would come from
// another IPVS, and are told again with their granularity and time.
func TestImportTemplates(t *testing.T) {
	v := start(t, Options{})
	web, six := service(model.TCP, "203.0.113.8:80"), service(model.UDP, "[2001:db8:7::8]:53")
	web.Persistence, web.PersistencePrefix = 100*time.Second, 24
	six.Persistence, six.PersistencePrefix = 200*time.Second, 56
	apply(t, v, add(web, server("10.0.0.1:80", model.NAT, 1), server("10.0.0.2:80", model.TUN, 1))...)
	apply(t, v, add(six, server("[2001:db8::99]:53", model.DR, 1))...)
	template := func(s model.Service, client, to string, forward model.Forward) model.Flow {
		return model.Flow{
			Template: true, Protocol: s.Key.Protocol, Virtual: s.Key.Addr, Forward: forward, Expires: 7 * time.Second,
			Client: netip.MustParseAddrPort(client), Server: netip.MustParseAddrPort(to),
		}
	}
	want := []model.Flow{
		template(web, "192.0.2.0:0", "10.0.0.2:80", model.TUN),
		template(six, "[2001:db8:0:100::]:0", "[2001:db8::99]:53", model.DR),
	}
	for range 2 { // again, they are what they were
		if n, err := v.Import(t.Context(), want); err != nil || n != len(want) {
			t.Fatalf("Import = %d, %v; want %d", n, err, len(want))
		}
	}
	var got []model.Flow
	err := v.Templates(t.Context(), func(f model.Flow) bool {
		if f.Virtual == web.Key.Addr || f.Virtual == six.Key.Addr {
			if f.Expires <= 30*time.Second || f.Expires > 200*time.Second {
				t.Errorf("the template of %s has %v left", f.Client, f.Expires)
			}
			f.Expires = 7 * time.Second
			got = append(got, f)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b model.Flow) int { return a.Client.Compare(b.Client) })
	if !slices.Equal(got, want) {
		t.Errorf("templates %+v, want %+v", got, want)
	}
	for client := range flowsOf(t, v) {
		if client.Port() == 0 {
			t.Errorf("the template of %s is listed as a flow", client)
		}
	}
	tables, err := v.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, svc := range tables.Services {
		for _, s := range svc.Servers {
			if s.Active+s.Inactive != 0 {
				t.Errorf("%s counts %d active, %d inactive: templates are no flows", s.Addr, s.Active, s.Inactive)
			}
		}
	}
}
