package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// The ways in which XDP cannot carry out an operation, beside those of
// package sched.
var (
	// ErrUnsupported means that the program does not run such a service or server.
	ErrUnsupported = errors.New("not supported in XDP")
	// ErrFull means that the maps have no room for one more.
	ErrFull = errors.New("no room in the maps")
	// ErrLocal means that a NAT server's address is this machine's own: its
	// answers would not pass the program.
	ErrLocal = errors.New("the server is this machine, by NAT")
)

// Apply carries out operations in order. One that cannot be carried out ends
// the operations on its service; those on the others go on, so that no service
// waits for another's trouble. Operations that were carried out already may
// come again: adding what is there edits it, and deleting what is not there
// does nothing. The error joins one for each such service; each wraps
// ErrUnsupported, ErrFull, ErrLocal, ErrClosed, one of package sched's, or the
// kernel's.
func (x *XDP) Apply(ctx context.Context, ops []sched.Op) error {
	forget := x.resolveNew(ctx, ops)
	defer forget()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	var errs []error
	refused := map[model.ServiceKey]bool{}
	for _, op := range ops {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if refused[op.Service.Key] {
			continue
		}
		if err := x.apply(op); err != nil {
			refused[op.Service.Key] = true
			errs = append(errs, fmt.Errorf("xdp: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (x *XDP) apply(op sched.Op) error {
	if err := x.refuse(op); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	change, err := x.applyState(op)
	if err != nil || change.Kind == 0 {
		return err
	}
	if err := x.write(change); err != nil {
		// The maps are what runs: believe them.
		err = fmt.Errorf("%s: %w", op, err)
		found, again := restore(x.maps)
		if again == nil {
			again = x.repair(found)
		}
		return errors.Join(err, again)
	}
	return nil
}

// applyState replays an operation. For one that was carried out already it
// returns the zero Change, or edits.
func (x *XDP) applyState(op sched.Op) (sched.Change, error) {
	change, err := x.state.Apply(op)
	switch {
	case errors.Is(err, sched.ErrServiceExists):
		op.Kind = sched.EditService
		change, err = x.state.Apply(op)
	case errors.Is(err, sched.ErrServerExists):
		op.Kind = sched.EditServer
		change, err = x.state.Apply(op)
	case op.Kind == sched.DelService && errors.Is(err, sched.ErrNoService),
		op.Kind == sched.DelServer && (errors.Is(err, sched.ErrNoServer) || errors.Is(err, sched.ErrNoService)):
		return sched.Change{}, nil
	}
	if err != nil {
		return sched.Change{}, err
	}
	return change, x.checkRoom(op, change)
}

// checkRoom takes an operation back whose numbers lie beyond the maps.
func (x *XDP) checkRoom(op sched.Op, change sched.Change) error {
	limits := x.maps.Limits()
	switch {
	case op.Kind == sched.AddService && change.ID >= limits.Services:
		op.Kind = sched.DelService
		_, err := x.state.Apply(op)
		return errors.Join(fmt.Errorf("add service %s: %w, which hold %d services", op.Service.Key, ErrFull, limits.Services), err)
	case op.Kind == sched.AddServer && change.Dest.Slot >= limits.Servers:
		op.Kind = sched.DelServer
		_, err := x.state.Apply(op)
		x.state.Collect(func(slot uint32) bool { return slot == change.Dest.Slot })
		return errors.Join(fmt.Errorf("add server %s: %w, which hold %d servers", op.Server.Addr, ErrFull, limits.Servers), err)
	}
	return nil
}

// refuse says why XDP cannot carry out an operation.
func (x *XDP) refuse(op sched.Op) error {
	switch op.Kind {
	case sched.AddService, sched.EditService:
		return refuseService(op.Service)
	case sched.AddServer, sched.EditServer:
		if err := refuseServer(op.Service.Key, op.Server); err != nil {
			return err
		}
		if op.Server.Forward == model.NAT && x.isLocal(op.Server.Addr.Addr()) {
			return ErrLocal
		}
	case sched.DelService, sched.DelServer:
	}
	return nil
}

func refuseService(s model.Service) error {
	addr := s.Key.Addr
	switch {
	case s.Key.FWMark != 0:
		return fmt.Errorf("firewall mark: %w", ErrUnsupported)
	case s.Key.Protocol != model.TCP && s.Key.Protocol != model.UDP && s.Key.Protocol != model.SCTP:
		return fmt.Errorf("protocol %s: %w", s.Key.Protocol, ErrUnsupported)
	case addr.Port() == 0:
		return fmt.Errorf("every port: %w", ErrUnsupported)
	case !slices.Contains(lbmaps.Schedulers(), s.Scheduler):
		return fmt.Errorf("scheduler %s: %w", s.Scheduler, ErrUnsupported)
	case s.PersistenceEngine != "":
		return fmt.Errorf("persistence engine %s: %w", s.PersistenceEngine, ErrUnsupported)
	case s.OnePacket && (s.Persistence != 0 || s.Key.Protocol != model.UDP):
		return fmt.Errorf("one-packet scheduling with persistence, or of TCP: %w", ErrUnsupported)
	}
	return nil
}

func refuseServer(k model.ServiceKey, s model.Server) error {
	switch {
	case s.Addr.Addr().Is4() != k.Addr.Addr().Is4() && s.Forward != model.TUN:
		return fmt.Errorf("address %s for a service of %s: %w", s.Addr.Addr(), k.Addr.Addr(), ErrUnsupported)
	case s.Forward != model.NAT && s.Forward != model.DR && s.Forward != model.TUN:
		return fmt.Errorf("forwarding by %s: %w", s.Forward, ErrUnsupported)
	case s.Forward == model.TUN && (s.Tunnel.Type > model.GRE || s.Tunnel.Checksum != model.NoChecksum):
		return fmt.Errorf("tunnel %s: %w", s.Tunnel, ErrUnsupported)
	case s.Forward == model.NAT && k.Protocol == model.SCTP && s.Addr.Port() != k.Addr.Port():
		return fmt.Errorf("SCTP by NAT from port %d to %d: %w", k.Addr.Port(), s.Addr.Port(), ErrUnsupported)
	case s.Weight < 0:
		return fmt.Errorf("weight %d: %w", s.Weight, ErrUnsupported)
	}
	return nil
}

// write brings the maps from the state before an operation to that after it.
func (x *XDP) write(c sched.Change) error {
	switch c.Kind {
	case sched.AddService:
		return x.writeNewService(c)
	case sched.EditService:
		if err := x.publish(c); err != nil {
			return err
		}
		return x.tables.PutService(serviceOf(c))
	case sched.DelService:
		return x.deleteService(c)
	case sched.AddServer:
		return x.addServer(c)
	case sched.EditServer:
		return x.changeServer(c)
	case sched.DelServer:
		// The order first: no new flow meets a deleted server.
		if err := x.publish(c); err != nil {
			return err
		}
		return x.deleteServer(c.Dest)
	}
	return fmt.Errorf("write %s: unknown operation", c.Kind)
}

func serviceOf(c sched.Change) lbmaps.Service {
	return lbmaps.Service{
		Key: c.Service.Key, ID: c.ID, Scheduler: c.Service.Scheduler, Flags: uint8(c.Service.SchedFlags),
		OnePacket: c.Service.OnePacket, Persistence: c.Service.Persistence, Prefix: c.Service.PersistencePrefix,
		Rate: c.Service.NewFlowRate, Burst: c.Service.NewFlowBurst,
	}
}

// writeNewService writes all that belongs to a service and then the service,
// by which packets find the rest. The cursor's generation goes on from what an
// earlier service of this number left, so that a decision that began then cannot
// end in this one.
func (x *XDP) writeNewService(c sched.Change) error {
	before, err := x.maps.Cursor(c.ID)
	if err != nil {
		return err
	}
	fresh := lbmaps.Cursor{Generation: before.Generation + 1}
	if err := x.tables.PutOrder(c.ID, fresh.Generation, lbmaps.Order{}); err != nil {
		return err
	}
	if err := x.tables.PutCursor(c.ID, fresh); err != nil {
		return err
	}
	if err := x.tables.ResetService(c.ID); err != nil {
		return err
	}
	if err := x.know(c.Service.Key.Addr); err != nil {
		return err
	}
	return x.tables.PutService(serviceOf(c))
}

func (x *XDP) deleteService(c sched.Change) error {
	x.stale = true
	if err := x.tables.DeleteService(c.Service.Key); err != nil {
		return err
	}
	for _, dest := range c.Removed {
		if err := x.deleteServer(dest); err != nil {
			return err
		}
	}
	return nil
}

// addServer writes the server whole before an order names it.
func (x *XDP) addServer(c sched.Change) error {
	if !c.Revived {
		if err := x.tables.ResetServer(c.Dest.Slot); err != nil {
			return err
		}
	}
	delete(x.idle, c.Dest.Slot)
	x.use(c.Dest)
	return x.changeServer(c)
}

// changeServer writes the server, brings its overload mark in line with its
// thresholds, and then the order that knows its weight.
func (x *XDP) changeServer(c sched.Change) error {
	old := x.slots[c.Dest.Slot]
	if err := x.putServer(c.Dest); err != nil {
		return err
	}
	if old.Upper != c.Dest.Server.Upper || old.Lower != c.Dest.Server.Lower {
		if err := x.tables.Edited(c.Dest.Slot, old.Upper, old.Lower); err != nil {
			return err
		}
	}
	return x.publish(c)
}

func (x *XDP) deleteServer(dest sched.Dest) error {
	x.disuse(dest)
	return x.putServer(dest)
}

// putServer writes a server with what is known of its next hop.
func (x *XDP) putServer(dest sched.Dest) error {
	return x.putSlot(dest.Slot, lbmaps.Server{
		Server:  dest.Server,
		Service: dest.Service,
		Deleted: dest.Deleted,

		LastWeight: dest.LastWeight,
		Way:        x.way(dest.Server.Addr.Addr(), dest.Server.Forward, x.slots[dest.Slot]),
	})
}

// putSlot writes a slot and remembers it.
func (x *XDP) putSlot(slot uint32, s lbmaps.Server) error {
	if s.Used() {
		if err := x.know(s.Addr); err != nil {
			return err
		}
	}
	if err := x.tables.PutServer(slot, s); err != nil {
		return err
	}
	if s.Used() {
		x.slots[slot] = s
	} else {
		delete(x.slots, slot)
	}
	return nil
}

// publish makes a new order valid, with the cursor where it belongs in it.
func (x *XDP) publish(c sched.Change) error {
	return x.publishOrder(c.ID, orderOf(c), c.Position)
}

func orderOf(c sched.Change) lbmaps.Order {
	o := lbmaps.Order{Table: c.Table, Lowest: c.Lowest}
	for _, d := range c.Order {
		o.Places = append(o.Places, lbmaps.Place{Slot: d.Slot, Weight: d.Server.Weight})
	}
	return o
}

// publishOrder writes the half of the orders that is not in use and lets the
// program switch to it.
func (x *XDP) publishOrder(id uint32, o lbmaps.Order, positions []uint32) error {
	cursor, err := x.maps.Cursor(id)
	if err != nil {
		return err
	}
	next := cursor.Generation + 1
	if err := x.tables.PutOrder(id, next, o); err != nil {
		return err
	}
	if err := x.tables.PutPositions(positions); err != nil {
		return err
	}
	valid, err := x.tables.Publish(id)
	if err == nil && valid != next {
		err = fmt.Errorf("publish the order of service %d: generation %d is valid, not %d: somebody else writes", id, valid, next)
	}
	return err
}
