package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/daemon/doctor"
	"github.com/evenkeel/evenkeel/model"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what was printed with a file of testdata/golden.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// someServices are out of order, and have all that a line can show.
func someServices() []api.Service {
	up := &api.ServerHealth{Alive: true, Reason: "ok"}
	return []api.Service{
		{Protocol: "FWM", FWMark: 7, Scheduler: "rr", Flags: []string{}, Datapath: "none", Reason: "needs IPVS (fwmark 7), which this kernel does not have"},
		{Protocol: "UDP", Address: "192.0.2.1", Port: 53, Scheduler: "rr", Flags: []string{"ops"}, Datapath: "xdp"},
		{Protocol: "TCP", Address: "2001:db8::1", Port: 80, Scheduler: "mh", Flags: []string{"(mh-port)", "persistent 300"}, Datapath: "ipvs", Reason: "runs in IPVS (IPv6 address 2001:db8::1)"},
		{
			Protocol: "TCP", Address: "192.0.2.10", Port: 80, Scheduler: "rr", Flags: []string{}, Datapath: "xdp",
			Counters: model.Counters{Conns: 99_999_999, InPkts: 100_000_000, OutPkts: 1_000_000_000, InBytes: 100_000_000_000, OutBytes: 100_000_000_000_000},
			Servers: []api.RealServer{
				{Address: "10.0.0.20", Port: 80, Forward: "DR", InTable: true, Weight: 1, Active: 3, Inactive: 12, Health: up, Counters: model.Counters{Conns: 5, InPkts: 6, OutPkts: 7, InBytes: 8, OutBytes: 9}},
				{Address: "10.0.0.3", Port: 8080, Forward: "NAT", InTable: true, Weight: 65535, Active: 4294967295, Health: up},
				{Address: "10.0.0.2", Port: 80, Forward: "TUN", InTable: true, Health: up},
				{Address: "10.0.0.1", Port: 80, Forward: "DR", Weight: 1, Health: &api.ServerHealth{Reason: "refused"}},
			},
		},
		{Protocol: "TCP", Address: "192.0.2.9", Port: 443, Scheduler: "rr", Flags: []string{}, Datapath: "xdp"},
	}
}

func TestPrintServices(t *testing.T) {
	tests := []struct {
		name string
		o    servicesOptions
	}{
		{"services.txt", servicesOptions{}},
		{"services-nosort.txt", servicesOptions{nosort: true}},
		{"services-stats.txt", servicesOptions{stats: true}},
		{"services-stats-exact.txt", servicesOptions{stats: true, exact: true}},
		{"services.json", servicesOptions{json: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			e := &env{stdout: &out}
			if err := e.listServices(api.Services{Daemon: true, Services: someServices()}, tt.o); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name, out.Bytes())
		})
	}
}

