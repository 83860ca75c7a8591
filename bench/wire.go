package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf/link"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/ipvs"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/sched"
)

// The addresses of the path level: clients are behind 10.77.1.9, servers from
// 10.77.2.11 on behind the other interface, those of a dummy from 10.77.3.11, and those of a
// director with one arm from 10.77.1.11, where the client's interface takes their frames.
var (
	wireClient  = netip.MustParsePrefix("10.77.1.9/24")
	wireNear    = netip.MustParsePrefix("10.77.1.1/24")
	wireFar     = netip.MustParsePrefix("10.77.2.1/24")
	wireServer  = netip.MustParsePrefix("10.77.2.2/24")
	wireDummy   = netip.MustParsePrefix("10.77.3.1/24")
	wireVIP     = netip.MustParseAddr("10.77.1.100")
	farServers  = netip.MustParseAddr("10.77.2.11")
	dummyServer = netip.MustParseAddr("10.77.3.11")
	nearServers = netip.MustParseAddr("10.77.1.11")
)

// wire is a director between a client that sends live frames and a server that takes them
// away, or with one arm the client's interface itself, with each way through it that can be
// measured.
type wire struct {
	lab      *lab.Lab
	driver   *drive.Driver
	client   *lab.Iface
	near     *lab.Iface // the director's, towards the client
	far      *lab.Iface // towards the servers
	dummy    *lab.Iface // nil where the stack's packets take the wire, too
	director *lab.Node
	xdp      *loader.XDP
	ipvs     *ipvs.IPVS // nil where the kernel has none
	noIPVS   error
	cleanup
}

// newWire makes the network. With cheap set, what the kernel's stack forwards ends
// in a dummy device, the cheapest place there is, and XDP's still on the wire.
func newWire(ctx context.Context, flows uint32, cheap bool) (*wire, error) {
	w := &wire{}
	if err := w.start(ctx, flows, cheap); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *wire) start(ctx context.Context, flows uint32, cheap bool) error {
	var err error
	if w.lab, err = lab.New(fmt.Sprintf("ekbench%d", os.Getpid())); err != nil {
		return err
	}
	w.later(w.lab.Close)
	if w.driver, err = drive.New(); err != nil {
		return err
	}
	w.later(w.driver.Close)
	if err := w.connect(cheap); err != nil {
		return err
	}
	if err := w.sink(w.client); err != nil {
		return err
	}
	if err := w.startXDP(flows); err != nil {
		return err
	}
	for _, v := range w.xdpServices() {
		if err := w.xdp.Apply(ctx, v.ops()); err != nil {
			return err
		}
	}
	return w.startIPVS(ctx)
}

// connect makes nodes, links and routes. The director's neighbours never answer,
// so it is told where they are.
func (w *wire) connect(cheap bool) error {
	nodes := make(map[string]*lab.Node)
	for _, name := range []string{"client", "director", "server"} {
		n, err := w.lab.AddNode(name)
		if err != nil {
			return err
		}
		nodes[name] = n
	}
	w.director = nodes["director"]
	var err error
	w.client, w.near, err = w.lab.Connect(
		nodes["client"], lab.Port{Name: "eth0", Addrs: []netip.Prefix{wireClient}, MAC: clientMAC[:]},
		w.director, lab.Port{Name: "eth0", Addrs: []netip.Prefix{wireNear}, MAC: ownMAC[:], GRO: true})
	if err != nil {
		return err
	}
	var server *lab.Iface
	w.far, server, err = w.lab.Connect(
		w.director, lab.Port{Name: "eth1", Addrs: []netip.Prefix{wireFar}, MAC: farMAC[:], GRO: true},
		nodes["server"], lab.Port{Name: "eth0", Addrs: []netip.Prefix{wireServer}, MAC: serverMAC[:]})
	if err != nil {
		return err
	}
	if err := w.sink(server); err != nil {
		return err
	}
	if cheap {
		if w.dummy, err = w.director.AddDummy("dummy0", wireDummy); err != nil {
			return err
		}
	}
	return w.route()
}

