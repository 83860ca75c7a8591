package figure

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/perf/benchmath"
)

// Change is one figure in two runs.
type Change struct {
	Level  Level
	Name   string
	Unit   string
	Before Summary
	After  Summary
	// Delta is the part by which the median changed, 0.03 for 3 % more, and P
	// the probability that chance alone makes such a difference.
	Delta, P float64
	// Significant is set where P is below 0.05.
	Significant bool
	// More is set where more is better.
	More bool
	// Worse is set where the change is significant and to the bad side, and the figure is of
	// Evenkeel's.
	Worse bool
	// Ranges are those of before and after that Apart is about: of the ratios to the
	// yardstick, where there are some.
	Ranges [2]Summary
	// Apart is set where the ranges do not overlap and more than 1 % is between them.
	Apart bool
}

// Compare returns the figures that both runs have, in the order of the second.
func Compare(before, after []Figure) []Change {
	type key struct {
		level Level
		name  string
		unit  string
	}
	old := make(map[key]Figure)
	for _, f := range before {
		old[key{f.Level, f.Name, f.Unit}] = f
	}
	var changes []Change
	for _, f := range after {
		if was, ok := old[key{f.Level, f.Name, f.Unit}]; ok && len(was.Values) > 0 && len(f.Values) > 0 {
			changes = append(changes, compare(was, f))
		}
	}
	return changes
}

func compare(was, is Figure) Change {
	c := Change{Level: is.Level, Name: is.Name, Unit: is.Unit, Before: was.Summary(), After: is.Summary()}
	a := benchmath.NewSample(append([]float64(nil), was.Values...), &benchmath.DefaultThresholds)
	b := benchmath.NewSample(append([]float64(nil), is.Values...), &benchmath.DefaultThresholds)
	test := benchmath.AssumeNothing.Compare(a, b)
	c.P, c.Significant = test.P, test.P < test.Alpha
	if c.Before.Median != 0 {
		c.Delta = (c.After.Median - c.Before.Median) / math.Abs(c.Before.Median)
	}
	c.More = is.More
	c.Worse = c.Significant && c.loss() > 0 && is.Of == ""
	c.Ranges = [2]Summary{c.Before, c.After}
	if x, y := was.Ratio(), is.Ratio(); x.N > 0 && y.N > 0 {
		c.Ranges = [2]Summary{x, y}
	}
	c.Apart = apart(c.Ranges[0], c.Ranges[1])
	return c
}

// hair is the part by which ranges may miss one another: those of counted instructions have
// hardly a width.
const hair = 0.01

func apart(a, b Summary) bool {
	if a.Low > b.Low {
		a, b = b, a
	}
	return b.Low-a.High > hair*math.Abs(b.Low)
}

// loss returns the part by which the median became worse; below zero it is better.
func (c Change) loss() float64 {
	if c.More {
		return -c.Delta
	}
	return c.Delta
}

// ErrGate says that something costs more than it may.
var ErrGate = errors.New("costs more than it may")

// Gate compares medians with those that are allowed: its error wraps ErrGate when one
// is worse by more than the part within, or was not measured at all.
func Gate(allowed []Figure, changes []Change, within float64) error {
	var errs []error
	for _, f := range allowed {
		i := slices.IndexFunc(changes, func(c Change) bool { return c.Level == f.Level && c.Name == f.Name && c.Unit == f.Unit })
		switch {
		case i < 0:
			errs = append(errs, fmt.Errorf("%w: %s was not measured", ErrGate, f.Name))
		case changes[i].loss() > within:
			c := changes[i]
			errs = append(errs, fmt.Errorf("%w: %s, %s instead of %s %s (%+.1f %%)",
				ErrGate, c.Name, Short(c.After.Median), Short(c.Before.Median), c.Unit, 100*c.Delta))
		}
	}
	return errors.Join(errs...)
}

// WriteChanges prints changes as benchstat does: "~" where chance explains the
// difference. Then come the geometric mean of what can be divided, and which figures' ranges
// do not overlap.
func WriteChanges(w io.Writer, changes []Change) error {
	var b strings.Builder
	tab := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(tab, "level\tfigure\tunit\tbefore\tafter\tchange\tp\n")
	for _, c := range changes {
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\t%s\tp=%.3f n=%d+%d\n",
			c.Level, c.Name, c.Unit, c.Before, c.After, c.delta(), c.P, c.Before.N, c.After.N)
	}
	tab.Flush()
	if mean, n := geometricMean(changes); n > 1 {
		fmt.Fprintf(&b, "\ngeometric mean of after / before, %d figures: %.3f\n", n, mean)
	}
	writeApart(&b, changes)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write comparison: %w", err)
	}
	return nil
}

func writeApart(b *strings.Builder, changes []Change) {
	n := 0
	for _, c := range changes {
		if !c.Apart {
			n++
		}
	}
	fmt.Fprintf(b, "\n%d of %d figures agree: their ranges overlap, those of the ratios where there is a yardstick\n", n, len(changes))
	for _, c := range changes {
		if c.Apart {
			was, is := c.Ranges[0], c.Ranges[1]
			fmt.Fprintf(b, "apart: %s, %s: %s-%s and %s-%s\n", c.Level, c.Name, Short(was.Low), Short(was.High), Short(is.Low), Short(is.High))
		}
	}
}

func (c Change) delta() string {
	if !c.Significant {
		return "~"
	}
	text := fmt.Sprintf("%+.1f %%", 100*c.Delta)
	if c.Worse {
		text += " worse"
	}
	return text
}

// geometricMean returns the mean ratio and of how many.
func geometricMean(changes []Change) (float64, int) {
	sum, n := 0.0, 0
	for _, c := range changes {
		if c.Before.Median > 0 && c.After.Median > 0 {
			sum += math.Log(c.After.Median / c.Before.Median)
			n++
		}
	}
	if n == 0 {
		return 1, 0
	}
	return math.Exp(sum / float64(n)), n
}
