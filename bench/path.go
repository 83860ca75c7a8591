package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bench/figure"
)

// trial is one measurement of a subject.
type trial struct {
	// each is the time of one packet in nanoseconds.
	each float64
	// lost is the part of the packets that did not reach the end.
	lost float64
}

// run sends the packets of a subject that is set up.
func (w *wire) run(s subject, p pace, skip uint32) (trial, error) {
	var warm, sent drive.Sent
	before, err := w.arrived(s)
	if err != nil {
		return trial{}, err
	}
	err = w.client.Node.Do(func() error {
		unpin, err := pinCPU()
		if err != nil {
			return err
		}
		defer unpin()
		plan := s.plan()
		plan.Skip = skip
		if err := w.driver.SetLive(plan, drive.Live{Interface: w.client.Index}); err != nil {
			return err
		}
		if p.warm > 0 {
			if warm, err = w.driver.Send(p.warm, p.batch); err != nil {
				return err
			}
		}
		sent, err = w.driver.Send(p.packets, p.batch)
		return err
	})
	if err != nil {
		return trial{}, err
	}
	after, err := w.arrived(s)
	if err != nil {
		return trial{}, err
	}
	return trial{sent.Each(), lost(warm.Packets+sent.Packets, after-before)}, nil
}

// lost returns the part of the packets that did not arrive.
func lost(sent int, arrived uint64) float64 {
	if sent <= 0 || uint64(sent) <= arrived {
		return 0
	}
	return 1 - float64(arrived)/float64(sent)
}

// arrived counts what reached the end of a subject's way.
func (w *wire) arrived(s subject) (uint64, error) {
	if s.stack && w.dummy != nil {
		return w.dummy.Sent()
	}
	return w.driver.Sunk()
}

// Path measures the path level. Needs root; makes namespaces of its own.
func Path(ctx context.Context, o Options) (figures []figure.Figure, skipped []string, err error) {
	o = o.withDefaults()
	w, err := newWire(ctx, 1<<21, false)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if w.noIPVS != nil {
		skipped = append(skipped, fmt.Sprintf("IPVS: %v", w.noIPVS))
	}
	list := w.subjects()
	if !slices.ContainsFunc(list, func(s subject) bool { return s.name == nftDNAT }) {
		skipped = append(skipped, "nftables: there is no program nft")
	}
	list = slices.DeleteFunc(list, func(s subject) bool { return o.leavesOut(s.label()) })
	if err := w.driver.RelayTo(w.far.Index); err != nil {
		return nil, skipped, err
	}
	rates, err := w.rates(ctx, list, o)
	if err != nil {
		return nil, skipped, err
	}
	delays, err := w.delays(ctx, list, o)
	return append(rates, delays...), skipped, err
}

// rates measures packets per second without loss: all subjects in each round, beside
// nftables in the same round.
func (w *wire) rates(ctx context.Context, list []subject, o Options) ([]figure.Figure, error) {
	figures := make([]figure.Figure, len(list))
	plans := make([]pace, len(list))
	for i, s := range list {
		o.Progress("path: "+s.label(), i+1, len(list))
		figures[i] = figure.Figure{Level: figure.Path, Name: s.label(), Unit: "Mpps", More: true, Anchor: s.anchor}
		var err error
		if plans[i], err = w.choosePace(ctx, s, o); err != nil {
			return nil, fmt.Errorf("%s: %w", s.label(), err)
		}
		if plans[i].lost > 0 {
			figures[i].Note = fmt.Sprintf("%.2f %% lost", 100*plans[i].lost)
		}
	}
	for round := range o.rateRounds() {
		for i, s := range list {
			t, err := w.trial(ctx, s, plans[i], uint32(round+1))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.label(), err)
			}
			if t.each > 0 {
				figures[i].Values = append(figures[i].Values, 1000/t.each)
			}
		}
	}
	beside(figures)
	return figures, nil
}

// rateRounds is how many rounds rates have: many short ones, so that the subjects of one are
// close together, and what slows the machine down for a while slows all of them.
func (o Options) rateRounds() int {
	if o.Short {
		return o.Rounds
	}
	return 4 * o.Rounds
}

// beside makes nftables' DNAT the yardstick of the others, and that with one arm of those with one.
func beside(figures []figure.Figure) {
	for _, name := range []string{nftDNAT, nftDNAT + oneArm} {
		alike := func(f figure.Figure) bool {
			return strings.Contains(f.Name, oneArm) == strings.Contains(name, oneArm)
		}
		k := slices.IndexFunc(figures, func(f figure.Figure) bool { return alike(f) && strings.HasPrefix(f.Name, name) })
		for i, f := range figures {
			if k >= 0 && i != k && alike(f) {
				figures[i].Beside, figures[i].Yardstick = name, figures[k].Values
			}
		}
	}
}

// pace is how a subject is measured.
type pace struct {
	// warm is how many packets go first, untimed, so that flows are established.
	warm    int
	packets int
	// batch is the largest one with which nothing is lost.
	batch int
	lost  float64
}

// warmUp is how many packets make the flows of a subject established: of each two.
func warmUp(s subject) int {
	if s.fresh {
		return 0
	}
	return 2 * int(s.flows)
}

// measureFor is how long one measurement takes.
const measureFor = 150 * time.Millisecond

// choosePace finds out how many packets a measurement takes, and the batch.
func (w *wire) choosePace(ctx context.Context, s subject, o Options) (pace, error) {
	p := pace{warm: warmUp(s), packets: 20_000, batch: 64}
	t, err := w.trial(ctx, s, p, 0)
	if err != nil {
		return p, err
	}
	if !o.Short && t.each > 0 {
		p.packets = max(int(float64(measureFor)/t.each), p.packets)
	}
	if s.fresh {
		p.packets = min(p.packets, 50_000) // the flows of all rounds live
	}
	for ; ; p.batch /= 2 {
		if t, err = w.trial(ctx, s, p, 0); err != nil {
			return p, err
		}
		p.lost = t.lost
		if t.lost == 0 || p.batch <= 8 {
			return p, nil
		}
	}
}

// trial sets a subject up, measures it once and takes it down.
func (w *wire) trial(ctx context.Context, s subject, p pace, round uint32) (t trial, err error) {
	if err := ctx.Err(); err != nil {
		return t, err
	}
	down, err := s.setUp(ctx)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, down()) }()
	// Clients of a round of new flows are none of another round's.
	skip := uint32(0)
	if s.fresh {
		skip = round * uint32(p.packets)
	}
	return w.run(s, p, skip)
}
