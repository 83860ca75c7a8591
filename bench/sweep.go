package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
)

// sweepPass is what a pass of the sweep took on the CPU, in milliseconds.
type sweepPass struct {
	sum float64
	// most is the longest that the kernel did not pause.
	most float64
	// user is the longest of as many pieces in user space, each as long as the mean: more
	// than that is what interrupts, and other machines on the same processor, add.
	user float64
	// pieces has each piece, in their order.
	pieces []float64
}

// sweepKind says what passes are of, and what the series of its curves end in.
type sweepKind struct{ all, short, end string }

// The kinds of passes.
var (
	sweepStays = sweepKind{all: "sweep of all flows", short: "sweep"}
	sweepEnds  = sweepKind{all: "sweep that ends all flows", short: "sweep that ends all flows", end: ", all end"}
)

// pieceName is what the longest piece of passes is called after them.
const pieceName = ", longest piece"

// sweepPasses are the figures of some passes over the same flows.
type sweepPasses struct {
	all, longest, piece figure.Figure
	// least has for each piece the least that a pass took for it.
	least []float64
}

func newSweepPasses(k sweepKind, flows uint32) *sweepPasses {
	return &sweepPasses{
		all:     flowPoint(k.all, "ms", "whole sweep"+k.end, flows),
		longest: flowPoint(k.short+", longest time without a pause", "ms", "longest time without a pause"+k.end, flows),
		piece:   flowPoint(k.short+pieceName, "ms", "longest piece"+k.end, flows),
	}
}

// add adds a pass.
func (s *sweepPasses) add(p sweepPass) {
	s.all.Values = append(s.all.Values, p.sum)
	s.longest.Values, s.longest.Yardstick = append(s.longest.Values, p.most), append(s.longest.Yardstick, p.user)
	s.longest.Beside = "as busy in user space"
	for i, took := range p.pieces {
		if i == len(s.least) {
			s.least = append(s.least, took)
		}
		s.least[i] = min(s.least[i], took)
	}
}

// figures returns the sum, the longest, and the piece that took longest even at its best: what
// interrupts hits other pieces in each pass, so that one is the sweep's own.
func (s *sweepPasses) figures() []figure.Figure {
	s.piece.Values = []float64{slices.Max(s.least)}
	s.piece.Note = fmt.Sprintf("of %d pieces, each by the least of %d passes", len(s.least), len(s.all.Values))
	return []figure.Figure{s.all, s.longest, s.piece}
}

// sweepTimes makes a pass. The caller's thread must be its own.
func sweepTimes(x *loader.XDP) (p sweepPass, err error) {
	err = x.SweepNow(func(piece func() error) error {
		took, err := threadTimed(piece)
		p.sum, p.most = p.sum+took, max(p.most, took)
		p.pieces = append(p.pieces, took)
		return err
	})
	if err != nil {
		return p, err
	}
	mean := time.Duration(p.sum / float64(len(p.pieces)) * float64(time.Millisecond))
	for range p.pieces {
		took, err := threadTimed(func() error { return spin(mean) })
		if err != nil {
			return p, err
		}
		p.user = max(p.user, took)
	}
	return p, nil
}

// threadTimed returns how many milliseconds a function was on the CPU.
func threadTimed(f func() error) (float64, error) {
	began, err := threadTime()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	ended, err := threadTime()
	return float64(ended-began) / float64(time.Millisecond), err
}

// spin is busy for so long.
func spin(long time.Duration) error {
	began, err := threadTime()
	for now := began; err == nil && now-began < long; {
		now, err = threadTime()
	}
	return err
}

