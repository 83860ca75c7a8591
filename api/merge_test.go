package api_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func tcpKey(addr string) model.ServiceKey {
	return model.ServiceKey{Protocol: model.TCP, Addr: ap(addr)}
}

func TestMergeKeepsTheFilesOrderAndTheTablesOrder(t *testing.T) {
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	up := func(addr string) director.ServerStatus {
		return director.ServerStatus{Server: ap(addr), Forward: "DR", Weight: 1, InTable: true, TableWeight: 1, Alive: true, Reason: "ok", Since: since}
	}
	down := director.ServerStatus{Server: ap("10.0.0.3:80"), Forward: "DR", Weight: 5, Reason: "refused", Since: since}
	sorry := director.ServerStatus{Server: ap("10.0.0.9:80"), Forward: "NAT", Weight: 1, Alive: true, Reason: "quorum is up"}
	wanted := director.Snapshot{Services: []director.ServiceStatus{
		{
			Key: tcpKey("192.0.2.2:80"), Service: "[192.0.2.2]:tcp:80", Scheduler: "wlc", Datapath: "none",
			Reason: "needs IPVS (scheduler wlc), which this kernel does not have", ReasonWord: "scheduler",
			Servers: []director.ServerStatus{down},
		},
		{
			Key: tcpKey("192.0.2.1:80"), Service: "[192.0.2.1]:tcp:80", Scheduler: "rr", Datapath: "xdp", ReasonWord: "none",
			QuorumUp: true, Quorum: 1, AliveWeight: 2,
			Servers: []director.ServerStatus{up("10.0.0.1:80"), up("10.0.0.2:80"), down},
			Sorry:   &sorry,
		},
	}}
	entry := func(addr string) model.ServerEntry {
		return model.ServerEntry{Server: model.Server{Addr: ap(addr), Forward: model.DR, Weight: 1}, Active: 3}
	}
	resolved := entry("10.0.0.2:80")
	resolved.NextHop = model.NextHop{Interface: "eth0", Gateway: netip.MustParseAddr("10.0.0.254"), MAC: [6]byte{2, 0, 0, 0, 0, 1}, Resolved: true}
	unresolved := entry("10.0.0.1:80")
	unresolved.NextHop = model.NextHop{Reason: "no route"}
	running := api.Running{model.DatapathXDP: {Services: []model.ServiceEntry{
		{Service: model.Service{Key: tcpKey("192.0.2.9:80"), Scheduler: "rr"}},
		{
			Service:  model.Service{Key: tcpKey("192.0.2.1:80"), Scheduler: "rr", Persistence: 5 * time.Minute},
			Counters: model.Counters{Conns: 7},
			Servers:  []model.ServerEntry{resolved, unresolved},
		},
	}}}

	got := api.Merge(wanted, nil, running)
	var order []string
	for _, s := range got {
		line := s.Service + " " + s.Datapath
		for _, server := range s.Servers {
			line += " " + server.Address
			if !server.InTable {
				line += "(out)"
			}
		}
		order = append(order, line)
	}
	want := []string{
		"[192.0.2.2]:tcp:80 none 10.0.0.3(out)",
		"[192.0.2.1]:tcp:80 xdp 10.0.0.2 10.0.0.1 10.0.0.3(out) 10.0.0.9(out)",
		"[192.0.2.9]:tcp:80 xdp",
	}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	first := got[1].Servers[0]
	wantServer := api.RealServer{
		Address: "10.0.0.2", Port: 80, Forward: "DR", InTable: true, Weight: 1, Active: 3,
		Health:  &api.ServerHealth{Alive: true, Reason: "ok", Since: since},
		NextHop: &api.NextHop{Interface: "eth0", Gateway: "10.0.0.254", MAC: "02:00:00:00:00:01", Resolved: true},
	}
	if diff := cmp.Diff(wantServer, first); diff != "" {
		t.Errorf("server (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"persistent 300"}, got[1].Flags); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}

	wantSummary := []api.Summary{
		{Service: "[192.0.2.2]:tcp:80", Scheduler: "wlc", Datapath: "none", Reason: wanted.Services[0].Reason, Servers: 1},
		{
			Service: "[192.0.2.1]:tcp:80", Scheduler: "rr", Datapath: "xdp", QuorumUp: true, Quorum: 1, AliveWeight: 2,
			ServersAlive: 2, Servers: 3, Unresolved: 1,
		},
		{Service: "[192.0.2.9]:tcp:80", Scheduler: "rr", Datapath: "xdp"},
	}
	if diff := cmp.Diff(wantSummary, api.Summarize(got)); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestSorryServerInTableIsMarked(t *testing.T) {
	sorry := director.ServerStatus{Server: ap("10.0.0.9:80"), Alive: true, Reason: "stands in"}
	wanted := director.Snapshot{Services: []director.ServiceStatus{{
		Key: tcpKey("192.0.2.1:80"), Datapath: "xdp", Quorum: 1, Sorry: &sorry,
	}}}
	running := api.Running{model.DatapathXDP: {Services: []model.ServiceEntry{{
		Service: model.Service{Key: tcpKey("192.0.2.1:80")},
		Servers: []model.ServerEntry{{Server: model.Server{Addr: sorry.Server, Weight: 1}}},
	}}}}
	got := api.Merge(wanted, nil, running)
	if len(got[0].Servers) != 1 || !got[0].Servers[0].Sorry {
		t.Errorf("servers = %+v, want one sorry server", got[0].Servers)
	}
	if sum := api.Summarize(got)[0]; !sum.SorryActive || sum.Servers != 0 {
		t.Errorf("summary = %+v, want an active sorry server and no other", sum)
	}
}

// A service is looked for in the datapath that it is wanted in; what is left of
// it in the other comes last.
func TestMergeOfTwoDatapaths(t *testing.T) {
	moved, marked := tcpKey("192.0.2.1:80"), model.ServiceKey{FWMark: 7}
	wanted := director.Snapshot{Services: []director.ServiceStatus{
		{Key: moved, Datapath: "ipvs", Reason: "runs in IPVS (the file asks for IPVS)"},
		{Key: marked, Datapath: "ipvs", Reason: "runs in IPVS (fwmark 7)"},
		{Key: tcpKey("192.0.2.2:80"), Datapath: "xdp"},
	}}
	entry := func(k model.ServiceKey, conns uint64) model.ServiceEntry {
		return model.ServiceEntry{
			Service: model.Service{Key: k, Scheduler: "rr"}, Counters: model.Counters{Conns: conns},
			Servers: []model.ServerEntry{{Server: model.Server{Addr: ap("10.0.0.1:80"), Weight: 1}}},
		}
	}
	running := api.Running{
		model.DatapathXDP:  {Services: []model.ServiceEntry{entry(moved, 1)}},
		model.DatapathIPVS: {Services: []model.ServiceEntry{entry(moved, 2), entry(marked, 3)}},
	}
	var got []string
	for _, s := range api.Merge(wanted, nil, running) {
		got = append(got, fmt.Sprintf("%s %s %d %s", s.Service, s.Datapath, s.Counters.Conns, s.ReasonWord))
		for _, server := range s.Servers {
			if known := server.NextHop != nil; known != (s.Datapath == "xdp") {
				t.Errorf("%s in %s: next hop %+v", s.Service, s.Datapath, server.NextHop)
			}
		}
	}
	want := []string{
		"[192.0.2.1]:tcp:80 ipvs 2 ", "FWM 7 ipvs 3 ",
		"[192.0.2.2]:tcp:80 none 0 refused", "[192.0.2.1]:tcp:80 xdp 1 ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestServiceFlags(t *testing.T) {
	v4 := tcpKey("192.0.2.1:80")
	tests := []struct {
		service model.Service
		want    []string
	}{
		{model.Service{Key: v4, Scheduler: "rr"}, []string{}},
		{model.Service{Key: v4, Scheduler: "mh", SchedFlags: 0x18, OnePacket: true}, []string{"(mh-fallback,mh-port)", "ops"}},
		{model.Service{Key: v4, Scheduler: "sh", SchedFlags: 0x10}, []string{"(sh-port)"}},
		{model.Service{Key: v4, Scheduler: "rr", SchedFlags: 0x28}, []string{"(flag-1,flag-3)"}},
		{model.Service{Key: v4, Persistence: time.Minute, PersistencePrefix: 24}, []string{"persistent 60", "mask 255.255.255.0"}},
		{model.Service{Key: v4, Persistence: time.Minute, PersistenceEngine: "sip"}, []string{"persistent 60", "pe sip"}},
		{model.Service{Key: v4, Persistence: time.Minute, PersistencePrefix: 32}, []string{"persistent 60"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, api.ServiceFlags(tt.service)); diff != "" {
			t.Errorf("flags of %+v (-want +got):\n%s", tt.service, diff)
		}
	}
}

func TestFirewallMarkHasNoAddress(t *testing.T) {
	got := api.FromEntry(model.DatapathIPVS, model.ServiceEntry{Service: model.Service{Key: model.ServiceKey{FWMark: 7}}})
	if got.Protocol != "FWM" || got.FWMark != 7 || got.Address != "" {
		t.Errorf("service = %+v", got)
	}
}

// TestFromChecksKeepsEvidence: the last failure stays with all that it showed,
// whatever came after it.
func TestFromChecksKeepsEvidence(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	failure := health.Evidence{
		At: at, Took: 1500 * time.Millisecond, From: "10.0.0.9 on eth1", To: ap("10.0.0.1:80"), Path: "/health", Result: health.Failed,
		Error: "status 503, want 200-299", Sent: `GET /health HTTP/1.0\r\n`, Received: "HTTP/1.0 503 No",
	}
	got := api.FromChecks(health.Snapshot{Servers: []health.ServerStatus{{
		Key: tcpKey("192.0.2.1:80"), Server: ap("10.0.0.1:80"), Up: true,
		Checks: []health.CheckStatus{
			{Kind: model.MiscCheck, Object: "/bin/check a", Up: true, Since: at, LastFailure: &failure, Last: health.Evidence{At: at.Add(time.Minute), Result: health.Succeeded}},
		},
	}}}).Servers[0].Checks[0]
	want := api.Check{
		Kind: "MISC_CHECK", Object: "/bin/check a", Up: true, Since: at, Last: &api.Try{At: at.Add(time.Minute), Result: "succeeded"},
		LastFailure: &api.Try{
			At: at, TookSeconds: 1.5, Result: "failed", From: "10.0.0.9 on eth1", Path: "/health",
			Error: "status 503, want 200-299", Sent: `GET /health HTTP/1.0\r\n`, Received: "HTTP/1.0 503 No",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("check (-want +got):\n%s", diff)
	}
}

func TestFromChecksTellsATryFromNone(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	snap := health.Snapshot{MaxInFlight: 9, Servers: []health.ServerStatus{{
		Key: tcpKey("192.0.2.1:80"), Server: ap("10.0.0.1:80"), Up: true,
		Checks: []health.CheckStatus{
			{Kind: model.TCPCheck, To: ap("10.0.0.1:80"), Up: true},
			{Kind: model.TCPCheck, To: ap("10.0.0.1:81"), Last: health.Evidence{At: at, Took: time.Second, Result: health.Failed, Error: "refused"}},
		},
	}}}
	got := api.FromChecks(snap)
	checks := got.Servers[0].Checks
	if checks[0].Last != nil {
		t.Errorf("a check without a try has %+v", checks[0].Last)
	}
	want := &api.Try{At: at, TookSeconds: 1, Result: "failed", Error: "refused"}
	if diff := cmp.Diff(want, checks[1].Last); diff != "" {
		t.Errorf("last try (-want +got):\n%s", diff)
	}
	if checks[1].LastFailure != nil {
		t.Errorf("a check without a failure has %+v", checks[1].LastFailure)
	}
	if sum := api.SummarizeChecks(snap); sum != (api.CheckSummary{Total: 2, Up: 1}) {
		t.Errorf("summary = %+v", sum)
	}
}
