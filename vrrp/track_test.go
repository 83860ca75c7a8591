package vrrp

import (
	"slices"
	"testing"
	"time"
)

// TestContributions: weights, reverse and files as keepalived counts them.
func TestContributions(t *testing.T) {
	script := func(weight int, reverse bool) Track {
		return Track{Kind: TrackScript, Name: "x", Weight: weight, Reverse: reverse}
	}
	file := func(weight int, reverse bool) Track {
		return Track{Kind: TrackFile, Name: "x", Weight: weight, Reverse: reverse}
	}
	tests := []struct {
		name   string
		track  Track
		status TrackStatus
		value  int
		adds   int
		fault  bool
	}{
		{"positive, up", script(20, false), Up, 0, 20, false},
		{"positive, down", script(20, false), Down, 0, 0, false},
		{"positive, unknown", script(20, false), Unknown, 0, 0, false},
		{"negative, up", script(-20, false), Up, 0, 0, false},
		{"negative, down", script(-20, false), Down, 0, -20, false},
		{"negative, unknown", script(-20, false), Unknown, 0, 0, false},
		{"zero, up", script(0, false), Up, 0, 0, false},
		{"zero, down", script(0, false), Down, 0, 0, true},
		{"zero, unknown", script(0, false), Unknown, 0, 0, true},
		{"positive reverse, up", script(20, true), Up, 0, -20, false},
		{"positive reverse, down", script(20, true), Down, 0, 0, false},
		{"negative reverse, up", script(-20, true), Up, 0, 0, false},
		{"negative reverse, down", script(-20, true), Down, 0, 20, false},
		{"negative reverse, unknown", script(-20, true), Unknown, 0, 0, false},
		{"the most that counts", script(254, false), Up, 0, 253, false},
		{"the least that counts", script(-254, false), Down, 0, -253, false},
		{"zero reverse, up", script(0, true), Up, 0, 0, true},
		{"zero reverse, down", script(0, true), Down, 0, 0, false},
		{"zero reverse, unknown", script(0, true), Unknown, 0, 0, true},
		{"file", file(2, false), Up, 10, 20, false},
		{"file reverse", file(2, true), Up, 10, -20, false},
		{"file missing", file(2, false), Down, 10, 0, false},
		{"file of weight zero, not zero", file(0, false), Up, 1, 0, true},
		{"file of weight zero, zero", file(0, false), Up, 0, 0, false},
		{"file of weight zero, missing", file(0, false), Unknown, 0, 0, false},
		{"file of weight zero reverse, not zero", file(0, true), Up, 1, 0, false},
		{"file of weight zero reverse, zero", file(0, true), Up, 0, 0, true},
		{"file at its most", file(1, false), Up, 254, 253, false},
		{"file at its least", file(1, false), Up, -253, -253, false},
		{"file below its least", file(1, false), Up, -254, 0, true},
		{"huge number", file(254, false), Up, 1 << 62, 253, false},
		{"huge negative number", file(254, false), Up, -1 << 62, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tracked{tt.track, tt.status, tt.value}.contribution()
			if c.Adds != tt.adds || c.Fault != tt.fault {
				t.Errorf("adds %d, fault %v, want %d, %v", c.Adds, c.Fault, tt.adds, tt.fault)
			}
		})
	}
}

// TestReasonIsShort: times in reasons have three digits.
func TestReasonIsShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		35977631:                  "36ms",
		35912631:                  "35.9ms",
		3219280927:                "3.22s",
		999 * time.Nanosecond:     "999ns",
		131836 * time.Millisecond: "2m12s",
		0:                         "0s",
	} {
		if got := (Reason{Code: ReasonSilence, Silence: d}).String(); got != "no master heard for "+want {
			t.Errorf("%d ns: %q, want %s", d, got, want)
		}
	}
}

