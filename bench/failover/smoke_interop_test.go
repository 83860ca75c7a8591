//go:build interop

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// TestEveryFaultOnce makes one run of each fault with each program, and a short
// watch, and asks for figures, not for good ones.
func TestEveryFaultOnce(t *testing.T) {
	labtest.NeedRoot(t)
	if _, err := exec.LookPath(theirName); err != nil {
		t.Skip("skipped: needs keepalived")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, ourName)
	build := exec.Command("go", "build", "-o", program, "../../cmd/evenkeel")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build evenkeel: %v\n%s", err, text)
	}
	o := options{
		subjects: []string{theirName, ourName}, evenkeel: program, runs: 1, window: time.Second, prefix: "ekbenchtest", lanes: 2,
		json: filepath.Join(dir, "r.json"), markdown: filepath.Join(dir, "r.md"),
	}
	var out bytes.Buffer
	for interval, names := range map[time.Duration][]string{
		100 * time.Millisecond: {"silent", "link", "stop", "kill", "heal"},
		10 * time.Millisecond:  {"false"},
		time.Second:            {"stop"}, // in lanes
	} {
		o.intervals, o.names = []time.Duration{interval}, names
		if err := bench(t.Context(), o, &out); err != nil {
			t.Errorf("bench: %v", err)
		}
	}
	r, err := readResults(o.json)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(o.subjects) * 7; len(r.Series) != want {
		t.Errorf("%d series, want %d", len(r.Series), want)
	}
	for _, s := range r.Series {
		for _, run := range s.Runs {
			if run.Error != "" || len(run.Values) == 0 {
				t.Errorf("%s of %s at %g ms: %v, %s", s.Measure, s.Subject, s.IntervalMS, run.Values, run.Error)
			}
		}
	}
	if info, err := os.Stat(o.markdown); err != nil || info.Size() == 0 {
		t.Errorf("no report: %v", err)
	}
	if left, err := filepath.Glob("/run/netns/" + o.prefix + "*-*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if t.Failed() {
		t.Logf("it printed:\n%s", &out)
	}
}

// TestLeftoversAreRemoved: a bench that was killed does not stop the next.
func TestLeftoversAreRemoved(t *testing.T) {
	labtest.NeedRoot(t)
	const prefix = "ekbenchleft"
	l, err := lab.New(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AddNode("a"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := options{
		prefix: prefix, names: []string{"false"}, intervals: []time.Duration{time.Hour},
		json: filepath.Join(dir, "r.json"), markdown: filepath.Join(dir, "r.md"),
	}
	if err := bench(t.Context(), o, &bytes.Buffer{}); err != nil {
		t.Errorf("bench: %v", err)
	}
	if _, err := os.Stat("/run/netns/" + prefix + "-a"); err == nil {
		t.Error("the namespace is still there")
	}
	_ = l.Close() // its namespace is gone
}
