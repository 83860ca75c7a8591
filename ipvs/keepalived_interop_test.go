//go:build interop

package ipvs

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
)

// TestKeepalivedMakesTheSameServices compares what keepalived 2.2.7 asks IPVS for
// with what the same file means here. Each service has its servers in the order
// in which they are added.
//
// Three differences are not asked for. A range over the end of a /24 makes
// keepalived run in circles; here it is a range. A NAT server of a group without
// a port has port 0 there, which IPVS takes for the service's, and that port
// here. And persistence_granularity means nothing in a group there.
func TestKeepalivedMakesTheSameServices(t *testing.T) {
	labtest.Keepalived(t, "2.2")
	for _, tc := range oracleConfigs() {
		t.Run(tc.what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keepalived.conf")
			if err := os.WriteFile(path, []byte(tc.conf), 0o600); err != nil {
				t.Fatal(err)
			}
			theirs := servicesOfKeepalived(t, path)
			cfg, err := config.Load(path, config.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var ours []string
			for _, vs := range cfg.Services {
				var servers []model.Server
				for _, rs := range vs.Servers {
					servers = append(servers, rs.Server)
				}
				ours = append(ours, serviceText(vs.Service, servers))
			}
			slices.Sort(ours)
			if diff := cmp.Diff(theirs, ours); diff != "" {
				t.Errorf("services (-keepalived +ours):\n%s", diff)
			}
		})
	}
}

// oracleConfigs are configurations of which keepalived makes services.
func oracleConfigs() []struct{ what, conf string } {
	group := func(lines, block string) string {
		return fmt.Sprintf("virtual_server_group g {\n%s\n}\nvirtual_server group g {\nlb_algo wrr\n%s\n}\n", lines, block)
	}
	const (
		tcp = "protocol TCP\n"
		rs1 = "real_server 198.51.100.1 8080 {\nweight 3\n}\n"
		rs2 = "real_server 198.51.100.2 {\nuthreshold 9\nlthreshold 4\n}\n"
		rs6 = "real_server 2001:db8:1::1 80 {\n}\n"
		tun = "real_server 198.51.100.1 80 {\nlvs_method TUN\n}\nreal_server 2001:db8:1::1 80 {\nlvs_method TUN\n}\n"
	)
	return []struct{ what, conf string }{
		{"a service", "virtual_server 192.0.2.1 80 {\nlb_algo sh\nsh-port\n" + tcp + rs1 + rs2 + "}\n"},
		{"a mark with NAT", "virtual_server fwmark 7 {\nlb_algo rr\n" + rs1 + rs2 + "}\n"},
		{"a mark with DR", "virtual_server fwmark 7 {\nlb_algo rr\nlb_kind DR\n" + rs1 + rs2 + "}\n"},
		{"a mark of IPv6", "virtual_server fwmark 7 {\nlb_algo rr\nlb_kind DR\n" + rs6 + rs1 + "}\n"},
		{"a mark with ip_family", "virtual_server fwmark 7 {\nip_family inet6\nlb_algo rr\nlb_kind TUN\n" + tun + "}\n"},
		{"a mark with tunnels", "virtual_server fwmark 7 {\nlb_algo rr\nlb_kind TUN\n" + tun + "}\n"},
		{"a mark with tunnels to IPv6", "virtual_server fwmark 7 {\nlb_algo rr\nreal_server 2001:db8:1::1 80 {\nlvs_method TUN\n}\n}\n"},
		{"no port", "virtual_server 192.0.2.1 {\nlb_algo rr\n" + tcp + rs1 + rs2 + "}\n"},
		{"a group", group("192.0.2.1 80\n192.0.2.2 81\n192.0.2.3-5 82\n192.0.2.16-192.0.2.20 83\n192.0.2.8/29 84", tcp+rs1)},
		{"a group with DR", group("192.0.2.1 80\n192.0.2.2 81", tcp+"lb_kind DR\n"+rs1+rs2)},
		{"a group of IPv6", group("2001:db8::1 80\n2001:db8::9-b 80\n2001:db8::20/126 80", tcp+rs6)},
		{"a group of marks", group("fwmark 1\nfwmark 2", rs1+rs2)},
		{"a group of marks with DR", group("fwmark 1\nfwmark 2", "lb_kind DR\n"+rs1+rs2)},
		{"marks of a group for IPv6", group("fwmark 1\nfwmark 2", "lb_kind DR\n"+rs6)},
		{"a group of both families", group("192.0.2.1 80\n2001:db8::1 80\nfwmark 1 inet\nfwmark 2 inet6", tcp+tun)},
		{"a group with a port for every server", group("192.0.2.1", tcp+rs1+rs2)},
		{"a group with marks and addresses", group("192.0.2.1 80\nfwmark 1", tcp+"lb_kind DR\n"+rs1+rs2)},
		{"a group for two protocols", group("192.0.2.1-2 53", tcp+rs1) + "virtual_server group g {\nlb_algo rr\nprotocol UDP\nops\nlb_kind DR\n" + rs2 + "}\n"},
		{"a group with persistence", group("192.0.2.1-2 53", tcp+"persistence_timeout 50\n"+rs1)},
		{"a group that is not there", "virtual_server group g {\nlb_algo rr\n" + tcp + rs1 + "}\nvirtual_server 192.0.2.1 80 {\nlb_algo rr\n" + tcp + rs1 + "}\n"},
		{"a group of the other family", group("2001:db8::1 80", tcp+rs1) + "virtual_server 192.0.2.1 80 {\nlb_algo rr\n" + tcp + rs1 + "}\n"},
	}
}

