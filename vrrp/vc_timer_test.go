package vrrp

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The tests of checklist section 4.3, timers, in virtual time.

const second = time.Second

func prio(p uint8) func(*Config) { return func(c *Config) { c.Priority = p } }

func every(d time.Duration) func(*Config) { return func(c *Config) { c.Interval = d } }

func TestVC069SkewV2(t *testing.T) {
	b := newBench(t, with(base(V2), every(3*second)))
	b.run(second)
	b.hear("10.90.0.1", 200)
	b.wantMasterAfter(9609375 * time.Microsecond)
}

func TestVC070SkewV3(t *testing.T) {
	b := newBench(t, with(base(V3), every(3*second)))
	b.run(second)
	b.hear("10.90.0.1", 200)
	b.wantMasterAfter(10828125 * time.Microsecond)
}

func TestVC071DownInterval(t *testing.T) {
	tests := []struct {
		version  Version
		priority uint8
		interval time.Duration
		want     time.Duration
	}{
		{V2, 1, second, 3*second + 255*second/256},
		{V2, 100, second, 3609375 * time.Microsecond},
		{V2, 254, second, 3*second + 2*second/256},
		{V3, 1, second, 3*second + 255*second/256},
		{V3, 100, second, 3609375 * time.Microsecond},
		{V3, 254, second, 3*second + 2*second/256},
		{V3, 100, second / 10, 360937500},
		{V3, 100, second / 100, 36093750},
		{V3, 1, second / 100, 30*time.Millisecond + 255*second/25600},
		{V3, 254, second / 10, 300*time.Millisecond + 2*second/2560},
	}
	for _, tt := range tests {
		b := newBench(t, with(with(base(tt.version), prio(tt.priority)), every(tt.interval)))
		b.run(tt.interval)
		b.hear("10.90.0.1", 255)
		b.wantMasterAfter(tt.want)
	}
}

func TestVC072LearnedInterval(t *testing.T) {
	b := newBench(t, base(V3))
	b.hearEvery("10.90.0.1", 200, second/2)
	if got := b.inst.MasterInterval(); got != second/2 {
		t.Errorf("learned %s", got)
	}
	b.wantMasterAfter(1500*time.Millisecond + 156*second/2/256)
}

func TestVC073SkewFollowsInterval(t *testing.T) {
	b := newBench(t, base(V3))
	b.hearEvery("10.90.0.1", 200, second)
	b.run(second)
	b.hearEvery("10.90.0.1", 200, second/10)
	b.wantMasterAfter(360937500)
}

func TestVC074OwnIntervalAtStart(t *testing.T) {
	b := newBench(t, with(base(V3), every(second/5)))
	b.wantMasterAfter(721875 * time.Microsecond)
}

func TestVC075MasterUsesOwnInterval(t *testing.T) {
	b := newBench(t, base(V3))
	b.hearEvery("10.90.0.1", 200, second/2)
	b.wantMasterAfter(1500*time.Millisecond + 156*second/2/256)
	b.forget()
	from := b.now
	b.run(3 * second)
	adverts := b.of(SendAdvert)
	if len(adverts) != 3 {
		t.Fatalf("%d adverts in 3 s", len(adverts))
	}
	_, since := b.inst.State()
	for n, a := range adverts {
		due := since.Sub(b.start) + time.Duration(int(from.Sub(since)/second)+n+1)*second
		if a.at != due {
			t.Errorf("advert %d after %s, want %s", n, a.at, due)
		}
	}
}

func TestVC076YieldingAdoptsInterval(t *testing.T) {
	b := masterBench(t, base(V3))
	b.hearEvery("10.90.0.1", 200, second/2)
	b.wantState(Backup)
	b.wantMasterAfter(1500*time.Millisecond + 156*second/2/256)
}

func TestVC077FractionsKept(t *testing.T) {
	if got := SkewTime(V3, 100, second/100); got != 6093750 {
		t.Errorf("skew %s, want 6.09375ms", got)
	}
	if got := SkewTime(V3, 253, second/100) - SkewTime(V3, 254, second/100); got <= 0 {
		t.Errorf("neighbouring priorities differ by %s", got)
	}
}

func TestVC078IntervalRange(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		10 * time.Millisecond:    36093750,
		40950 * time.Millisecond: 3*40950*time.Millisecond + 156*40950*time.Millisecond/256,
	} {
		newBench(t, with(base(V3), every(d))).wantMasterAfter(want)
	}
}

// TestVC079CadenceWithoutDrift: ticks that come a little late do not add up.
func TestVC079CadenceWithoutDrift(t *testing.T) {
	b := masterBench(t, with(base(V3), every(second/10)))
	_, since := b.inst.State()
	rng := rand.New(rand.NewPCG(1, 79))
	const adverts = 6000
	for range adverts {
		next, _ := b.inst.Next()
		b.now = next.Add(time.Duration(rng.IntN(int(4 * time.Millisecond))))
		b.give(Tick{})
	}
	sent := b.of(SendAdvert)
	last := b.start.Add(sent[len(sent)-1].at)
	if drift := last.Sub(since) - time.Duration(len(sent))*second/10; drift < 0 || drift > 4*time.Millisecond {
		t.Errorf("after %d adverts the cadence is off by %s", len(sent), drift)
	}
}

