package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/evenkeel/evenkeel/failover"
	"github.com/evenkeel/evenkeel/ipvs"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
)

// HostOptions describe a Host. The zero value is useful.
type HostOptions struct {
	// PinDir is where the datapath is pinned, default loader.DefaultDir.
	PinDir string
	// Log gets one line for each change of state, default discards.
	Log *slog.Logger
}

// Host is the Machine that the daemon runs on: the network namespace that
// NewHost was called in, and the bpf file system.
type Host struct {
	kernel *netif.Kernel
	pinDir string
	log    *slog.Logger
}

// NewHost opens the host. It needs no privilege.
func NewHost(o HostOptions) (*Host, error) {
	if o.PinDir == "" {
		o.PinDir = loader.DefaultDir
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	kernel, err := netif.Open()
	if err != nil {
		return nil, err
	}
	return &Host{kernel: kernel, pinDir: o.PinDir, log: o.Log}, nil
}

// Close lets go of the host. The daemon must have ended.
func (h *Host) Close() error { return h.kernel.Close() }

// IsLocal implements Machine. An address that cannot be looked up is not local.
func (h *Host) IsLocal(addr netip.Addr) bool {
	local, err := h.kernel.IsLocal(addr)
	if err != nil {
		h.log.Debug("look up address", "address", addr.String(), "error", err)
	}
	return local
}

// Local implements Machine. Where the addresses cannot be read, none is local.
func (h *Host) Local() func(netip.Addr) bool {
	local, err := h.kernel.Local()
	if err != nil {
		h.log.Warn("read local addresses", "error", err)
		return func(netip.Addr) bool { return false }
	}
	return local
}

// WatchAddresses implements Machine. Where it cannot listen it tries again.
func (h *Host) WatchAddresses(ctx context.Context, changed func()) error {
	for ctx.Err() == nil {
		sub, err := h.kernel.SubscribeLocal()
		if err != nil {
			h.log.Error("cannot listen for addresses", "error", err)
		} else {
			err = follow(ctx, sub, changed)
		}
		select {
		case <-ctx.Done():
		case <-time.After(listenAgain):
			h.log.Debug("listening for addresses again", "error", err)
		}
	}
	return nil
}

// listenAgain is the pause before listening again, so that what fails at once
// does not fill log and CPU.
const listenAgain = time.Second

// follow passes on the events of a subscription until it fails or ctx ends.
func follow(ctx context.Context, sub netif.Subscription, changed func()) error {
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer func() {
		if stop() {
			_ = sub.Close()
		}
	}()
	changed() // what came before is known by looking
	for {
		events, err := sub.Next()
		if err != nil {
			return err
		}
		if len(events) > 0 {
			changed()
		}
	}
}

// IPVS implements Machine.
func (h *Host) IPVS(ctx context.Context) (IPVS, error) {
	return ipvs.Start(ctx, ipvs.Options{Log: h.log})
}

// Routers implements Machine.
func (h *Host) Routers(o failover.Options) (Routers, error) {
	o.Kernel = h.kernel
	return failover.New(o)
}

// Start implements Machine.
func (h *Host) Start(_ context.Context, s Settings) (XDP, error) {
	if _, err := os.Stat(h.pinDir); s.OnlyLeft && errors.Is(err, fs.ErrNotExist) {
		return idle{errUnwanted}, nil
	}
	names, err := h.interfaces(s)
	if err != nil {
		return nil, startError(BadInterface, err)
	}
	x := &hostXDP{host: h}
	x.resolver = netif.NewResolver(netif.ResolverConfig{
		Kernel:   h.kernel,
		OnChange: func(addr netip.Addr, hop netif.NextHop) { x.xdp.NextHopChanged(addr, hop) },
		Log:      h.log,
	})
	x.xdp, err = loader.Start(loader.Options{
		Links:    h.kernel,
		Dir:      h.pinDir,
		Timeouts: timeouts(s),
		Flows:    s.FlowTable,
		// New maps have room for the file to double by reloads.
		Services: max(loader.DefaultServices, 2*s.ServiceCount),
		Servers:  max(loader.DefaultServers, 2*s.ServerCount),
		Resolver: x.resolver,
		Log:      h.log,
	})
	if err != nil {
		return nil, startError(kindOf(err), err)
	}
	if err := x.xdp.Attach(names, s.Mode); err != nil {
		return nil, startError(BadInterface, errors.Join(err, x.abandon()))
	}
	x.settings = s
	return x, nil
}

// kindOf says what kept the datapath from starting.
func kindOf(err error) Kind {
	if unfit, ok := errors.AsType[*loader.UnfitError](err); ok {
		switch unfit.Fact.Kind {
		case loader.FactPrivileges:
			return NoPrivilege
		case loader.FactBPFFS, loader.FactPins:
			return BadPins
		default:
			return NoBPF
		}
	}
	if _, ok := errors.AsType[*loader.IncompatibleError](err); ok {
		return BadPins
	}
	switch {
	case errors.Is(err, loader.ErrRunning):
		return AlreadyRunning
	case errors.Is(err, fs.ErrPermission):
		return NoPrivilege
	}
	return NoBPF
}

// interfaces returns the names of the interfaces that the program belongs on.
func (h *Host) interfaces(s Settings) ([]string, error) {
	if len(s.Interfaces) > 0 {
		return s.Interfaces, h.checkNamed(s.Interfaces)
	}
	if len(s.Virtual) == 0 {
		return nil, nil
	}
	names, virtual := h.routed(s)
	choices, err := h.kernel.ChooseXDP(virtual, s.Servers)
	if err != nil {
		return nil, fmt.Errorf("choose interfaces for xdp: %w", err)
	}
	var problems []string
	for _, c := range choices {
		if c.Problem != "" {
			problems = append(problems, c.Problem)
			h.log.Warn("interface left out", "interface", c.Link.Name, "problem", c.Problem, "traffic", strings.Join(c.Reasons, "; "))
			continue
		}
		if !slices.Contains(names, c.Link.Name) {
			names = append(names, c.Link.Name)
		}
	}
	if len(names) == 0 {
		return nil, noInterface(s.Virtual, problems)
	}
	links, err := h.kernel.Links()
	if err != nil {
		return nil, fmt.Errorf("choose interfaces for xdp: %w", err)
	}
	return netif.Place(links, names, s.Mode), nil
}

// routed returns the interfaces where VRRP says that addresses are, and the
// addresses of which it says nothing. An address may be away now, with no route
// that tells where it belongs.
func (h *Host) routed(s Settings) (names []string, rest []netip.Addr) {
	there := make(map[string]bool) // asked once for each name
	for _, addr := range s.Virtual {
		name := s.Routed[addr]
		if _, asked := there[name]; !asked && name != "" {
			_, err := h.kernel.LinkByName(name)
			there[name] = err == nil
		}
		switch {
		case !there[name]:
			rest = append(rest, addr)
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	return names, rest
}

// checkNamed fails for the first interface that does not exist.
func (h *Host) checkNamed(names []string) error {
	for _, name := range names {
		if _, err := h.kernel.LinkByName(name); err != nil {
			return fmt.Errorf("xdp_interface: %w; correct the line `@evenkeel xdp_interface`", err)
		}
	}
	return nil
}

func noInterface(virtual []netip.Addr, problems []string) error {
	detail := "no route to it"
	if len(problems) > 0 {
		detail = strings.Join(problems, "; ")
	}
	return fmt.Errorf("choose interfaces for xdp: none leads to the virtual address %s (%s); name one with `@evenkeel xdp_interface`", virtual[0], detail)
}

func timeouts(s Settings) lbmaps.Timeouts {
	var t lbmaps.Timeouts
	t[lbmaps.Established] = s.TimeoutTCP
	t[lbmaps.FinWait] = s.TimeoutTCPFin
	t[lbmaps.UDP] = s.TimeoutUDP
	return t
}

// hostXDP is the loader's datapath with the resolver that feeds it.
type hostXDP struct {
	host     *Host
	xdp      *loader.XDP
	resolver *netif.Resolver
	settings Settings
}

// abandon undoes a start: a datapath that it made goes, one that it took over
// stays.
func (x *hostXDP) abandon() error {
	status, err := x.xdp.Status()
	if err == nil && !status.Adopted {
		return x.xdp.Remove()
	}
	return errors.Join(err, x.xdp.Close())
}

// Run implements XDP.
func (x *hostXDP) Run(ctx context.Context) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return x.resolver.Run(ctx) })
	tasks.Go(func() error { return x.xdp.Run(ctx) })
	return tasks.Wait()
}

// Configure implements XDP.
func (x *hostXDP) Configure(_ context.Context, s Settings) error {
	names, err := x.host.interfaces(s)
	if err != nil {
		return err
	}
	if err := x.xdp.Attach(names, s.Mode); err != nil {
		return err
	}
	if err := x.xdp.SetTimeouts(timeouts(s)); err != nil {
		before, again := x.host.interfaces(x.settings)
		if again == nil {
			again = x.xdp.Attach(before, x.settings.Mode)
		}
		return errors.Join(err, again)
	}
	x.settings = s
	return nil
}

// Release implements XDP.
func (x *hostXDP) Release(ctx context.Context, key model.ServiceKey, last func([]model.Flow) error) error {
	return x.xdp.Release(ctx, key, last)
}

// Import implements XDP.
func (x *hostXDP) Import(ctx context.Context, flows []model.Flow) (int, error) {
	return x.xdp.Import(ctx, flows)
}

// Remove implements XDP.
func (x *hostXDP) Remove() error {
	return errors.Join(x.xdp.Remove(), x.resolver.Release())
}

// Close implements director.Datapath.
func (x *hostXDP) Close() error { return x.xdp.Close() }
