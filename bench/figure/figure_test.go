package figure

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   Summary
	}{
		{"none", nil, Summary{}},
		{"one", []float64{3}, Summary{3, 3, 3, false, 1}},
		{"odd, too few for an interval", []float64{9, 1, 4}, Summary{4, 1, 9, false, 3}},
		{"even", []float64{8, 2, 4, 6}, Summary{5, 2, 8, false, 4}},
		{"six: the interval is the range", []float64{6, 5, 4, 3, 2, 1}, Summary{3.5, 1, 6, true, 6}},
		{"one far out of nine is outside", []float64{1, 2, 3, 4, 5, 6, 7, 8, 900}, Summary{5, 2, 8, true, 9}},
	} {
		if got := Summarize(tt.values); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestRatio(t *testing.T) {
	f := Figure{Values: []float64{10, 30, 9}, Yardstick: []float64{5, 10, 0}}
	if got := f.Ratio(); got.Median != 2.5 || got.N != 2 {
		t.Errorf("ratio %+v, want 2.5 of two rounds", got)
	}
	if got := (Figure{Values: []float64{1}}).Ratio(); got.N != 0 {
		t.Errorf("ratio to nothing: %+v", got)
	}
}

func TestLess(t *testing.T) {
	f := Figure{Values: []float64{10, 30, 9, 50}, Yardstick: []float64{5, 10, 10}}
	if got := f.Less(); got.Median != 5 || got.Low != -1 || got.High != 20 || got.N != 3 {
		t.Errorf("more than the yardstick by %+v, want 5 (-1 to 20) of three rounds", got)
	}
}

func TestCompare(t *testing.T) {
	low, high := []float64{10, 11, 12, 10.5, 11.5, 10.2}, []float64{20, 21, 22, 20.5, 21.5, 20.2}
	for _, tt := range []struct {
		name               string
		before, after      []float64
		more               bool
		significant, worse bool
	}{
		{"the same", low, low, false, false, false},
		{"costs more", low, high, false, true, true},
		{"costs less", high, low, false, true, false},
		{"sends more", low, high, true, true, false},
		{"sends less", high, low, true, true, true},
		{"too few to tell", low[:2], high[:2], false, false, false},
	} {
		before := []Figure{{Level: Path, Name: "a", Unit: "ns", More: tt.more, Values: tt.before}, {Name: "gone", Values: low}}
		after := []Figure{{Name: "new", Values: low}, {Level: Path, Name: "a", Unit: "ns", More: tt.more, Values: tt.after}}
		got := Compare(before, after)
		if len(got) != 1 {
			t.Fatalf("%s: %d changes, want 1: %+v", tt.name, len(got), got)
		}
		if c := got[0]; c.Significant != tt.significant || c.Worse != tt.worse {
			t.Errorf("%s: %+v", tt.name, c)
		}
	}
}

func TestGate(t *testing.T) {
	f := func(name string, more bool, v float64) Figure {
		return Figure{Level: Versus, Name: name, Unit: "instructions", More: more, Values: []float64{v, v}}
	}
	allowed := []Figure{f("a", false, 1000), f("ratio", true, 6)}
	for _, tt := range []struct {
		name string
		now  []Figure
		bad  bool
	}{
		{"as before", allowed, false},
		{"a little more", []Figure{f("a", false, 1029), f("ratio", true, 5.9)}, false},
		{"too much", []Figure{f("a", false, 1031), f("ratio", true, 6)}, true},
		{"too small a ratio", []Figure{f("a", false, 1000), f("ratio", true, 5.8)}, true},
		{"much better", []Figure{f("a", false, 100), f("ratio", true, 60)}, false},
		{"one is gone", []Figure{f("a", false, 1000)}, true},
	} {
		err := Gate(allowed, Compare(allowed, tt.now), 0.03)
		if errors.Is(err, ErrGate) != tt.bad {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestWriteChanges(t *testing.T) {
	f := func(v ...float64) []Figure {
		return []Figure{
			{Level: Program, Name: "established", Unit: "ns", Values: v},
			{Level: Program, Name: "foreign", Unit: "ns", Values: []float64{4, 4, 4, 4, 4, 4}},
		}
	}
	var b strings.Builder
	if err := WriteChanges(&b, Compare(f(10, 10, 10, 10, 10, 11), f(20, 20, 20, 20, 20, 22))); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"+100.0 % worse", "~", "2 figures: 1.414", "1 of 2 figures agree", "apart: program, established: 10.0-11.0 and 20.0-22.0\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	if mean, n := geometricMean(nil); n != 0 || mean != 1 {
		t.Errorf("mean of nothing: %v of %d", mean, n)
	}
}

// TestApart compares ratios where there is a yardstick, since the machine may be slower.
func TestApart(t *testing.T) {
	f := func(yardstick float64, values ...float64) []Figure {
		f := Figure{Level: Path, Name: "XDP", Unit: "Mpps", Values: values}
		if yardstick > 0 {
			f.Beside, f.Yardstick = "nft", []float64{yardstick, yardstick}
		}
		return []Figure{f}
	}
	for _, tt := range []struct {
		name          string
		before, after []Figure
		want          bool
	}{
		{"overlap", f(0, 10, 12), f(0, 11, 13), false},
		{"apart", f(0, 10, 12), f(0, 13, 14), true},
		{"apart, the other way", f(0, 13, 14), f(0, 10, 12), true},
		{"a hair between", f(0, 1000, 1000), f(0, 1005, 1005), false},
		{"more than a hair", f(0, 1000, 1000), f(0, 1020, 1020), true},
		{"twice as slow, with its yardstick", f(1, 10, 12), f(2, 20, 24), false},
		{"twice as slow, without it", f(1, 10, 12), f(1, 20, 24), true},
	} {
		if got := Compare(tt.before, tt.after); len(got) != 1 || got[0].Apart != tt.want {
			t.Errorf("%s: %+v, want apart %v", tt.name, got, tt.want)
		}
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 3.14159: "3.14", 31.4159: "31.4", 314.159: "314", 9999: "9999", 31415: "31.4 k", 3.1415e6: "3.14 M", -31.4: "-31.4",
	} {
		if got := Short(v); got != want {
			t.Errorf("Short(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestTables(t *testing.T) {
	figures := []Figure{
		{Level: Program, Name: "foreign", Unit: "ns", Values: []float64{12, 11, 14}, Beside: "floor", Yardstick: []float64{4, 4, 4}, Anchor: "Katran 22"},
		{Level: Path, Name: "XDP DR", Unit: "Mpps", More: true, Values: []float64{9}, Note: "none lost"},
	}
	var text, page strings.Builder
	if err := WriteText(&text, figures); err != nil {
		t.Fatal(err)
	}
	if err := WriteMarkdown(&page, figures, Program); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"foreign", "12.0", "11.0-14.0", "3.00 x (2.75-3.50)", "floor: 4.00", "Katran 22", "XDP DR (none lost)"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in:\n%s", want, text.String())
		}
	}
	if strings.Contains(page.String(), "memory") {
		t.Errorf("memory, of which nothing was read:\n%s", page.String())
	}
	want := "| foreign | 3.00 x (2.75-3.50) | floor: 4.00 | 12.0 | ns | 11.0-14.0 | Katran 22 |\n"
	if !strings.HasSuffix(page.String(), want) {
		t.Errorf("page:\n%s\nwant %q at its end", page.String(), want)
	}
	if got := Summarize([]float64{1, 3}).Spread(); math.Abs(got-0.5) > 1e-9 {
		t.Errorf("spread %v, want 0.5", got)
	}
}

// TestMemory shows what reads of memory took beside a figure that has them.
func TestMemory(t *testing.T) {
	figures := []Figure{
		{Level: Program, Name: "established", Unit: "ns", Values: []float64{60, 90, 80}, Memory: []float64{30, 30, 0}},
		{Level: Program, Name: "foreign", Unit: "ns", Values: []float64{12}},
	}
	var page strings.Builder
	if err := WriteMarkdown(&page, figures, Program); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| yardstick | to one read of memory | median |", "| established |  |  | 2.50 x 30.0 | 80.0 | ns |", "| foreign |  |  |  | 12.0 | ns |"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q in:\n%s", want, page.String())
		}
	}
}

// TestCompareOthers compares a program of somebody else: it is nothing of ours that is worse.
func TestCompareOthers(t *testing.T) {
	f := func(of string, v float64) []Figure {
		return []Figure{{Level: Program, Name: "established", Unit: "ns", Of: of, Values: []float64{v, v, v, v, v, v + 1}}}
	}
	for of, want := range map[string]bool{"": true, "other": false} {
		if got := Compare(f(of, 10), f(of, 20)); len(got) != 1 || !got[0].Significant || got[0].Worse != want {
			t.Errorf("of %q: %+v, want worse %v", of, got, want)
		}
	}
}
