package bench

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"regexp"
	"slices"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/model"
)

// Options say how much is measured. The zero value is the default of each field.
type Options struct {
	// Rounds is how often each case is measured, default 6, the least with
	// which a median has an interval of 95 % confidence. Some cases of the program
	// level take five times as many from there on.
	Rounds int
	// Packets is how many packets one measurement sends, default 1,000,000; a
	// new flow takes as many as the case has flows.
	Packets int
	// MostFlows bounds the live flows, which are powers of two, default 1,048,576.
	MostFlows uint32
	// Short sends few packets where the number is chosen by time: it shows that
	// everything works, and the figures mean nothing.
	Short bool
	// Services makes the program level measure these instead of its own cases: those of a
	// configuration. Optional.
	Services []model.VirtualServer
	// Beside are programs that the program level measures on the same packets, in the same
	// rounds, in the cases that every balancer has. Optional; not with Services.
	Beside []Other
	// Only leaves out the cases whose names it does not match. Optional.
	Only *regexp.Regexp
	// Progress takes the name of each case when it begins; default nothing.
	Progress func(name string, number, of int)
}

const defaultRounds = 6

func (o Options) withDefaults() Options {
	if o.Rounds == 0 {
		o.Rounds = defaultRounds
	}
	if o.Packets == 0 {
		o.Packets = 1_000_000
	}
	if o.MostFlows == 0 {
		o.MostFlows = 1 << 20
	}
	o.MostFlows = 1 << (bits.Len32(o.MostFlows) - 1) // the driver wants powers of two
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	return o
}

// Program measures the program level. It needs root, and the CPU that it
// happens to run on; other load there shows in the ranges.
func Program(ctx context.Context, o Options) (figures []figure.Figure, skipped []string, err error) {
	o = o.withDefaults()
	list := cases(o.MostFlows)
	if o.Services != nil {
		list, skipped = configCases(o.Services, o.MostFlows)
	}
	list = slices.DeleteFunc(list, func(c Case) bool { return o.leavesOut(c.Name()) })
	figures, err = measureAll(ctx, list, o)
	return figures, skipped, err
}

// leavesOut reports whether a case of this name is not asked for.
func (o Options) leavesOut(name string) bool { return o.Only != nil && !o.Only.MatchString(name) }

func measureAll(ctx context.Context, list []Case, o Options) (figures []figure.Figure, err error) {
	unpin, err := pinCPU()
	if err != nil {
		return nil, err
	}
	defer unpin()
	d, err := drive.New()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	rivals, shut, err := openOthers(o.Beside)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, shut()) }()
	of := make([][]figure.Figure, len(list)) // by case
	done := 0
	for _, group := range inTurns(list) {
		for _, i := range group {
			done++
			o.Progress(list[i].Name(), done, len(list))
		}
		if err := measureInTurns(ctx, d, list, group, o, rivals, of); err != nil {
			return nil, err
		}
	}
	return slices.Concat(of...), nil
}

// begin makes what a round needs and does not have from the one before.
func (r *run) begin(ctx context.Context, round int) (err error) {
	if round == 0 || r.c.renew {
		if err := r.prepare(ctx); err != nil {
			return err
		}
	}
	if round > 0 {
		return nil
	}
	if err := r.settle(r.site.program); err != nil {
		return err
	}
	for _, b := range r.rivals {
		if err := r.openBeside(ctx, b); err != nil {
			return err
		}
		if err := r.judged(b, nil, r.settle(b.program)); err != nil {
			return err
		}
	}
	if r.c.counted() {
		r.memory, err = drive.NewMemory(r.c.Flows)
	}
	return err
}

// play measures a round.
func (r *run) play(f *figure.Figure) error {
	own, err := r.driven(r.driver.Empty())
	if err != nil {
		return err
	}
	least, err := r.driven(r.driver.Least())
	if err != nil {
		return err
	}
	if err := r.resume(r.site.program); err != nil {
		return err
	}
	all, err := r.checked()
	if err != nil {
		return err
	}
	f.Values, f.Yardstick = append(f.Values, all-own), append(f.Yardstick, least-own)
	if r.memory != nil {
		line, err := r.memory.Read(r.packets)
		if err != nil {
			return err
		}
		f.Memory = append(f.Memory, line)
	}
	for _, b := range r.rivals {
		theirs, err := r.compare(b)
		if err != nil {
			return err
		}
		b.add(theirs-own, least-own, all-own, f.Memory)
	}
	if r.c.fresh {
		r.c.measured.Skip += r.c.Flows
	}
	return nil
}

