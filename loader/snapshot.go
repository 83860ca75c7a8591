package loader

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/model"
)

// Snapshot returns what runs, services by address and newest server first.
func (x *XDP) Snapshot(ctx context.Context) (model.Tables, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return model.Tables{}, ErrClosed
	}
	links, err := x.opts.Links.Links()
	if err != nil {
		return model.Tables{}, err
	}
	names := map[uint32]string{}
	for _, l := range links {
		names[uint32(l.Index)] = l.Name
	}
	tables, err := readTables(ctx, x.maps, names)
	for i := range tables.Services {
		x.complete(&tables.Services[i])
	}
	return tables, err
}

// complete adds what the maps do not hold.
func (x *XDP) complete(entry *model.ServiceEntry) {
	if known, ok := x.state.Service(entry.Key); ok {
		entry.Service = known.Service
	}
	for i, s := range entry.Servers {
		hop, known := x.nextHop(s.Addr.Addr())
		if !known {
			continue
		}
		if s.NextHop.Resolved && !hop.Resolved {
			continue // the one from before the start still counts
		}
		entry.Servers[i].NextHop = hop.Model()
	}
}

// Flows calls yield with each live flow until it returns false, in no order.
func (x *XDP) Flows(ctx context.Context, yield func(model.Flow) bool) error {
	x.mu.Lock()
	maps, closed := x.maps, x.closed
	x.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return readFlows(ctx, maps, yield)
}

// Reasons returns how many packets ended in each reason since the maps were
// made.
func (x *XDP) Reasons() (Reasons, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, ErrClosed
	}
	return readReasons(x.maps)
}

// Status returns how the datapath is.
func (x *XDP) Status() (Status, error) {
	counts, err := x.Reasons()
	if err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	id, err := programID(x.progs.xdp)
	if err != nil {
		return Status{}, err
	}
	s := Status{
		Adopted:   x.adopted,
		ProgramID: id,
		Limits:    x.maps.Limits(),
		Flows:     FlowCounts{Expired: x.sweep.expired, Refused: counts[reasons.FlowTableFull]},
		Trash:     len(x.state.Trash()),
	}
	for _, n := range x.sweep.live {
		s.Flows.Live += uint64(n)
	}
	for _, p := range x.ports {
		s.Interfaces = append(s.Interfaces, Interface{
			Name: p.name, Index: p.index, Mode: p.mode, Reason: p.reason, VLANs: p.vlans, Problem: p.problem,
		})
	}
	slices.SortFunc(s.Interfaces, func(a, b Interface) int { return cmp.Compare(a.Name, b.Name) })
	return s, nil
}
