package loader

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// restored is what the maps say runs, and what in them is half done: a process
// may have ended between any two writes.
type restored struct {
	services []restoredService
	orphans  []orphan
	// slots is what ek_servers holds.
	slots map[uint32]lbmaps.Server
}

// restoredService is a service with its order, newest first.
type restoredService struct {
	service lbmaps.Service
	order   []sched.Dest
	// positions is set when the order in the maps names servers that are not
	// this service's: it moves the cursor to an order without them.
	positions []uint32
	// stale are the servers whose entry differs from what the order says. The
	// order counts, since the program decides by it.
	stale []sched.Dest
}

// orphan is a server that no order names: it was removed, or was being added.
// Either way it is a deleted server, which comes back when it is added again.
type orphan struct {
	dest sched.Dest
	// key is the zero key when nothing tells the service any more.
	key    model.ServiceKey
	marked bool
	total  uint32
}

// repairs counts what was half done.
func (r *restored) repairs() int {
	n := 0
	for _, s := range r.services {
		n += len(s.stale)
		if s.positions != nil {
			n++
		}
	}
	for _, o := range r.orphans {
		if !o.marked {
			n++
		}
	}
	return n
}

// restore reads what runs. It writes nothing.
func restore(maps *lbmaps.Maps) (*restored, error) {
	r := &restored{slots: map[uint32]lbmaps.Server{}}
	err := maps.Servers(func(slot uint32, s lbmaps.Server) bool {
		r.slots[slot] = s
		return true
	})
	if err != nil {
		return nil, err
	}
	services, err := maps.Services()
	if err != nil {
		return nil, err
	}
	keys := map[uint32]model.ServiceKey{}
	claimed := map[uint32]bool{}
	for _, s := range services {
		if other, taken := keys[s.ID]; taken {
			return nil, fmt.Errorf("services %s and %s have the same id %d", s.Key, other, s.ID)
		}
		keys[s.ID] = s.Key
		found, err := r.restoreService(maps, s, claimed)
		if err != nil {
			return nil, err
		}
		r.services = append(r.services, found)
	}
	return r, r.findOrphans(maps, keys, claimed)
}

// restoreService reads the order of one service. claimed are the slots that an
// order names already.
func (r *restored) restoreService(maps *lbmaps.Maps, s lbmaps.Service, claimed map[uint32]bool) (restoredService, error) {
	found := restoredService{service: s}
	cursor, err := maps.Cursor(s.ID)
	if err != nil {
		return found, err
	}
	places, err := maps.Order(s.ID, cursor.Generation)
	if err != nil {
		return found, err
	}
	positions := []uint32{0}
	for _, place := range places {
		entry, used := r.slots[place.Slot]
		if used && entry.Service == s.ID && !claimed[place.Slot] {
			claimed[place.Slot] = true
			dest := sched.Dest{Slot: place.Slot, Service: s.ID, Server: entry.Server}
			dest.Server.Weight = place.Weight
			if dest.LastWeight = entry.LastWeight; place.Weight != 0 {
				dest.LastWeight = place.Weight
			}
			found.order = append(found.order, dest)
			if entry.Deleted || entry.Weight != place.Weight {
				found.stale = append(found.stale, dest)
			}
		}
		positions = append(positions, uint32(len(found.order)))
	}
	if len(found.order) != len(places) {
		found.positions = positions
	}
	return found, nil
}

// findOrphans lists the servers that no order names.
func (r *restored) findOrphans(maps *lbmaps.Maps, keys map[uint32]model.ServiceKey, claimed map[uint32]bool) error {
	lost := map[uint32]bool{}
	for slot, s := range r.slots {
		if claimed[slot] {
			continue
		}
		conns, err := maps.Conns(slot)
		if err != nil {
			return err
		}
		key, known := keys[s.Service]
		if !known && !conns.Idle() {
			lost[slot] = true
		}
		r.orphans = append(r.orphans, orphan{
			dest: sched.Dest{
				Slot: slot, Service: s.Service, Server: s.Server, LastWeight: s.LastWeight, Deleted: true,
			},
			key:    key,
			marked: s.Deleted,
			total:  conns.Total + conns.Persistent,
		})
	}
	slices.SortFunc(r.orphans, func(a, b orphan) int { return int(a.dest.Slot) - int(b.dest.Slot) })
	return r.findLost(maps, lost)
}

// findLost asks the flows of servers for the service that is gone: their
// tuples hold its address.
func (r *restored) findLost(maps *lbmaps.Maps, lost map[uint32]bool) error {
	if len(lost) == 0 {
		return nil
	}
	keys := map[uint32]model.ServiceKey{}
	err := maps.Flows(0, func(f lbmaps.Flow) bool {
		if lost[f.Slot] {
			keys[f.Slot] = model.ServiceKey{Protocol: f.Protocol, Addr: f.Virtual}
			delete(lost, f.Slot)
		}
		return len(lost) > 0
	})
	for i, o := range r.orphans {
		if key, ok := keys[o.dest.Slot]; ok {
			r.orphans[i].key = key
		}
	}
	return err
}

// repair makes what was found the state, finishes what was half done, and
// watches the next hops that are in use.
func (x *XDP) repair(found *restored) error {
	state := sched.New(sched.Profile{})
	before := x.uses
	x.state, x.slots, x.uses = state, found.slots, map[netip.Addr]map[uint32]bool{}
	var errs []error
	for _, s := range found.services {
		if err := state.Restore(s.service.Model(), s.service.ID, s.order); err != nil {
			return err
		}
		for _, dest := range s.order {
			x.use(dest)
		}
		errs = append(errs, x.repairService(s))
	}
	for _, o := range found.orphans {
		errs = append(errs, x.repairOrphan(o))
	}
	for addr := range before {
		if x.uses[addr] == nil {
			x.unwatch(addr)
		}
	}
	return errors.Join(append(errs, x.learn())...)
}

func (x *XDP) repairService(s restoredService) error {
	if s.positions != nil {
		x.log.Warn("repairing an order that names servers of another service", "service", s.service.Key.String())
		change, _ := x.state.Service(s.service.Key)
		if s.service.Scheduler == "rr" {
			change.Position = s.positions
		} else {
			clear(change.Position) // the old table names servers that are gone
		}
		if err := x.publish(change); err != nil {
			return err
		}
	}
	for _, dest := range s.stale {
		x.log.Warn("repairing a server whose change was not finished", "service", s.service.Key.String(), "server", dest.Server.Addr.String())
		if err := x.putServer(dest); err != nil {
			return err
		}
	}
	return nil
}

// repairOrphan keeps the slot as that of a deleted server. Without flows and
// without a service it can never be asked for again, and is free.
func (x *XDP) repairOrphan(o orphan) error {
	if o.key == (model.ServiceKey{}) && o.total == 0 {
		return x.putSlot(o.dest.Slot, lbmaps.Server{})
	}
	x.state.RestoreTrash(o.key, o.dest)
	if o.marked {
		return nil
	}
	x.log.Warn("repairing a server whose removal or addition was not finished", "server", o.dest.Server.Addr.String())
	return x.putServer(o.dest)
}
