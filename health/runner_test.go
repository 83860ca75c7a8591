package health

import (
	"context"
	"errors"
	"fmt"
	"math"
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

// recorder is a Prober that notes when it was asked, and asks answer what to
// say. It counts the tries in flight.
type recorder struct {
	answer func(ctx context.Context, c model.Check) error

	mu            sync.Mutex // guards what follows
	began         time.Time
	at            map[string][]time.Duration
	running, most int
}

func newRecorder(answer func(context.Context, model.Check) error) *recorder {
	return &recorder{answer: answer, began: time.Now(), at: make(map[string][]time.Duration)}
}

func (p *recorder) Probe(ctx context.Context, c model.Check) error {
	p.mu.Lock()
	who := c.ConnectTo.String()
	p.at[who] = append(p.at[who], time.Since(p.began))
	p.running++
	p.most = max(p.most, p.running)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.running--
		p.mu.Unlock()
	}()
	if p.answer == nil {
		return nil
	}
	return p.answer(ctx, c)
}

// times returns when each check of a target was tried, since the start.
func (p *recorder) times(t Target) []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.at[t.Checks[0].ConnectTo.String()])
}

func middle() float64 { return 0.5 }

var errRefused = errors.New("connection refused")

// start runs a runner until the test ends and collects its verdicts.
func start(t *testing.T, targets []Target, o Options) (r *Runner, verdicts func() []Verdict) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r = New(targets, o)
	var mu sync.Mutex
	var all []Verdict
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	running.Go(func() {
		for {
			select {
			case v := <-r.Verdicts():
				mu.Lock()
				all = append(all, v)
				mu.Unlock()
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return r, func() []Verdict {
		mu.Lock()
		defer mu.Unlock()
		list := all
		all = nil
		return list
	}
}

func everySecond(seconds ...float64) []time.Duration {
	var list []time.Duration
	for _, s := range seconds {
		list = append(list, time.Duration(math.Round(s*1000))*time.Millisecond)
	}
	return list
}

func minuteCheck() model.Check {
	return model.Check{
		Kind: model.TCPCheck, ConnectTimeout: 5 * time.Second, DelayLoop: 60 * time.Second,
		Retry: 1, DelayBeforeRetry: 3 * time.Second, Warmup: 20 * time.Second,
	}
}

func TestTimes(t *testing.T) {
	tests := []struct {
		name    string
		start   Start
		answers string // see told
		want    []time.Duration
	}{
		// First at 1 s plus half of the warmup of 20 s.
		{"a good server", StartByAlpha, "ssss", everySecond(11, 71, 131, 191)},
		{"retries", StartByAlpha, "sffs", everySecond(11, 71, 74, 134)},
		{"down at once", StartByAlpha, "ffss", everySecond(11, 71, 131, 191)},
		// The pause counts from the end of a try: here after 5 s of silence.
		{"silence", StartByAlpha, "stts", everySecond(11, 71, 79, 144)},
		{"not tried", StartByAlpha, "nsns", everySecond(11, 71, 131, 191)},
		// Early, since it may be live: 1 s plus half a second.
		{"taken over as down", StartDown, "ss", everySecond(1.5, 61.5)},
		{"taken over as up", StartUp, "ffs", everySecond(11, 14, 74)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next := 0
				p := newRecorder(func(ctx context.Context, c model.Check) error {
					if next == len(tt.answers) {
						<-ctx.Done()
						return ctx.Err()
					}
					next++
					return (&told{rune(tt.answers[next-1])}).Probe(ctx, c)
				})
				target := target(1, minuteCheck())
				target.Start = tt.start
				start(t, []Target{target}, Options{Prober: p, Random: middle})
				time.Sleep(tt.want[len(tt.want)-1] + time.Second)
				if diff := cmp.Diff(tt.want, p.times(target)); diff != "" {
					t.Errorf("times of tries (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestServerIsUpWhileNoCheckIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := make(map[uint16]bool)
		var mu sync.Mutex
		set := func(port uint16, down bool) { mu.Lock(); defer mu.Unlock(); bad[port] = down }
		p := newRecorder(func(_ context.Context, c model.Check) error {
			mu.Lock()
			defer mu.Unlock()
			if bad[c.ConnectTo.Port()] {
				return errRefused
			}
			return nil
		})
		second := model.Check{Kind: model.TCPCheck, DelayLoop: 10 * time.Second}
		web, admin := second, second
		web.ConnectTo = target(1).Server
		admin.ConnectTo = port81(web.ConnectTo)
		_, verdicts := start(t, []Target{target(1, web, admin)}, Options{Prober: p, Random: middle})

		steps := []struct {
			port uint16
			down bool
			want string
		}{
			{0, false, "[true TCP_CHECK to 10.0.0.1:81: answered]"},
			{81, true, "[false TCP_CHECK to 10.0.0.1:81: connection refused]"},
			{80, true, "[]"},
			{81, false, "[]"},
			{80, false, "[true TCP_CHECK to 10.0.0.1:80: answered]"},
		}
		for i, s := range steps {
			if s.port != 0 {
				set(s.port, s.down)
			}
			time.Sleep(15 * time.Second)
			synctest.Wait()
			var got []string
			for _, v := range verdicts() {
				got = append(got, fmt.Sprint(v.Up, " ", v.Reason))
			}
			// Both checks end in the same instant, so either may be the
			// one that completes the proof.
			if i == 0 && len(got) == 1 {
				got[0] = strings.Replace(got[0], ":80:", ":81:", 1)
			}
			if fmt.Sprint(got) != s.want {
				t.Errorf("step %d: verdicts %v, want %s", i, got, s.want)
			}
		}
	})
}

func port81(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 81) }

// A check whose tries hang must not hold back another.
func TestSlowTriesDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		healthy := target(0, minuteCheck())
		targets := []Target{healthy}
		for n := 1; n <= 100; n++ {
			targets = append(targets, target(n, minuteCheck()))
		}
		p := newRecorder(func(ctx context.Context, c model.Check) error {
			if c.ConnectTo == healthy.Server {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		r, _ := start(t, targets, Options{Prober: p, Random: middle})
		time.Sleep(140 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff(everySecond(11, 71, 131), p.times(healthy)); diff != "" {
			t.Errorf("times of the healthy check (-want +got):\n%s", diff)
		}
		if snap := r.Snapshot(); snap.InFlight != 100 || snap.Waiting != 0 {
			t.Errorf("%d in flight, %d waiting; want 100, 0", snap.InFlight, snap.Waiting)
		}
	})
}

// Beyond the bound checks wait for their turn, longest overdue first, and
// everyone is served.
func TestTriesInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var targets []Target
		for n := range 20 {
			targets = append(targets, target(n, minuteCheck()))
		}
		p := newRecorder(func(context.Context, model.Check) error {
			time.Sleep(5 * time.Second)
			return nil
		})
		r, _ := start(t, targets, Options{Prober: p, Random: middle, MaxInFlight: 4})
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if snap := r.Snapshot(); snap.InFlight != 4 || snap.Waiting != 16 {
			t.Errorf("%d in flight, %d waiting; want 4, 16", snap.InFlight, snap.Waiting)
		}
		time.Sleep(24 * time.Second)
		synctest.Wait()
		if p.most != 4 {
			t.Errorf("%d tries ran at once, want 4", p.most)
		}
		for _, target := range targets {
			if got := p.times(target); len(got) != 1 {
				t.Errorf("%s was tried at %v, want once", target.Server, got)
			}
		}
		if snap := r.Snapshot(); snap.InFlight != 0 || snap.Waiting != 0 {
			t.Errorf("%d in flight, %d waiting; want none", snap.InFlight, snap.Waiting)
		}
	})
}

// Checks that start together drift apart, and none is early, late or more
// frequent in the long run than its period says.
func TestTenThousandChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const checks, period, rounds = 10_000, 10 * time.Second, 6
		var targets []Target
		for n := range checks {
			c := model.Check{Kind: model.TCPCheck, ConnectTimeout: time.Second, DelayLoop: period}
			targets = append(targets, target(n, c))
		}
		p := newRecorder(func(context.Context, model.Check) error {
			time.Sleep(2 * time.Millisecond)
			return nil
		})
		r, verdicts := start(t, targets, Options{Prober: p, MaxInFlight: checks})
		time.Sleep(time.Second + rounds*period)
		synctest.Wait()

		tries := 0
		perBin := make(map[time.Duration]int)
		for _, target := range targets {
			at := p.times(target)
			tries += len(at)
			last := at[len(at)-1]
			perBin[last.Truncate(100*time.Millisecond)]++
			for i := 1; i < len(at); i++ {
				gap := at[i] - at[i-1] - 2*time.Millisecond
				if gap < period*95/100 || gap > period*105/100 {
					t.Fatalf("%s was tried after %v, want %v within 5%%", target.Server, gap, period)
				}
			}
		}
		mean := float64(checks) * (rounds*period - 2*rounds*time.Millisecond).Seconds() / period.Seconds()
		if f := float64(tries); f < mean*0.99 || f > mean*1.01+checks {
			t.Errorf("%d tries, want about %.0f", tries, mean)
		}
		for bin, n := range perBin {
			if n > checks/5 {
				t.Errorf("%d of %d checks fell into one tenth of a second at %v after %d rounds", n, checks, bin, rounds)
			}
		}
		if got := len(verdicts()); got != checks {
			t.Errorf("%d verdicts, want one proof for each of %d", got, checks)
		}
		if snap := r.Snapshot(); len(snap.Servers) != checks || snap.Waiting != 0 {
			t.Errorf("snapshot has %d servers, %d waiting", len(snap.Servers), snap.Waiting)
		}
	})
}