func TestEffectivePriorityIsClamped(t *testing.T) {
	tracks := []Track{{Kind: TrackScript, Name: "a", Weight: 200}, {Kind: TrackScript, Name: "b", Weight: -250}}
	b := newBench(t, with(base(V3), func(c *Config) { c.Tracks = tracks }))
	steps := []struct {
		ev   Tracked
		want uint8
	}{
		{Tracked{Kind: TrackScript, Name: "a", Status: Up}, 254},
		{Tracked{Kind: TrackScript, Name: "b", Status: Down}, 50},
		{Tracked{Kind: TrackScript, Name: "a", Status: Down}, 1},
		{Tracked{Kind: TrackScript, Name: "b", Status: Up}, 100},
		{Tracked{Kind: TrackProcess, Name: "b", Status: Down}, 100},
	}
	for _, s := range steps {
		before := b.inst.Priority()
		out := b.give(s.ev)
		if got := b.inst.Priority(); got != s.want {
			t.Errorf("after %+v priority %d, want %d", s.ev, got, s.want)
		}
		notified := slices.ContainsFunc(out, func(a Action) bool { return a.Notice == NoticePriority && a.Priority == s.want })
		if notified != (before != s.want) {
			t.Errorf("after %+v notified: %v", s.ev, notified)
		}
	}
	owner := newBench(t, with(base(V3), func(c *Config) { c.Priority, c.Tracks = 255, tracks }))
	owner.give(steps[1].ev)
	if owner.inst.Priority() != 255 {
		t.Errorf("owner's priority %d", owner.inst.Priority())
	}
}

// TestStepLeavesTheOldInstance: an Instance is a value; a step does not reach
// back into the one before.
func TestStepLeavesTheOldInstance(t *testing.T) {
	b := newBench(t, with(base(V3), func(c *Config) {
		c.Tracks = []Track{{Kind: TrackScript, Name: "a", Weight: 20}}
	}))
	old := b.inst
	b.give(Tracked{Kind: TrackScript, Name: "a", Status: Up})
	b.run(time.Minute)
	if old.Priority() != 100 || old.Contributions()[0].Adds != 0 || old.Count(AdvertsSent) != 0 {
		t.Error("the instance before the step changed")
	}
	if got := b.inst.Contributions()[0]; got.Adds != 20 || got.Status != Up || got.Name != "a" {
		t.Errorf("contribution %+v", got)
	}
}

func TestFaultsAddUp(t *testing.T) {
	b := newIdleBench(t, with(base(V3), func(c *Config) {
		c.Tracks = []Track{{Kind: TrackInterface, Name: "eth0"}, {Kind: TrackScript, Name: "chk"}}
	}))
	b.give(Start{})
	b.wantState(Fault)
	if got := b.inst.Reason().String(); got != "interface eth0 has no result yet" {
		t.Errorf("reason %q", got)
	}
	b.give(Tracked{Kind: TrackInterface, Name: "eth0", Status: Up})
	b.wantState(Fault)
	if got := b.inst.Reason().String(); got != "script chk has no result yet" {
		t.Errorf("reason %q after the first is over", got)
	}
	b.give(Tracked{Kind: TrackScript, Name: "chk", Status: Up})
	b.wantState(Backup)
	b.give(Tracked{Kind: TrackScript, Name: "chk", Status: Down})
	b.give(SourceChanged{})
	if got := b.inst.Reason().String(); got != "script chk failed" {
		t.Errorf("reason %q: a second fault replaced the first", got)
	}
	if got := len(b.inst.Faults()); got != 2 {
		t.Errorf("%d faults", got)
	}
	b.give(Tracked{Kind: TrackScript, Name: "chk", Status: Up})
	if got := b.inst.Reason().String(); got != "no source address" {
		t.Errorf("reason %q", got)
	}
	b.give(SourceChanged{addr("10.90.0.9")})
	b.wantState(Backup)
}

// TestTrackedTwice: a group and its member may track the same thing.
func TestTrackedTwice(t *testing.T) {
	eth := Track{Kind: TrackInterface, Name: "eth0"}
	b := newBench(t, with(base(V3), func(c *Config) { c.Tracks = []Track{eth, eth} }))
	b.give(Tracked{Kind: TrackInterface, Name: "eth0", Status: Up})
	b.wantState(Backup)
}

// TestUnicastAnnouncesSource: after a fault, peers may have forgotten it.
func TestUnicastAnnouncesSource(t *testing.T) {
	b := newBench(t, unicast(V3))
	b.give(SourceChanged{})
	wantKinds(t, b.give(SourceChanged{addr("10.90.0.2")}), AnnounceSource, Notify)
}

