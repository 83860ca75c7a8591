package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/bpf/reasons"
)

// Other is an XDP program of somebody else, that is measured beside ours. Its owner has
// loaded and pinned it, and filled its maps.
type Other struct {
	// Name is what figures call it.
	Name string
	// Pin is its file in a bpf file system.
	Pin string
}

// ErrBeside says that something is no NAME=PIN.
var ErrBeside = errors.New("want NAME=PIN, and of letters, digits, dot, dash and underscore a name that is there once")

// ParseOthers reads NAME=PIN of each. The error wraps ErrBeside.
func ParseOthers(texts []string) ([]Other, error) {
	plain := regexp.MustCompile(`^[\w.-]+$`)
	var all []Other
	for _, text := range texts {
		name, pin, _ := strings.Cut(text, "=")
		if !plain.MatchString(name) || pin == "" || slices.ContainsFunc(all, func(o Other) bool { return o.Name == name }) {
			return nil, fmt.Errorf("read %q: %w", text, ErrBeside)
		}
		all = append(all, Other{name, pin})
	}
	return all, nil
}

// rival is an Other whose program is open.
type rival struct {
	name    string
	program *ebpf.Program
}

// openOthers opens the programs, until the function returned is called.
func openOthers(others []Other) (rivals []rival, shut func() error, err error) {
	var open cleanup
	for _, o := range others {
		p, err := ebpf.LoadPinnedProgram(o.Pin, nil)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("open %s at %s: %w", o.Name, o.Pin, err), open.Close())
		}
		open.later(p.Close)
		if p.Type() != ebpf.XDP {
			return nil, nil, errors.Join(fmt.Errorf("open %s at %s: it is a program of type %s, want XDP", o.Name, o.Pin, p.Type()), open.Close())
		}
		rivals = append(rivals, rival{o.Name, p})
	}
	return rivals, open.Close, nil
}

// comparison is the measurement of a rival in one case.
type comparison struct {
	rival
	verdicts map[uint32]int
	cost     figure.Figure
	// ratio is ours by theirs.
	ratio figure.Figure
}

func newComparison(c Case, r rival) *comparison {
	name := c.packets() + " by " + r.name
	b := &comparison{rival: r, verdicts: map[uint32]int{}}
	b.cost = figure.Figure{Level: figure.Program, Name: name, Unit: "ns", Beside: "floor", Of: r.name}
	if c.counted() {
		b.cost.Series, b.cost.X = name, float64(c.Flows)
		b.cost.Name = fmt.Sprintf("%s, %s flows", name, round(c.Flows))
	}
	b.ratio = figure.Figure{Level: figure.Program, Name: c.Name() + " / " + r.name, Unit: "x"}
	return b
}

// add adds a round: what it, the floor and our program cost, and a read of memory, if that
// was measured.
func (b *comparison) add(theirs, least, ours float64, memory []float64) {
	b.cost.Values, b.cost.Yardstick = append(b.cost.Values, theirs), append(b.cost.Yardstick, least)
	b.cost.Memory = memory
	if theirs > 0 {
		b.ratio.Values = append(b.ratio.Values, ours/theirs)
	}
}

func (b *comparison) figures() []figure.Figure {
	b.cost.Note = verdictNote(b.verdicts)
	if len(b.ratio.Values) == 0 {
		return []figure.Figure{b.cost}
	}
	return []figure.Figure{b.cost, b.ratio}
}

// Flows are opened in pieces of openAtOnce, openEvery apart: a balancer may limit how many
// new ones it takes up in a second.
const (
	openAtOnce = 10_000
	openEvery  = 100 * time.Millisecond
)

// openBeside has a rival open the flows that are to live.
func (r *run) openBeside(ctx context.Context, b *comparison) error {
	if r.c.open == nil {
		return nil
	}
	if err := r.driver.Set(*r.c.open); err != nil {
		return err
	}
	pause := time.NewTicker(openEvery)
	defer pause.Stop()
	for left := int(r.c.open.Flows); left > 0; left -= openAtOnce {
		verdict, _, err := r.driver.Run(b.program, min(left, openAtOnce))
		if err := r.judged(b, map[uint32]int{verdict: 1}, err); err != nil {
			return err
		}
		if left <= openAtOnce {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
	return nil
}

// looks is how many packets of a round are looked at one by one, after those that are measured.
const looks = 64

// compare measures one round of a rival on the same packets as ours.
func (r *run) compare(b *comparison) (float64, error) {
	if err := r.judged(b, nil, r.resume(b.program)); err != nil {
		return 0, err
	}
	each, err := r.driven(b.program)
	if err := r.judged(b, nil, err); err != nil {
		return 0, err
	}
	seen, err := r.driver.Verdicts(b.program, looks)
	return each, r.judged(b, seen, err)
}

// ErrVerdict says that another program did not do with its packets what the case is about.
var ErrVerdict = errors.New("gives another verdict than the case is about")

// judged counts verdicts, and returns the error of a run, or ErrVerdict where less than 95 %
// of all that were seen are right.
func (r *run) judged(b *comparison, seen map[uint32]int, err error) error {
	if errors.Is(err, drive.ErrNoVerdict) {
		seen, err = map[uint32]int{xdpAborted: 1}, nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	all, right := 0, 0
	for verdict, n := range seen {
		b.verdicts[verdict] += n
	}
	for verdict, n := range b.verdicts {
		all += n
		if slices.Contains(r.c.verdicts(), verdict) {
			right += n
		}
	}
	if float64(right) < 0.95*float64(all) {
		return fmt.Errorf("%s %w: %s, want %s", b.name, ErrVerdict, verdictNote(b.verdicts), verdictName(r.c.verdicts()[0]))
	}
	return nil
}

// The verdicts of XDP programs.
const (
	xdpAborted = iota
	xdpDrop
	xdpPass
	xdpTX
	xdpRedirect
)

// verdicts are those that are right for the packets of a case.
func (c Case) verdicts() []uint32 {
	if c.want == reasons.NoService {
		return []uint32{xdpPass}
	}
	return []uint32{xdpTX, xdpRedirect}
}

func verdictName(verdict uint32) string {
	names := [...]string{"XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"}
	if int(verdict) < len(names) {
		return names[verdict]
	}
	return fmt.Sprintf("verdict %d", verdict)
}

// verdictNote says how often each verdict was seen; of one alone its name.
func verdictNote(seen map[uint32]int) string {
	var names []string
	for _, verdict := range slices.Sorted(maps.Keys(seen)) {
		if len(seen) == 1 {
			return verdictName(verdict)
		}
		names = append(names, fmt.Sprintf("%d %s", seen[verdict], verdictName(verdict)))
	}
	return strings.Join(names, ", ")
}