func TestSpreadKeepsTheMean(t *testing.T) {
	r := New(nil, Options{Prober: TCP{}})
	c := minuteCheck()
	var sum time.Duration
	const draws = 10_000
	for range draws {
		d := r.spread(c, c.DelayLoop)
		if d < 57*time.Second || d > 63*time.Second {
			t.Fatalf("pause %v, want 57s to 63s", d)
		}
		sum += d
	}
	// The mean of 10,000 draws is off by more than 0.1 s once in 10^8.
	if mean := sum / draws; mean < 59900*time.Millisecond || mean > 60100*time.Millisecond {
		t.Errorf("mean pause %v, want 1m0s", mean)
	}
	if d := r.spread(c, c.DelayBeforeRetry); d != c.DelayBeforeRetry {
		t.Errorf("pause between retries %v, want exactly %v", d, c.DelayBeforeRetry)
	}
	if d := r.spread(model.Check{}, 0); d != leastPause {
		t.Errorf("pause without a period %v, want %v", d, leastPause)
	}
	for range draws {
		if d := r.firstDelay(c, StartByAlpha); d < time.Second || d > 21*time.Second {
			t.Fatalf("first run after %v, want 1s to 21s", d)
		}
	}
}

func TestRunWaitsForTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRecorder(func(ctx context.Context, _ model.Check) error {
			<-ctx.Done()
			time.Sleep(3 * time.Second) // slow to let go
			return ctx.Err()
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- New([]Target{target(1, minuteCheck())}, Options{Prober: p, Random: middle}).Run(ctx) }()
		time.Sleep(12 * time.Second)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if p.running != 0 || time.Since(p.began) != 15*time.Second {
			t.Errorf("Run came back after %v with %d tries running, want 15s, none", time.Since(p.began), p.running)
		}
	})
}