func (w *wire) route() error {
	if err := w.director.SetForwarding(true); err != nil {
		return err
	}
	errs := []error{
		w.director.AddAddr("eth0", netip.PrefixFrom(wireVIP, 32)),
		w.director.AddNeighbour("eth0", wireClient.Addr(), clientMAC[:]),
		w.director.AddRoute(netip.MustParsePrefix("10.64.0.0/10"), wireClient.Addr()),
	}
	far, near := farServers, nearServers
	for range wireServers {
		errs = append(errs, w.director.AddNeighbour("eth1", far, serverMAC[:]))
		far = far.Next()
	}
	for range nearCount {
		errs = append(errs, w.director.AddNeighbour("eth0", near, clientMAC[:]))
		near = near.Next()
	}
	return errors.Join(errs...)
}

// wireServers is how many servers a service of the path level has at most.
const wireServers = 200

// nearCount is how many servers a service has that go back by the interface that they came in by.
const nearCount = 4

var farMAC = [6]byte{2, 0, 0, 0, 0, 0x02}

// attach runs a program on an interface, in native mode, until the function returned
// is called.
func (w *wire) attach(i *lab.Iface, p drive.Target) (detach func() error, err error) {
	err = i.Node.Do(func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: i.Index, Flags: link.XDPDriverMode})
		if err != nil {
			return fmt.Errorf("attach to %s of %s: %w", i.Name, i.Node.Name(), err)
		}
		detach = l.Close
		return nil
	})
	return detach, err
}

// sink makes an interface the end of the way, for good.
func (w *wire) sink(i *lab.Iface) error {
	detach, err := w.attach(i, w.driver.Sink())
	if err == nil {
		w.later(detach)
	}
	return err
}

// wireHops are the ways to the servers: those of the client's network and all others.
type wireHops struct{ near, far netif.NextHop }

func (wireHops) Watch(...netip.Addr)   {}
func (wireHops) Unwatch(...netip.Addr) {}
func (h wireHops) NextHop(server netip.Addr) (netif.NextHop, bool) {
	if wireNear.Masked().Contains(server) {
		return h.near, true
	}
	return h.far, true
}

// startXDP starts the datapath, attached to nothing.
func (w *wire) startXDP(flows uint32) error {
	dir, err := w.mountPins()
	if err != nil {
		return err
	}
	hops := wireHops{
		near: netif.NextHop{
			IfIndex: w.near.Index, IfName: w.near.Name, Source: wireNear.Addr(), MTU: 1500,
			SrcMAC: ownMAC, DstMAC: clientMAC, Resolved: true,
		},
		far: netif.NextHop{
			IfIndex: w.far.Index, IfName: w.far.Name, Source: wireFar.Addr(), MTU: 1500,
			SrcMAC: farMAC, DstMAC: serverMAC, Resolved: true,
		},
	}
	return w.director.Do(func() error {
		kernel, err := netif.Open()
		if err != nil {
			return err
		}
		w.later(kernel.Close)
		w.xdp, err = loader.Start(loader.Options{
			Links: kernel, Dir: filepath.Join(dir, "evenkeel"), Resolver: hops, Flows: flows,
		})
		if err != nil {
			return err
		}
		w.later(w.xdp.Remove)
		return nil
	})
}

// startIPVS finds the kernel's IPVS, which may not be there.
func (w *wire) startIPVS(ctx context.Context) error {
	return w.director.Do(func() error {
		v, err := ipvs.Start(ctx, ipvs.Options{})
		if errors.Is(err, ipvs.ErrNoIPVS) {
			w.noIPVS = err
			return nil
		}
		if err != nil {
			return err
		}
		w.ipvs = v
		w.later(v.Close)
		return nil
	})
}

// service is a UDP service of the path level. Servers are behind the dummy for
// the stack if there is one.
func (w *wire) service(port uint16, scheduler string, forward model.Forward, servers int, stack bool) service {
	v := service{protocol: model.UDP, vip: netip.AddrPortFrom(wireVIP, port), scheduler: scheduler, forward: forward, servers: servers, first: farServers}
	if stack && w.dummy != nil {
		v.first = dummyServer
	}
	return v
}

// oneArm returns the service with servers in the client's network: they are reached by the
// interface that the client's packets come in by, as most directors that forward by DR stand.
func (v service) oneArm() service {
	v.first = nearServers
	return v
}

// removal returns the operations that take a service away.
func (v service) removal() []sched.Op {
	return []sched.Op{{Kind: sched.DelService, Service: v.model()}}
}
