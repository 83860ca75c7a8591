package track

import (
	"context"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// processWorld is a machine on which processes can be started and ended: the
// fake one, or in the netns tier the real one.
type processWorld interface {
	ProcessSource
	// start runs a program that waits, under args[0], and returns its number.
	start(args ...string) int
	// exec lets the process run another such program.
	exec(pid int, args ...string)
	// exit ends the process.
	exit(pid int)
}

// testProcessWorld starts and ends processes one by one, and each time waits
// for what is told. Names are made of prefix, which no other process of the
// machine has.
func testProcessWorld(t *testing.T, w processWorld, prefix string) {
	one, two := prefix+"1", prefix+"2"
	before := w.start(one)
	define := func(name string, d model.TrackProcess) model.TrackProcess {
		d.Name, d.Quorum, d.QuorumMax = name, 1, -1
		return d
	}
	crowd := model.TrackProcess{Name: "crowd", Process: one, Quorum: 2, QuorumMax: 2}
	tr := New(Options{Processes: w, Definitions: Definitions{Processes: []model.TrackProcess{
		define("one", model.TrackProcess{Process: one}),
		define("two", model.TrackProcess{Process: two}),
		define("param", model.TrackProcess{Process: two, Params: []string{"a b"}, Match: model.MatchPartial}),
		crowd,
	}}})
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	known := make(map[string]State)
	await := func(what string, want map[string]State) {
		t.Helper()
		for {
			same := true
			for name, state := range want {
				same = same && known[name] == state
			}
			if same {
				return
			}
			select {
			case s := <-tr.Changes():
				known[s.Name] = s.State
			case <-ctx.Done():
				t.Fatalf("%s: known are %v, want %v", what, known, want)
			}
		}
	}
	await("first count", map[string]State{"one": Up, "two": Down, "param": Down, "crowd": Down})
	second := w.start(one)
	await("one more", map[string]State{"crowd": Up})
	third := w.start(one, "x")
	await("too many", map[string]State{"crowd": Down})
	w.exec(third, two, "a b", "c")
	await("another program", map[string]State{"one": Up, "two": Up, "param": Up, "crowd": Up})
	w.exit(third)
	await("its end", map[string]State{"two": Down, "param": Down})
	w.exit(before)
	await("one less", map[string]State{"one": Up, "crowd": Down})
	w.exit(second)
	await("none", map[string]State{"one": Down, "two": Down, "param": Down, "crowd": Down})
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func TestFakeProcessWorld(t *testing.T) { testProcessWorld(t, newFakeProcesses(), "worker") }