// endAll measures passes of the sweep that end all flows of a case.
func (r *run) endAll(ctx context.Context, rounds int) ([]figure.Figure, error) {
	f := newSweepPasses(sweepEnds, r.c.Flows)
	var soon lbmaps.Timeouts
	soon[lbmaps.Established] = time.Second
	if err := r.site.SetTimeouts(soon); err != nil {
		return nil, err
	}
	for round := range rounds {
		if round > 0 {
			if err := r.open(); err != nil {
				return nil, err
			}
		}
		pass, err := r.endOnce(ctx)
		if err != nil {
			return nil, err
		}
		f.add(pass)
	}
	return f.figures(), nil
}

// endOnce makes a pass that ends all flows, but for some that a packet found over.
func (r *run) endOnce(ctx context.Context) (p sweepPass, err error) {
	before, err := r.site.Status()
	if err != nil {
		return p, err
	}
	if _, err := r.driven(r.site.program); err != nil { // packets bring flows the new time-out
		return p, err
	}
	select {
	case <-ctx.Done():
		return p, ctx.Err()
	case <-time.After(3 * time.Second): // the programs' clock is coarse
	}
	if p, err = sweepTimes(r.site.XDP); err != nil {
		return p, err
	}
	after, err := r.site.Status()
	if ended := after.Flows.Expired - before.Flows.Expired; err == nil && ended < uint64(r.c.Flows)/10*9 {
		err = fmt.Errorf("end %d flows: %d ended", r.c.Flows, ended)
	}
	return p, err
}

// sweepDelays measures how long packets wait on a CPU that sweeps n flows again and again.
// Another CPU sends one by one and interrupts it for each, as a network card does; so what is
// measured is for how long the sweep keeps a packet from being looked at. In turns with
// it the same CPU is as busy in user space, where everything may interrupt.
func sweepDelays(ctx context.Context, n uint32, o Options) (figures []figure.Figure, skipped []string, err error) {
	o.Progress(fmt.Sprintf("delays on the CPU that sweeps %s flows", round(n)), 1, 1)
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, nil, fmt.Errorf("read CPU affinity: %w", err)
	}
	sweeps, ok := lastCPU(set, 1) // the last one sends
	if !ok {
		return nil, []string{"delays beside the sweep: there is one CPU, want two"}, nil
	}
	w, err := newWire(ctx, n+n/8+1<<10, false)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := w.near.SteerTo(sweeps); errors.Is(err, os.ErrNotExist) {
		return nil, []string{"delays beside the sweep: the kernel has no receive packet steering"}, nil
	} else if err != nil {
		return nil, nil, err
	}
	s, err := w.openFlows(ctx, n)
	if err != nil {
		return nil, nil, err
	}
	before, err := w.driver.SunkEach()
	if err != nil {
		return nil, nil, err
	}
	if figures, err = w.besideSweep(ctx, s, o); err != nil {
		return nil, nil, err
	}
	after, err := w.driver.SunkEach()
	if err != nil {
		return nil, nil, err
	}
	return figures, nil, tookBy(sweeps, before, after)
}

// tookBy makes sure that a CPU took the packets that ended between two readings, but for some
// that came from elsewhere.
func tookBy(cpu int, before, after []uint64) error {
	var others uint64
	for i := range after {
		if i != cpu {
			others += after[i] - before[i]
		}
	}
	if took := after[cpu] - before[cpu]; 100*others >= took {
		return fmt.Errorf("%w: CPU %d took %d packets, others %d", ErrElsewhere, cpu, took, others)
	}
	return nil
}

// openFlows opens so many flows, and returns the subject whose packets are theirs, in generic
// mode, where the CPU that the stack was told runs the program.
func (w *wire) openFlows(ctx context.Context, n uint32) (subject, error) {
	s := subject{name: "XDP DR", to: at(portOf(model.DR)), setUp: w.xdpWay, flows: n}
	var timeouts lbmaps.Timeouts
	timeouts[lbmaps.UDP] = time.Hour // all are to live to the end
	if err := w.xdp.SetTimeouts(timeouts); err != nil {
		return s, err
	}
	if _, err := w.trial(ctx, s, pace{packets: int(n), batch: 64}, 0); err != nil {
		return s, err
	}
	if err := w.xdp.SweepNow(func(piece func() error) error { return piece() }); err != nil {
		return s, err
	}
	status, err := w.xdp.Status()
	if err != nil {
		return s, err
	}
	if status.Flows.Live != uint64(n) {
		return s, fmt.Errorf("open %d flows: %d live", n, status.Flows.Live)
	}
	s.setUp, s.shuffled = w.xdpGenericWay, true
	return s, nil
}

