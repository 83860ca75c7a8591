package loader

import (
	"context"
	"math"
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/sched"
)

// earlyTime is how long after a start a next hop from before is kept against a
// report that there is none: a neighbour may not have answered yet.
const earlyTime = 3 * time.Second

// use notes that a running service has the server, so that its next hop is
// kept.
func (x *XDP) use(dest sched.Dest) {
	addr := dest.Server.Addr.Addr()
	if x.uses[addr] == nil {
		x.uses[addr] = map[uint32]bool{}
		if x.opts.Resolver != nil {
			x.opts.Resolver.Watch(addr)
		}
	}
	x.uses[addr][dest.Slot] = true
}

// disuse is the end of use.
func (x *XDP) disuse(dest sched.Dest) {
	addr := dest.Server.Addr.Addr()
	delete(x.uses[addr], dest.Slot)
	if len(x.uses[addr]) == 0 {
		delete(x.uses, addr)
		x.unwatch(addr)
	}
}

func (x *XDP) unwatch(addr netip.Addr) {
	if x.opts.Resolver != nil {
		x.opts.Resolver.Unwatch(addr)
	}
}

// nextHop returns what the resolver knows.
func (x *XDP) nextHop(addr netip.Addr) (netif.NextHop, bool) {
	if x.opts.Resolver == nil {
		return netif.NextHop{}, false
	}
	return x.opts.Resolver.NextHop(addr)
}

func (x *XDP) isLocal(addr netip.Addr) bool {
	hop, _ := x.nextHop(addr)
	return hop.Local
}

// way returns how frames reach a server by a method, whose entry is now as given.
func (x *XDP) way(addr netip.Addr, by model.Forward, now lbmaps.Server) lbmaps.Way {
	hop, known := x.nextHop(addr)
	same := now.Used() && now.Addr.Addr() == addr
	switch {
	case hop.Local && by != model.NAT:
		return lbmaps.Way{Local: true}
	case hop.Resolved && (by != model.TUN || hop.Source.IsValid()):
		way := lbmaps.Way{
			Resolved:    true,
			Ifindex:     uint32(hop.IfIndex),
			Source:      hop.SrcMAC,
			Destination: hop.DstMAC,
			MTU:         uint16(min(hop.MTU, math.MaxUint16)), // a flow has as much room for it, and next to no packet is longer
		}
		if hop.VLAN != 0 { // XDP sends to no VLAN device
			way.Ifindex, way.VLAN = uint32(hop.Lower), hop.VLAN
		}
		if by == model.TUN {
			way.Tunnel = hop.Source
		}
		return way
	case same && (!known || time.Now().Before(x.early)):
		return now.Way
	}
	return lbmaps.Way{}
}

// NextHopChanged writes the next hop of a server to the maps. The resolver calls
// it, at each change and from any goroutine; addresses that no service uses are
// ignored.
func (x *XDP) NextHopChanged(addr netip.Addr, _ netif.NextHop) {
	select {
	case x.hopChanged <- struct{}{}:
	default: // one token is enough
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.closed {
		x.refreshWay(addr.Unmap())
	}
}

// refreshWay writes what the resolver knows now, which may be younger than what it
// reported.
func (x *XDP) refreshWay(addr netip.Addr) {
	for slot := range x.uses[addr] {
		now := x.slots[slot]
		want := x.way(addr, now.Forward, now)
		if want == now.Way {
			continue
		}
		now.Way = want
		if err := x.putSlot(slot, now); err != nil {
			x.log.Error("cannot write a next hop", "server", now.Addr.String(), "error", err)
		}
	}
}

// endEarly writes the reports that were not believed after the start.
func (x *XDP) endEarly(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || x.early.IsZero() || now.Before(x.early) {
		return
	}
	x.early = time.Time{}
	for addr := range x.uses {
		x.refreshWay(addr)
	}
}

// resolveNew has the next hops of servers that are about to be added looked for,
// and waits for them within Options.ResolveWait. The function that it returns lets go
// of those that were not added after all.
func (x *XDP) resolveNew(ctx context.Context, ops []sched.Op) (forget func()) {
	fresh := x.newAddrs(ops)
	if len(fresh) == 0 {
		return func() {}
	}
	x.opts.Resolver.Watch(fresh...)
	limit := time.NewTimer(x.opts.ResolveWait)
	defer limit.Stop()
	for x.pending(fresh) {
		select {
		case <-x.hopChanged:
			continue
		case <-limit.C:
		case <-ctx.Done():
		}
		break
	}
	return func() { x.forget(fresh) }
}

// newAddrs lists the addresses of servers to be added that nothing uses yet.
func (x *XDP) newAddrs(ops []sched.Op) []netip.Addr {
	if x.opts.Resolver == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var fresh []netip.Addr
	for _, op := range ops {
		if addr := op.Server.Addr.Addr(); op.Kind == sched.AddServer && x.uses[addr] == nil {
			fresh = append(fresh, addr)
		}
	}
	return fresh
}

// pending reports whether waiting may still bring a next hop: not where there
// is no route.
func (x *XDP) pending(addrs []netip.Addr) bool {
	for _, addr := range addrs {
		hop, known := x.nextHop(addr)
		if !known || !hop.Resolved && hop.IfIndex != 0 {
			return true
		}
	}
	return false
}

func (x *XDP) forget(addrs []netip.Addr) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, addr := range addrs {
		if x.uses[addr] == nil {
			x.unwatch(addr)
		}
	}
}
