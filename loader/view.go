package loader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
)

// ErrNotLoaded is wrapped by the error of Open when nothing is pinned.
var ErrNotLoaded = errors.New("no XDP datapath runs")

// View reads the datapath that is pinned in a directory, whether or not a
// daemon lives. It writes nothing and takes no lock. Its methods may be
// called from several goroutines.
type View struct {
	maps *lbmaps.Maps
}

// Open opens the pinned datapath for reading; an empty dir is DefaultDir. The
// error wraps ErrNotLoaded when there is none, and is an *IncompatibleError when it
// is of a version that this one cannot read.
func Open(dir string) (*View, error) {
	if dir == "" {
		dir = DefaultDir
	}
	p := pins(dir)
	maps, err := lbmaps.Open(p.maps(), true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open %s: %w", dir, ErrNotLoaded)
	}
	if err != nil {
		return nil, err
	}
	spec, err := sized(maps.Limits())
	if err != nil {
		return nil, errors.Join(err, maps.Close())
	}
	if differences := compareMaps(spec, maps); differences != nil {
		return nil, errors.Join(&IncompatibleError{Dir: dir, Differences: differences}, maps.Close())
	}
	return &View{maps}, nil
}

// Close closes the maps.
func (v *View) Close() error { return v.maps.Close() }

// Snapshot returns what runs, services by address and newest server first. It
// knows a next hop's interface and MAC, but not why one is not resolved.
func (v *View) Snapshot(ctx context.Context) (model.Tables, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return model.Tables{}, fmt.Errorf("list interfaces: %w", err)
	}
	names := map[uint32]string{}
	for _, i := range interfaces {
		names[uint32(i.Index)] = i.Name
	}
	return readTables(ctx, v.maps, names)
}

// Flows calls yield with each live flow until it returns false, in no order.
func (v *View) Flows(ctx context.Context, yield func(model.Flow) bool) error {
	return readFlows(ctx, v.maps, yield)
}

// Reasons returns how many packets ended in each reason since the maps were
// made.
func (v *View) Reasons() (Reasons, error) { return readReasons(v.maps) }

// Settings returns the time-outs and limits in force.
func (v *View) Settings() (lbmaps.Settings, error) { return v.maps.Settings() }

// Limits returns how much the maps hold.
func (v *View) Limits() lbmaps.Limits { return v.maps.Limits() }

func readReasons(maps *lbmaps.Maps) (Reasons, error) {
	counts, err := maps.Reasons()
	return Reasons(counts), err
}

func readFlows(ctx context.Context, maps *lbmaps.Maps, yield func(model.Flow) bool) error {
	now, err := lbmaps.Now()
	if err != nil {
		return err
	}
	return flowsAt(ctx, maps, now, yield)
}

func flowsAt(ctx context.Context, maps *lbmaps.Maps, now uint64, yield func(model.Flow) bool) error {
	err := maps.Flows(now, func(f lbmaps.Flow) bool { return ctx.Err() == nil && yield(f.Flow) })
	if err != nil {
		return err
	}
	return ctx.Err()
}

// readTables reads all services. names are those of the interfaces by index.
func readTables(ctx context.Context, maps *lbmaps.Maps, names map[uint32]string) (model.Tables, error) {
	services, err := maps.Services()
	if err != nil {
		return model.Tables{}, err
	}
	slices.SortFunc(services, func(a, b lbmaps.Service) int {
		return cmp.Or(a.Key.Addr.Compare(b.Key.Addr), cmp.Compare(a.Key.Protocol, b.Key.Protocol))
	})
	var tables model.Tables
	for _, s := range services {
		if err := ctx.Err(); err != nil {
			return model.Tables{}, err
		}
		entry, err := readService(maps, s, names)
		if err != nil {
			return model.Tables{}, err
		}
		tables.Services = append(tables.Services, entry)
	}
	return tables, nil
}

func readService(maps *lbmaps.Maps, s lbmaps.Service, names map[uint32]string) (model.ServiceEntry, error) {
	entry := model.ServiceEntry{Service: s.Model()}
	var err error
	if entry.Counters, err = maps.ServiceStats(s.ID); err != nil {
		return entry, err
	}
	if entry.Overload, err = maps.Overload(s.ID); err != nil {
		return entry, err
	}
	order, err := readOrder(maps, s.ID)
	if err != nil {
		return entry, err
	}
	for _, place := range order {
		server, err := readServer(maps, place, names)
		if err != nil {
			return entry, err
		}
		entry.Servers = append(entry.Servers, server)
	}
	return entry, nil
}

// readOrder reads the order that is valid. A writer that publishes twice
// meanwhile would write into it, so it counts only if the cursor still names
// it after.
func readOrder(maps *lbmaps.Maps, id uint32) ([]lbmaps.Place, error) {
	for {
		before, err := maps.Cursor(id)
		if err != nil {
			return nil, err
		}
		order, err := maps.Order(id, before.Generation)
		if err != nil {
			return nil, err
		}
		after, err := maps.Cursor(id)
		if err != nil {
			return nil, err
		}
		if after.Generation == before.Generation {
			return order, nil
		}
	}
}

func readServer(maps *lbmaps.Maps, place lbmaps.Place, names map[uint32]string) (model.ServerEntry, error) {
	s, err := maps.Server(place.Slot)
	if err != nil {
		return model.ServerEntry{}, err
	}
	entry := model.ServerEntry{Server: s.Server}
	entry.Weight = place.Weight // what the program decides by
	if s.Way.Resolved {
		entry.NextHop = model.NextHop{Interface: names[s.Way.Ifindex], MAC: s.Way.Destination, Resolved: true}
	}
	conns, err := maps.Conns(place.Slot)
	if err != nil {
		return entry, err
	}
	entry.Active, entry.Inactive = conns.Active, conns.Inactive()
	entry.Counters, err = maps.ServerStats(place.Slot)
	return entry, err
}

// MapShapes describes the maps.
func (v *View) MapShapes() ([]lbmaps.Shape, error) { return v.maps.Shapes() }

// DumpMap calls yield with each entry of a map until it returns false. Without
// all, the entries of arrays that are zero are left out. The error wraps
// lbmaps.ErrNoMap.
func (v *View) DumpMap(name string, all bool, yield func(lbmaps.Entry) bool) error {
	return v.maps.Dump(name, all, yield)
}
