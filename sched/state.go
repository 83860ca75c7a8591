package sched

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/evenkeel/evenkeel/model"
)

// MaxServers is the largest number of servers in one service's order.
const MaxServers = 256

// The ways in which an operation cannot be carried out. Apply wraps them with
// the operation.
var (
	ErrServiceExists  = errors.New("service exists")
	ErrNoService      = errors.New("no such service")
	ErrServerExists   = errors.New("server exists")
	ErrNoServer       = errors.New("no such server")
	ErrTooManyServers = fmt.Errorf("more than %d servers", MaxServers)
	ErrTableTooLong   = fmt.Errorf("the weights over their common divisor sum to more than %d", MaxTable)
)

// Dest is a server of one service with the numbers that stand for it in the
// maps. IPVS calls it a destination.
type Dest struct {
	// Slot is the server's index in ek_servers. It does not change while the
	// server or one of its flows lives.
	Slot uint32
	// Service is the number of its service, the index in ek_cursors.
	Service uint32
	Server  model.Server
	// LastWeight is the last weight that was not 0, or the weight that the
	// server was added with; mh keeps its table while a weight is 0.
	LastWeight int32
	// Deleted marks a server that left its service while its slot is kept.
	Deleted bool
}

// Change is what one operation did.
type Change struct {
	Kind    Kind
	Service model.Service
	// ID is the number of the service.
	ID uint32
	// Order is the list of the service after the operation, newest first.
	Order []Dest
	// Table is the scheduler's table as slots: the cyclic table of wrr, the
	// buckets of sh, dh and mh; nil for the others.
	Table []uint32
	// Lowest is where wrr's last round begins in Table.
	Lowest uint32
	// Position says, for each position of the cursor before the operation,
	// where it is now. For rr a position is 0 before the first server, then
	// the index after the server chosen last; for wrr it is 2i with entry i
	// of the table next at the head of the list, 2i+1 with entry i chosen
	// last. The other schedulers have position 0 only.
	Position []uint32
	// Dest is the server that a server operation concerned, as it is now.
	Dest Dest
	// Revived is set when AddServer took a deleted server back, with its slot
	// and its flows.
	Revived bool
	// Removed lists the servers that DelService deleted.
	Removed []Dest
}

// State replays operations as IPVS carries them out. The zero value is not
// ready; use New. One goroutine owns it.
type State struct {
	profile  Profile
	services map[model.ServiceKey]*service
	trash    []trashed
	slots    numbers
	ids      numbers
}

// service is one running service.
type service struct {
	model.Service
	id       uint32
	order    []Dest
	position uint32 // the oracle's cursor of rr
	wrr      wrr    // and of wrr
	table    []int  // of sh, dh and mh
}

// trashed is a deleted server. A server with the same address added to the
// same service takes it back.
type trashed struct {
	key model.ServiceKey
	Dest
}

// New returns a state without services that follows a generation of IPVS.
func New(p Profile) *State {
	return &State{profile: p, services: map[model.ServiceKey]*service{}}
}

// Apply carries out one operation and returns what it did. After an error
// nothing has changed.
func (s *State) Apply(op Op) (Change, error) {
	change, err := s.apply(op)
	if err != nil {
		return Change{}, fmt.Errorf("%s: %w", op, err)
	}
	change.Kind = op.Kind
	return change, nil
}

func (s *State) apply(op Op) (Change, error) {
	svc, ok := s.services[op.Service.Key]
	switch {
	case ok:
		return s.applyTo(svc, op)
	case op.Kind == AddService:
		return s.addService(op.Service), nil
	}
	return Change{}, ErrNoService
}

// applyTo carries out an operation on a service that runs.
func (s *State) applyTo(svc *service, op Op) (Change, error) {
	at := slices.IndexFunc(svc.order, func(d Dest) bool { return d.Server.Addr == op.Server.Addr })
	switch op.Kind {
	case AddService:
		return Change{}, ErrServiceExists
	case EditService:
		if op.Service.Scheduler == "wrr" && wrrLength(svc.order) > MaxTable {
			return Change{}, ErrTableTooLong
		}
		return s.editService(svc, op.Service), nil
	case DelService:
		return s.delService(svc), nil
	case AddServer:
		if at >= 0 {
			return Change{}, ErrServerExists
		}
		if len(svc.order) == MaxServers {
			return Change{}, ErrTooManyServers
		}
		if !svc.fits(append(slices.Clip(svc.order), Dest{Server: op.Server})) {
			return Change{}, ErrTableTooLong
		}
		return s.addServer(svc, op.Server), nil
	case EditServer:
		if at < 0 {
			return Change{}, ErrNoServer
		}
		changed := slices.Clone(svc.order)
		changed[at].Server = op.Server
		if !svc.fits(changed) {
			return Change{}, ErrTableTooLong
		}
		return s.editServer(svc, at, op.Server), nil
	case DelServer:
		if at < 0 {
			return Change{}, ErrNoServer
		}
		return s.delServer(svc, at), nil
	}
	return Change{}, errors.New("unknown operation")
}

