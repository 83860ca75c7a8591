package demo

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// DefaultName is what everything that the demo makes is called after.
const DefaultName = "evenkeel-demo"

// serverCount is the number of real servers.
const serverCount = 3

// The two networks. The client is in both, so that the servers can answer it
// directly for DR, and must go through the director for NAT.
const (
	clientOutside   = "10.77.1.9"
	directorOutside = "10.77.1.1"
	clientInside    = "10.77.2.9"
	directorInside  = "10.77.2.1"
	firstServer     = "10.77.2.11"
	networkBits     = 24
	httpPort        = 80
)

// service is one virtual service of the demo.
type service struct {
	// name is what the demo calls it, after its method.
	name    string
	vip     netip.Addr
	forward model.Forward
}

func (s service) url() string { return fmt.Sprintf("http://%s/", s.vip) }

// plan is everything about a demo that is known before it starts.
type plan struct {
	name     string
	services []service
	servers  []netip.Addr
	// dir is the run directory: lock, configuration, socket, log.
	dir string
	// pins is the daemon's pin directory.
	pins string
	// root is the bpf file system that the pin directory is in.
	root string
}

// newPlan returns the plan of the demo of that name. Pins are below bpffs.
func newPlan(name, bpffs string) plan {
	p := plan{
		name: name,
		services: []service{
			{name: "DR", vip: netip.MustParseAddr("10.77.2.100"), forward: model.DR},
			{name: "NAT", vip: netip.MustParseAddr("10.77.1.100"), forward: model.NAT},
		},
		dir:  runDir(name),
		pins: filepath.Join(bpffs, name),
		root: bpffs,
	}
	addr := netip.MustParseAddr(firstServer)
	for range serverCount {
		p.servers = append(p.servers, addr)
		addr = addr.Next()
	}
	return p
}

func runDir(name string) string { return filepath.Join("/run", name) }

func (p plan) config() string { return filepath.Join(p.dir, "keepalived.conf") }
func (p plan) socket() string { return filepath.Join(p.dir, "evenkeel.sock") }
func (p plan) log() string    { return filepath.Join(p.dir, "daemon.log") }

// namespace returns the name that ip netns knows a node by.
func (p plan) namespace(node string) string { return p.name + "-" + node }

// serverName returns what server i, counted from 0, is called.
func serverName(i int) string { return fmt.Sprintf("server%d", i+1) }

// serverNames returns the names of all servers.
func (p plan) serverNames() []string {
	names := make([]string, len(p.servers))
	for i := range names {
		names[i] = serverName(i)
	}
	return names
}

// evenWeights are those that the demo starts with.
func (p plan) evenWeights() []int32 {
	weights := make([]int32, len(p.servers))
	for i := range weights {
		weights[i] = 1
	}
	return weights
}

// drained are the even weights with 0 for one server.
func (p plan) drained(server int) []int32 {
	weights := p.evenWeights()
	weights[server] = 0
	return weights
}

// configText writes the keepalived.conf of the director.
func (p plan) configText(weights []int32) string {
	var b strings.Builder
	fmt.Fprintln(&b, "# keepalived reads this file too.")
	for _, s := range p.services {
		fmt.Fprintf(&b, "virtual_server %s %d {\n", s.vip, httpPort)
		fmt.Fprint(&b, "    protocol TCP\n    lb_algo rr\n")
		fmt.Fprintf(&b, "    lb_kind %s\n", s.forward)
		fmt.Fprint(&b, "    delay_loop 1\n    connect_timeout 1\n")
		for i, addr := range p.servers {
			b.WriteString(serverText(addr, weights[i]))
		}
		fmt.Fprint(&b, "}\n")
	}
	return b.String()
}

// serverText writes a real server, in one line while its weight is the default.
func serverText(addr netip.Addr, weight int32) string {
	if weight == 1 {
		return fmt.Sprintf("    real_server %s %d { TCP_CHECK { } }\n", addr, httpPort)
	}
	return fmt.Sprintf("    real_server %s %d {\n        weight %d\n        TCP_CHECK { }\n    }\n", addr, httpPort, weight)
}

// drawing draws the network. Each line is at most 72 columns wide.
func (p plan) drawing() string {
	at := func(addr string, s service) string {
		return fmt.Sprintf("%-11s VIP %s:%d (%s)", addr, s.vip, httpPort, s.name)
	}
	dr, nat := p.services[0], p.services[1]
	return strings.Join([]string{
		fmt.Sprintf("  client    eth0 %-36s eth1 %s", clientOutside, clientInside),
		"             |                                         |",
		"  outside  --+-----+--------  10.77.1.0/24             |",
		"                   |                                   |",
		fmt.Sprintf("  director  eth0 %-37s |", at(directorOutside, nat)),
		fmt.Sprintf("            eth1 %-37s |", at(directorInside, dr)),
		"                   |                                   |",
		"  inside   --+-----+------+------------+---------------+--  10.77.2.0/24",
		"             |            |            |",
		fmt.Sprintf("          %-12s %-12s %s", serverName(0), serverName(1), serverName(2)),
		fmt.Sprintf("          %-12s %-12s %s", p.servers[0], p.servers[1], p.servers[2]),
		"",
	}, "\n")
}