// apart is the time between two packets beside the sweep: each finds the CPU as it is
// without packets.
const apart = 50 * time.Microsecond

// besideSweep measures delays without and beside the sweep, in turns.
func (w *wire) besideSweep(ctx context.Context, s subject, o Options) ([]figure.Figure, error) {
	still, swept := sweepFigures(s.flows)
	nothing := func(func() bool) error { return nil }
	for range o.Rounds {
		for _, turn := range []struct {
			work    func(enough func() bool) error
			figures []figure.Figure
		}{{nothing, still}, {w.sweepOnce, swept}} {
			stop := occupy(turn.work)
			err := w.delayInto(ctx, s, o, turn.figures)
			if err = errors.Join(err, stop()); err != nil {
				return nil, err
			}
		}
	}
	for i := range swept {
		swept[i].Beside, swept[i].Yardstick = sweepOff, still[i].Values
	}
	return append(still, swept...), nil
}

// sweptPercentiles are those beside the sweep, with the worst packet.
func sweptPercentiles() []float64 { return append(percentiles(), 100) }

// sweepFigures returns an empty figure for each percentile, without and beside the sweep.
func sweepFigures(n uint32) (still, swept []figure.Figure) {
	for _, p := range sweptPercentiles() {
		which := fmt.Sprintf("p%v", p)
		if p == 100 {
			which = worstPacket
		}
		f := figure.Figure{Level: figure.Scale, Unit: "µs"}
		f.Name = delayName(n, which, sweepOff)
		still = append(still, f)
		f.Name = delayName(n, which, sweepOn)
		swept = append(swept, f)
	}
	return still, swept
}

// What figures of delays are of.
const (
	sweepOff    = "no sweep"
	sweepOn     = "sweep always on"
	worstPacket = "the worst"
)

func delayName(n uint32, which, beside string) string {
	return fmt.Sprintf("delay of packets on the sweep's CPU, %s flows: %s, %s", round(n), which, beside)
}

// delayInto adds one measurement to the figures of the percentiles.
func (w *wire) delayInto(ctx context.Context, s subject, o Options, figures []figure.Figure) error {
	d, _, err := w.delay(ctx, s, o.turns(12_000_000), drive.Live{Apart: apart, Forgive: true})
	if err != nil {
		return fmt.Errorf("delays beside the sweep: %w", err)
	}
	for i, p := range sweptPercentiles() {
		figures[i].Values = append(figures[i].Values, float64(d.Percentile(p))/1000)
	}
	return nil
}

// errEnough ends a pass of the sweep.
var errEnough = errors.New("enough")

// sweepOnce makes a pass, or less where it is enough before.
func (w *wire) sweepOnce(enough func() bool) error {
	err := w.xdp.SweepNow(func(piece func() error) error {
		if enough() {
			return errEnough
		}
		return piece()
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// occupy does work again and again, on the CPU beside that of pinCPU, until the function
// returned is called.
func occupy(work func(enough func() bool) error) (stop func() error) {
	end, ended := make(chan struct{}), make(chan error, 1)
	enough := func() bool {
		select {
		case <-end:
			return true
		default:
			return false
		}
	}
	go func() {
		unpin, err := pinLast(1)
		if err != nil {
			ended <- err
			return
		}
		defer unpin()
		for err == nil && !enough() {
			err = work(enough)
		}
		ended <- err
	}()
	return func() error {
		close(end)
		return <-ended
	}
}