func (s *State) addService(want model.Service) Change {
	svc := &service{Service: want, id: s.ids.take()}
	s.services[want.Key] = svc
	return svc.report(Dest{}, []uint32{0})
}

// fits says whether the scheduler's table holds these servers.
func (svc *service) fits(order []Dest) bool {
	return svc.Scheduler != "wrr" || wrrLength(order) <= MaxTable
}

// editService keeps the cursor unless the scheduler changes, which starts
// afresh.
func (s *State) editService(svc *service, want model.Service) Change {
	position := identity(svc.places())
	if want.Scheduler != svc.Scheduler {
		clear(position)
		svc.Service, svc.position, svc.wrr = want, 0, wrr{}
		s.rebuild(svc)
	}
	svc.Service = want
	return svc.report(Dest{}, position)
}

// delService deletes every server, as IPVS does, and then the service. Its
// number stays taken while a deleted server refers to it.
func (s *State) delService(svc *service) Change {
	change := svc.report(Dest{}, make([]uint32, svc.places()))
	change.Order, change.Table = nil, nil
	for _, dest := range svc.order {
		dest.Deleted = true
		s.trash = append(s.trash, trashed{svc.Key, dest})
		change.Removed = append(change.Removed, dest)
	}
	delete(s.services, svc.Key)
	s.dropID(svc.id)
	return change
}

// addServer links the server at the head of the list.
func (s *State) addServer(svc *service, want model.Server) Change {
	dest, revived := s.revive(svc, want)
	dest.LastWeight = want.Weight
	position := identity(len(svc.order) + 1)
	for p := 1; p < len(position); p++ {
		position[p]++
	}
	svc.order = slices.Insert(svc.order, 0, dest)
	change := svc.report(dest, s.relink(svc, position))
	change.Revived = revived
	return change
}

// revive takes the deleted server of the same address out of the trash, or
// makes a new one.
func (s *State) revive(svc *service, want model.Server) (Dest, bool) {
	at := slices.IndexFunc(s.trash, func(t trashed) bool {
		return t.key == svc.Key && t.Server.Addr == want.Addr
	})
	if at < 0 {
		return Dest{Slot: s.slots.take(), Service: svc.id, Server: want}, false
	}
	dest := s.trash[at].Dest
	s.trash = slices.Delete(s.trash, at, at+1)
	old := dest.Service
	dest.Service, dest.Server, dest.Deleted = svc.id, want, false
	if old != svc.id {
		s.dropID(old)
	}
	return dest, true
}

func (s *State) editServer(svc *service, at int, want model.Server) Change {
	svc.order[at].Server = want
	if want.Weight != 0 {
		svc.order[at].LastWeight = want.Weight
	}
	position := s.relink(svc, identity(len(svc.order)+1))
	return svc.report(svc.order[at], position)
}

// delServer moves a cursor that stands on the victim to its predecessor.
func (s *State) delServer(svc *service, at int) Change {
	dest := svc.order[at]
	dest.Deleted = true
	position := identity(len(svc.order) + 1)
	for p := at + 1; p < len(position); p++ {
		position[p]--
	}
	svc.order = slices.Delete(svc.order, at, at+1)
	s.trash = append(s.trash, trashed{svc.Key, dest})
	return svc.report(dest, s.relink(svc, position))
}

// relink brings the scheduler up to date with a changed list and returns where
// its cursor positions go; position is the answer for a cursor in the list.
func (s *State) relink(svc *service, position []uint32) []uint32 {
	switch svc.Scheduler {
	case "rr":
		svc.position = position[svc.position]
		return position
	case "wrr":
		return svc.wrr.change(svc.order)
	}
	s.rebuild(svc)
	return []uint32{0}
}

