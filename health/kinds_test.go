package health

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

// The runner lets each url have its turn and names it in the verdict.
func TestRunnerStepsThroughURLs(t *testing.T) {
	tests := []struct {
		name    string
		fast    bool
		answers string // see told
		paths   string
		times   []time.Duration
		want    string
	}{
		{
			name: "one each delay_loop", answers: "sss", paths: "aba", times: everySecond(11, 71, 131),
			want: "up: answered",
		},
		{
			name: "back up", answers: "ssffsss", paths: "abaaaab", times: everySecond(11, 71, 131, 134, 194, 254, 314),
			want: "up: answered; down: connection refused (2 tries); up: answered",
		},
		{
			name: "fast_recovery", fast: true, answers: "ssffsss", paths: "abaaaab", times: everySecond(11, 11.01, 71.01, 74.01, 134.01, 134.02, 134.03),
			want: "up: answered; down: connection refused (2 tries); up: answered",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var paths strings.Builder
				p := newRecorder(nil)
				p.answer = func(ctx context.Context, c model.Check) error {
					n := paths.Len()
					if n == len(tt.answers) {
						<-ctx.Done()
						return ctx.Err()
					}
					paths.WriteString(strings.TrimPrefix(c.HTTP.URLs[0].Path, "/"))
					return (&told{rune(tt.answers[n])}).Probe(ctx, c)
				}
				c := minuteCheck()
				c.Kind = model.HTTPGet
				c.HTTP = &model.HTTPSpec{URLs: []model.URL{{Path: "/a"}, {Path: "/b"}}, FastRecovery: tt.fast}
				target := target(1, c)
				_, verdicts := start(t, []Target{target}, Options{Prober: p, Random: middle})
				time.Sleep(tt.times[len(tt.times)-1] + time.Second)
				synctest.Wait()
				if paths.String() != tt.paths {
					t.Errorf("urls %s, want %s", paths.String(), tt.paths)
				}
				if diff := cmp.Diff(tt.times, p.times(target)[:len(tt.times)]); diff != "" {
					t.Errorf("times (-want +got):\n%s", diff)
				}
				var got []string
				for _, v := range verdicts() {
					got = append(got, verdictText(v))
					if want := "HTTP_GET to 10.0.0.1:80 " + v.Evidence.Path + ": "; !strings.HasPrefix(v.Reason, want) || v.Evidence.Path == "" {
						t.Errorf("reason %q, want it to begin with %q", v.Reason, want)
					}
				}
				if text := strings.Join(got, "; "); text != tt.want {
					t.Errorf("verdicts %q, want %q", text, tt.want)
				}
			})
		})
	}
}

// Scripts run from start to start, others from end to start.
func TestScriptsRunFromStartToStart(t *testing.T) {
	for kind, want := range map[model.CheckKind][]time.Duration{
		model.MiscCheck: everySecond(11, 71, 131),
		model.TCPCheck:  everySecond(11, 76, 141),
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newRecorder(func(context.Context, model.Check) error {
				time.Sleep(5 * time.Second)
				return nil
			})
			c := minuteCheck()
			c.Kind = kind
			target := target(1, c)
			start(t, []Target{target}, Options{Prober: p, Random: middle})
			time.Sleep(142 * time.Second)
			if diff := cmp.Diff(want, p.times(target)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", kind, diff)
			}
		})
	}
}

// A script that takes longer than its period runs without overlap.
func TestSlowScriptDoesNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRecorder(func(context.Context, model.Check) error {
			time.Sleep(90 * time.Second)
			return nil
		})
		c := minuteCheck()
		c.Kind = model.MiscCheck
		target := target(1, c)
		start(t, []Target{target}, Options{Prober: p, Random: middle})
		time.Sleep(200 * time.Second)
		if diff := cmp.Diff(everySecond(11, 101.01, 191.02), p.times(target)); diff != "" || p.most != 1 {
			t.Errorf("%d at a time, times (-want +got):\n%s", p.most, diff)
		}
	})
}

