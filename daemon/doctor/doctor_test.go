package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/ipvs"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
)

// network is a Network of fixed values.
type network struct {
	links      []netif.Link
	choices    []netif.Choice
	forwarding bool
	err        error
}

func (n network) Links() ([]netif.Link, error)       { return n.links, n.err }
func (n network) Forwarding() (bool, error)          { return n.forwarding, n.err }
func (n network) IsLocal(a netip.Addr) (bool, error) { return a.String() == "10.0.0.254", nil }
func (n network) ChooseXDP(_, _ []netip.Addr) ([]netif.Choice, error) {
	return n.choices, n.err
}

func eth(name string) netif.Link {
	return netif.Link{Name: name, Ethernet: true, Up: true, Carrier: true}
}

func service(forward model.Forward, server string) model.VirtualServer {
	return model.VirtualServer{
		Service: model.Service{
			Key:       model.ServiceKey{Protocol: model.TCP, Addr: netip.MustParseAddrPort("192.0.2.1:80")},
			Scheduler: "rr",
		},
		Datapath: model.DatapathAuto,
		Servers:  []model.RealServer{{Server: model.Server{Addr: netip.MustParseAddrPort(server), Forward: forward, Weight: 1}}},
	}
}

func TestExaminationOfTheNetwork(t *testing.T) {
	busy := eth("eth1")
	busy.XDPMode, busy.XDPProgram = netif.XDPGeneric, 77
	down := eth("eth2")
	down.Carrier = false
	veth := eth("eth3")
	veth.Kind = "veth"
	none := owned{}
	lo := netif.Link{Name: "lo", Loopback: true, Up: true}
	all := []netif.Link{lo, eth("eth0"), busy, down}
	named := func(names ...string) *config.Config {
		return &config.Config{Global: model.Global{XDPInterfaces: names}}
	}
	dr := &config.Config{Services: []model.VirtualServer{service(model.DR, "10.0.0.1:80")}}
	nat := &config.Config{Services: []model.VirtualServer{service(model.NAT, "10.0.0.1:80")}}
	const noFallback = "ok ipvs: this kernel has no IPVS; no service needs it"
	chosen := []netif.Choice{{Link: eth("eth0"), Reasons: []string{"has the virtual address 192.0.2.1", "more"}}}
	tests := []struct {
		name string
		net  network
		cfg  *config.Config
		ours owned
		want []string // level, subject and the start of what was found
	}{
		{"nothing configured", network{links: all}, nil, none, []string{
			"ok interface eth0: free for XDP", "warning interface eth1: runs another XDP program (id 77, generic)", "warning interface eth2: is down",
		}},
		{"no Ethernet", network{links: []netif.Link{lo}}, nil, none, []string{"failure interfaces: no Ethernet"}},
		{"ours is not another's", network{links: []netif.Link{busy}}, nil, owned{by: map[string]string{"eth1": "runs Evenkeel's program (generic)"}}, []string{
			"ok interface eth1: runs Evenkeel's program (generic)",
		}},
		{"perhaps ours", network{links: []netif.Link{busy}}, nil, owned{unsure: true}, []string{
			"warning interface eth1: runs an XDP program (id 77, generic) that may be Evenkeel's",
		}},
		{"veth", network{links: []netif.Link{veth}}, nil, none, []string{"warning interface eth3: free for XDP; but"}},
		{"veth in generic mode", network{links: []netif.Link{veth}}, &config.Config{Global: model.Global{XDPMode: model.XDPGeneric, XDPInterfaces: []string{"eth3"}}}, none, []string{"ok interface eth3: free"}},
		{"named", network{links: all}, named("eth0", "eth1", "lo", "eth9"), none, []string{
			"ok interface eth0: free for XDP, named in the configuration",
			"failure interface eth1: runs another XDP program",
			"failure interface lo: is not Ethernet",
			"failure interface eth9: interface eth9 does not exist (have: lo, eth0, eth1, eth2)",
		}},
		{"chosen", network{links: all, choices: chosen}, dr, none, []string{
			noFallback, "ok interface eth0: free for XDP, has the virtual address 192.0.2.1 and 1 more",
		}},
		{"none chosen", network{links: all}, dr, none, []string{noFallback, "failure interfaces: none leads to the virtual address 192.0.2.1"}},
		{"useless", network{links: all, choices: []netif.Choice{{Link: lo, Problem: "interface lo is a loopback"}}}, dr, none, []string{
			noFallback, "warning interface lo: interface lo is a loopback", "failure interfaces: none leads to",
		}},
		{"NAT without forwarding", network{links: all, choices: chosen}, nat, none, []string{
			noFallback, "ok interface eth0: ", "failure ip_forward: off",
		}},
		{"NAT with forwarding", network{links: all, choices: chosen, forwarding: true}, nat, none, []string{
			noFallback, "ok interface eth0: ", "ok ip_forward: on",
		}},
		{"service that does not run", network{links: all, choices: chosen, forwarding: true}, &config.Config{Services: []model.VirtualServer{service(model.NAT, "10.0.0.254:80")}}, none, []string{
			"warning ipvs: this kernel has no IPVS", "warning service: [192.0.2.1]:tcp:80 needs IPVS (server 10.0.0.254:80 is this machine)", "ok interface eth0: ", "ok ip_forward: on",
		}},
		{"instances", network{links: all}, routers(false, "eth0", "eth2", "eth9", "eth0"), none, []string{
			"ok vrrp on eth0: the interface is up, for VI0 and 1 more",
			"warning vrrp on eth2: the interface is down, so VI1 would be in FAULT",
			"failure vrrp on eth9: the interface of VI2 does not exist",
		}},
		{"dynamic interfaces", network{links: all}, routers(true, "eth9"), none, []string{"warning vrrp on eth9: the interface does not exist"}},
		{"netlink fails", network{err: errors.New("no netlink")}, dr, none, []string{"failure interfaces: no netlink"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := examination{network: tt.net, cfg: tt.cfg, ours: tt.ours, probe: func() (string, error) { return "", ipvs.ErrNoIPVS }}
			findings := e.run()
			failed := false
			for i, f := range findings {
				line := string(f.Level) + " " + f.Subject + ": " + f.Found
				if i >= len(tt.want) || !strings.HasPrefix(line, tt.want[i]) {
					t.Errorf("finding %d is %q, want %q", i, line, tt.want)
				}
				if (f.Level == OK) != (f.Fix == "") {
					t.Errorf("%q has the fix %q", line, f.Fix)
				}
				failed = failed || f.Level == Failure
			}
			if len(findings) != len(tt.want) {
				t.Errorf("%d findings, want %d", len(findings), len(tt.want))
			}
			if Failed(findings) != failed {
				t.Errorf("Failed = %v", !failed)
			}
		})
	}
}