// rebuild makes the scheduler's table anew.
func (s *State) rebuild(svc *service) {
	svc.table = nil
	switch svc.Scheduler {
	case "wrr":
		svc.wrr.change(svc.order)
	case "sh":
		svc.table = shTable(svc.order, s.profile.shBits())
	case "dh":
		svc.table = dhTable(svc.order)
	case "mh":
		svc.table = mhTable(svc.order, s.profile)
	}
}

// places is the number of positions that the cursor can have.
func (svc *service) places() int {
	switch svc.Scheduler {
	case "rr":
		return len(svc.order) + 1
	case "wrr":
		return 2*len(svc.wrr.table) + 1
	}
	return 1
}

// report describes the service as it is now.
func (svc *service) report(dest Dest, position []uint32) Change {
	change := Change{
		Service:  svc.Service,
		ID:       svc.id,
		Order:    slices.Clone(svc.order),
		Position: position,
		Dest:     dest,
	}
	for _, at := range svc.table {
		change.Table = append(change.Table, svc.order[at].Slot)
	}
	for _, e := range svc.wrr.table {
		change.Table = append(change.Table, svc.order[e.at].Slot)
		change.Lowest = uint32(svc.wrr.lowest)
	}
	return change
}

// identity is the Position of a change that moves no cursor among n positions.
func identity(n int) []uint32 {
	position := make([]uint32, n)
	for p := range position {
		position[p] = uint32(p)
	}
	return position
}

// Collect gives up the deleted servers for which idle returns true, and
// returns their slots, free from now on. IPVS asks each 60 s and keeps a
// server until it has had no flow for 120 s; when is the caller's decision.
func (s *State) Collect(idle func(slot uint32) bool) []uint32 {
	var freed []uint32
	var kept, gone []trashed
	for _, t := range s.trash {
		if !idle(t.Slot) {
			kept = append(kept, t)
			continue
		}
		gone = append(gone, t)
		freed = append(freed, t.Slot)
		s.slots.drop(t.Slot)
	}
	s.trash = kept
	for _, t := range gone {
		s.dropID(t.Service)
	}
	return freed
}

// Trash returns the deleted servers whose slots are kept.
func (s *State) Trash() []Dest {
	var list []Dest
	for _, t := range s.trash {
		list = append(list, t.Dest)
	}
	return list
}

// Services returns the running services with their lists, in no order.
func (s *State) Services() []Change {
	var list []Change
	for _, svc := range s.services {
		list = append(list, svc.report(Dest{}, identity(svc.places())))
	}
	return list
}

// Service returns one running service with its list.
func (s *State) Service(key model.ServiceKey) (Change, bool) {
	svc, ok := s.services[key]
	if !ok {
		return Change{}, false
	}
	return svc.report(Dest{}, identity(svc.places())), true
}

// Restore puts back a service that ran before a restart: its number and its
// list with the slots, newest first.
func (s *State) Restore(want model.Service, id uint32, order []Dest) error {
	if _, ok := s.services[want.Key]; ok {
		return fmt.Errorf("restore %s: %w", want.Key, ErrServiceExists)
	}
	if len(order) > MaxServers {
		return fmt.Errorf("restore %s: %w", want.Key, ErrTooManyServers)
	}
	svc := &service{Service: want, id: id, order: slices.Clone(order)}
	for i := range svc.order {
		svc.order[i].Service, svc.order[i].Deleted = id, false
		s.slots.hold(svc.order[i].Slot)
	}
	s.ids.hold(id)
	s.services[want.Key] = svc
	s.rebuild(svc)
	return nil
}

// RestoreTrash puts back a deleted server of a service whose flows live on.
func (s *State) RestoreTrash(key model.ServiceKey, dest Dest) {
	dest.Deleted = true
	s.slots.hold(dest.Slot)
	s.ids.hold(dest.Service)
	s.trash = append(s.trash, trashed{key, dest})
}

// dropID frees a service's number unless the service or a deleted server still
// has it.
func (s *State) dropID(id uint32) {
	for _, svc := range s.services {
		if svc.id == id {
			return
		}
	}
	for _, t := range s.trash {
		if t.Service == id {
			return
		}
	}
	s.ids.drop(id)
}

// Find returns the server of a service by its address.
func (s *State) Find(key model.ServiceKey, addr netip.AddrPort) (Dest, bool) {
	svc, ok := s.services[key]
	if !ok {
		return Dest{}, false
	}
	for _, dest := range svc.order {
		if dest.Server.Addr == addr {
			return dest, true
		}
	}
	return Dest{}, false
}
