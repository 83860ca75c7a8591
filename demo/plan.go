package demo

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/evenkeel/evenkeel/model"
)

// DefaultName is what everything that the demo makes is called after.
const DefaultName = "evenkeel-demo"

// serverCount is the number of real servers, directorCount of directors.
const (
	serverCount   = 3
	directorCount = 2
)

// The two networks. The client is in both, so that the servers can answer it
// directly for DR, and must go through the director for NAT.
const (
	clientOutside = "10.77.1.9"
	clientInside  = "10.77.2.9"
	// firstOutside and firstInside are the first director's own addresses; the
	// second one's follow them.
	firstOutside = "10.77.1.1"
	firstInside  = "10.77.2.1"
	// gateway is the servers' default gateway, a virtual address too.
	gateway     = "10.77.2.254"
	firstServer = "10.77.2.11"
	networkBits = 24
	httpPort    = 80
)

// service is one virtual service of the demo.
type service struct {
	// name is what the demo calls it, after its method.
	name    string
	vip     netip.Addr
	forward model.Forward
}

func (s service) url() string { return fmt.Sprintf("http://%s/", s.vip) }

// director is one of the two.
type director struct {
	// name is also the word of its lines in the file, by run's option -i.
	name            string
	outside, inside netip.Addr
	priority        int
	// program runs it.
	program Peer
	// dir holds its socket and log, pins is its daemon's pin directory.
	dir, pins string
}

func (d director) socket() string { return filepath.Join(d.dir, "evenkeel.sock") }
func (d director) log() string    { return filepath.Join(d.dir, "daemon.log") }

// Peer is a program that can run the second director.
type Peer string

// The peers.
const (
	PeerEvenkeel   Peer = "evenkeel"
	PeerKeepalived Peer = "keepalived"
)

// plan is everything about a demo that is known before it starts.
type plan struct {
	name      string
	services  []service
	servers   []netip.Addr
	directors [directorCount]director
	// dir is the run directory: lock, configuration, a directory for each
	// director.
	dir string
	// pins holds the pin directories of the daemons.
	pins string
	// root is the bpf file system that the pins are in.
	root string
}

// newPlan returns the plan of the demo of that name with that second director.
// Pins are below bpffs.
func newPlan(name, bpffs string, peer Peer) plan {
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
	outside, inside := netip.MustParseAddr(firstOutside), netip.MustParseAddr(firstInside)
	for i, priority := range [directorCount]int{150, 100} {
		dir := directorName(i)
		p.directors[i] = director{
			name: dir, outside: outside, inside: inside, priority: priority, program: PeerEvenkeel,
			dir: filepath.Join(p.dir, dir), pins: filepath.Join(p.pins, dir),
		}
		outside, inside = outside.Next(), inside.Next()
	}
	p.directors[second].program = peer
	return p
}

func runDir(name string) string { return filepath.Join("/run", name) }

func (p plan) config() string { return filepath.Join(p.dir, "keepalived.conf") }

// peer runs the second director.
func (p plan) peer() Peer { return p.directors[second].program }

// The directors, counted from 0: the master while both are well, and the other.
const (
	first  = 0
	second = 1
)

// directorName returns what director i is called.
func directorName(i int) string { return fmt.Sprintf("director%d", i+1) }

// virtual returns the addresses that the master holds: outside, inside.
func (p plan) virtual() (outside, inside []netip.Addr) {
	for _, s := range p.services {
		if s.forward == model.DR {
			inside = append(inside, s.vip)
		} else {
			outside = append(outside, s.vip)
		}
	}
	return outside, append(inside, netip.MustParseAddr(gateway))
}

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