// routers is a configuration with an instance on each interface.
func routers(dynamic bool, interfaces ...string) *config.Config {
	cfg := &config.Config{}
	cfg.VRRP.Global.DynamicInterfaces = dynamic
	for n, name := range interfaces {
		cfg.VRRP.Instances = append(cfg.VRRP.Instances, model.VRRPInstance{Name: fmt.Sprint("VI", n), Interface: name})
	}
	return cfg
}

// TestWithoutDatapath: VRRP alone needs no BPF, and tells so.
func TestWithoutDatapath(t *testing.T) {
	both := routers(false, "eth0")
	both.Services = []model.VirtualServer{service(model.DR, "10.0.0.1:80")}
	for cfg, want := range map[*config.Config]bool{nil: false, {}: false, both: false, routers(false, "eth0"): true} {
		if got := vrrpAlone(cfg); got != want {
			t.Errorf("vrrpAlone(%+v) = %t", cfg, got)
		}
	}
	got := withoutDatapath([]Finding{
		{"kernel", Failure, "kernel 3.2", "install"},
		{"privileges", Failure, "missing CAP_BPF", "run as root"},
		{"privileges", Failure, "missing CAP_NET_ADMIN, CAP_BPF", "run as root"},
		{"bpffs", Failure, "none", "mount it"},
		{"pins", OK, "none", ""},
	})
	const softer = "; VRRP runs without it, and virtual servers would not"
	want := []Finding{
		{"kernel", Failure, "kernel 3.2", "install"},
		{"privileges", Warning, "missing CAP_BPF" + softer, "run as root"},
		{"privileges", Failure, "missing CAP_NET_ADMIN, CAP_BPF", "run as root"},
		{"bpffs", Warning, "none" + softer, "mount it"},
		{"pins", OK, "none", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFacts(t *testing.T) {
	got := fromFacts([]loader.Fact{
		{Kind: loader.FactKernel, OK: true, Needed: true, Found: "kernel 6.1"},
		{Kind: loader.FactBPFFS, Needed: true, Found: "none", Fix: "mount it"},
		{Kind: loader.FactBTF, Found: "none", Fix: "use another kernel"},
	})
	want := []Finding{
		{Subject: "kernel", Level: OK, Found: "kernel 6.1"},
		{Subject: "bpffs", Level: Failure, Found: "none", Fix: "mount it"},
		{Subject: "btf", Level: Warning, Found: "none", Fix: "use another kernel"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConfigurations(t *testing.T) {
	const good = "virtual_server 192.0.2.1 80 {\n  protocol TCP\n  lb_algo rr\n  lb_kind DR\n  real_server 10.0.0.1 80 {\n  }\n}\n"
	tests := []struct {
		name, text string
		want       Level
		found      string
	}{
		{"good", good, OK, "1 services, 0 VRRP instances, 0 warnings"},
		{"nothing but VRRP", "vrrp_instance A {\n  interface eth0\n  virtual_router_id 1\n  priority 100\n  virtual_ipaddress {\n    192.0.2.1\n  }\n}\n", OK, "0 services, 1 VRRP instances"},
		{"no service", "global_defs {\n}\n", Warning, "no virtual server and no vrrp_instance"},
		{"error", good + strings.Replace(good, "192.0.2.1 80", "192.0.2.2 70000", 1), Failure, "1 errors"},
		{"unparsable", "virtual_server {", Failure, ":1:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.conf")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, got := readConfig(Options{File: path})
			if len(got) != 1 || got[0].Level != tt.want || !strings.Contains(got[0].Found, tt.found) || (got[0].Fix == "") != (tt.want == OK) {
				t.Errorf("findings = %+v, want %s with %q", got, tt.want, tt.found)
			}
		})
	}
}

func TestDaemonIsFound(t *testing.T) {
	dir := t.TempDir()
	o := Options{Socket: filepath.Join(dir, "ek.sock"), PinDir: filepath.Join(dir, "pins")}
	if f, ours := lookForDaemon(t.Context(), o); f.Level != OK || len(ours.by) != 0 || !strings.Contains(f.Found, "none runs") {
		t.Errorf("no daemon: %+v, %v", f, ours)
	}
	if err := os.MkdirAll(filepath.Join(o.PinDir, "links", "eth0%2e100"), 0o700); err != nil {
		t.Fatal(err)
	}
	if f, ours := lookForDaemon(t.Context(), o); f.Level != Warning || f.Fix == "" || ours.by["eth0.100"] == "" {
		t.Errorf("dead daemon: %+v, %v", f, ours)
	}
	// One that takes connections and says nothing.
	l, err := net.Listen("unix", o.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f, ours := lookForDaemon(ctx, o); f.Level != Warning || !ours.unsure || f.Fix == "" {
		t.Errorf("silent daemon: %+v, %v", f, ours)
	}
}

func TestOnlyAttachedInterfacesAreOurs(t *testing.T) {
	s := api.Status{Datapath: api.Datapath{Interfaces: []api.Interface{{Name: "eth0", Mode: "native"}, {Name: "eth1"}}}}
	want := map[string]string{"eth0": "runs Evenkeel's program (native)"}
	if diff := cmp.Diff(want, ownedBy(s).by); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
