package directortest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// The errors of Apply, named as the kernel names them for IPVS.
var (
	ErrExists    = errors.New("exists already")
	ErrNoService = errors.New("no such service")
	ErrNoServer  = errors.New("no such server")
	ErrClosed    = errors.New("datapath is closed")
)

// Datapath is a director.Datapath in memory. The zero value is empty and
// ready. Its methods may be called from any goroutine.
type Datapath struct {
	// Fail is asked before each operation; an error stops Apply before it.
	// Optional. Set it before use or with SetFail.
	Fail func(sched.Op) error

	mu     sync.Mutex // guards what follows and Fail
	tables model.Tables
	flows  []model.Flow
	log    []sched.Op
	closed bool
}

// Apply carries out operations in order and stops at the first that cannot
// be. The error wraps ErrExists, ErrNoService, ErrNoServer, ErrClosed or what
// Fail returned.
func (d *Datapath) Apply(ctx context.Context, ops []sched.Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, op := range ops {
		if err := d.apply(ctx, op); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		d.log = append(d.log, op)
	}
	return nil
}

func (d *Datapath) apply(ctx context.Context, op sched.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.closed {
		return ErrClosed
	}
	if d.Fail != nil {
		if err := d.Fail(op); err != nil {
			return err
		}
	}
	i := slices.IndexFunc(d.tables.Services, func(s model.ServiceEntry) bool { return s.Key == op.Service.Key })
	if op.Kind == sched.AddService {
		if i >= 0 {
			return ErrExists
		}
		d.tables.Services = append(d.tables.Services, model.ServiceEntry{Service: op.Service})
		return nil
	}
	if i < 0 {
		return ErrNoService
	}
	switch op.Kind {
	case sched.EditService:
		d.tables.Services[i].Service = op.Service
	case sched.DelService:
		d.tables.Services = slices.Delete(d.tables.Services, i, i+1)
	default:
		return applyServer(&d.tables.Services[i], op)
	}
	return nil
}

func applyServer(s *model.ServiceEntry, op sched.Op) error {
	i := slices.IndexFunc(s.Servers, func(e model.ServerEntry) bool { return e.Addr == op.Server.Addr })
	if op.Kind == sched.AddServer {
		if i >= 0 {
			return ErrExists
		}
		s.Servers = slices.Insert(s.Servers, 0, model.ServerEntry{Server: op.Server})
		return nil
	}
	if i < 0 {
		return ErrNoServer
	}
	switch op.Kind {
	case sched.EditServer:
		s.Servers[i].Server = op.Server
	case sched.DelServer:
		s.Servers = slices.Delete(s.Servers, i, i+1)
	default:
		return fmt.Errorf("unknown operation %d", op.Kind)
	}
	return nil
}

// Snapshot returns a copy of the tables, newest server first.
func (d *Datapath) Snapshot(context.Context) (model.Tables, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return model.Tables{}, ErrClosed
	}
	return cloneTables(d.tables), nil
}

// Flows calls yield with each flow that SetFlows set, until it returns false.
func (d *Datapath) Flows(ctx context.Context, yield func(model.Flow) bool) error {
	d.mu.Lock()
	flows, closed := slices.Clone(d.flows), d.closed
	d.mu.Unlock()
	if closed {
		return ErrClosed
	}
	for _, f := range flows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(f) {
			return nil
		}
	}
	return nil
}

// Close makes all later calls but Reopen fail. The tables stay.
func (d *Datapath) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

// Reopen undoes Close, as the next start of the daemon does that adopts what
// runs.
func (d *Datapath) Reopen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = false
}

// SetFail replaces Fail.
func (d *Datapath) SetFail(fail func(sched.Op) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Fail = fail
}

// SetTables replaces the tables, as if they had run before.
func (d *Datapath) SetTables(t model.Tables) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tables = cloneTables(t)
}

// SetFlows sets what Flows returns.
func (d *Datapath) SetFlows(flows []model.Flow) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flows = slices.Clone(flows)
}

// Applied returns the operations carried out so far and forgets them.
func (d *Datapath) Applied() []sched.Op {
	d.mu.Lock()
	defer d.mu.Unlock()
	log := d.log
	d.log = nil
	return log
}

// Weights returns the servers of a service with their weights, or nil when
// the service does not run.
func (d *Datapath) Weights(key model.ServiceKey) map[netip.AddrPort]int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.tables.Services {
		if s.Key == key {
			weights := make(map[netip.AddrPort]int32, len(s.Servers))
			for _, e := range s.Servers {
				weights[e.Addr] = e.Weight
			}
			return weights
		}
	}
	return nil
}

func cloneTables(t model.Tables) model.Tables {
	services := slices.Clone(t.Services)
	for i := range services {
		services[i].Servers = slices.Clone(services[i].Servers)
	}
	return model.Tables{Services: services}
}
