package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func seriesOf(measure, subject string, runs ...run) series {
	return series{Measure: measure, IntervalMS: 100, Subject: subject, Version: subject + " 1", Began: time.Unix(0, 0).UTC(), Load: "0.10", Runs: runs}
}

func good(name string, v float64) run { return run{Values: values{name: v}} }

func stopCell(t *testing.T) cell {
	t.Helper()
	cells, err := plan(measures(time.Minute), []string{"stop"}, []time.Duration{100 * time.Millisecond})
	if err != nil || len(cells) != 1 {
		t.Fatalf("plan = %d cells, %v", len(cells), err)
	}
	return cells[0]
}

func TestVerdicts(t *testing.T) {
	loss := stopCell(t).columns[1]
	took := stopCell(t).columns[0]
	bad := run{Error: "no takeover"}
	for _, tt := range []struct {
		name         string
		col          column
		theirs, ours []run
		want         string
	}{
		{"held", loss, nil, []run{good(vLoss, 50)}, "worst at most 50 ms: held"},
		{"missed by one", loss, nil, []run{good(vLoss, 1), good(vLoss, 50.1)}, "worst at most 50 ms: MISSED"},
		{"one failed", loss, nil, []run{good(vLoss, 1), bad}, "worst at most 50 ms: held in the runs that did not fail"},
		{"all failed", loss, nil, []run{bad}, "worst at most 50 ms: not measured"},
		{"beside", took, []run{good(vTakeover, 61)}, []run{good(vTakeover, 61.2), good(vTakeover, 64)},
			"median no later than keepalived's, by 0.5 ms: MISSED; worst within 5 ms of the arithmetic: held"},
		{"alone", took, nil, []run{good(vTakeover, 61)},
			"median no later than keepalived's, by 0.5 ms: not measured; worst within 5 ms of the arithmetic: held"},
	} {
		ours := seriesOf("stop", ourName, tt.ours...)
		var theirs *series
		if tt.theirs != nil {
			s := seriesOf("stop", theirName, tt.theirs...)
			theirs = &s
		}
		if got := verdict(tt.col, theirs, &ours, 60.9375); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestParts: a later part replaces its own cells and keeps the others, and the
// report shows all, failed runs too.
func TestParts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results", "failover.json")
	r, err := readResults(path)
	if err != nil {
		t.Fatal(err)
	}
	r.Series = []series{
		seriesOf("stop", theirName, good(vLoss, 62)), seriesOf("stop", ourName, run{Error: "broken\nsecond line"}),
		seriesOf("heal", ourName, good(vLoss, 3)),
	}
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	if r, err = readResults(path); err != nil {
		t.Fatal(err)
	}
	if got := r.markdown(measures(time.Minute)); !strings.Contains(got, "| 100ms | client loss |  | 62 / 62 | none (1 of 1 failed) |") ||
		!strings.Contains(got, "- evenkeel at 100ms, run 1 failed: broken\n") || strings.Contains(got, "on machine") {
		t.Errorf("report:\n%s", got)
	}
	s := r.begin(stopCell(t), subject{name: ourName, version: "2"}, 4, 0)
	s.Runs = append(s.Runs, good(vLoss, 1.25))
	if len(r.Series) != 3 {
		t.Errorf("%d series, want 3", len(r.Series))
	}
	got := r.markdown(measures(time.Minute))
	for _, want := range []string{"| 62 / 62 | 1.25 / 1.25 | worst at most 50 ms: held |", "4 lanes at the same time, on machine ", "Machine 2: ", "## Heal of a partition", "| - | 3 / 3 | worst under 100 ms: held |"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in the report:\n%s", want, got)
		}
	}
	if strings.Contains(got, "broken") {
		t.Error("the replaced series is still there")
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-runs", "2", "-intervals", "1s,10ms", "stop", "heal"}, io.Discard)
	if err != nil || o.runs != 2 || len(o.intervals) != 2 || len(o.names) != 2 || len(o.subjects) != 2 {
		t.Errorf("parse = %+v, %v", o, err)
	}
	for _, lanes := range []string{"0", "17"} {
		if _, err := parse([]string{"-lanes", lanes}, io.Discard); err == nil {
			t.Errorf("%s lanes are taken", lanes)
		}
	}
	if _, err := plan(measures(time.Minute), []string{"tea"}, nil); err == nil {
		t.Error("a measure that does not exist is planned")
	}
	if _, err := subjects([]string{"carp"}, ""); err == nil {
		t.Error("a program that does not exist is measured")
	}
	all, err := plan(measures(time.Minute), nil, nil)
	if err != nil || len(all) != 5*3+3 {
		t.Errorf("all = %d cells, %v", len(all), err)
	}
}
