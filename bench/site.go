package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/sched"
)

// loopback is the interface that a test run's frames come in by; it is 1 in
// every namespace. Servers are beyond it, too, so that replies and requests
// leave by XDP_TX.
const loopback = 1

var (
	ownMAC    = [6]byte{2, 0, 0, 0, 0, 0x01}
	clientMAC = [6]byte{2, 0, 0, 0, 0, 0xc1}
	serverMAC = [6]byte{2, 0, 0, 0, 0, 0x51}
)

// noLinks is a machine without interfaces: nothing is attached.
type noLinks struct{}

func (noLinks) Links() ([]netif.Link, error) { return nil, nil }

// oneHop knows the same next hop for every address.
type oneHop struct{}

func (oneHop) Watch(...netip.Addr)   {}
func (oneHop) Unwatch(...netip.Addr) {}
func (oneHop) NextHop(to netip.Addr) (netif.NextHop, bool) {
	source := netip.MustParseAddr("10.0.0.1")
	if to.Is6() {
		source = netip.MustParseAddr("2001:db8::1")
	}
	return netif.NextHop{IfIndex: loopback, IfName: "lo", Source: source, MTU: 1500, SrcMAC: ownMAC, DstMAC: serverMAC, Resolved: true}, true
}

// site is a datapath of its own, on a bpf file system of its own.
type site struct {
	*loader.XDP
	program *ebpf.Program
	pins    string
	cleanup
}

// newSite starts a datapath with room for so many flows and servers.
func newSite(flows, services, servers uint32) (*site, error) {
	s := &site{}
	if err := s.start(flows, services, servers); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *site) start(flows, services, servers uint32) error {
	dir, err := s.mountPins()
	if err != nil {
		return err
	}
	pins := filepath.Join(dir, "evenkeel")
	s.pins = pins
	var timeouts lbmaps.Timeouts // on a busy machine a case may take longer than a handshake
	timeouts[lbmaps.SynRecv] = 15 * time.Minute
	s.XDP, err = loader.Start(loader.Options{
		Links: noLinks{}, Dir: pins, Resolver: oneHop{}, Flows: flows, Services: services, Servers: servers,
		Timeouts: timeouts,
	})
	if err != nil {
		return err
	}
	s.later(s.XDP.Remove)
	if err := s.openPort(pins); err != nil {
		return err
	}
	s.program, err = ebpf.LoadPinnedProgram(filepath.Join(pins, "progs", bpf.EkProgEkXdp), nil)
	if err != nil {
		return fmt.Errorf("open the program: %w", err)
	}
	s.later(s.program.Close)
	return nil
}

// openPort makes the program work on frames of the loopback device.
func (s *site) openPort(pins string) error {
	maps, err := lbmaps.Open(filepath.Join(pins, "maps"), false)
	if err != nil {
		return err
	}
	return errors.Join(maps.PutPort(loopback, lbmaps.Port{MAC: ownMAC, Enabled: true}), maps.Close())
}

// Close takes everything away.
func (s *site) Close() error { return s.cleanup.Close() }

// service is a virtual service with so many servers of one method.
type service struct {
	protocol  model.Protocol
	vip       netip.AddrPort
	scheduler string
	forward   model.Forward
	servers   int
	// first is the address of the first server, where it is not that of the
	// program level. Optional.
	first netip.Addr
}

// copies returns so many services that differ by the port only.
func (v service) copies(n uint32) []service {
	all := make([]service, n)
	for i := range all {
		all[i] = v
		all[i].vip = netip.AddrPortFrom(v.vip.Addr(), v.vip.Port()+uint16(i))
	}
	return all
}

// server returns the address of server n.
func (v service) server(n int) netip.AddrPort {
	if v.first.IsValid() {
		addr := v.first
		for range n {
			addr = addr.Next()
		}
		return netip.AddrPortFrom(addr, v.vip.Port())
	}
	if v.vip.Addr().Is6() {
		addr := netip.MustParseAddr("2001:db8:1::").As16()
		addr[14], addr[15] = byte(n>>8), byte(n)
		return netip.AddrPortFrom(netip.AddrFrom16(addr), v.vip.Port())
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), v.vip.Port())
}

// ops returns the operations that make the service.
func (v service) ops() []sched.Op {
	s := v.model()
	ops := []sched.Op{{Kind: sched.AddService, Service: s}}
	for n := range v.servers {
		server := model.Server{Addr: v.server(n), Forward: v.forward, Weight: v.weight(n)}
		ops = append(ops, sched.Op{Kind: sched.AddServer, Service: s, Server: server})
	}
	return ops
}

func (v service) model() model.Service {
	return model.Service{Key: model.ServiceKey{Protocol: v.protocol, Addr: v.vip}, Scheduler: v.scheduler}
}

// weight returns that of server n. ovf takes a server out that has more flows than
// weight, so there the weights are high.
func (v service) weight(n int) int32 {
	w := int32(1 + n%4)
	if v.scheduler == "ovf" {
		w += 10_000_000
	}
	return w
}

func (s *site) add(ctx context.Context, services ...service) error {
	var ops []sched.Op
	for _, v := range services {
		ops = append(ops, v.ops()...)
	}
	return s.Apply(ctx, ops)
}

// applyWhatRuns carries out the operations that XDP can, one by one.
func (s *site) applyWhatRuns(ctx context.Context, ops []sched.Op) error {
	for _, op := range ops {
		err := s.Apply(ctx, []sched.Op{op})
		if err != nil && !errors.Is(err, loader.ErrUnsupported) && !errors.Is(err, sched.ErrNoService) {
			return err
		}
	}
	return nil
}
