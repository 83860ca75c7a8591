package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/internal/guest"
	"github.com/evenkeel/evenkeel/model"
)

// duel is one service in both datapaths, and the packets to it.
type duel struct {
	name  string
	fresh bool
	xdp   subject
	ipvs  subject
}

// duels returns every forwarding method with established flows, and with new flows
// of every scheduler. All services live at the same time, each at its own port.
func (w *wire) duels() (list []duel, xdp, ipvs []service) {
	port := uint16(1000)
	add := func(name, scheduler string, f model.Forward, fresh bool) {
		x, v := w.service(port, scheduler, f, 4, false), w.service(port, scheduler, f, 4, true)
		s := subject{name: name, to: x.vip, flows: 256, fresh: fresh}
		d := duel{name: name, fresh: fresh, xdp: s, ipvs: s}
		d.ipvs.stack = true
		list, xdp, ipvs = append(list, d), append(xdp, x), append(ipvs, v)
		port++
	}
	for _, f := range methods() {
		add(fmt.Sprintf("%s, established", f), "rr", f, false)
	}
	for _, f := range oneArmed() {
		add(fmt.Sprintf("%s%s, established", f, oneArm), "rr", f, false)
		xdp[len(xdp)-1] = xdp[len(xdp)-1].oneArm()
	}
	for _, f := range methods() {
		for _, scheduler := range schedulers() {
			add(fmt.Sprintf("%s, new flow, %s", f, scheduler), scheduler, f, true)
		}
	}
	return list, xdp, ipvs
}

// versusPackets is how many packets a measurement of a duel sends; all but the last 64 are timed.
func versusPackets(o Options, fresh, counts bool) int {
	switch {
	case o.Short:
		return 192
	case counts && fresh:
		return 1280
	case counts:
		return 9000
	case fresh:
		return 22_000
	}
	return 220_000
}

// Versus measures XDP against the kernel's IPVS: same kernel, same operations, same
// generator. Every figure is net of the base, which is the way to the director:
// the generator and the first interface. What IPVS forwards ends in a dummy device,
// the cheapest end there is, also in the rows with one arm; what XDP forwards crosses one
// interface more, or with one arm the first one once more. In a machine whose time counts
// instructions the unit is instructions, elsewhere ns.
func Versus(ctx context.Context, o Options) (figures []figure.Figure, skipped []string, err error) {
	o = o.withDefaults()
	w, err := newWire(ctx, 1<<18, true)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if w.noIPVS != nil {
		skipped = append(skipped, fmt.Sprintf("XDP against IPVS: %v", w.noIPVS))
	}
	v := &versus{wire: w, o: o, counts: os.Getenv(guest.Environment) == string(guest.Counted)}
	figures, err = v.measure(ctx)
	return figures, skipped, err
}

// versus is a run of that level.
type versus struct {
	*wire
	o      Options
	counts bool
	round  int
}

func (v *versus) unit() string {
	if v.counts {
		return "instructions"
	}
	return "ns"
}

func (v *versus) measure(ctx context.Context) ([]figure.Figure, error) {
	list, xdp, stack := v.duels()
	for i := range xdp {
		if err := v.xdp.Apply(ctx, xdp[i].ops()); err != nil {
			return nil, err
		}
		if v.ipvs == nil {
			continue
		}
		if err := v.ipvs.Apply(ctx, stack[i].ops()); err != nil {
			return nil, fmt.Errorf("%s: %w", list[i].name, err)
		}
	}
	r := newResults(list, v.unit())
	// Established flows first, in all rounds: new ones stay, and IPVS's table of 4,096
	// chains finds each flow later the more there are.
	for _, fresh := range []bool{false, true} {
		for v.round = range v.o.Rounds {
			v.o.Progress("XDP against IPVS", v.round+1, v.o.Rounds)
			if err := v.play(ctx, list, fresh, r); err != nil {
				return nil, err
			}
		}
	}
	return r.figures(), nil
}

// play measures one round of new or of established flows: the base, all in XDP, all in
// IPVS.
func (v *versus) play(ctx context.Context, list []duel, fresh bool, r *results) error {
	first := slices.IndexFunc(list, func(d duel) bool { return d.fresh == fresh })
	list = slices.DeleteFunc(slices.Clone(list), func(d duel) bool { return d.fresh != fresh })
	base := subject{name: "base", to: at(firstPort), flows: 256, setUp: v.programWay(v.driver.Sink())}
	least, err := v.alone(ctx, base)
	if err != nil {
		return err
	}
	r.base.Values = append(r.base.Values, least)
	down, err := v.xdpWay(ctx)
	if err != nil {
		return err
	}
	ours, err := v.each(ctx, list, func(d duel) subject { return d.xdp })
	if err := errors.Join(err, down()); err != nil {
		return err
	}
	var theirs []float64
	if v.ipvs != nil {
		if theirs, err = v.each(ctx, list, func(d duel) subject { return d.ipvs }); err != nil {
			return err
		}
	}
	r.add(first, least, ours, theirs)
	return nil
}

// each measures one side of all duels.
func (v *versus) each(ctx context.Context, list []duel, side func(duel) subject) ([]float64, error) {
	var all []float64
	for _, d := range list {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ns, err := v.one(side(d))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		all = append(all, ns)
	}
	return all, nil
}

func (v *versus) alone(ctx context.Context, s subject) (float64, error) {
	down, err := s.setUp(ctx)
	if err != nil {
		return 0, err
	}
	ns, err := v.one(s)
	return ns, errors.Join(err, down())
}

// one sends the packets of a subject that is set up; all must arrive.
func (v *versus) one(s subject) (float64, error) {
	p, skip := pace{warm: warmUp(s), packets: versusPackets(v.o, s.fresh, v.counts), batch: 64}, uint32(0)
	if s.fresh {
		skip = uint32(v.round) * uint32(p.packets)
	}
	t, err := v.run(s, p, skip)
	if err == nil && t.lost > 0 {
		err = fmt.Errorf("%.1f %% of the packets did not arrive", 100*t.lost)
	}
	return t.each, err
}

// results collects the figures of a run.
type results struct {
	base                figure.Figure
	ours, theirs, ratio []figure.Figure
}

func newResults(list []duel, unit string) *results {
	r := &results{base: figure.Figure{Level: figure.Versus, Name: "base: generator and first interface", Unit: unit}}
	for _, d := range list {
		r.ours = append(r.ours, figure.Figure{Level: figure.Versus, Name: "XDP " + d.name, Unit: unit})
		r.theirs = append(r.theirs, figure.Figure{Level: figure.Versus, Name: "IPVS " + d.name, Unit: unit})
		r.ratio = append(r.ratio, figure.Figure{Level: figure.Versus, Name: "IPVS over XDP, " + d.name, Unit: "x", More: true})
	}
	return r
}

// add adds a round of the duels from the first on, net of the base. theirs is empty
// without IPVS.
func (r *results) add(first int, base float64, ours, theirs []float64) {
	for n := range ours {
		i, mine := first+n, ours[n]-base
		r.ours[i].Values = append(r.ours[i].Values, mine)
		if n >= len(theirs) {
			continue
		}
		other := theirs[n] - base
		r.theirs[i].Values = append(r.theirs[i].Values, other)
		if mine > 0 {
			r.ratio[i].Values = append(r.ratio[i].Values, other/mine)
		}
	}
}

func (r *results) figures() []figure.Figure {
	all := []figure.Figure{r.base}
	for i := range r.ours {
		all = append(all, r.ours[i])
		if len(r.theirs[i].Values) > 0 {
			all = append(all, r.theirs[i], r.ratio[i])
		}
	}
	return all
}
