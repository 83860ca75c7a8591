package bench

import (
	"fmt"
	"net/netip"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/model"
)

// The addresses of the cases. Clients are numbered from firstClient on.
var (
	vip         = netip.MustParseAddrPort("198.51.100.1:80")
	firstClient = netip.MustParseAddr("10.64.0.0")
)

// Case is one path through the program, with one number of flows.
type Case struct {
	// Path is what a packet meets: established, reply, new, foreign, port.
	Path string `json:"path"`
	// Protocol is TCP or UDP.
	Protocol string `json:"protocol"`
	// Forward is the servers' method, as ipvsadm names it; empty when no server is reached.
	Forward string `json:"forward,omitempty"`
	// Scheduler chose the servers.
	Scheduler string `json:"scheduler,omitempty"`
	// Servers is how many the service has.
	Servers int `json:"servers,omitempty"`
	// Flows is how many flows live, visited out of order; for a new flow, how many
	// there are at the end of a round.
	Flows uint32 `json:"flows"`

	service service
	// table is the size of the flow table.
	table uint32
	// open are the packets that make the flows; nil for none.
	open *drive.Plan
	// measured are the packets that are measured, and want the reason that each
	// of them must end in.
	measured drive.Plan
	want     reasons.Reason
	// fresh is set when every packet must open a flow of its own.
	fresh bool
}

// Name says in one line what is measured.
func (c Case) Name() string {
	switch c.Path {
	case pathForeign, pathPort:
		return c.Path + " " + c.Protocol
	case pathNew:
		return fmt.Sprintf("%s %s %s %s, %d servers", c.Path, c.Protocol, c.Forward, c.Scheduler, c.Servers)
	}
	return fmt.Sprintf("%s %s %s, %s flows", c.Path, c.Protocol, c.Forward, round(c.Flows))
}

// round prints a power of two as people say it: 1 k, 128 k, 1 M.
func round(n uint32) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d M", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d k", n>>10)
	}
	return fmt.Sprint(n)
}

// The paths.
const (
	pathEstablished = "established"
	pathReply       = "reply"
	pathNew         = "new flow"
	pathForeign     = "foreign address"
	pathPort        = "our address, no such port"
)

// cases returns what the program level measures. most bounds the live flows.
func cases(most uint32) []Case {
	var all []Case
	for _, v := range []service{
		{model.TCP, vip, "rr", model.DR, 4},
		{model.UDP, vip, "rr", model.DR, 4},
		{model.TCP, vip, "rr", model.NAT, 4},
	} {
		for flows := range flowCounts(most) {
			all = append(all, established(v, flows))
		}
	}
	for flows := range flowCounts(most) {
		all = append(all, reply(flows))
	}
	for _, scheduler := range []string{"rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", "mh", "fo", "ovf"} {
		for _, servers := range []int{4, 256} {
			all = append(all, newFlow(service{model.TCP, vip, scheduler, model.DR, servers}, most))
		}
	}
	all = append(all, newFlow(service{model.TCP, vip, "rr", model.NAT, 4}, most))
	elsewhere := netip.MustParseAddrPort("203.0.113.77:80")
	noPort := netip.AddrPortFrom(vip.Addr(), 81)
	return append(all, foreign(pathForeign, elsewhere), foreign(pathPort, noPort))
}

// flowCounts yields the numbers of live flows up to a bound.
func flowCounts(most uint32) func(func(uint32) bool) {
	return func(yield func(uint32) bool) {
		for _, n := range []uint32{1, 1 << 10, 1 << 17, 1 << 20, 1 << 22} {
			if n > most || !yield(n) {
				return
			}
		}
	}
}

func describe(path string, v service, flows uint32) Case {
	return Case{
		Path: path, Protocol: v.protocol.String(), Forward: v.forward.String(), Scheduler: v.scheduler,
		Servers: v.servers, Flows: flows, service: v, table: roomy(flows),
	}
}

// roomy is a table in which so many flows leave every shard half empty.
func roomy(flows uint32) uint32 { return max(2*flows, 1<<16) }

// client is the first flow's end.
func client() netip.AddrPort { return netip.AddrPortFrom(firstClient, 1024) }

func toVIP(v service, flags byte, flows uint32, shuffled bool) drive.Plan {
	p := packet{v.protocol, client(), v.vip, flags}
	return drive.Plan{Frame: p.frame(), Flows: flows, First: firstClient, Shuffled: shuffled}
}

// established is a packet of a flow that lives.
func established(v service, flows uint32) Case {
	c := describe(pathEstablished, v, flows)
	open := toVIP(v, flagSYN, flows, false)
	c.open, c.measured = &open, toVIP(v, flagACK, flows, true)
	c.want = reasons.ForwardedDR
	if v.forward == model.NAT {
		c.want = reasons.ForwardedNAT
	}
	return c
}

// reply is a packet of a NAT server. With one server all replies come from it.
func reply(flows uint32) Case {
	v := service{model.TCP, vip, "rr", model.NAT, 1}
	c := describe(pathReply, v, flows)
	open := toVIP(v, flagSYN, flows, false)
	c.open = &open
	server := v.ops()[1].Server.Addr
	c.measured = drive.Plan{
		Frame: packet{v.protocol, server, client(), flagACK}.frame(),
		Flows: flows, First: firstClient, Shuffled: true, Reply: true,
	}
	c.want = reasons.ForwardedReply
	return c
}

// newFlow is a packet that opens a flow.
func newFlow(v service, most uint32) Case {
	flows := min(1<<16, most)
	c := describe(pathNew, v, flows)
	c.measured, c.fresh = toVIP(v, flagSYN, flows, true), true
	c.want = reasons.ForwardedDR
	if v.forward == model.NAT {
		c.want = reasons.ForwardedNAT
	}
	return c
}

// foreign is a packet for which there is no service.
func foreign(path string, to netip.AddrPort) Case {
	v := service{model.TCP, vip, "rr", model.DR, 4}
	flows := uint32(1 << 10)
	return Case{
		Path: path, Protocol: v.protocol.String(), Flows: flows, service: v, table: roomy(flows),
		measured: drive.Plan{Frame: packet{v.protocol, client(), to, flagACK}.frame(), Flows: flows, First: firstClient, Shuffled: true},
		want:     reasons.NoService,
	}
}