// run is the measurement of one case.
type run struct {
	driver  *drive.Driver
	c       Case
	packets int
	rounds  uint32
	site    *site
	memory  *drive.Memory // nil where it is not read
	rivals  []*comparison
	// pauses is set where other cases are measured between two rounds: flows that pause for seconds are
	// looked at again, which is not what packets of flows in use cost.
	pauses bool
}

func (r *run) end() error {
	err := r.leave()
	if r.memory != nil {
		err = errors.Join(err, r.memory.Close())
	}
	return err
}

// leave takes the datapath away, if there is one.
func (r *run) leave() error {
	if r.site == nil {
		return nil
	}
	s := r.site
	r.site = nil
	return s.Close()
}

// prepare makes a datapath with the case's services and flows.
func (r *run) prepare(ctx context.Context) error {
	if err := r.leave(); err != nil {
		return err
	}
	table := r.c.table
	if r.c.fresh && !r.c.renew {
		table = roomy(r.c.Flows * r.rounds)
	}
	if err := r.fill(ctx, table); err != nil {
		return err
	}
	return r.open()
}

// open opens the flows that are to live.
func (r *run) open() error {
	if r.c.open == nil {
		return nil
	}
	if err := r.driver.Set(*r.c.open); err != nil {
		return err
	}
	_, _, err := r.driver.Run(r.site.program, int(r.c.open.Flows))
	return err
}

// settle sends a program the packets of two rounds: what it makes of the first packets of a
// flow, such as a state or a copy, is not what packets of flows that live cost.
func (r *run) settle(p drive.Target) error {
	if r.c.open == nil || r.c.fresh {
		return nil
	}
	for range 2 {
		if _, err := r.driven(p); err != nil {
			return err
		}
	}
	return nil
}

// resume is settle for flows that pause between two rounds.
func (r *run) resume(p drive.Target) error {
	if !r.pauses {
		return nil
	}
	return r.settle(p)
}

// fill makes the datapath and its services.
func (r *run) fill(ctx context.Context, table uint32) (err error) {
	services, servers := r.c.services, r.c.services*uint32(r.c.service.servers)
	if r.c.given != nil {
		services, servers = r.c.given.count, r.c.given.servers
	}
	if r.site, err = newSite(table, max(services, 16), max(servers, 512)); err != nil {
		return err
	}
	if r.c.given != nil {
		return r.site.applyWhatRuns(ctx, r.c.given.ops)
	}
	return r.site.add(ctx, r.c.service.copies(r.c.services)...)
}

// count is how many packets one measurement sends.
func (r *run) count() int {
	if r.c.fresh {
		return int(r.c.Flows)
	}
	return r.packets
}

// driven runs the case's packets through a program, and returns nanoseconds
// for each.
func (r *run) driven(p drive.Target) (float64, error) {
	if err := r.driver.Set(r.c.measured); err != nil {
		return 0, err
	}
	_, each, err := r.driver.Run(p, r.count())
	return each, err
}

// ErrElsewhere says that packets went another way than the one to be measured.
var ErrElsewhere = errors.New("not all packets took the path that is measured")

// checked runs them through the datapath, and makes sure that each took the
// path that is measured. They may be more than were asked for: a run that a
// signal interrupts starts anew.
func (r *run) checked() (float64, error) {
	before, err := r.site.Reasons()
	if err != nil {
		return 0, err
	}
	each, err := r.driven(r.site.program)
	if err != nil {
		return 0, err
	}
	after, err := r.site.Reasons()
	if err != nil {
		return 0, err
	}
	got, others := after[r.c.want]-before[r.c.want], others(before, after, r.c.want)
	if least := (1 - r.c.others) * float64(r.count()); float64(got) < least || r.c.others == 0 && others != "" {
		return 0, fmt.Errorf("%w: %d of %d ended as %s%s", ErrElsewhere, got, r.count(), r.c.want, others)
	}
	return each, nil
}

// others names the reasons that grew and should not have.
func others(before, after map[reasons.Reason]uint64, want reasons.Reason) string {
	text := ""
	for _, reason := range reasons.All() {
		if n := after[reason] - before[reason]; n > 0 && reason != want {
			text += fmt.Sprintf(", %d as %s", n, reason)
		}
	}
	return text
}
