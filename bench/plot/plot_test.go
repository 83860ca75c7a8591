package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// elements reads a drawing as XML and counts its elements.
func elements(t *testing.T, svg string) map[string]int {
	t.Helper()
	count := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, svg)
		}
		if start, ok := token.(xml.StartElement); ok {
			count[start.Name.Local]++
		}
	}
}

func TestLines(t *testing.T) {
	l := Lines{Title: "a < b & c", X: "flows", Y: "ns", Series: []Series{
		{"DR", []Point{{1, 10, 9, 11}, {1024, 20, 18, 22}, {1 << 20, 100, 90, 120}}},
		{"NAT", []Point{{1, 12, 12, 12}}},
	}}
	var b strings.Builder
	if err := l.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	if n := elements(t, b.String()); n["circle"] != 4 || n["svg"] != 1 {
		t.Errorf("elements %v, want 4 circles", n)
	}
	for _, want := range []string{"a &lt; b &amp; c", ">1 k<", ">1 M<", ">NAT<"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in the drawing", want)
		}
	}
	s := l.scale()
	if s.x(1) != left || s.x(1<<20) != left+plotWidth || s.y(0) != top+plotHeight || s.y(s.most) != top || s.most < 120 {
		t.Errorf("places: %v %v %v %v of %+v", s.x(1), s.x(1<<20), s.y(0), s.y(s.most), s)
	}
}

func TestBars(t *testing.T) {
	var b strings.Builder
	bars := Bars{Title: "paths", Unit: "Mpps", Bars: []Bar{{"XDP", 9, 8.5, 9.2, true}, {"nftables", 1.5, 1.4, 1.6, false}}}
	if err := bars.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	if n := elements(t, b.String()); n["rect"] != 3 {
		t.Errorf("elements %v, want the paper and two bars", n)
	}
	if !strings.Contains(b.String(), colour(0)) {
		t.Error("our bar has not its colour")
	}
}

// TestLongNames makes room for what is beside the bars.
func TestLongNames(t *testing.T) {
	short := Bars{Bars: []Bar{{Name: "µs"}}}.left()
	long := Bars{Bars: []Bar{{Name: "µs"}, {Name: strings.Repeat("n", 100)}}}.left()
	if short != 300 || long < 600 {
		t.Errorf("bars begin at %v and %v", short, long)
	}
}

func TestNothing(t *testing.T) {
	var b strings.Builder
	for _, drawing := range []interface{ WriteSVG(io.Writer) error }{Lines{}, Bars{}} {
		if err := drawing.WriteSVG(&b); err != nil {
			t.Error(err)
		}
	}
	if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
		t.Errorf("places that are none:\n%s", b.String())
	}
}

func TestTicks(t *testing.T) {
	for most, want := range map[float64][]float64{
		0: {0, 1}, 1: {0, 0.2, 0.4, 0.6, 0.8, 1}, 3: {0, 0.5, 1, 1.5, 2, 2.5, 3}, 95: {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100},
	} {
		got := ticks(most)
		close := func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }
		if !slices.EqualFunc(got, want, close) {
			t.Errorf("ticks(%v) = %v, want %v", most, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.5: "0.5", 1024: "1 k", 131072: "128 k", 1 << 20: "1 M", 15000: "15 k", 2.5e6: "2.5 M"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}
