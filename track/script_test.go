package track

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

// TestVerdict compares with what keepalived 2.2.7 logged for the same results.
// In want, u is up and d is down after each result.
func TestVerdict(t *testing.T) {
	tests := []struct {
		results    string
		rise, fall uint32
		initFail   bool
		want       string
	}{
		{"sfsffssfsssff", 3, 2, false, "uuuudddddduud"},
		{"fsss", 3, 2, false, "dddu"},
		{"sss", 3, 2, true, "uuu"},
		{"fsss", 3, 2, true, "dddu"},
		{"ssffff", 1, 3, false, "uuuudd"},
		{"sf", 1, 1, false, "ud"},
		{"fs", 1, 1, false, "du"},
		{"sffsfff", 1, 3, false, "uuuuuud"},
		{"fssfsss", 3, 1, false, "ddddddu"},
	}
	for _, tt := range tests {
		v := newVerdict(tt.rise, tt.initFail)
		got := ""
		for _, r := range tt.results {
			v = v.next(r == 's', tt.rise, tt.fall)
			got += map[State]string{Up: "u", Down: "d"}[v.state]
		}
		if got != tt.want {
			t.Errorf("%s with rise %d fall %d: %s, want %s", tt.results, tt.rise, tt.fall, got, tt.want)
		}
	}
}

func TestVerdictAgain(t *testing.T) {
	tests := []struct{ was, want verdict }{
		{verdict{2, Up}, verdict{4, Up}},
		{verdict{1, Down}, verdict{0, Down}},
		{verdict{0, Unknown}, verdict{2, Unknown}},
	}
	for _, tt := range tests {
		if got := tt.was.again(3, 2); got != tt.want {
			t.Errorf("%+v again: %+v, want %+v", tt.was, got, tt.want)
		}
	}
}

// fakeRunner answers runs by answer and notes when they began.
type fakeRunner struct {
	answer func(ctx context.Context, n int, s model.Script, outcome func(model.ScriptResult))
	began  time.Time

	mu sync.Mutex // guards at
	at map[string][]time.Duration
}

func newFakeRunner(answer func(context.Context, int, model.Script, func(model.ScriptResult))) *fakeRunner {
	return &fakeRunner{answer: answer, began: time.Now(), at: make(map[string][]time.Duration)}
}

func (f *fakeRunner) Run(ctx context.Context, s model.Script, outcome func(model.ScriptResult)) {
	f.mu.Lock()
	n := len(f.at[s.Command])
	f.at[s.Command] = append(f.at[s.Command], time.Since(f.began))
	f.mu.Unlock()
	f.answer(ctx, n, s, outcome)
}

func (f *fakeRunner) times(command string) []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Duration(nil), f.at[command]...)
}

