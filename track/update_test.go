package track

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

// TestUpdateScripts reloads after five seconds, when c is up by three runs of
// which the last was at 4 s, and looks four seconds later.
func TestUpdateScripts(t *testing.T) {
	const s = time.Second
	moved := chk("c")
	moved.Pos, moved.Script.Pos = model.Position{File: "f", Line: 9}, model.Position{File: "f", Line: 10}
	words := chk("c")
	words.Script.Argv = []string{"c"}
	faster := chk("c")
	faster.Interval = s
	strict := chk("c")
	strict.Fall = 3
	other := chk("c")
	other.Script.Command = "d"
	user := chk("c")
	user.Script.User = "u"
	weight := chk("c")
	weight.Weight = -10
	second := chk("c")
	second.Script.Command = "d"
	tests := []struct {
		name string
		now  []model.TrackScript
		// after is the state right after Update.
		after []State
		runs  []time.Duration
		told  []change
	}{
		{"same", []model.TrackScript{chk("c")}, []State{Up}, []time.Duration{0, 2 * s, 4 * s, 6 * s, 8 * s}, nil},
		{"moved in the file", []model.TrackScript{moved}, []State{Up}, []time.Duration{0, 2 * s, 4 * s, 6 * s, 8 * s}, nil},
		{"another interval", []model.TrackScript{faster}, []State{Up},
			[]time.Duration{0, 2 * s, 4 * s, 5 * s, 6 * s, 7 * s, 8 * s, 9 * s}, nil},
		{"another fall", []model.TrackScript{strict}, []State{Up}, []time.Duration{0, 2 * s, 4 * s, 5 * s, 7 * s, 9 * s}, nil},
		{"another weight", []model.TrackScript{weight}, []State{Up}, []time.Duration{0, 2 * s, 4 * s, 5 * s, 7 * s, 9 * s}, nil},
		{"split by the configuration", []model.TrackScript{words}, []State{Up}, []time.Duration{0, 2 * s, 4 * s, 5 * s, 7 * s, 9 * s}, nil},
		{"another command", []model.TrackScript{other}, []State{Unknown}, []time.Duration{0, 2 * s, 4 * s},
			[]change{{5 * s, "c", Down, 0, "exit status 1: no route"}}},
		{"another user", []model.TrackScript{user}, []State{Unknown}, []time.Duration{0, 2 * s, 4 * s, 5 * s, 7 * s, 9 * s}, nil},
		{"removed", nil, nil, []time.Duration{0, 2 * s, 4 * s}, nil},
		{"defined twice", []model.TrackScript{chk("c"), second}, []State{Up}, []time.Duration{0, 2 * s, 4 * s, 6 * s, 8 * s}, nil},
		{"added", []model.TrackScript{chk("d"), chk("c")}, []State{Unknown, Up}, []time.Duration{0, 2 * s, 4 * s, 6 * s, 8 * s},
			[]change{{5 * s, "d", Down, 0, "exit status 1: no route"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, looked := time.Now(), make(chan struct{})
				r := newFakeRunner(func(ctx context.Context, n int, script model.Script, outcome func(model.ScriptResult)) {
					if time.Since(began) >= 5*s {
						<-looked // else the first result may come before the look
					}
					told(map[string]string{"c": "s", "d": "f"}[script.Command])(ctx, n, script, outcome)
				})
				tr, changes := watch(t, Options{Definitions: scripts(chk("c")), Runner: r})
				time.Sleep(5 * s)
				synctest.Wait()
				tr.Update(scripts(tt.now...))
				var after []State
				for _, st := range tr.Snapshot() {
					after = append(after, st.State)
				}
				close(looked)
				if diff := cmp.Diff(tt.after, after); diff != "" {
					t.Errorf("states (-want +got):\n%s", diff)
				}
				synctest.Wait()
				time.Sleep(4 * s)
				synctest.Wait()
				if diff := cmp.Diff(tt.runs, r.times("c")); diff != "" {
					t.Errorf("runs of c (-want +got):\n%s", diff)
				}
				// The first change was told before; an Unknown of the reload may
				// be overtaken by the first result.
				got := changes()[1:]
				if len(got) > 0 && got[0].State == Unknown {
					got = got[1:]
				}
				for len(got) > 0 && tt.told == nil && got[0].State == Up {
					got = got[1:]
				}
				if len(got) == 0 {
					got = nil
				}
				if diff := cmp.Diff(tt.told, got); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestUpdateCancelsRun replaces a script in the middle of a run: what the old
// run still says does not count.
func TestUpdateCancelsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended sync.WaitGroup
		ended.Add(1)
		r := newFakeRunner(func(ctx context.Context, _ int, s model.Script, outcome func(model.ScriptResult)) {
			if s.Command == "new" {
				outcome(model.ScriptResult{})
				return
			}
			<-ctx.Done()
			// A real runner would not, but may just have begun to.
			outcome(model.ScriptResult{Exit: 1})
			ended.Done()
		})
		d := chk("c")
		d.Script.Command = "old"
		var log bytes.Buffer
		tr, changes := watch(t, Options{Definitions: scripts(d), Runner: r, Log: slog.New(slog.NewTextHandler(&log, nil))})
		synctest.Wait()
		d.Script.Command = "new"
		tr.Update(scripts(d))
		tr.Update(scripts(d))
		synctest.Wait()
		ended.Wait()
		if got := tr.Snapshot(); len(got) != 1 || got[0].State != Up || got[0].Runs.Made != 1 {
			t.Errorf("status = %+v, want up after one run", got)
		}
		if diff := cmp.Diff([]change{{0, "c", Up, 0, "exit status 0"}}, changes()); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		if n := strings.Count(log.String(), "tracked object changed"); n != 1 {
			t.Errorf("%d changes in the log, want 1:\n%s", n, &log)
		}
	})
}

// TestUpdateForgetsChanges removes a thing whose change nobody has read yet.
func TestUpdateForgetsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(Options{Definitions: scripts(chk("c")), Runner: newFakeRunner(told("s")), Random: lastFirst})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tr.Run(ctx) }()
		synctest.Wait()
		tr.Update(Definitions{})
		synctest.Wait()
		select {
		case s := <-tr.Changes():
			t.Errorf("told of %+v", s)
		default:
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

// TestUpdateKeepsCount gives a script that is up another fall: it takes as many
// failures from then on.
func TestUpdateKeepsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _ := watch(t, Options{Definitions: scripts(chk("c")), Runner: newFakeRunner(told("sf"))})
		time.Sleep(time.Second)
		patient := chk("c")
		patient.Fall = 3
		tr.Update(scripts(patient))
		// It fails at 1 s, 3 s and 5 s.
		for _, want := range []State{Up, Up, Down} {
			synctest.Wait()
			if got := tr.Snapshot()[0]; got.State != want {
				t.Errorf("after %d failures: %+v, want %v", got.Runs.Failed, got, want)
			}
			time.Sleep(2 * time.Second)
		}
	})
}