func fileCheck(name string) model.Check {
	return model.Check{Kind: model.FileCheck, DelayLoop: time.Hour, Warmup: time.Hour, File: &model.FileSpec{TrackFile: name, Weight: 1}}
}

// What a file says counts at once, at start and after a change.
func TestTouch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var value atomic.Int64
		value.Store(3)
		k := NewCheckers(CheckersOptions{Files: valueFunc(func(name string) (int64, bool) { return value.Load(), name == "f" })})
		p := &counting{Examiner: k}
		f, g := target(1, fileCheck("f")), target(2, fileCheck("g"))
		f.Checks[0].ConnectTo, g.Checks[0].ConnectTo = netip.AddrPort{}, netip.AddrPort{}
		r, verdicts := start(t, []Target{f, g}, Options{Prober: p, Random: middle})
		last := func() string {
			synctest.Wait()
			list := verdicts()
			if len(list) == 0 {
				return "nothing"
			}
			return list[len(list)-1].Reason
		}
		if got, want := last(), "FILE_CHECK of track_file f: answered"; got != want {
			t.Errorf("at start %q, want %q", got, want)
		}
		if w := r.Snapshot().Servers[0].Weight; w.Add != 3 {
			t.Errorf("weight at start %+v, want 3", w)
		}
		value.Store(-1 << 40)
		r.Touch("f")
		if got := last(); !strings.HasPrefix(got, "FILE_CHECK of track_file f: the file has the value -2147483648") {
			t.Errorf("after the change %q", got)
		}
		if n := p.tries.Load(); n != 3 {
			t.Errorf("%d tries, want 3: f twice, g once", n)
		}
	})
}

// A touch during a try leads to another one.
func TestTouchDuringATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRecorder(func(context.Context, model.Check) error {
			time.Sleep(10 * time.Second)
			return nil
		})
		target := target(1, fileCheck("f"))
		r, _ := start(t, []Target{target}, Options{Prober: p, Random: middle})
		time.Sleep(5 * time.Second)
		r.Touch("f")
		time.Sleep(time.Minute)
		if diff := cmp.Diff(everySecond(0, 10), p.times(target)); diff != "" {
			t.Errorf("times (-want +got):\n%s", diff)
		}
	})
}

type valueFunc func(string) (int64, bool)

func (f valueFunc) Value(name string) (int64, bool) { return f(name) }

// counting counts the tries of an Examiner.
type counting struct {
	Examiner
	tries atomic.Int32
}

func (c *counting) Examine(ctx context.Context, check model.Check) Answer {
	c.tries.Add(1)
	return c.Examiner.Examine(ctx, check)
}

// Suspended checks rest and keep their state; afterwards they go on.
func TestSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bad atomic.Bool
		p := newRecorder(func(context.Context, model.Check) error {
			if bad.Load() {
				return errRefused
			}
			return nil
		})
		target := target(1, minuteCheck())
		r, verdicts := start(t, []Target{target}, Options{Prober: p, Random: middle})
		time.Sleep(30 * time.Second)
		target.Suspended = true
		r.Update([]Target{target})
		bad.Store(true)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := r.Snapshot().Servers[0]; !got.Up || !got.Suspended {
			t.Errorf("suspended server: %+v, want up and suspended", got)
		}
		target.Suspended = false
		r.Update([]Target{target})
		time.Sleep(64 * time.Second)
		synctest.Wait()
		if list := verdicts(); len(list) != 2 || list[1].Up {
			t.Errorf("verdicts %+v, want one up and, after the pause, one down", list)
		}
		// Tries at 11 s, and then those after 630 s.
		at := p.times(target)
		if len(at) != 3 || at[1] < 630*time.Second {
			t.Errorf("tries at %v, want none while suspended", at)
		}
	})
}