// TestVC081NeverEarly: whatever is heard, there is no takeover within the down
// interval of the last accepted advert.
func TestVC081NeverEarly(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 81))
	for range 10_000 {
		cfg := base(V3)
		if rng.IntN(2) == 0 {
			cfg = base(V2)
		}
		cfg.Priority = uint8(1 + rng.IntN(254))
		i, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_700_000_000, 0)
		i, _ = i.Step(now, Start{}, nil)
		last := now
		for range 5 {
			now = now.Add(time.Duration(rng.Int64N(int64(3 * second))))
			if rng.IntN(2) == 0 {
				i, _ = i.Step(now, Heard{Source: addr("10.90.0.1"), Priority: 254, Interval: second}, nil)
				last = now
			}
			i, _ = i.Step(now, Tick{}, nil)
			if state, _ := i.State(); state == Master {
				if now.Sub(last) < DownInterval(cfg.Version, cfg.Priority, second, 3) {
					t.Fatalf("priority %d took over %s after the last advert", cfg.Priority, now.Sub(last))
				}
				break
			}
		}
	}
}

func TestVC083PriorityZeroLeavesSkew(t *testing.T) {
	b := newBench(t, base(V3))
	b.hear("10.90.0.1", 200)
	b.run(second / 2)
	b.hear("10.90.0.1", 0)
	b.wantMasterAfter(609375 * time.Microsecond)
	b.wantReason(ReasonResigned)
	if got := b.inst.Reason(); got.Peer != addr("10.90.0.1") {
		t.Errorf("reason names %s", got.Peer)
	}
	// Goodbyes do not put an election off.
	b = newBench(t, base(V3))
	b.hear("10.90.0.1", 200)
	for range 3 {
		b.run(300 * time.Millisecond)
		b.hear("10.90.0.1", 0)
	}
	b.wantMasterAfter(9375 * time.Microsecond)
}

func TestVC084PriorityMovesTimer(t *testing.T) {
	file := Track{Kind: TrackFile, Name: "f", Weight: 1}
	b := newBench(t, with(base(V3), func(c *Config) { c.Tracks = []Track{file} }))
	b.run(second)
	b.hear("10.90.0.1", 200)
	b.run(second)
	b.give(Tracked{Kind: TrackFile, Name: "f", Status: Up, Value: 50})
	if b.inst.Priority() != 150 {
		t.Errorf("priority %d", b.inst.Priority())
	}
	b.wantMasterAfter(2*second + 106*second/256)
}

func TestVC085DownTimerAdverts(t *testing.T) {
	for n, want := range map[int]time.Duration{2: 2609375 * time.Microsecond, 5: 5609375 * time.Microsecond} {
		newBench(t, with(base(V3), func(c *Config) { c.DownTimerAdverts = n })).wantMasterAfter(want)
	}
	for _, n := range []int{-1, 101} {
		wantConfigError(t, with(base(V3), func(c *Config) { c.DownTimerAdverts = n }), "down_timer_adverts")
	}
}

// TestVC086LateBackup: a backup whose timer comes more than an interval late
// gives the master one interval and the skew to be heard.
// TestVC086LateByLittle has the lateness of less than a second.
func TestVC086LateBackup(t *testing.T) {
	b := newBench(t, base(V3))
	b.hear("10.90.0.1", 200)
	b.sleep(9 * second)
	b.give(Tick{})
	b.wantState(Backup)
	if b.inst.Count(Late) != 1 {
		t.Errorf("late counted %d", b.inst.Count(Late))
	}
	b.run(second)
	b.hear("10.90.0.1", 200) // it lives
	b.wantMasterAfter(3609375 * time.Microsecond)

	b = newBench(t, base(V3))
	b.hear("10.90.0.1", 200)
	b.sleep(9 * second)
	b.give(Tick{})
	b.wantMasterAfter(1609375 * time.Microsecond)
	// Lateness up to an interval is no reason to wait.
	b = newBench(t, base(V3))
	b.sleep(3609375*time.Microsecond + second)
	b.give(Tick{})
	b.wantState(Master)
	// A machine that is always late becomes master all the same.
	b = newBench(t, base(V3))
	for range 2 {
		b.sleep(9 * second)
		b.give(Tick{})
	}
	b.wantState(Master)
}

