package bench

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/model"
)

// subject is one way of a packet from the client to where it ends.
type subject struct {
	name string
	// to is where the client sends to.
	to netip.AddrPort
	// flows live; fresh makes every packet open one of its own.
	flows uint32
	fresh bool
	// shuffled visits the flows out of order.
	shuffled bool
	// setUp makes the director forward that way, until the function returned is
	// called.
	setUp func(context.Context) (takeDown func() error, err error)
	// stack is set where the kernel's stack forwards.
	stack bool
	// grown is by how many bytes frames become longer.
	grown  int
	anchor string
}

// xdpWay attaches the XDP datapath, which has all services from the start: flows of
// one that was deleted would wait for its servers.
func (w *wire) xdpWay(context.Context) (func() error, error) { return w.attachXDP(model.XDPNative) }

// xdpGenericWay has the stack run the same.
func (w *wire) xdpGenericWay(context.Context) (func() error, error) {
	return w.attachXDP(model.XDPGeneric)
}

func (w *wire) attachXDP(mode model.XDPMode) (func() error, error) {
	attach := func(names ...string) error {
		return w.director.Do(func() error { return w.xdp.Attach(names, mode) })
	}
	return func() error { return attach() }, attach(w.near.Name)
}

// ipvsWay gives the kernel's IPVS the same operations.
func (w *wire) ipvsWay(v service) func(context.Context) (func() error, error) {
	return func(ctx context.Context) (func() error, error) {
		return func() error { return w.ipvs.Apply(context.WithoutCancel(ctx), v.removal()) }, w.ipvs.Apply(ctx, v.ops())
	}
}

// programWay attaches a program to the director.
func (w *wire) programWay(p drive.Target) func(context.Context) (func() error, error) {
	return func(context.Context) (func() error, error) { return w.attach(w.near, p) }
}

// nftWay loads rules of nftables.
func (w *wire) nftWay(rules string) func(context.Context) (func() error, error) {
	return func(ctx context.Context) (func() error, error) {
		load := exec.CommandContext(ctx, "nft", "-f", "-")
		load.Stdin = strings.NewReader(rules)
		if err := w.director.Run(load); err != nil {
			return nil, err
		}
		return func() error { return w.director.Run(exec.Command("nft", "flush", "ruleset")) }, nil
	}
}

func plainWay(context.Context) (func() error, error) { return func() error { return nil }, nil }

// methods are the forwarding methods that are measured, each with a service of its
// own at the port of its place.
func methods() []model.Forward { return []model.Forward{model.DR, model.NAT, model.TUN} }

// oneArm names what goes out by the interface that it came in by.
const oneArm = ", one arm"

// oneArmed are the methods that need no more than one interface: replies do not come back.
func oneArmed() []model.Forward { return []model.Forward{model.DR, model.TUN} }

// The ports of the services: of the methods by place, of those with one arm, and of new flows.
const (
	firstPort  = 80
	oneArmPort = 85
	freshPort  = 90
)

func portOf(f model.Forward) uint16 { return firstPort + uint16(slices.Index(methods(), f)) }

// xdpServices are those of the XDP datapath.
func (w *wire) xdpServices() []service {
	all := []service{w.service(freshPort, "rr", model.DR, 4, false)}
	for _, f := range methods() {
		all = append(all, w.service(portOf(f), "rr", f, 4, false))
	}
	return append(all, w.service(oneArmPort, "rr", model.DR, nearCount, false).oneArm())
}

func at(port uint16) netip.AddrPort { return netip.AddrPortFrom(wireVIP, port) }

