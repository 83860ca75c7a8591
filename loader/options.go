package loader

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/sched"
)

// DefaultDir is where the datapath is pinned.
const DefaultDir = "/sys/fs/bpf/evenkeel"

// The sizes of the maps where Options gives none; those of the object.
const (
	DefaultFlows    = 262144
	DefaultServices = 1024
	DefaultServers  = 16384
)

// Options describe the datapath to start. The zero value is the default of
// each field but Links.
type Options struct {
	// Links lists the interfaces of the namespace that the daemon runs in,
	// such as a netif.Kernel. Required.
	Links Links
	// Dir is the pin directory, in a bpf file system; default DefaultDir. Its parent
	// must exist.
	Dir string
	// Flows, Services and Servers are the sizes of the maps. Flows is that of
	// IPv4 and that of IPv6, each rounded
	// up to a multiple of the number of shards. Maps that run already keep
	// their sizes; a difference is logged.
	Flows, Services, Servers uint32
	// Timeouts of idle flows; a zero one is IPVS's default.
	Timeouts lbmaps.Timeouts
	// ICMPPerSecond is how many ICMP errors one CPU may send, default 1000.
	ICMPPerSecond uint32
	// Resolver finds next hops. Without one no server is ever resolved.
	Resolver Resolver
	// ResolveWait bounds how long one Apply waits for the next hops of its
	// new servers, default 250 ms. A neighbour on the link answers within
	// one; a dead server costs the wait each time it is added.
	ResolveWait time.Duration
	// Profile is the generation of IPVS that lc, wlc and the thresholds follow;
	// default the newest.
	Profile sched.Profile
	// Log takes one line for each change of state; default discards.
	Log *slog.Logger

	// testClock makes the programs take the time from their variable
	// test_now.
	testClock bool
	// testLoaded are the programs of an earlier start on the same maps, taken
	// instead of loading them once more, which takes the verifier a second.
	testLoaded *loaded
}

// Links lists interfaces.
type Links interface {
	// Links returns all interfaces with their attached XDP programs.
	Links() ([]netif.Link, error)
}

// Resolver finds the next hops of servers and keeps them warm, as
// netif.Resolver does. Whoever builds it calls XDP.NextHopChanged at each
// change.
type Resolver interface {
	Watch(addrs ...netip.Addr)
	Unwatch(addrs ...netip.Addr)
	// NextHop returns what is known of a watched address, and false before
	// the first answer.
	NextHop(addr netip.Addr) (netif.NextHop, bool)
}

func (o Options) withDefaults() Options {
	if o.Dir == "" {
		o.Dir = DefaultDir
	}
	if o.Flows == 0 {
		o.Flows = DefaultFlows
	}
	if o.Services == 0 {
		o.Services = DefaultServices
	}
	if o.Servers == 0 {
		o.Servers = DefaultServers
	}
	o.Flows = (o.Flows + lbmaps.FlowShards - 1) / lbmaps.FlowShards * lbmaps.FlowShards
	o.Timeouts = withDefaultTimeouts(o.Timeouts)
	if o.ICMPPerSecond == 0 {
		o.ICMPPerSecond = 1000
	}
	if o.ResolveWait == 0 {
		o.ResolveWait = 250 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func withDefaultTimeouts(t lbmaps.Timeouts) lbmaps.Timeouts {
	for i, standard := range lbmaps.DefaultTimeouts() {
		if t[i] == 0 {
			t[i] = standard
		}
	}
	return t
}
