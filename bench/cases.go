package bench

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/model"
)

// The addresses of the cases. Clients are numbered from firstClient on.
var (
	vip          = netip.MustParseAddrPort("198.51.100.1:80")
	vip6         = netip.MustParseAddrPort("[2001:db8:100::1]:80")
	firstClient  = netip.MustParseAddr("10.64.0.0")
	firstClient6 = netip.MustParseAddr("2001:db8:64::")
)

// Case is one path through the program, with one number of flows.
type Case struct {
	// Path is what a packet meets.
	Path string
	// Flows is how many flows live, visited out of order; for a new flow, how many
	// are opened in a round.
	Flows uint32

	service service
	// services is how many services there are, like service but for the port.
	services uint32
	// table is the size of the flow table for each round.
	table uint32
	// open are the packets that make the flows; nil for none.
	open *drive.Plan
	// measured are the packets that are measured, and want the reason that each
	// of them must end in.
	measured drive.Plan
	want     reasons.Reason
	// fresh is set when every packet must open a flow of its own, in every round.
	fresh bool
	// renew makes a datapath for each round.
	renew bool
	// given are the services of a configuration, instead of service's copies, and
	// label is the name of the case then.
	given *given
	label string
	// common is set where every balancer has the case: others can be measured beside ours.
	common bool
	// others is the part of the packets that may end otherwise.
	others float64
}

// The paths.
const (
	pathEstablished = "established"
	pathReply       = "reply"
	pathNew         = "new flow"
	pathFull        = "new flow, table nearly full"
	pathForeign     = "foreign address"
	pathPort        = "our address, no such port"
)

// packets names the packets of the case, and not what becomes of them.
func (c Case) packets() string {
	name := c.Path + " " + c.service.protocol.String()
	if c.service.vip.Addr().Is6() {
		name += "/IPv6"
	}
	return name
}

// Series names the case but for the number of live flows.
func (c Case) Series() string {
	if c.label != "" {
		return c.label
	}
	v, name := c.service, c.packets()
	switch c.Path {
	case pathForeign, pathPort:
		return name
	case pathNew, pathFull:
		name += fmt.Sprintf(" %s %s, %d servers", v.forward, v.scheduler, v.servers)
	default:
		name += fmt.Sprintf(" %s", v.forward)
		if v.servers > 4 {
			name += fmt.Sprintf(", %d servers", v.servers)
		}
	}
	if c.services > 1 {
		name += fmt.Sprintf(", %s services", round(c.services))
	}
	return name
}

// counted reports whether the number of flows is part of what is measured.
func (c Case) counted() bool { return c.Path == pathEstablished || c.Path == pathReply }