// TestVC086LateMaster: a master that did not run for a takeover's time listens
// for one interval before it advertises.
func TestVC086LateMaster(t *testing.T) {
	late := func(cfg Config) *bench {
		b := masterBench(t, cfg)
		b.sleep(5 * second)
		if out := b.give(Tick{}); len(kinds(out)) != 0 {
			t.Errorf("the late master does %v", kinds(out))
		}
		b.forget()
		return b
	}
	t.Run("nobody took over", func(t *testing.T) {
		b := late(base(V3))
		b.run(second)
		wantKinds(t, actions(b.done), SendAdvert, Announce)
		b.wantState(Master)
	})
	t.Run("a lesser one did", func(t *testing.T) {
		b := late(base(V3))
		b.run(second / 2)
		wantKinds(t, b.hear("10.90.0.1", 50), SendAdvert, Announce, Notify)
		b.wantState(Master)
	})
	t.Run("a lesser one did, nopreempt", func(t *testing.T) {
		b := late(with(base(V3), func(c *Config) { c.NoPreempt = true }))
		b.run(second / 2)
		wantKinds(t, b.hear("10.90.0.1", 50), ReleaseAddresses, Notify)
		b.wantState(Backup)
		b.wantReason(ReasonLate)
	})
	t.Run("a better one did", func(t *testing.T) {
		b := late(base(V3))
		b.hear("10.90.0.1", 200)
		b.wantState(Backup)
		b.wantReason(ReasonHigherPriority)
	})
	t.Run("late by less", func(t *testing.T) {
		b := masterBench(t, base(V3))
		b.sleep(3 * second)
		wantKinds(t, b.give(Tick{}), SendAdvert)
	})
}

// TestVC086LateByLittle: short of a second the sockets tell what happened, and
// a moment is enough for what is on its way. A master takes less of it than a
// backup that stood still with it.
func TestVC086LateByLittle(t *testing.T) {
	fast := with(base(V3), func(c *Config) { c.Interval = 10 * time.Millisecond })
	b := newBench(t, fast)
	b.hear("10.90.0.1", 200)
	b.sleep(500 * time.Millisecond)
	b.give(Tick{})
	b.wantState(Backup)
	b.wantMasterAfter(settleBackup)

	b = masterBench(t, fast)
	b.sleep(500 * time.Millisecond)
	wantKinds(t, b.give(Tick{}))
	b.forget()
	b.run(settleMaster)
	wantKinds(t, actions(b.done), SendAdvert, Announce)
	if settleMaster >= settleBackup {
		t.Error("the backup does not wait for the master")
	}
}

// TestSilenceBeginsOnArrival: the down timer runs from when the advert reached
// the host, not from when it was read.
func TestSilenceBeginsOnArrival(t *testing.T) {
	const down = 3609375 * time.Microsecond
	hear := func(b *bench, priority uint8, arrived time.Time) {
		b.give(Heard{Source: addr("10.90.0.1"), Priority: priority, Interval: second, Arrived: arrived})
	}
	b := newBench(t, base(V3))
	b.sleep(second)
	hear(b, 200, b.now.Add(-300*time.Millisecond))
	b.wantMasterAfter(down - 300*time.Millisecond)

	b = newBench(t, base(V3))
	b.sleep(second)
	hear(b, PriorityStop, b.now.Add(-300*time.Millisecond))
	b.wantMasterAfter(down - 3*second - 300*time.Millisecond)

	for name, early := range map[string]time.Duration{"before the start": 2 * second, "in the future": -second} {
		b = newBench(t, base(V3))
		b.sleep(second)
		hear(b, 200, b.now.Add(-early))
		want := down
		if early > 0 {
			want -= second // the timer of the start runs on
		}
		t.Log(name)
		b.wantMasterAfter(want)
	}
}

func actions(list []deed) []Action {
	var out []Action
	for _, d := range list {
		out = append(out, d.Action)
	}
	return out
}

// TestVC087LearnedIntervalBound (G11): one forged advert of interval 40.95 s
// leaves no gap of minutes.
func TestVC087LearnedIntervalBound(t *testing.T) {
	const forged = 40950 * time.Millisecond
	b := masterBench(t, base(V3))
	b.hearEvery("10.90.0.66", 255, forged)
	b.wantState(Backup)
	if b.inst.Count(IntervalBound) != 1 {
		t.Errorf("bound counted %d", b.inst.Count(IntervalBound))
	}
	b.wantMasterAfter(30*second + 6093750*time.Microsecond) // 131.8 s in keepalived

	b = masterBench(t, with(base(V3), func(c *Config) { c.MaxLearnedInterval = 2 * second }))
	b.hearEvery("10.90.0.66", 255, forged)
	b.wantMasterAfter(6*second + 2*609375*time.Microsecond)

	b = masterBench(t, with(base(V3), func(c *Config) { c.MaxLearnedInterval = forged }))
	b.hearEvery("10.90.0.66", 255, forged)
	b.wantMasterAfter(3*forged + 156*forged/256)
}

func TestVC088ForgedOwner(t *testing.T) {
	b := masterBench(t, with(base(V3), prio(200)))
	out := b.hear("10.90.0.66", 255)
	if out[len(out)-1].Kind != Notify || b.inst.Count(PreemptedByUnknown) != 1 {
		t.Errorf("actions %v, counted %d", out, b.inst.Count(PreemptedByUnknown))
	}
	b.wantMasterAfter(3*second + 56*second/256)
	// A neighbour that was heard before is no stranger.
	b = newBench(t, base(V3))
	b.hear("10.90.0.1", 200)
	b.run(4 * second)
	b.hear("10.90.0.1", 200)
	if b.inst.Count(PreemptedByUnknown) != 0 {
		t.Error("a known neighbour counts as unknown")
	}
}
