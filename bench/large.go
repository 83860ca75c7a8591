package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// The sizes of the scale level.
const (
	largeServers  = 4 // of each service
	servicesAPort = 1 << 15
)

// largeServices and largeFlows are the steps of the curves.
func largeServices(o Options) []int {
	if o.Short {
		return []int{10, 20}
	}
	return []int{100, 1000, 10_000}
}

func largeFlows(o Options) []uint32 {
	if o.Short {
		return []uint32{1 << 10}
	}
	return []uint32{1 << 10, 1 << 17, 1 << 20, 1 << 22}
}

// Large measures the scale level: how long tables take to fill, to change and to
// sweep, and what they weigh, by their size, and how long packets wait beside the sweep.
// It needs root.
func Large(ctx context.Context, o Options) (figures []figure.Figure, skipped []string, err error) {
	o = o.withDefaults()
	figures, err = growth(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	flows := largeFlows(o)
	delays, skipped, err := sweepDelays(ctx, flows[len(flows)-1], o)
	return append(figures, delays...), skipped, err
}

// growth measures by size, on one CPU.
func growth(ctx context.Context, o Options) ([]figure.Figure, error) {
	unpin, err := pinCPU()
	if err != nil {
		return nil, err
	}
	defer unpin()
	var all []figure.Figure
	for i, n := range largeServices(o) {
		o.Progress(fmt.Sprintf("%d services with %d servers", n, n*largeServers), i+1, len(largeServices(o)))
		figures, err := manyServices(ctx, n, o)
		if err != nil {
			return nil, fmt.Errorf("%d services: %w", n, err)
		}
		all = append(all, figures...)
	}
	for i, n := range largeFlows(o) {
		o.Progress(fmt.Sprintf("%s flows", round(n)), i+1, len(largeFlows(o)))
		figures, err := manyFlows(ctx, n, o)
		if err != nil {
			return nil, fmt.Errorf("%s flows: %w", round(n), err)
		}
		all = append(all, figures...)
	}
	return all, nil
}

// largeService is service n of many.
func largeService(n int) service {
	addr := netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + n/servicesAPort)})
	return service{
		protocol: model.TCP, vip: netip.AddrPortFrom(addr, uint16(1+n%servicesAPort)),
		scheduler: "rr", forward: model.DR, servers: largeServers,
	}
}

// manyServices measures how long n services take to come, and one to change.
func manyServices(ctx context.Context, n int, o Options) (figures []figure.Figure, err error) {
	load := point("load all services", "ms", "load", n)
	change := point("change one weight", "ms", "change", n)
	for range min(o.Rounds, 3) {
		if err := servicesOnce(ctx, n, &load, &change); err != nil {
			return nil, err
		}
	}
	return []figure.Figure{load, change}, nil
}

func point(what, unit, series string, x int) figure.Figure {
	return figure.Figure{
		Level: figure.Scale, Name: fmt.Sprintf("%s, %d services with %d servers", what, x, x*largeServers),
		Unit: unit, Series: series, X: float64(x),
	}
}

func servicesOnce(ctx context.Context, n int, load, change *figure.Figure) (err error) {
	s, err := newSite(1<<16, uint32(n), uint32(n*largeServers))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var ops []sched.Op
	for i := range n {
		ops = append(ops, largeService(i).ops()...)
	}
	took, err := timed(func() error { return s.Apply(ctx, ops) })
	if err != nil {
		return err
	}
	load.Values = append(load.Values, took)
	middle := largeService(n / 2)
	edit := sched.Op{
		Kind: sched.EditServer, Service: middle.model(),
		Server: model.Server{Addr: middle.server(1), Forward: middle.forward, Weight: 77},
	}
	took, err = timed(func() error { return s.Apply(ctx, []sched.Op{edit}) })
	change.Values = append(change.Values, took)
	return err
}

// timed returns how many milliseconds a function takes.
func timed(f func() error) (float64, error) {
	began := time.Now()
	err := f()
	return float64(time.Since(began)) / float64(time.Millisecond), err
}

// manyFlows measures what n live flows weigh, and how long the sweep takes to look at
// all of them, in its thread's time on the CPU.
func manyFlows(ctx context.Context, n uint32, o Options) (figures []figure.Figure, err error) {
	d, err := drive.New()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	c := established(service{protocol: model.TCP, vip: vip, scheduler: "rr", forward: model.DR, servers: 4}, n, 1)
	c.table = n + n/8 + 1<<10 // nearly full: what is weighed is used
	r := &run{driver: d, c: c, packets: int(n), rounds: 1}
	defer func() { err = errors.Join(err, r.end()) }()
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	weight, err := r.site.weight()
	if err != nil {
		return nil, err
	}
	swept := newSweepPasses(sweepStays, n)
	for range o.Rounds {
		pass, err := sweepTimes(r.site.XDP)
		if err != nil {
			return nil, err
		}
		swept.add(pass)
	}
	ending, err := r.endAll(ctx, min(o.Rounds, 3))
	if err != nil {
		return nil, err
	}
	bytes := flowPoint("memory of all maps", "MiB", "memory", n)
	bytes.Values, bytes.Note = []float64{float64(weight) / (1 << 20)}, fmt.Sprintf("%d bytes per flow", weight/uint64(n))
	return slices.Concat([]figure.Figure{bytes}, swept.figures(), ending), nil
}

func flowPoint(what, unit, series string, n uint32) figure.Figure {
	return figure.Figure{
		Level: figure.Scale, Name: fmt.Sprintf("%s, %s flows", what, round(n)),
		Unit: unit, Series: series, X: float64(n),
	}
}

// weight returns the bytes that the kernel counts for all maps.
func (s *site) weight() (uint64, error) {
	dir := filepath.Join(s.pins, "maps")
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("weigh maps: %w", err)
	}
	var sum uint64
	for _, f := range files {
		m, err := ebpf.LoadPinnedMap(filepath.Join(dir, f.Name()), &ebpf.LoadPinOptions{ReadOnly: true})
		if err != nil {
			return 0, fmt.Errorf("weigh %s: %w", f.Name(), err)
		}
		info, err := m.Info()
		m.Close()
		if err != nil {
			return 0, fmt.Errorf("weigh %s: %w", f.Name(), err)
		}
		n, _ := info.Memlock()
		sum += n
	}
	return sum, nil
}
