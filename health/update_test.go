package health

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

// byPort answers on port 80 and refuses elsewhere.
func byPort(_ context.Context, c model.Check) error {
	if c.ConnectTo.Port() == 80 {
		return nil
	}
	return errRefused
}

// failing returns a target that byPort refuses.
func failing(n int) Target {
	t := target(n, minuteCheck())
	t.Checks[0].ConnectTo = port81(t.Server)
	return t
}

func withCheck(t Target, change func(*model.Check)) Target {
	t.Checks = slices.Clone(t.Checks)
	for i := range t.Checks {
		change(&t.Checks[i])
	}
	return t
}

func TestUpdateKeepsWhatIsUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRecorder(byPort)
		good, failed := target(1, minuteCheck()), failing(2)
		r, verdicts := start(t, []Target{good, failed}, Options{Prober: p, Random: middle})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := len(verdicts()); got != 2 {
			t.Fatalf("%d verdicts before the update, want 2", got)
		}

		// The lines moved in the file, twice, and the servers changed places.
		for _, line := range []int{9, 7} {
			move := func(c *model.Check) { c.Pos.Line = line }
			r.Update([]Target{withCheck(failed, move), withCheck(good, move)})
		}
		time.Sleep(120 * time.Second)
		synctest.Wait()
		for _, target := range []Target{good, failed} {
			if diff := cmp.Diff(everySecond(11, 71, 131), p.times(target)); diff != "" {
				t.Errorf("times of tries of %s (-want +got):\n%s", target.Server, diff)
			}
		}
		if got := verdicts(); len(got) != 0 {
			t.Errorf("verdicts after an update that changes nothing: %v", got)
		}
		if got := r.Snapshot().Servers[0].Checks[0]; got.Position != ":7:0" || got.Failed != 3 {
			t.Errorf("check after the update = %+v, want its new position and 3 failures", got)
		}
	})
}

func TestUpdate(t *testing.T) {
	alpha := func(c *model.Check) { c.Alpha = true }
	faster := func(c *model.Check) { c.DelayLoop = 30 * time.Second }
	mended := func(c *model.Check) { c.ConnectTo = target(1).Server }
	tests := []struct {
		name          string
		before, after []Target
		now           string // verdicts at once
		later         string // and after the new checks have run
	}{
		{
			name:   "a changed alpha check makes no live server flap",
			before: []Target{target(1, minuteCheck())},
			after:  []Target{withCheck(withCheck(target(1, minuteCheck()), alpha), faster)},
		},
		{
			name:   "a changed check that now fails has its retries",
			before: []Target{target(1, minuteCheck())},
			after:  []Target{failing(1)},
			later:  "down: connection refused (2 tries)",
		},
		{
			name:   "a mended check keeps the server out until it succeeds",
			before: []Target{failing(1)},
			after:  []Target{withCheck(failing(1), mended)},
			later:  "up: answered",
		},
		{
			name:   "the failed check goes",
			before: []Target{withCheck2(failing(1), target(1, minuteCheck()).Checks[0])},
			after:  []Target{target(1, minuteCheck())},
			now:    "up: ",
		},
		{
			name:   "all checks go",
			before: []Target{failing(1)},
			after:  []Target{target(1)},
			now:    "up: ",
		},
		{
			name:   "the server goes",
			before: []Target{failing(1)},
		},
		{
			name:   "a new server starts by its alpha",
			before: []Target{target(2, minuteCheck())},
			after:  []Target{target(2, minuteCheck()), withCheck(target(1, minuteCheck()), alpha)},
			later:  "up: answered",
		},
		{
			name:   "twice the same server counts once",
			before: []Target{target(1, minuteCheck())},
			after:  []Target{target(1, minuteCheck()), failing(1)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, verdicts := start(t, tt.before, Options{Prober: newRecorder(byPort), Random: middle})
				time.Sleep(30 * time.Second)
				synctest.Wait()
				verdicts()
				for _, step := range []struct {
					wait time.Duration
					want string
				}{{0, tt.now}, {2 * time.Minute, tt.later}} {
					if step.wait == 0 {
						r.Update(tt.after)
					}
					time.Sleep(step.wait)
					synctest.Wait()
					var got []string
					for _, v := range verdicts() {
						got = append(got, verdictText(v))
					}
					if text := strings.Join(got, "; "); text != step.want {
						t.Errorf("verdicts %v after the update: %q, want %q", step.wait, text, step.want)
					}
				}
			})
		})
	}
}

func withCheck2(t Target, second model.Check) Target {
	t.Checks = append(slices.Clone(t.Checks), second)
	return t
}