// told answers by the letters of results: s success, f failure, t a time-out
// that is a second in dying, n a script that is not there, u a machine that
// cannot run it. The last letter goes on for ever.
func told(results string) func(context.Context, int, model.Script, func(model.ScriptResult)) {
	return func(ctx context.Context, n int, s model.Script, outcome func(model.ScriptResult)) {
		switch results[min(n, len(results)-1)] {
		case 's':
			outcome(model.ScriptResult{})
		case 'f':
			outcome(model.ScriptResult{Exit: 1, Output: "first\nno route"})
		case 'n':
			outcome(model.ScriptResult{Refused: "it does not exist"})
		case 'u':
			outcome(model.ScriptResult{Unmade: "no free process"})
		case 't':
			select {
			case <-time.After(s.Timeout):
				outcome(model.ScriptResult{TimedOut: true, Took: s.Timeout})
			case <-ctx.Done():
				return
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
}

func lastFirst() float64 { return 0 }

// change is a change and when it was told.
type change struct {
	At     time.Duration
	Name   string
	State  State
	Value  int
	Reason string
}

// watch runs a tracker until the test ends and collects its changes.
func watch(t *testing.T, o Options) (tr *Tracker, changes func() []change) {
	t.Helper()
	if o.Random == nil {
		o.Random = lastFirst
	}
	tr = New(o)
	ctx, stop := context.WithCancel(t.Context())
	began := time.Now()
	var mu sync.Mutex
	var all []change
	var running sync.WaitGroup
	running.Go(func() {
		if err := tr.Run(ctx); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	running.Go(func() {
		for {
			select {
			case s := <-tr.Changes():
				mu.Lock()
				all = append(all, change{time.Since(began), s.Name, s.State, s.Value, s.Reason})
				mu.Unlock()
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	return tr, func() []change {
		mu.Lock()
		defer mu.Unlock()
		return append([]change(nil), all...)
	}
}

func chk(name string) model.TrackScript {
	return model.TrackScript{Name: name, Script: model.Script{Command: name}, Interval: 2 * time.Second}
}

func scripts(list ...model.TrackScript) Definitions { return Definitions{Scripts: list} }

// TestScriptChanges runs scripts with all kinds of results.
func TestScriptChanges(t *testing.T) {
	const s = time.Second
	failed, good := "exit status 1: no route", "exit status 0"
	slow := func(d model.TrackScript) model.TrackScript { d.Rise, d.Fall = 2, 3; return d }
	fails := func(d model.TrackScript) model.TrackScript { d.InitFail = true; return d }
	const assumed = "assumed to fail until the first result (init_fail)"
	tests := []struct {
		name    string
		results string
		adapt   func(model.TrackScript) model.TrackScript
		want    []change
		final   Runs
	}{
		{"up", "s", nil, []change{{0, "c", Up, 0, good}}, Runs{Made: 6}},
		{"down", "f", nil, []change{{0, "c", Down, 0, failed}}, Runs{Made: 6, Failed: 6}},
		{"turns", "sffs", nil, []change{{0, "c", Up, 0, good}, {2 * s, "c", Down, 0, failed}, {6 * s, "c", Up, 0, good}},
			Runs{Made: 6, Failed: 2}},
		{"rise and fall", "sfffss", slow, []change{{0, "c", Up, 0, good}, {6 * s, "c", Down, 0, failed}, {10 * s, "c", Up, 0, good}},
			Runs{Made: 6, Failed: 3}},
		{"init_fail", "s", fails, []change{{0, "c", Up, 0, good}}, Runs{Made: 6}},
		{"init_fail and no result", "u", fails, []change{{0, "c", Down, 0, assumed}}, Runs{}},
		{"not there", "n", nil, []change{{0, "c", Disabled, 0, "not run: it does not exist"}}, Runs{}},
		{"there later", "nns", nil, []change{{0, "c", Disabled, 0, "not run: it does not exist"}, {4 * s, "c", Up, 0, good}},
			Runs{Made: 4}},
		{"gone later", "sn", nil, []change{{0, "c", Up, 0, good}, {2 * s, "c", Down, 0, "not run: it does not exist"}},
			Runs{Made: 6, Failed: 5}},
		{"cannot be run", "u", nil, nil, Runs{}},
		{"cannot be run for a while", "suuf", nil, []change{{0, "c", Up, 0, good}, {6 * s, "c", Down, 0, failed}},
			Runs{Made: 4, Failed: 3}},
		// The outcome comes after the interval, and a second later the run is
		// over: the runs at 2 s, 6 s and 10 s are skipped.
		{"time-out", "sts", nil, []change{{0, "c", Up, 0, good}, {4 * s, "c", Down, 0, "timed out after 2s"}, {6 * s, "c", Up, 0, good}},
			Runs{Made: 5, Failed: 1, Skipped: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := chk("c")
				if tt.adapt != nil {
					d = tt.adapt(d)
				}
				tr, changes := watch(t, Options{Definitions: scripts(d), Runner: newFakeRunner(told(tt.results))})
				if got := tr.Snapshot(); len(got) != 1 || got[0].Kind != Script || got[0].Name != "c" {
					t.Errorf("before the first run: %+v", got)
				}
				time.Sleep(11 * s)
				synctest.Wait()
				// What is told at the start may have been overtaken by the
				// first result.
				got := changes()
				if len(got) > 1 && got[0].At == got[1].At {
					got = got[1:]
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
				last := tr.Snapshot()[0]
				runs := Runs{Made: last.Runs.Made, Failed: last.Runs.Failed, Skipped: last.Runs.Skipped}
				if runs != tt.final {
					t.Errorf("runs = %+v, want %+v", runs, tt.final)
				}
			})
		})
	}
}

// TestScriptTimes looks at when scripts run: at once, after a random part of
// the interval, and then exactly at each interval.
func TestScriptTimes(t *testing.T) {
	ms := func(list ...int) []time.Duration {
		var all []time.Duration
		for _, n := range list {
			all = append(all, time.Duration(n)*time.Millisecond)
		}
		return all
	}
	tests := []struct {
		name     string
		interval time.Duration
		random   float64
		results  string
		want     []time.Duration
	}{
		{"latest second run", 250 * time.Millisecond, 0, "s", ms(0, 250, 500, 750, 1000)},
		{"random second run", 200 * time.Millisecond, 0.75, "s", ms(0, 50, 250, 450, 650, 850, 1050)},
		{"default interval", 0, 0, "s", ms(0, 1000)},
		// Each run is over 1.25 s after its start.
		{"run longer than the interval", 250 * time.Millisecond, 0, "t", ms(0)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := chk("c")
				d.Interval = tt.interval
				r := newFakeRunner(told(tt.results))
				watch(t, Options{Definitions: scripts(d), Runner: r, Random: func() float64 { return tt.random }})
				time.Sleep(1100 * time.Millisecond)
				synctest.Wait()
				if diff := cmp.Diff(tt.want, r.times("c")); diff != "" {
					t.Errorf("runs (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestScriptTimeoutDefault passes the interval on as the time-out.
func TestScriptTimeoutDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := chk("own")
		own.Script.Timeout = time.Minute
		got := make(map[string]time.Duration)
		var mu sync.Mutex
		watch(t, Options{
			Definitions: scripts(chk("default"), own),
			Runner: newFakeRunner(func(_ context.Context, _ int, s model.Script, _ func(model.ScriptResult)) {
				mu.Lock()
				defer mu.Unlock()
				got[s.Command] = s.Timeout
			}),
		})
		synctest.Wait()
		want := map[string]time.Duration{"default": 2 * time.Second, "own": time.Minute}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("time-outs (-want +got):\n%s", diff)
		}
	})
}

// TestManyScripts runs 255 scripts: the second runs are spread over the
// interval.
func TestManyScripts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var list []model.TrackScript
		for i := range 255 {
			list = append(list, chk(fmt.Sprint(i)))
		}
		r := newFakeRunner(told("s"))
		n := 0
		var mu sync.Mutex
		random := func() float64 {
			mu.Lock()
			defer mu.Unlock()
			n++
			return float64(n-1) / 255
		}
		tr, changes := watch(t, Options{Definitions: scripts(list...), Runner: r, Random: random})
		time.Sleep(2*time.Second + time.Millisecond)
		synctest.Wait()
		if got := changes(); len(got) != 255 {
			t.Errorf("%d changes, want one of each", len(got))
		}
		second := make(map[time.Duration]bool)
		for i, s := range tr.Snapshot() {
			if s.Name != fmt.Sprint(i) || s.State != Up {
				t.Errorf("status %d is %+v", i, s)
			}
			second[r.times(s.Name)[1]] = true
		}
		if len(second) != 255 {
			t.Errorf("second runs at %d moments, want 255", len(second))
		}
	})
}

// TestSlowReader reads only at the end and gets the latest of each.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFakeRunner(func(ctx context.Context, n int, s model.Script, outcome func(model.ScriptResult)) {
			told(map[string]string{"flaps": "sfsfsf", "back": "sfs", "up": "s"}[s.Command])(ctx, n, s, outcome)
		})
		tr := New(Options{Definitions: scripts(chk("flaps"), chk("back"), chk("up")), Runner: r, Random: lastFirst})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tr.Run(ctx) }()
		// The first change of flaps is on its way all the time.
		time.Sleep(11 * time.Second)
		synctest.Wait()
		got := make(map[string]string)
		for range 3 {
			s := <-tr.Changes()
			got[s.Name] += s.State.String()
		}
		synctest.Wait()
		select {
		case s := <-tr.Changes():
			got[s.Name] += s.State.String()
		default:
		}
		want := map[string]string{"flaps": "down", "back": "up", "up": "up"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

// TestLog has one line for each change, and one for a time without processes.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		drop := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		watch(t, Options{
			Definitions: scripts(chk("c")), Runner: newFakeRunner(told("suufs")),
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: drop})),
		})
		time.Sleep(9 * time.Second)
		synctest.Wait()
		want := []string{
			`level=INFO msg="tracked object changed" kind=script name=c old=unknown new=up reason="exit status 0"`,
			`level=WARN msg="script could not be run" script=c error="no free process"`,
			`level=WARN msg="tracked object changed" kind=script name=c old=up new=down reason="exit status 1: no route"`,
			`level=INFO msg="tracked object changed" kind=script name=c old=down new=up reason="exit status 0"`,
		}
		if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(log.String()), "\n")); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}
