package track

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

// fakeProcesses is a machine without a kernel.
type fakeProcesses struct {
	// deaf is the error of Subscribe, if it has one.
	deaf error

	mu    sync.Mutex // guards what follows
	procs map[int]Proc
	next  int
	// subs are the channels of those who listen.
	subs map[chan ProcessEvent]bool
	// silent leaves events out, as if the kernel had lost them.
	silent bool
}

func newFakeProcesses() *fakeProcesses {
	return &fakeProcesses{procs: make(map[int]Proc), next: 100, subs: make(map[chan ProcessEvent]bool)}
}

func (f *fakeProcesses) Subscribe(ctx context.Context) (<-chan ProcessEvent, error) {
	if f.deaf != nil {
		return nil, f.deaf
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	events := make(chan ProcessEvent, 100)
	f.subs[events] = true
	context.AfterFunc(ctx, func() { f.end(events) })
	return events, nil
}

// end ends the channels of some subscribers.
func (f *fakeProcesses) end(which ...chan ProcessEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, events := range which {
		if f.subs[events] {
			close(events)
			delete(f.subs, events)
		}
	}
}

func (f *fakeProcesses) List() ([]int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var pids []int
	for pid := range f.procs {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids, nil
}

func (f *fakeProcesses) Proc(pid int) (Proc, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.procs[pid]
	return p, ok
}

// tell sends an event. The caller holds mu.
func (f *fakeProcesses) tell(e ProcessEvent) {
	for events := range f.subs {
		if !f.silent {
			events <- e
		}
	}
}

// fork makes a process like parent; without a parent it is a shell.
func (f *fakeProcesses) fork(parent int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	p, ok := f.procs[parent]
	if !ok {
		p = Proc{Name: "sh", Args: []string{"sh"}}
	}
	f.procs[f.next] = p
	f.tell(ProcessEvent{Forked, f.next, parent})
	return f.next
}

func (f *fakeProcesses) exec(pid int, args ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := filepath.Base(args[0])
	f.procs[pid] = Proc{Name: name[:min(len(name), maxName)], Args: args}
	f.tell(ProcessEvent{Kind: Renamed, PID: pid})
}

func (f *fakeProcesses) start(args ...string) int {
	pid := f.fork(1)
	f.exec(pid, args...)
	return pid
}

func (f *fakeProcesses) exit(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.procs, pid)
	f.tell(ProcessEvent{Kind: Exited, PID: pid})
}

// mute loses all events from now on, or says so.
func (f *fakeProcesses) mute(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = on
	if !on {
		f.tell(ProcessEvent{Kind: Lost})
	}
}

func nginx() model.TrackProcess {
	return model.TrackProcess{Name: "p", Process: "nginx", Quorum: 1, QuorumMax: -1}
}

// TestProcessDelays lets processes come and go and looks at when which state is
// told.
func TestProcessDelays(t *testing.T) {
	const s = time.Second
	none := func(model.TrackProcess) model.TrackProcess { return nginx() }
	delayed := func(d model.TrackProcess) model.TrackProcess {
		d.ForkDelay, d.TerminateDelay = 2*s, 3*s
		return d
	}
	window := func(d model.TrackProcess) model.TrackProcess {
		d = delayed(d)
		d.Quorum, d.QuorumMax = 1, 1
		return d
	}
	const gone, here = "0 running, at least 1 wanted", "1 running, at least 1 wanted"
	tests := []struct {
		name  string
		adapt func(model.TrackProcess) model.TrackProcess
		do    func(f *fakeProcesses)
		want  []change
	}{
		{"nothing", none, func(*fakeProcesses) {}, []change{{0, "p", Down, 0, gone}}},
		{"start and end", none, func(f *fakeProcesses) {
			pid := f.start("nginx")
			time.Sleep(s)
			f.exit(pid)
		}, []change{{0, "p", Down, 0, gone}, {10 * s, "p", Up, 1, here}, {11 * s, "p", Down, 0, gone}}},
		{"delayed", delayed, func(f *fakeProcesses) {
			pid := f.start("nginx")
			time.Sleep(10 * s)
			f.exit(pid)
		}, []change{{0, "p", Down, 0, gone}, {12 * s, "p", Up, 1, here}, {23 * s, "p", Down, 0, gone}}},
		{"too short to count", delayed, func(f *fakeProcesses) {
			pid := f.start("nginx")
			time.Sleep(s)
			f.exit(pid)
		}, []change{{0, "p", Down, 0, gone}}},
		{"restart within the delay", delayed, func(f *fakeProcesses) {
			pid := f.start("nginx")
			time.Sleep(10 * s)
			f.exit(pid)
			time.Sleep(2 * s)
			f.start("nginx")
		}, []change{{0, "p", Down, 0, gone}, {12 * s, "p", Up, 1, here}}},
		{"the delay begins anew", delayed, func(f *fakeProcesses) {
			pid := f.start("nginx")
			time.Sleep(s)
			f.exit(pid)
			time.Sleep(s / 2)
			f.start("nginx")
		}, []change{{0, "p", Down, 0, gone}, {13500 * time.Millisecond, "p", Up, 1, here}}},
		{"more do not delay it", delayed, func(f *fakeProcesses) {
			f.start("nginx")
			time.Sleep(s)
			f.start("nginx")
		}, []change{{0, "p", Down, 0, gone}, {12 * s, "p", Up, 2, "2 running, at least 1 wanted"}}},
		{"too many by a fork, right by an end", window, func(f *fakeProcesses) {
			pid := f.start("nginx")
			time.Sleep(3 * s)
			f.fork(pid)
			time.Sleep(3 * s)
			f.exit(pid)
		}, []change{
			{0, "p", Down, 0, "0 running, 1 wanted"}, {12 * s, "p", Up, 1, "1 running, 1 wanted"},
			{15 * s, "p", Down, 2, "2 running, 1 wanted"}, {19 * s, "p", Up, 1, "1 running, 1 wanted"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeProcesses()
				_, changes := watch(t, Options{
					Definitions: Definitions{Processes: []model.TrackProcess{tt.adapt(nginx())}}, Processes: f,
				})
				time.Sleep(10 * s)
				tt.do(f)
				time.Sleep(10 * s)
				synctest.Wait()
				if diff := cmp.Diff(tt.want, changes()); diff != "" {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestProcessFirstCount shows what runs already without delay.
func TestProcessFirstCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeProcesses()
		f.start("nginx")
		d := nginx()
		d.ForkDelay, d.TerminateDelay = time.Minute, time.Minute
		tr, changes := watch(t, Options{Definitions: Definitions{Processes: []model.TrackProcess{d}}, Processes: f})
		synctest.Wait()
		if diff := cmp.Diff([]change{{0, "p", Up, 1, "1 running, at least 1 wanted"}}, changes()); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		// The number is shown although nothing is told.
		f.start("nginx")
		synctest.Wait()
		if got := tr.Snapshot()[0]; got.Value != 2 || len(changes()) != 1 {
			t.Errorf("status %+v, changes %+v", got, changes())
		}
	})
}

// TestProcessesWithoutEvents counts each second.
func TestProcessesWithoutEvents(t *testing.T) {
	for _, ends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeProcesses()
			if !ends {
				f.deaf = errors.New("connection refused")
			}
			_, changes := watch(t, Options{Definitions: Definitions{Processes: []model.TrackProcess{nginx()}}, Processes: f})
			synctest.Wait()
			if ends {
				f.end(slices.Collect(maps.Keys(f.subs))...)
			}
			time.Sleep(1500 * time.Millisecond)
			pid := f.start("nginx")
			time.Sleep(time.Second)
			f.exit(pid)
			time.Sleep(time.Second)
			synctest.Wait()
			const here, gone = "1 running, at least 1 wanted", "0 running, at least 1 wanted"
			want := []change{{0, "p", Down, 0, gone}, {2 * time.Second, "p", Up, 1, here}, {3 * time.Second, "p", Down, 0, gone}}
			if diff := cmp.Diff(want, changes()); diff != "" {
				t.Errorf("after an end of events: %v (-want +got):\n%s", ends, diff)
			}
		})
	}
}

// TestProcessesLost counts anew after a loss of events.
func TestProcessesLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeProcesses()
		old := f.start("nginx")
		tr, _ := watch(t, Options{Definitions: Definitions{Processes: []model.TrackProcess{nginx()}}, Processes: f})
		synctest.Wait()
		f.mute(true)
		f.exit(old)
		f.start("nginx")
		f.start("nginx")
		synctest.Wait()
		if got := tr.Snapshot()[0].Value; got != 1 {
			t.Errorf("before the loss is known: %d, want 1", got)
		}
		f.mute(false)
		synctest.Wait()
		if got := tr.Snapshot()[0].Value; got != 2 {
			t.Errorf("after the new count: %d, want 2", got)
		}
	})
}

// TestUpdateProcesses keeps the state over a reload, also while a delay runs.
func TestUpdateProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeProcesses()
		f.start("nginx")
		tr, changes := watch(t, Options{Definitions: Definitions{Processes: []model.TrackProcess{nginx()}}, Processes: f})
		time.Sleep(time.Second)
		more := nginx()
		more.Name, more.Quorum = "q", 2
		tr.Update(Definitions{Processes: []model.TrackProcess{nginx(), more}})
		if got := tr.Snapshot(); len(got) != 2 || got[0].State != Up || got[1].State != Unknown {
			t.Errorf("right after the update: %+v", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		want := []change{
			{0, "p", Up, 1, "1 running, at least 1 wanted"}, {time.Second, "q", Down, 1, "1 running, at least 2 wanted"},
		}
		if diff := cmp.Diff(want, changes()); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	})
}