// Name says in one line what is measured.
func (c Case) Name() string {
	if c.counted() {
		return fmt.Sprintf("%s, %s flows", c.Series(), round(c.Flows))
	}
	return c.Series()
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

// schedulers are those that the program runs.
func schedulers() []string {
	return []string{"rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", "mh", "fo", "ovf"}
}

// cases returns what the program level measures. most bounds the live flows.
func cases(most uint32) []Case {
	all := establishedCases(most)
	for _, scheduler := range schedulers() {
		for _, servers := range []int{2, 256} {
			all = append(all, newFlow(service{protocol: model.TCP, vip: vip, scheduler: scheduler, forward: model.DR, servers: servers}, most))
		}
	}
	for _, v := range []service{
		{protocol: model.UDP, vip: vip, scheduler: "rr", forward: model.DR, servers: 2},
		{protocol: model.TCP, vip: vip, scheduler: "rr", forward: model.NAT, servers: 2},
		{protocol: model.TCP, vip: vip, scheduler: "rr", forward: model.TUN, servers: 2},
		{protocol: model.TCP, vip: vip6, scheduler: "rr", forward: model.DR, servers: 2},
		{protocol: model.TCP, vip: vip6, scheduler: "rr", forward: model.NAT, servers: 2},
	} {
		all = append(all, newFlow(v, most))
	}
	all = append(all, nearlyFull(most))
	for _, to := range []string{"203.0.113.77:80", "[2001:db8:200::77]:80"} {
		all = append(all, foreign(pathForeign, netip.MustParseAddrPort(to)))
	}
	return append(all, foreign(pathPort, netip.AddrPortFrom(vip.Addr(), 81)))
}

// establishedCases are packets of flows that live, and replies to them: with each
// number of flows for those that most people run, with two numbers for the rest.
func establishedCases(most uint32) []Case {
	var all []Case
	counts := flowCounts(most)
	few := slices.DeleteFunc(slices.Clone(counts), func(n uint32) bool { return n != 1<<10 && n != 1<<20 })
	for _, x := range []struct {
		service
		counts   []uint32
		services uint32
	}{
		{service{protocol: model.TCP, vip: vip, scheduler: "rr", forward: model.DR, servers: 4}, counts, 1},
		{service{protocol: model.UDP, vip: vip, scheduler: "rr", forward: model.DR, servers: 4}, counts, 1},
		{service{protocol: model.TCP, vip: vip, scheduler: "rr", forward: model.NAT, servers: 4}, counts, 1},
		{service{protocol: model.TCP, vip: vip, scheduler: "rr", forward: model.TUN, servers: 4}, few, 1},
		{service{protocol: model.TCP, vip: vip6, scheduler: "rr", forward: model.DR, servers: 4}, counts, 1},
		{service{protocol: model.UDP, vip: vip6, scheduler: "rr", forward: model.DR, servers: 4}, counts, 1},
		{service{protocol: model.TCP, vip: vip6, scheduler: "rr", forward: model.NAT, servers: 4}, few, 1},
		{service{protocol: model.TCP, vip: vip6, scheduler: "rr", forward: model.TUN, servers: 4}, few, 1},
		{service{protocol: model.TCP, vip: vip, scheduler: "rr", forward: model.DR, servers: 256}, few, 1},
		{service{protocol: model.TCP, vip: vip, scheduler: "rr", forward: model.DR, servers: 2}, few, 1 << 10},
	} {
		for _, flows := range x.counts {
			all = append(all, established(x.service, flows, x.services))
		}
	}
	for _, flows := range counts {
		all = append(all, reply(vip, flows))
	}
	for _, flows := range few {
		all = append(all, reply(vip6, flows))
	}
	return all
}

// flowCounts returns the numbers of live flows up to a bound.
func flowCounts(most uint32) []uint32 {
	return slices.DeleteFunc([]uint32{1, 1 << 10, 1 << 17, 1 << 20, 1 << 22}, func(n uint32) bool { return n > most })
}

// roomy is a table in which so many flows leave every shard half empty.
func roomy(flows uint32) uint32 { return max(2*flows, 1<<16) }

// clientOf is the first flow's end, of the service's family.
func clientOf(v netip.AddrPort) netip.AddrPort {
	if v.Addr().Is6() {
		return netip.AddrPortFrom(firstClient6, 1024)
	}
	return netip.AddrPortFrom(firstClient, 1024)
}

func toVIP(v service, flags byte, flows uint32, shuffled bool) drive.Plan {
	from := clientOf(v.vip)
	p := packet{v.protocol, from, v.vip, flags}
	return drive.Plan{Frame: p.frame(), Flows: flows, First: from.Addr(), Shuffled: shuffled}
}

// forwarded is what becomes of a packet that such a server gets.
func forwarded(f model.Forward) reasons.Reason {
	switch f {
	case model.NAT:
		return reasons.ForwardedNAT
	case model.TUN:
		return reasons.ForwardedTUN
	default:
		return reasons.ForwardedDR
	}
}

// established is a packet of a flow that lives.
func established(v service, flows, services uint32) Case {
	open, measured := toVIP(v, flagSYN, flows, false), toVIP(v, flagACK, flows, true)
	open.Services, measured.Services = services, services
	return Case{
		Path: pathEstablished, Flows: flows, service: v, services: services, table: roomy(flows),
		open: &open, measured: measured, want: forwarded(v.forward),
		common: v.forward == model.DR && v.servers == 4 && services == 1,
	}
}

// reply is a packet of a NAT server. With one server all replies come from it.
func reply(to netip.AddrPort, flows uint32) Case {
	v := service{protocol: model.TCP, vip: to, scheduler: "rr", forward: model.NAT, servers: 1}
	c := established(v, flows, 1)
	c.Path, c.want = pathReply, reasons.ForwardedReply
	client := clientOf(to)
	c.measured = drive.Plan{
		Frame: packet{v.protocol, v.server(0), client, flagACK}.frame(),
		Flows: flows, First: client.Addr(), Shuffled: true, Reply: true,
	}
	return c
}

// newFlow is a packet that opens a flow, of other clients than those of flows that live: a
// program beside ours has these from the cases before.
func newFlow(v service, most uint32) Case {
	flows := min(1<<16, most)
	c := Case{
		Path: pathNew, Flows: flows, service: v, services: 1, table: roomy(flows),
		measured: toVIP(v, flagSYN, flows, true), fresh: true, want: forwarded(v.forward),
		common: v.forward == model.DR && v.scheduler == "rr" && v.servers == 2,
	}
	c.measured.Skip = newClients
	return c
}

// newClients is how many addresses behind the first client those of new flows begin.
const newClients = 1 << 16

// nearlyFull opens flows where nine of ten places of the table are taken. A few
// of them may find their part of it full.
func nearlyFull(most uint32) Case {
	const live = 1 << 16
	v := service{protocol: model.TCP, vip: vip, scheduler: "rr", forward: model.DR, servers: 4}
	c := newFlow(v, min(1<<12, most))
	open := toVIP(v, flagSYN, live, false)
	c.Path, c.open, c.renew, c.others = pathFull, &open, true, 0.05
	c.measured.Skip, c.table = live, live*10/9
	return c
}

// foreign is a packet for which there is no service.
func foreign(path string, to netip.AddrPort) Case {
	service := service{protocol: model.TCP, vip: vip, scheduler: "rr", forward: model.DR, servers: 4}
	flows := uint32(1 << 10)
	c := Case{
		Path: path, Flows: flows, service: service, services: 1, table: roomy(flows),
		want: reasons.NoService, common: path == pathForeign,
	}
	service.vip = to
	c.measured = toVIP(service, flagACK, flows, true)
	if to.Addr().Is6() {
		c.service.vip = vip6
	}
	return c
}
