package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestStalls(t *testing.T) {
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	c := &canary{most: ms(3)}
	c.note(stall{at(100), at(120)})
	c.note(stall{at(200), at(202)})
	for _, tt := range []struct {
		from, to float64
		want     time.Duration
		disturbs bool
	}{
		{0, 99, 0, false},
		{0, 100, ms(20), true}, // its whole length: it is over too late
		{110, 111, ms(20), true},
		{121, 199, 0, false},
		{121, 300, ms(2), false},
		{0, 300, ms(20), true},
	} {
		if got := c.longest(at(tt.from), at(tt.to)); got != tt.want {
			t.Errorf("longest stall from %g to %g: %s, want %s", tt.from, tt.to, got, tt.want)
		}
		if got := c.disturbed(at(tt.from), at(tt.to)); got != tt.disturbs {
			t.Errorf("disturbed from %g to %g: %t", tt.from, tt.to, got)
		}
	}
	// What comes more than a moment after the due time excuses nobody.
	for due, want := range map[float64]time.Duration{94: 0, 95: ms(20), 125: ms(20), 126: 0} {
		if got := c.at(at(due)); got != want {
			t.Errorf("stall at %g: %s, want %s", due, got, want)
		}
	}
	for range 3 * stallsKept {
		c.note(stall{at(500), at(501)})
	}
	if n := len(c.seen); n < stallsKept || n > 2*stallsKept {
		t.Errorf("%d stalls kept, want %d to twice that", n, stallsKept)
	}
	var none *canary
	if none.longest(at(0), at(9)) != 0 || none.disturbed(at(0), at(9)) {
		t.Error("no canary, but a stall")
	}
}

// TestCanaryHears: a real one on this machine, whatever that does.
func TestCanaryHears(t *testing.T) {
	c, err := newCanary(0)
	if err != nil {
		t.Fatal(err)
	}
	c.close()
	if c.disturbed(time.Time{}, time.Now()) {
		t.Error("disturbed without a limit")
	}
}

func TestStealIn(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"cpu  1986258 331263 1248370 3387891 20173 0 34736 229851 0 0\ncpu0 1 2 3": 2298510 * time.Millisecond,
		"cpu  1 2 3":               0,
		"":                         0,
		"cpu  1 2 3 4 5 6 7 x 9 9": 0,
	} {
		if got := stealIn(text); got != want {
			t.Errorf("steal in %q: %s, want %s", text, got, want)
		}
	}
}

func TestCalmCadence(t *testing.T) {
	c := &canary{most: 3 * time.Millisecond}
	c.note(stall{at(18), at(38)})
	list := pauses([]event{{at: at(0)}, {at: at(10)}, {at: at(38)}, {at: at(52)}})
	if got := list.calm(c, 10*time.Millisecond); got != 14 {
		t.Errorf("longest calm pause %g ms, want 14: the one of 28 had a stall", got)
	}
	if got := list.calm(nil, 10*time.Millisecond); got != 28 {
		t.Errorf("longest pause %g ms, want 28", got)
	}
}

// TestDisturbedRunsAreRepeated: of both programs alike, up to a bound, and all
// stay in the results.
func TestDisturbedRunsAreRepeated(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stall func(subject string, run int) float64
		limit time.Duration
		runs  int
		want  string // of the report
	}{
		{"none", func(string, int) float64 { return 1 }, defaultStall, 4, "| 10 / 10 | 20 / 20 |"},
		{"one program's", func(name string, run int) float64 {
			if name == theirName && run < 2 {
				return 30
			}
			return 1
		}, defaultStall, 6, "| 10 / 10 (of all 10 / 40) | 20 / 20 |"},
		{"always", func(string, int) float64 { return 30 }, defaultStall, 12, "| none (of all 40 / 40) | none (of all 50 / 50) |"},
		{"not judged", func(string, int) float64 { return 30 }, 0, 4, "| 40 / 40 | 50 / 50 |"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			made := make(map[string]int)
			c := stopCell(t)
			c.measure.run = func(_ *site, sub subject, _ setup, part float64) (values, error) {
				if part <= 0 || part >= 1 {
					t.Errorf("phase %g", part)
				}
				v := values{vMoment: tt.stall(sub.name, made[sub.name]), vTakeover: 10}
				if sub.name == ourName {
					v[vTakeover] = 20
				}
				if v[vMoment] > 3 {
					v[vTakeover] += 30
				}
				made[sub.name]++
				return v, nil
			}
			b := &benchmark{
				ctx: t.Context(), out: io.Discard, results: &results{},
				subjects: []subject{{name: theirName}, {name: ourName}},
				options:  options{runs: 4, stall: tt.limit, json: filepath.Join(dir, "r.json")},
				lane:     []*lane{{site: &site{}}},
			}
			if err := b.cell(c); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{theirName, ourName} {
				if got := len(b.results.find(c.name, c.interval, name).Runs); got != tt.runs {
					t.Errorf("%d runs of %s, want %d", got, name, tt.runs)
				}
			}
			if text := b.results.markdown(measures(time.Minute)); !strings.Contains(text, tt.want) {
				t.Errorf("no %q in\n%s", tt.want, text)
			}
		})
	}
}
