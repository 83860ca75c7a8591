package figure

import (
	"fmt"
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// Level says what a figure is of.
type Level string

// The levels.
const (
	Program Level = "program" // the XDP program alone
	Path    Level = "path"    // live frames through interfaces
	Users   Level = "users"   // real clients and servers
	Scale   Level = "scale"   // tables as large as they get
	Versus  Level = "versus"  // XDP against IPVS
)

// Figure is one thing that was measured in some rounds.
type Figure struct {
	Level Level `json:"level"`
	// Name says what was measured; it is unique in a level.
	Name string `json:"name"`
	// Unit is that of Values: ns, Mpps, requests/s, µs, instructions, bytes.
	Unit string `json:"unit"`
	// More is set where more is better.
	More bool `json:"more_is_better,omitempty"`
	// Values has one for each round.
	Values []float64 `json:"values"`
	// Beside says what Yardstick is of: what was measured beside it in the same
	// rounds, in the same unit. Both are empty for none.
	Beside    string    `json:"beside,omitempty"`
	Yardstick []float64 `json:"yardstick,omitempty"`
	// Of names whose program it is, where it is not Evenkeel's. Optional.
	Of string `json:"of,omitempty"`
	// Memory has what one read of a random cache line took in the same rounds, each waiting
	// for the one before, among as many lines as there were flows, in the same unit. Optional.
	Memory []float64 `json:"memory,omitempty"`
	// Series and X make the figure a point of a curve, such as the cost of an
	// established flow by how many there are. Series is empty for none.
	Series string  `json:"series,omitempty"`
	X      float64 `json:"x,omitempty"`
	// Anchor is what others reached at the same, from another day and a
	// similar machine, in words. Optional.
	Anchor string `json:"anchor,omitempty"`
	// Note says what else is to be known. Optional.
	Note string `json:"note,omitempty"`
}

// confidence is that of intervals.
const confidence = 0.95

// Summary is the middle of some values. Low and High are the interval of 95 %
// confidence around the median where there are values enough (six), else the
// least and the greatest value.
type Summary struct {
	Median, Low, High float64
	// Confident is set where Low and High are the interval.
	Confident bool
	N         int
}

// Summarize returns the summary of values. Of none it is zero.
func Summarize(values []float64) Summary {
	if len(values) == 0 {
		return Summary{}
	}
	s := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	sum := benchmath.AssumeNothing.Summary(s, confidence)
	if math.IsInf(sum.Lo, 0) || math.IsInf(sum.Hi, 0) || len(values) < 2 {
		return Summary{Median: sum.Center, Low: slices.Min(values), High: slices.Max(values), N: len(values)}
	}
	return Summary{Median: sum.Center, Low: sum.Lo, High: sum.Hi, Confident: true, N: len(values)}
}

// Spread returns how far Low and High are from the median, as a part of it.
func (s Summary) Spread() float64 {
	if s.Median == 0 {
		return 0
	}
	return max(s.High-s.Median, s.Median-s.Low) / math.Abs(s.Median)
}

// String prints the median and the spread: "31.4 ± 2 %".
func (s Summary) String() string {
	if s.N == 0 {
		return "-"
	}
	return fmt.Sprintf("%s ± %.0f %%", Short(s.Median), 100*s.Spread())
}

// Summary returns that of the figure's values.
func (f Figure) Summary() Summary { return Summarize(f.Values) }

// Ratio returns that of each round's value to its yardstick. Rounds whose yardstick
// is not above zero are left out.
func (f Figure) Ratio() Summary { return Summarize(Ratios(f.Values, f.Yardstick)) }

// Reads returns how many reads of a random cache line each round's value is.
func (f Figure) Reads() Summary { return Summarize(Ratios(f.Values, f.Memory)) }

// Ratios divides the values of each round that has both. Rounds are left out where what
// divides is not above zero.
func Ratios(values, by []float64) []float64 {
	var ratios []float64
	for i, v := range values {
		if i < len(by) && by[i] > 0 {
			ratios = append(ratios, v/by[i])
		}
	}
	return ratios
}

// Less returns by how much each round's value is more than its yardstick, in the unit of both.
func (f Figure) Less() Summary {
	var rest []float64
	for i, v := range f.Values {
		if i < len(f.Yardstick) {
			rest = append(rest, v-f.Yardstick[i])
		}
	}
	return Summarize(rest)
}

// Short prints a number with the digits that a reader looks at.
func Short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case a >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
