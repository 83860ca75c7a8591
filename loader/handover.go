package loader

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
)

// Release lets go of a service that runs in another datapath too by now: from
// here on packets of it go up to the kernel, but for those of its flows. These
// and its persistence templates are told to last, and end here when that returns,
// whatever it returns; the error joins its. What else there is of the service waits for the operation that
// deletes it. A service that does not run here is none to release.
func (x *XDP) Release(ctx context.Context, key model.ServiceKey, last func([]model.Flow) error) error {
	id, ok, err := x.withdraw(key)
	if err != nil || !ok {
		return err
	}
	var flows []model.Flow
	// A flow that only its copy knows to be in use has its time written by a sweep.
	err = x.SweepNow(plainly)
	if err == nil {
		err = x.Flows(ctx, func(f model.Flow) bool {
			if f.Protocol == key.Protocol && f.Virtual == key.Addr {
				flows = append(flows, f)
			}
			return true
		})
	}
	if err == nil {
		err = x.templates(key, func(f model.Flow) { flows = append(flows, f) })
	}
	if err == nil {
		err = last(flows)
	}
	if err = errors.Join(err, x.endFlows(id)); err != nil {
		return fmt.Errorf("xdp: release %s: %w", key, err)
	}
	return nil
}

// templates calls visit with each template of a service.
func (x *XDP) templates(key model.ServiceKey, visit func(model.Flow)) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	now, err := lbmaps.Now()
	if err != nil {
		return err
	}
	return x.maps.Templates(now, func(f lbmaps.Flow) bool {
		if f.Protocol == key.Protocol && f.Virtual == key.Addr {
			visit(f.Flow)
		}
		return true
	})
}

// withdraw takes a service out of sight, so that no more flows are opened, and
// returns its number.
func (x *XDP) withdraw(key model.ServiceKey) (id uint32, ok bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return 0, false, ErrClosed
	}
	svc, ok := x.state.Service(key)
	if !ok {
		return 0, false, nil
	}
	return svc.ID, true, x.tables.DeleteService(key)
}

// endFlows ends all flows and templates of a service.
func (x *XDP) endFlows(service uint32) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for step := range uint32(sweepSteps) {
		table := x.maps.Sweep(int(step))
		for last := false; !last; {
			var err error
			if _, last, err = x.runSweep(table, step, service+1, plainly); err != nil {
				return err
			}
		}
	}
	return nil
}

// Import takes over flows and persistence templates of services that run here, from
// another datapath, and returns how many are here now. What is here already stays as
// it is.
// Those without their server here, or for whom the table has no room, are left
// out.
func (x *XDP) Import(ctx context.Context, flows []model.Flow) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return 0, ErrClosed
	}
	here := 0
	for _, f := range flows {
		if err := ctx.Err(); err != nil {
			return here, err
		}
		arg, ok := x.wireImport(f)
		if !ok {
			continue
		}
		ret, err := x.progs.imports.Run(&ebpf.RunOptions{Context: arg})
		if err != nil {
			return here, fmt.Errorf("xdp: import flow of %s: run %s: %w", f.Client, bpf.EkProgEkImport, err)
		}
		if ret == importDone || ret == importKnown {
			here++
		}
	}
	return here, nil
}

// wireImport returns the argument of ek_import, and false for what has no server
// here, or cannot be here.
func (x *XDP) wireImport(f model.Flow) (bpf.EkImport, bool) {
	key := model.ServiceKey{Protocol: f.Protocol, Addr: f.Virtual}
	dest, ok := x.state.Find(key, f.Server)
	if !ok {
		return bpf.EkImport{}, false
	}
	here := lbmaps.Flow{Flow: f, Slot: dest.Slot}
	if !f.Template {
		return lbmaps.WireImport(here)
	}
	svc, ok := x.state.Service(key)
	if !ok {
		return bpf.EkImport{}, false
	}
	return lbmaps.WireTemplate(here, svc.Service)
}

// What ek_import returns (import.h).
const (
	importDone  = 0
	importKnown = 1
)