// An update ends the tries of checks that it takes away, and what they still
// say is not heard.
func TestUpdateEndsTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRecorder(func(ctx context.Context, _ model.Check) error {
			<-ctx.Done()
			return ctx.Err()
		})
		r, verdicts := start(t, []Target{target(1, minuteCheck())}, Options{Prober: p, Random: middle})
		time.Sleep(12 * time.Second)
		r.Update(nil)
		synctest.Wait()
		if snap := r.Snapshot(); snap.InFlight != 0 || len(snap.Servers) != 0 {
			t.Errorf("after an empty update: %+v", snap)
		}
		if got := verdicts(); len(got) != 0 {
			t.Errorf("verdicts on a removed server: %v", got)
		}
	})
}

// Whoever reads verdicts and updates targets in one goroutine always ends up
// with the runner's view, however late it reads.
func TestLateReaderEndsWithTheRunnersView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var flip sync.Map
		p := newRecorder(func(_ context.Context, c model.Check) error {
			if _, bad := flip.Load(c.ConnectTo); bad {
				return errRefused
			}
			return nil
		})
		target := target(1, model.Check{Kind: model.TCPCheck, DelayLoop: time.Second})
		r := New([]Target{target}, Options{Prober: p, Random: middle})
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()

		flip.Store(target.Server, true)
		time.Sleep(5 * time.Second) // down, unread
		flip.Clear()
		time.Sleep(5 * time.Second) // and up again
		if v := <-r.Verdicts(); !v.Up {
			t.Errorf("late reader hears of a server that was down: %+v", v)
		}

		flip.Store(target.Server, true)
		time.Sleep(5 * time.Second) // down, unread, and the server starts anew
		r.Update(nil)
		r.Update([]Target{target})
		flip.Clear()
		time.Sleep(5 * time.Second)
		view := true
		for synctest.Wait(); ; synctest.Wait() {
			select {
			case v := <-r.Verdicts():
				view = v.Up
				continue
			default:
			}
			break
		}
		if up := r.Snapshot().Servers[0].Up; view != up {
			t.Errorf("reader takes the server for up = %v, runner says %v", view, up)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The one case that no schedule makes certain: a verdict is chosen, the
// server is replaced, and only then the verdict is read.
func TestVerdictOnReplacedServerIsCorrected(t *testing.T) {
	r := New([]Target{target(1, minuteCheck())}, Options{Prober: TCP{}})
	old := r.servers[0]
	stale := old.verdict()
	stale.Up = false
	r.Update(nil)
	r.Update([]Target{target(1, minuteCheck())})
	r.sent(stale, old)
	if v, _, out := r.nextVerdict(); out == nil || !v.Up {
		t.Errorf("after a stale verdict the reader is told %+v, want that the server is up", v)
	}
}

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRecorder(func(ctx context.Context, c model.Check) error {
			time.Sleep(2 * time.Second)
			return byPort(ctx, c)
		})
		began := time.Now()
		failed := withCheck(failing(1), func(c *model.Check) { c.Pos = model.Position{File: "k.conf", Line: 3, Column: 5} })
		r, _ := start(t, []Target{failed, target(2)}, Options{Prober: p, Random: middle})
		time.Sleep(20 * time.Second)
		at := began.Add(13 * time.Second)
		refusal := Evidence{At: at, Took: 2 * time.Second, To: port81(failed.Server), Result: Failed, Error: "connection refused"}
		want := Snapshot{
			MaxInFlight: DefaultMaxInFlight,
			Servers: []ServerStatus{
				{
					Key: failed.Service, Service: "[192.0.2.1]:tcp:80", Server: failed.Server,
					Reason: "TCP_CHECK to 10.0.0.1:81: connection refused", Since: at,
					Checks: []CheckStatus{{
						Kind: model.TCPCheck, Position: "k.conf:3:5", To: port81(failed.Server), Object: "10.0.0.1:81", Since: at, Due: at.Add(time.Minute),
						Last: refusal, LastFailure: &refusal,
						Tries: 1, Failed: 1, Changes: 1,
					}},
				},
				{
					Key: failed.Service, Service: "[192.0.2.1]:tcp:80", Server: target(2).Server, Up: true,
					Since: began, Checks: []CheckStatus{},
				},
			},
		}
		if diff := cmp.Diff(want, r.Snapshot(), comparers...); diff != "" {
			t.Errorf("snapshot (-want +got):\n%s", diff)
		}
	})
}

var comparers = []cmp.Option{
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b model.ServiceKey) bool { return a == b }),
}
