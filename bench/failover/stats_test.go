package main

import (
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	var hundred []float64
	for n := range 100 {
		hundred = append(hundred, float64(100-n))
	}
	for _, tt := range []struct {
		name   string
		values []float64
		want   summary
	}{
		{"none", nil, summary{}},
		{"one", []float64{7}, summary{n: 1, median: 7, mean: 7, p99: 7, worst: 7, best: 7}},
		{"even", []float64{4, 1, 2, 3}, summary{n: 4, median: 2.5, mean: 2.5, p99: 4, worst: 4, best: 1}},
		{"odd", []float64{9, 1, 2}, summary{n: 3, median: 2, mean: 4, p99: 9, worst: 9, best: 1}},
		{"hundred", hundred, summary{n: 100, median: 50.5, mean: 50.5, p99: 99, worst: 100, best: 1}},
	} {
		if got := summarize(tt.values); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestArithmetic(t *testing.T) {
	if got, want := downTime(100, time.Second), 3609375*time.Microsecond; got != want {
		t.Errorf("down time %s, want %s", got, want)
	}
	if got, want := skew(100, 10*time.Millisecond), 6093750*time.Nanosecond; got != want {
		t.Errorf("skew %s, want %s", got, want)
	}
}

// at returns a time so many milliseconds after an arbitrary begin.
func at(ms float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(ms * float64(time.Millisecond)))
}

func TestLossIn(t *testing.T) {
	answered := func(ms, after float64) probe { return probe{sent: at(ms), answered: at(ms + after)} }
	lost := func(ms float64) probe { return probe{sent: at(ms)} }
	for _, tt := range []struct {
		name   string
		probes []probe
		want   outage
	}{
		{"nothing lost", []probe{answered(0, 0.1), answered(1, 0.1), answered(2, 0.1)},
			outage{gap: time.Millisecond, pause: time.Millisecond}},
		{"two losses, the longer counts", []probe{
			answered(0, 0), lost(1), answered(2, 0), lost(3), lost(4), answered(6, 0)},
			outage{lost: 3, longest: 3 * time.Millisecond, gap: 4 * time.Millisecond, pause: 2 * time.Millisecond}},
		{"lost to the end", []probe{answered(0, 0), lost(1)},
			outage{lost: 1, longest: 99 * time.Millisecond, pause: time.Millisecond}},
		{"answered too late", []probe{answered(0, 0), answered(1, 251), answered(2, 0)},
			outage{lost: 1, longest: time.Millisecond, gap: 2 * time.Millisecond, pause: time.Millisecond}},
		{"outside the time", []probe{lost(-1), answered(0, 0), lost(101)}, outage{}},
	} {
		if got := lossIn(tt.probes, at(0), at(100)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestCadence(t *testing.T) {
	list := []event{
		{at: at(0), router: 1}, {at: at(1), router: 2}, {at: at(10), router: 1},
		{at: at(12), router: 2}, {at: at(60), router: 1},
	}
	got := summarize(pauses(list).millis())
	if want := (summary{n: 3, median: 11, mean: 71. / 3, p99: 50, worst: 50, best: 10}); got != want {
		t.Errorf("pauses %+v, want %+v", got, want)
	}
	if got := len(masterships(list, 30*time.Millisecond)); got != 3 {
		t.Errorf("%d masterships, want 3: one of router 2, two of router 1", got)
	}
	if got := longestPause(list); got != 48*time.Millisecond {
		t.Errorf("longest pause %s, want 48ms", got)
	}
}