// serviceText writes a service and its servers on one line.
func serviceText(s model.Service, servers []model.Server) string {
	var b strings.Builder
	family := "inet"
	if s.Key.Addr.Addr().Is6() {
		family = "inet6"
	}
	fmt.Fprintf(&b, "%s %s %s flags %#x persistent %s/%d ops %v:", s.Key, family, s.Scheduler, s.SchedFlags, s.Persistence, s.PersistencePrefix, s.OnePacket)
	for _, rs := range servers {
		fmt.Fprintf(&b, " %s %s %d %d/%d", rs.Addr, rs.Forward, rs.Weight, rs.Upper, rs.Lower)
	}
	return b.String()
}

// servicesOfKeepalived starts keepalived's checkers and returns the services that
// they make, sorted.
func servicesOfKeepalived(t *testing.T, path string) []string {
	t.Helper()
	dir := filepath.Dir(path)
	log := filepath.Join(dir, "requests")
	cmd := labtest.KeepalivedCheckers(t, path)
	cmd.Env = append(cmd.Env, "EVENKEEL_IPVS_LOG="+log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	output, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	// The checkers are started once all services are made.
	labtest.Until(t, "start of keepalived", func() bool {
		text, err := os.ReadFile(output.Name())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "Activating BFD healthchecker")
	})
	requests, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return servicesOfRequests(t, requests)
}

// servicesOfRequests carries out requests to IPVS on a table of its own.
func servicesOfRequests(t *testing.T, requests []byte) []string {
	t.Helper()
	type entry struct {
		service model.Service
		servers []model.Server
	}
	var order []*entry
	table := make(map[model.ServiceKey]*entry)
	for len(requests) > 0 {
		n := binary.NativeEndian.Uint32(requests)
		message := requests[unix.NLMSG_HDRLEN:n]
		requests = requests[(n+3)&^3:]
		command, attributes := message[0], message[4:]
		if command != cmdNewService && command != cmdNewServer {
			continue
		}
		svc, err := decodeService(attributes)
		if err != nil {
			t.Fatalf("service: %v", err)
		}
		key := svc.Key
		if command == cmdNewService {
			if table[key] != nil {
				continue
			}
			table[key] = &entry{service: svc.Service}
			order = append(order, table[key])
			continue
		}
		family := uint16(unix.AF_INET)
		if key.Addr.Addr().Is6() {
			family = unix.AF_INET6
		}
		rs, err := decodeServer(attributes, family)
		if err != nil {
			t.Fatalf("server: %v", err)
		}
		if table[key] == nil {
			t.Fatalf("a server of %s, which is not there", key)
		}
		if !slices.ContainsFunc(table[key].servers, func(s model.Server) bool { return s.Addr == rs.Addr }) {
			table[key].servers = append(table[key].servers, rs.Server)
		}
	}
	var lines []string
	for _, e := range order {
		lines = append(lines, serviceText(e.service, e.servers))
	}
	slices.Sort(lines)
	return lines
}