func TestPrintFlows(t *testing.T) {
	flows := []api.Flow{
		{Protocol: "TCP", Client: "10.0.0.9:40000", Virtual: "192.0.2.10:80", Server: "10.0.0.20:80", Forward: "DR", State: "ESTABLISHED", ExpiresSeconds: 899.7},
		{Protocol: "UDP", Client: "10.0.0.9:5353", Virtual: "192.0.2.1:53", Server: "10.0.0.20:53", Forward: "NAT", State: "UDP", ExpiresSeconds: 9},
	}
	for name, asJSON := range map[string]bool{"flows.txt": false, "flows.json": true} {
		var out bytes.Buffer
		e := &env{stdout: &out}
		err := e.listFlows(asJSON, func(yield func(api.Flow) bool) error {
			for _, f := range flows {
				yield(f)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.Bytes())
	}
}

func TestNoFlowsPrintTheHeader(t *testing.T) {
	var out bytes.Buffer
	e := &env{stdout: &out}
	if err := e.listFlows(false, func(func(api.Flow) bool) error { return nil }); err != nil || out.String() != flowsHeader {
		t.Errorf("%q, %v", &out, err)
	}
}

func TestPrintStatus(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	refused := api.Load{At: at.Add(time.Hour), Cause: "SIGHUP", Error: "/etc/ek.conf:3:1: error: no such thing; write it so"}
	s := api.Status{
		Version: "1.2.3", PID: 4711, State: "running", UptimeSeconds: 100_000, ConfigFile: "/etc/ek.conf",
		Running:    api.Load{At: at, Cause: "start", OK: true, Services: 4, Errors: 1, Warnings: 2},
		LastReload: &refused, LastRefusal: &refused,
		Datapath: api.Datapath{Running: true, Kernel: "6.1.0", Adopted: true, LastError: "xdp: no room in the maps", Interfaces: []api.Interface{
			{Name: "eth0", Mode: "native"},
			{Name: "eth1", Mode: "generic", Reason: "the driver refuses native mode: operation not supported"},
			{Name: "eth2", Reason: "the interface is gone"},
		}, IPVS: api.IPVS{Detail: "this kernel has no IPVS: module ip_vs cannot be loaded"}},
		Flows:   api.FlowTable{Used: 12, Capacity: 262144, Refused: 3},
		Checks:  api.CheckSummary{Total: 6, Up: 5, Waiting: 1},
		Packets: api.Packets{XDP: 12, Forwarded: 5, Answered: 3, Dropped: 4, Passed: 7},
		Reasons: []api.Reason{
			{Name: "no_service", Verdict: "pass", Text: "no virtual service has this address", Packets: 7},
			{Name: "forwarded_dr", Verdict: "forward", Text: "forwarded to the server by DR", Packets: 5},
		},
		Services: []api.Summary{
			{Service: "[192.0.2.1]:tcp:80", Scheduler: "rr", Datapath: "xdp", QuorumUp: true, Quorum: 1, AliveWeight: 3, ServersAlive: 3, Servers: 3},
			{Service: "[192.0.2.2]:tcp:80", Scheduler: "rr", Datapath: "xdp", Quorum: 2, AliveWeight: 1, ServersAlive: 1, Servers: 3, SorryActive: true, Unresolved: 1},
			{Service: "[192.0.2.3]:tcp:80", Scheduler: "lblc", Datapath: "none", Reason: "needs IPVS (scheduler lblc), which this kernel does not have"},
		},
	}
	var out bytes.Buffer
	printStatus(&out, s)
	golden(t, "status.txt", out.Bytes())

	accepted := api.Load{At: at.Add(2 * time.Hour), Cause: "api uid 0 pid 1", OK: true, Services: 4}
	s.LastReload, s.UptimeSeconds, s.Services, s.Reasons = &accepted, 59.9, nil, nil
	s.Datapath = api.Datapath{Detail: "the file asks for IPVS"}
	out.Reset()
	printStatus(&out, s)
	golden(t, "status-refused-earlier.txt", out.Bytes())
}

func TestPrintFindings(t *testing.T) {
	findings := []doctor.Finding{
		{Subject: "kernel", Level: doctor.OK, Found: "kernel 6.1.0"},
		{Subject: "bpffs", Level: doctor.Failure, Found: "no bpf file system on /sys/fs/bpf", Fix: "mount -t bpf bpf /sys/fs/bpf"},
		{Subject: "interface eth0", Level: doctor.Warning, Found: "is down", Fix: "ip link set dev eth0 up"},
	}
	for name, asJSON := range map[string]bool{"doctor.txt": false, "doctor.json": true} {
		var out bytes.Buffer
		if err := (&env{stdout: &out}).printFindings(findings, asJSON); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.Bytes())
	}
}

func TestUptime(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0s", 61.9: "1m1s", 3600: "1h0m", 90061: "1d1h"} {
		if got := uptime(seconds); got != want {
			t.Errorf("uptime(%v) = %s, want %s", seconds, got, want)
		}
	}
}
