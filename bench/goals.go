package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/bench/figure"
)

// goal is what a figure is to reach.
type goal struct {
	level figure.Level
	// name is that of the figure, without a kernel in front.
	name string
	// over is the figure whose value of the same round divides this one's. Optional.
	over string
	// ratio has the ratio to the yardstick count, and not the median.
	ratio bool
	// reads has the ratio to one read of memory count.
	reads bool
	// less has what the value is more than the yardstick of its round count.
	less bool
	// others has the ratios to the programs count that were measured beside it: there are none
	// if none was.
	others bool
	limit  float64
	// least is set where limit is the least that is wanted, else it is the most.
	least bool
}

// goals are those of the project: against the kernel's own balancers, against Katran on a
// similar machine (at most half), against programs measured beside ours, and of one path against another.
func goals() []goal {
	all := []goal{
		{level: figure.Versus, name: "IPVS over XDP, DR, established", limit: 6, least: true},
		{level: figure.Versus, name: "IPVS over XDP, NAT, established", limit: 5, least: true},
		{level: figure.Versus, name: "IPVS over XDP, TUN, established", limit: 6, least: true},
		{level: figure.Versus, name: "IPVS over XDP, DR" + oneArm + ", established", limit: 6, least: true},
		{level: figure.Versus, name: "IPVS over XDP, TUN" + oneArm + ", established", limit: 6, least: true},
		{level: figure.Path, name: "XDP DR" + oneArm + ", 1 k flows", ratio: true, limit: 5, least: true},
		{level: figure.Path, name: "XDP DR, 1 k flows", ratio: true, limit: 5, least: true},
		{level: figure.Path, name: "XDP NAT, 1 k flows", ratio: true, limit: 5, least: true},
		{level: figure.Program, name: foreignName, limit: 8},
		{level: figure.Program, name: foreignName, ratio: true, limit: 1.5},
		{level: figure.Program, name: "new flow TCP DR rr, 2 servers", limit: 130},
		{level: figure.Scale, name: sweepStays.short + pieceName + ", 4 M flows", limit: 1},
		{level: figure.Scale, name: sweepEnds.short + pieceName + ", 4 M flows", limit: 1},
		{level: figure.Scale, name: delayName(1<<22, "p99.9", sweepOn), less: true, limit: 1000},
		{level: figure.Scale, name: delayName(1<<22, worstPacket, sweepOn), less: true, limit: 1000},
	}
	for i, flows := range []string{"1 k", "128 k", "1 M"} {
		dr, nat, six := "established TCP DR, "+flows+" flows", "established TCP NAT, "+flows+" flows", "established TCP/IPv6 DR, "+flows+" flows"
		all = append(all,
			goal{level: figure.Program, name: six, over: dr, limit: 1.3},
			goal{level: figure.Program, name: nat, over: dr, limit: 1.3},
			goal{level: figure.Program, name: dr, limit: []float64{30, 65, 100}[i]},
			goal{level: figure.Program, name: nat, limit: []float64{40, 75, 110}[i]},
			goal{level: figure.Program, name: dr, others: true, limit: 0.5})
	}
	// With a million flows the cost is reads of memory, so the same as so many of those of the
	// machine that was planned for.
	all = append(all,
		goal{level: figure.Program, name: "established TCP DR, 1 M flows", reads: true, limit: 100 / millionthRead},
		goal{level: figure.Program, name: "established TCP NAT, 1 M flows", reads: true, limit: 110 / millionthRead})
	return append(all, goal{level: figure.Program, name: "new flow TCP DR rr, 2 servers", others: true, limit: 0.33})
}

// foreignName is the case of packets for somebody else.
const foreignName = pathForeign + " TCP"

// reached is a line of the table of goals.
type reached struct {
	name, measured, wanted, verdict string
}

// lines returns one for each figure that a goal is about: more than one where several
// kernels were measured.
func (g goal) lines(figures []figure.Figure) []reached {
	var all []reached
	for _, f := range figures {
		if f.Level != g.level || !g.about(f) {
			continue
		}
		s, unit := f.Summary(), " "+f.Unit
		name := f.Name
		switch {
		case g.over != "":
			s, unit, name = divided(f, figures, g), " x", name+" / "+g.over
		case g.ratio:
			s, unit, name = f.Ratio(), " x", name+" / "+f.Beside
		case g.reads:
			s, unit, name = f.Reads(), " x", name+" / one read of memory"
		case g.less:
			s, name = f.Less(), name+", more than "+f.Beside
		}
		if s.N == 0 {
			continue
		}
		all = append(all, reached{name, measured(s, unit), g.wanted(unit), g.verdict(s)})
	}
	return all
}

// about reports whether the goal is about a figure of its level.
func (g goal) about(f figure.Figure) bool {
	if g.others {
		return f.Unit == "x" && strings.HasPrefix(f.Name, g.name+" / ")
	}
	return f.Name == g.name || strings.HasSuffix(f.Name, ": "+g.name)
}

// measured prints the middle with its range, where there is one.
func measured(s figure.Summary, unit string) string {
	text := figure.Short(s.Median) + unit
	if s.Low != s.High {
		text += fmt.Sprintf(" (%s-%s)", figure.Short(s.Low), figure.Short(s.High))
	}
	return text
}

func (g goal) wanted(unit string) string {
	text := "at most "
	if g.least {
		text = "at least "
	}
	return text + figure.Short(g.limit) + unit
}

// verdict says whether the middle reaches the goal, and whether all of the range does.
func (g goal) verdict(s figure.Summary) string {
	middle, farthest := s.Median <= g.limit, s.High <= g.limit
	if g.least {
		middle, farthest = s.Median >= g.limit, s.Low >= g.limit
	}
	switch {
	case middle && farthest:
		return "held"
	case middle:
		return "held, but not by the whole range"
	}
	return "MISSED"
}

// divided returns each round's value by that of the figure that the goal is over, which is measured in
// the same rounds (Case.heldAgainst).
func divided(f figure.Figure, figures []figure.Figure, g goal) figure.Summary {
	i := slices.IndexFunc(figures, func(f figure.Figure) bool { return f.Level == g.level && f.Name == g.over })
	if i < 0 {
		return figure.Summary{}
	}
	return figure.Summarize(figure.Ratios(f.Values, figures[i].Values))
}

// writeGoals writes the table of goals, with what does not hold as plain as the rest.
func (r Report) writeGoals(page *strings.Builder) {
	var lines []reached
	for _, g := range goals() {
		lines = append(lines, g.lines(r.Figures)...)
	}
	if len(lines) == 0 {
		return
	}
	page.WriteString("\n## Against the goals\n\nNanoseconds are held against what was planned for a similar machine, and at most half of Katran's there; with a million flows in reads of memory, too.\n\n" +
		"| | measured | goal | |\n| --- | --- | --- | --- |\n")
	for _, l := range lines {
		fmt.Fprintf(page, "| %s | %s | %s | %s |\n", l.name, l.measured, l.wanted, l.verdict)
	}
}