// subjects returns what the path level measures, the base first: what the way
// to the director costs alone.
func (w *wire) subjects() []subject {
	all := []subject{
		{name: "XDP_DROP at the director", to: at(firstPort), setUp: w.programWay(w.driver.Sink()), anchor: "17.9 Mpps"},
		{name: "XDP_TX (floor)", to: at(firstPort), setUp: w.programWay(w.driver.Least()), anchor: "12.4 Mpps"},
		{name: "redirect (floor)", to: at(firstPort), setUp: w.programWay(w.driver.Relay()), anchor: "11.4 Mpps"},
		{name: "XDP DR", to: at(portOf(model.DR)), setUp: w.xdpWay},
		{name: "XDP DR" + oneArm, to: at(oneArmPort), setUp: w.xdpWay},
		{name: "XDP NAT", to: at(portOf(model.NAT)), setUp: w.xdpWay},
		{name: "XDP TUN", to: at(portOf(model.TUN)), setUp: w.xdpWay, grown: 20, anchor: "Katran 5.18 Mpps"},
		{name: "XDP DR", to: at(portOf(model.DR)), setUp: w.xdpWay, flows: 1 << 17, anchor: "Katran (tunnel) 3.90 Mpps"},
		{name: "XDP DR", to: at(freshPort), setUp: w.xdpWay, fresh: true, anchor: "Katran (tunnel) 1.13 Mpps"},
		{name: "kernel forwarding", to: w.server(firstPort), setUp: plainWay, stack: true, anchor: "2.57 Mpps"},
	}
	if w.ipvs != nil {
		for _, f := range methods()[:2] {
			v := w.service(portOf(f), "rr", f, 4, true)
			all = append(all, subject{name: "IPVS " + f.String(), to: v.vip, setUp: w.ipvsWay(v), stack: true})
		}
	}
	if _, err := exec.LookPath("nft"); err == nil {
		rules := dnatRules(at(firstPort), w.server(firstPort).Addr(), 4)
		near := dnatRules(at(oneArmPort), nearServers, nearCount)
		all = append(all,
			subject{name: nftDNAT, to: at(firstPort), setUp: w.nftWay(rules), stack: true, anchor: "1.55 Mpps"},
			subject{name: nftDNAT + oneArm, to: at(oneArmPort), setUp: w.nftWay(near), stack: true})
	}
	for i := range all {
		if all[i].flows == 0 {
			all[i].flows = 1 << 10
		}
	}
	return all
}

// server returns the first server of the kernel's stack.
func (w *wire) server(port uint16) netip.AddrPort {
	if w.dummy != nil {
		return netip.AddrPortFrom(dummyServer, port)
	}
	return netip.AddrPortFrom(farServers, port)
}

// nftDNAT names the rival that every distribution brings.
const nftDNAT = "nftables DNAT"

// dnatRules returns rules that give flows to servers in turn.
func dnatRules(to netip.AddrPort, first netip.Addr, servers int) string {
	var elements []string
	for i := range servers {
		elements = append(elements, fmt.Sprintf("%d : %s", i, first))
		first = first.Next()
	}
	return fmt.Sprintf(`table ip bench {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		ip daddr %s udp dport %d dnat to numgen inc mod %d map { %s }
	}
}
`, to.Addr(), to.Port(), servers, strings.Join(elements, ", "))
}

// label says the name with the flows.
func (s subject) label() string {
	if s.fresh {
		return s.name + ", every packet a new flow"
	}
	return fmt.Sprintf("%s, %s flows", s.name, round(s.flows))
}

// clientNets is how many networks of 65,536 clients there are before the namespaces' own (wire.go).
const clientNets = 12

// client is the end of the first flow. Services whose ports follow one another have clients of their own:
// those of life seldom talk to many services from one port, and all flows of one end have their
// copies in one set.
func (s subject) client() netip.AddrPort {
	end := clientOf(s.to)
	addr := end.Addr().As4()
	addr[1] += byte(s.to.Port() % clientNets)
	return netip.AddrPortFrom(netip.AddrFrom4(addr), end.Port())
}

func (s subject) plan() drive.Plan {
	p := packet{model.UDP, s.client(), s.to, 0}
	plan := drive.Plan{Frame: p.frame(), Flows: s.flows, First: s.client().Addr(), Shuffled: s.shuffled}
	if s.fresh {
		plan.Flows = 1 << 22
	}
	return plan
}
