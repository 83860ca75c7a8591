package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// replay reads a recorded run of one package.
func replay(t *testing.T, name string) packageRun {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var runs []packageRun
	c := newCollector("unit", func(p packageRun) { runs = append(runs, p) })
	if err := c.read(f); err != nil {
		t.Fatal(err)
	}
	if len(runs) != 1 {
		t.Fatalf("read %d packages, want 1", len(runs))
	}
	return runs[0]
}

func TestRecordedRuns(t *testing.T) {
	tests := []struct {
		file string
		want []string // outcome, test: part of the text
	}{
		{"good", []string{
			"passed TestOne: ",
			"passed TestTwo/a: ",
			"passed TestTwo/b: ",
		}},
		{"mixed", []string{
			"passed TestPlain: ",
			"passed TestTable/good: ",
			"failed TestTable/bad: x_test.go:8: got 1, want 2",
			"passed TestTable/deep/er: ",
			"failed TestOwnFailure: x_test.go:13: after the subtests",
			"passed TestOwnFailure/good: ",
			"skipped TestNeedsRoot: needs root: uid is 1000",
			"passed FuzzSeeds/seed#0: ",
			"passed FuzzSeeds/seed#1: ",
		}},
		{"broken", []string{"failed : broken/x_test.go:4:32: undefined: undefined"}},
		{"panics", []string{
			"passed TestBefore: ",
			"failed TestWaits: did not finish",
			"failed TestPanics: panic: assignment to entry in nil map",
		}},
		{"slow", []string{
			"passed TestBefore: ",
			"failed TestHangs/sub: panic: test timed out after 1s",
		}},
		{"exits", []string{
			"passed TestFine: ",
			"failed : leaked a descriptor",
		}},
		{"none", nil},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			var got []string
			for _, r := range replay(t, tt.file).results {
				got = append(got, fmt.Sprintf("%s %s: %s", r.outcome, r.test, headline(r.text)))
			}
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
		})
	}
}

func TestCutOffRunFails(t *testing.T) {
	const begun = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
`
	var results []result
	c := newCollector("unit", func(p packageRun) { results = p.results })
	if err := c.read(strings.NewReader(begun)); err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 || results[0].outcome != passed || results[1].outcome != failed {
		t.Errorf("results = %+v, want TestA passed and TestB failed", results)
	}
}

func TestLinesThatAreNoEventsAreKept(t *testing.T) {
	c := newCollector("unit", func(packageRun) {})
	if err := c.read(strings.NewReader("go: updates to go.mod needed\n")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"go: updates to go.mod needed\n"}; !slices.Equal(c.stray, want) {
		t.Errorf("stray = %q, want %q", c.stray, want)
	}
}

func TestSkipReason(t *testing.T) {
	tests := []struct {
		name   string
		output []string
		want   string
	}{
		{"nothing said", []string{"=== RUN   TestA\n", "--- SKIP: TestA (0.00s)\n"}, "no reason given"},
		{"one line", []string{"    a_test.go:3: needs bpftool\n"}, "needs bpftool"},
		{"after a log line", []string{"    a_test.go:3: looking\n", "    a_test.go:4: needs root\n"}, "needs root"},
		{"several lines", []string{"    a_test.go:3: needs\n", "        two things\n"}, "needs two things"},
		{"colons inside", []string{"    a_test.go:3: open /dev/kvm: no such file\n"}, "open /dev/kvm: no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := skipReason(tt.output); got != tt.want {
				t.Errorf("skipReason = %q, want %q", got, tt.want)
			}
		})
	}
}