func TestAdopt(t *testing.T) {
	b := newIdleBench(t, base(V3))
	wantKinds(t, b.give(Start{Adopt: true}), SendAdvert, TakeAddresses, Announce, Notify)
	b.wantState(Master)
	b.wantReason(ReasonAdopted)
	if got := ResumeWithin(base(V3)); got != 3*second+2*second/256 {
		t.Errorf("mastership may be resumed within %s", got)
	}
	b = newIdleBench(t, base(V3))
	b.give(Start{Adopt: true, Hold: time.Minute})
	b.wantState(Master)
	// Not while there is a fault: the addresses go.
	b = newIdleBench(t, with(base(V3), ownInterface))
	wantKinds(t, b.give(Start{Adopt: true}), ReleaseAddresses, Notify)
	b.wantState(Fault)
}

func TestReconfigure(t *testing.T) {
	t.Run("backup, priority", func(t *testing.T) {
		b := newBench(t, base(V3))
		b.run(second)
		b.give(Reconfigured{with(base(V3), prio(200))})
		b.wantState(Backup)
		b.wantMasterAfter(2218750 * time.Microsecond)
	})
	t.Run("backup, interval and adverts of version 2", func(t *testing.T) {
		b := newBench(t, base(V2))
		b.run(second)
		b.give(Reconfigured{with(base(V2), func(c *Config) { c.Interval, c.DownTimerAdverts = 2*second, 2 })})
		b.wantMasterAfter(3609375 * time.Microsecond)
	})
	t.Run("backup, a learned interval stays", func(t *testing.T) {
		b := newBench(t, base(V3))
		b.hearEvery("10.90.0.1", 200, second/2)
		b.give(Reconfigured{with(base(V3), every(4*second))})
		b.wantMasterAfter(1500*time.Millisecond + 156*second/2/256)
	})
	t.Run("master, shorter interval", func(t *testing.T) {
		b := masterBench(t, base(V3))
		b.run(second / 2)
		b.forget()
		wantKinds(t, b.give(Reconfigured{with(base(V3), every(second/10))}), SendAdvert, UpdateAddresses)
		b.wantState(Master)
		b.run(second)
		if got := len(b.of(SendAdvert)); got != 11 {
			t.Errorf("%d adverts in 1 s, want the one at once and 10", got)
		}
	})
	t.Run("master, a fault", func(t *testing.T) {
		b := masterBench(t, base(V3))
		b.give(Reconfigured{with(base(V3), ownInterface)})
		b.wantState(Fault)
	})
	t.Run("status of tracks stays", func(t *testing.T) {
		b := trackedBench(t, base(V3))
		b.give(Reconfigured{with(base(V3), func(c *Config) {
			c.Tracks = []Track{{Kind: TrackScript, Name: "new", Weight: 5}, {Kind: TrackInterface, Name: "eth0"}}
		})})
		b.wantState(Backup)
	})
	t.Run("refresh", func(t *testing.T) {
		b := masterBench(t, with(base(V3), func(c *Config) { c.Announce.Delay = -1 }))
		b.give(Reconfigured{with(base(V3), func(c *Config) { c.Announce.Refresh = 2 * second })})
		b.run(5 * second)
		if got := len(b.of(Announce)); got != 2 {
			t.Errorf("%d announcements", got)
		}
		b.forget()
		b.give(Reconfigured{base(V3)})
		b.run(10 * second)
		if got := len(b.of(Announce)); got != 0 {
			t.Errorf("%d announcements without refresh", got)
		}
	})
	t.Run("another virtual router", func(t *testing.T) {
		b := newBench(t, base(V3))
		b.give(Reconfigured{with(base(V3), func(c *Config) { c.VRID = 52 })})
		if got := b.inst.Config().VRID; got != 51 {
			t.Errorf("VRID %d", got)
		}
	})
}

func TestAddressesRestored(t *testing.T) {
	b := newBench(t, base(V3))
	wantKinds(t, b.give(AddressesRestored{}))
	b.run(4 * second)
	out := b.give(AddressesRestored{})
	wantKinds(t, out, Announce)
	if out[0].Cause != CauseRestored {
		t.Errorf("cause %s", out[0].Cause)
	}
}

// TestTickDoesNotAllocate: the path of each advert of a master.
func TestTickDoesNotAllocate(t *testing.T) {
	b := masterBench(t, base(V3))
	b.run(10 * second)
	out := make([]Action, 0, 8)
	n := testing.AllocsPerRun(100, func() {
		b.now, _ = b.inst.Next()
		b.inst, out = b.inst.Step(b.now, Tick{}, out[:0])
		if len(out) != 1 || out[0].Kind != SendAdvert {
			t.Fatalf("actions %v", out)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for an advert", n)
	}
}