// TestUpdateThereAndBack changes definitions twice before the tracker looks at
// them: their workers write to entries that are gone, so new ones have to start.
func TestUpdateThereAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeProcesses()
		old := Definitions{Scripts: []model.TrackScript{chk("c")}, Processes: []model.TrackProcess{nginx()}}
		other := Definitions{Scripts: []model.TrackScript{chk("c")}, Processes: []model.TrackProcess{nginx()}}
		other.Scripts[0].Interval = time.Second
		other.Processes[0].Quorum = 2
		tr := New(Options{Definitions: old, Runner: newFakeRunner(told("s")), Random: lastFirst, Processes: f})
		ctx, stop := context.WithCancel(t.Context())
		w := &workers{tracker: tr, ctx: ctx, scripts: make(map[string]*scriptWorker)}
		tr.refresh(w)
		synctest.Wait()
		tr.Update(other)
		tr.Update(old)
		tr.refresh(w)
		synctest.Wait()
		f.start("nginx")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		got := tr.Snapshot()
		// One run before, and those at 0 s and 2 s of the new worker.
		if got[0].State != Up || got[0].Runs.Made != 3 {
			t.Errorf("script: %+v, want up after three runs", got[0])
		}
		if got[1].State != Up || got[1].Value != 1 {
			t.Errorf("process: %+v, want up", got[1])
		}
		stop()
		w.all.Wait()
	})
}
