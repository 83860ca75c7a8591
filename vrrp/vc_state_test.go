package vrrp

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// The tests of checklist section 4.4, the state machine, in virtual time.

func TestVC089OwnerStartsAsMaster(t *testing.T) {
	b := newIdleBench(t, with(base(V3), prio(255)))
	wantKinds(t, b.give(Start{}), SendAdvert, TakeAddresses, Announce, Notify)
	b.wantState(Master)
	b.wantReason(ReasonOwner)
	b = newIdleBench(t, with(base(V3), func(c *Config) { c.Priority, c.StartBackup = 255, true }))
	b.give(Start{})
	b.wantState(Backup)
	b.wantMasterAfter(3*second + second/256)
}

func TestVC090OthersStartAsBackup(t *testing.T) {
	b := newIdleBench(t, base(V3))
	wantKinds(t, b.give(Start{}), ReleaseAddresses, Notify)
	b.wantReason(ReasonStart)
	b.wantMasterAfter(3609375 * time.Microsecond)
	b.wantReason(ReasonSilence)
	if got := b.inst.Reason().String(); got != "no master heard for 3.61s" {
		t.Errorf("reason %q", got)
	}
}

// TestVC090StartupDelay: adverts during vrrp_startup_delay are ignored.
func TestVC090StartupDelay(t *testing.T) {
	b := newIdleBench(t, base(V3))
	b.give(Start{Hold: 10 * second})
	b.wantReason(ReasonHold)
	b.run(5 * second)
	b.hear("10.90.0.1", 200)
	b.wantState(Init)
	b.run(5 * second)
	b.wantState(Backup)
	b.wantMasterAfter(3609375 * time.Microsecond)
}

func TestVC091BackupStopsInSilence(t *testing.T) {
	b := newBench(t, base(V3))
	out := b.give(Stop{})
	wantKinds(t, out, Notify)
	if out[0].Notice.Event(out[0].State) != "STOP" {
		t.Errorf("notice %+v", out[0])
	}
	b.wantState(Init)
	b.run(time.Minute)
	b.wantState(Init)
	if out := b.give(Stop{}); len(out) != 0 {
		t.Errorf("a second stop does %v", out)
	}
}

func TestVC092PromotionOrder(t *testing.T) {
	b := newBench(t, base(V3))
	b.hear("10.90.0.1", 200)
	b.forget()
	b.run(3609375 * time.Microsecond)
	wantKinds(t, actions(b.done), SendAdvert, TakeAddresses, Announce, Notify)
	if b.done[0].Priority != 100 {
		t.Errorf("first advert has priority %d", b.done[0].Priority)
	}
	next, _ := b.inst.Next()
	if got := next.Sub(b.now); got != second {
		t.Errorf("next advert in %s", got)
	}
	if got := b.inst.Reason().String(); got != "no advert from 10.90.0.1 for 3.61s" {
		t.Errorf("reason %q", got)
	}
}

func TestVC093EqualOrHigherRestartsTimer(t *testing.T) {
	for _, priority := range []uint8{100, 101, 255} {
		b := newBench(t, base(V3))
		for range 5 {
			b.run(3 * second)
			b.hear("10.90.0.1", priority)
		}
		b.wantState(Backup)
		b.wantMasterAfter(3609375 * time.Microsecond)
	}
}

func TestVC094LowerIsPreempted(t *testing.T) {
	b := newBench(t, with(base(V3), prio(200)))
	for range 3 {
		b.run(second)
		b.hear("10.90.0.1", 100)
	}
	b.wantMasterAfter(218750 * time.Microsecond)
	b.wantReason(ReasonPreempt)
	if got := b.inst.Reason().String(); got != "our priority 200 is higher than 100 of 10.90.0.1" {
		t.Errorf("reason %q", got)
	}
}

func TestVC095NoPreempt(t *testing.T) {
	b := newBench(t, with(base(V3), func(c *Config) { c.Priority, c.NoPreempt = 200, true }))
	for range 100 {
		b.run(second)
		b.hear("10.90.0.1", 100)
	}
	b.wantState(Backup)
	b.wantMasterAfter(3218750 * time.Microsecond)
}

func TestVC096PreemptDelay(t *testing.T) {
	b := newBench(t, with(base(V3), func(c *Config) { c.Priority, c.PreemptDelay = 200, 10*second }))
	b.run(second)
	first := b.now
	b.hear("10.90.0.1", 100)
	for b.now.Before(first.Add(9 * second)) {
		b.run(second)
		b.hear("10.90.0.1", 100)
		b.wantState(Backup)
	}
	if got := b.inst.PreemptAt(); !got.Equal(first.Add(10 * second)) {
		t.Errorf("delay ends %s after the first advert", got.Sub(first))
	}
	// Adverts from 10 s on are discarded; the timer runs from the one at 9 s.
	for range 3 {
		b.run(second)
		b.hear("10.90.0.1", 100)
	}
	b.wantMasterAfter(218750 * time.Microsecond)
	// A better master ends the delay, the next lesser one begins it anew.
	b = newBench(t, with(base(V3), func(c *Config) { c.Priority, c.PreemptDelay = 200, 10*second }))
	b.hear("10.90.0.1", 100)
	b.run(second)
	b.hear("10.90.0.3", 210)
	if !b.inst.PreemptAt().IsZero() {
		t.Error("the delay goes on under a better master")
	}
	b.run(second)
	b.hear("10.90.0.1", 100)
	if got := b.inst.PreemptAt(); !got.Equal(b.now.Add(10 * second)) {
		t.Errorf("delay ends in %s", got.Sub(b.now))
	}
	// A dead master is succeeded whatever the delay.
	b.wantMasterAfter(3218750 * time.Microsecond)
	wantConfigError(t, with(base(V3), func(c *Config) { c.PreemptDelay = 1001 * second }), "preempt_delay")
}

func TestVC097OwnerAlwaysPreempts(t *testing.T) {
	b := newBench(t, with(base(V3), func(c *Config) {
		c.Priority, c.NoPreempt, c.StartBackup, c.PreemptDelay = 255, true, true, 10*second
	}))
	for range 3 {
		b.run(second)
		b.hear("10.90.0.1", 254)
	}
	b.wantMasterAfter(second / 256)
}

func TestVC098MasterSaysGoodbye(t *testing.T) {
	b := masterBench(t, base(V3))
	out := b.give(Stop{})
	wantKinds(t, out, SendAdvert, ReleaseAddresses, Notify)
	if out[0].Priority != 0 || b.inst.Count(PriorityZeroSent) != 1 {
		t.Errorf("goodbye %+v", out[0])
	}
	b.wantReason(ReasonStop)
	if _, ok := b.inst.Next(); ok {
		t.Error("a stopped instance has a deadline")
	}
	b = masterBench(t, base(V3))
	out = b.give(Stop{Deleted: true})
	if last := out[len(out)-1]; last.Notice.Event(last.State) != "DELETED" {
		t.Errorf("notice %+v", last)
	}
}

func TestVC099MasterAnswersPriorityZero(t *testing.T) {
	b := masterBench(t, base(V3))
	b.run(300 * time.Millisecond)
	wantKinds(t, b.hear("10.90.0.1", 0), SendAdvert)
	next, _ := b.inst.Next()
	if got := next.Sub(b.now); got != second {
		t.Errorf("next advert in %s", got)
	}
	// Right after an advert the answer waits a moment.
	b.run(2 * time.Millisecond)
	wantKinds(t, b.hear("10.90.0.1", 0))
	next, _ = b.inst.Next()
	if got := next.Sub(b.now); got != 3*time.Millisecond {
		t.Errorf("answer in %s", got)
	}
}

func TestVC100HigherPriorityWins(t *testing.T) {
	b := masterBench(t, base(V3))
	out := b.hear("10.90.0.1", 255)
	wantKinds(t, out, SendAdvert, ReleaseAddresses, Notify)
	if out[0].Priority != 100 {
		t.Errorf("last advert has priority %d", out[0].Priority)
	}
	b.wantState(Backup)
	b.wantReason(ReasonHigherPriority)
	if got := b.inst.Reason().String(); got != "10.90.0.1 advertises priority 255, ours is 100" {
		t.Errorf("reason %q", got)
	}
	if m, p := b.inst.Master(); m != addr("10.90.0.1") || p != 255 {
		t.Errorf("master %s priority %d", m, p)
	}
	// Nothing of the mastership is left to happen.
	b.forget()
	b.run(3 * second)
	if len(b.done) != 0 {
		t.Errorf("afterwards %v", kinds(actions(b.done)))
	}
}

func TestVC101EqualPriorityHigherAddress(t *testing.T) {
	for _, from := range []string{"10.90.0.3", "200.0.0.1"} {
		b := masterBench(t, base(V3))
		b.hear(from, 100)
		b.wantState(Backup)
		b.wantReason(ReasonHigherAddress)
	}
}

func TestVC102EqualPriorityLowerAddress(t *testing.T) {
	b := masterBench(t, base(V3))
	b.run(second / 2)
	wantKinds(t, b.hear("10.90.0.1", 100), SendAdvert, Announce, Notify)
	b.wantState(Master)
}

func TestVC103IPv6Tie(t *testing.T) {
	b := masterBench(t, base6())
	b.hear("fe80::1", 100)
	b.wantState(Master)
	b.hear("fe80::ff:fe00:5a03", 100)
	b.wantState(Backup)
}

func TestVC104LowerPriorityIsAnswered(t *testing.T) {
	b := masterBench(t, base(V3))
	b.run(second / 2)
	out := b.hear("10.90.0.1", 50)
	if len(out) == 0 || out[0].Kind != SendAdvert || out[0].Priority != 100 {
		t.Errorf("actions %v", out)
	}
	if b.inst.Count(LowerPriorityReceived) != 1 {
		t.Errorf("counted %d", b.inst.Count(LowerPriorityReceived))
	}
	b = masterBench(t, with(base(V3), func(c *Config) { c.LowerPrioNoAdvert = true }))
	b.run(second / 2)
	wantKinds(t, b.hear("10.90.0.1", 50), Announce, Notify)
}

// TestVC104FloodIsNotAnsweredByFlood: 3650 forged adverts in a second.
func TestVC104FloodIsNotAnsweredByFlood(t *testing.T) {
	b := masterBench(t, base(V3))
	b.run(second / 2)
	for n := range 3650 {
		b.hear(netip.AddrFrom4([4]byte{10, 90, 1, byte(n)}).String(), 50)
		b.run(second / 3650)
	}
	if got := len(b.of(SendAdvert)); got > 210 {
		t.Errorf("%d adverts in answer", got)
	}
	if got := len(b.of(Announce)); got > 210 {
		t.Errorf("%d announcements in answer", got)
	}
	b.forget()
	for range 3650 {
		b.hear("10.90.0.1", 50)
		b.run(second / 3650)
	}
	if got := len(b.of(Announce)); got > 3 {
		t.Errorf("%d announcements against one sender", got)
	}
}

func TestVC105LowerPriorityAnnouncements(t *testing.T) {
	cfg := with(base(V3), func(c *Config) { c.Announce = AnnounceTimes{Delay: -1, LowerPrioDelay: 4 * second} })
	b := masterBench(t, cfg)
	b.run(10 * second)
	b.forget()
	from := b.elapsed()
	b.hear("10.90.0.1", 50)
	b.run(time.Minute)
	want := []struct {
		after time.Duration
		cause AnnounceCause
	}{{0, CauseLowerPriority}, {second, CauseHeal}, {4 * second, CauseLowerPriorityAgain}}
	got := b.of(Announce)
	if len(got) != len(want) {
		t.Fatalf("%d announcements, want %d", len(got), len(want))
	}
	for n, w := range want {
		if got[n].at-from != w.after || got[n].Cause != w.cause {
			t.Errorf("announcement %d: %s after %s, want %s after %s", n, got[n].Cause, got[n].at-from, w.cause, w.after)
		}
	}
}

func TestVC106SameAddressIsIgnored(t *testing.T) {
	b := masterBench(t, base(V3))
	out := b.hear("10.90.0.2", 100)
	wantKinds(t, out)
	if len(out) != 1 || out[0].Warning != WarnSameAddress {
		t.Errorf("actions %v", out)
	}
	b.wantState(Master)
}

func TestVC107PriorityRange(t *testing.T) {
	wantConfigError(t, with(base(V3), prio(0)), "priority")
	wantConfigError(t, with(base(V3), prio(1)), "")
	wantConfigError(t, with(base(V3), prio(255)), "")
	wantConfigError(t, with(base(V3), func(c *Config) { c.VRID = 0 }), "virtual_router_id")
	b := newBench(t, base(V3))
	for _, p := range []uint8{0, 255} {
		b.give(PrioritySet{p})
		if b.inst.Priority() != 100 {
			t.Errorf("priority %d after setting %d", b.inst.Priority(), p)
		}
	}
	b.give(PrioritySet{120})
	if b.inst.Priority() != 120 || b.inst.BasePriority() != 120 {
		t.Errorf("priority %d", b.inst.Priority())
	}
}

func TestVC108TwoOwners(t *testing.T) {
	b := newBench(t, with(base(V3), prio(255)))
	out := b.hear("10.90.0.1", 255)
	if !slices.ContainsFunc(out, func(a Action) bool { return a.Warning == WarnTwoOwners }) {
		t.Errorf("actions %v", out)
	}
	b.wantState(Master)
	b.hear("10.90.0.3", 255)
	b.wantState(Backup)
	b.wantReason(ReasonHigherAddress)
	b.wantMasterAfter(3*second + second/256)
}

func ownInterface(c *Config) {
	c.Tracks = []Track{{Kind: TrackInterface, Name: "eth0"}}
}

// trackedBench returns a bench whose interface is up.
func trackedBench(t *testing.T, cfg Config) *bench {
	t.Helper()
	b := newIdleBench(t, with(cfg, ownInterface))
	b.give(Tracked{Kind: TrackInterface, Name: "eth0", Status: Up})
	b.give(Start{})
	return b
}

func TestVC109InterfaceDown(t *testing.T) {
	b := trackedBench(t, base(V3))
	b.run(4 * second)
	b.wantState(Master)
	out := b.give(Tracked{Kind: TrackInterface, Name: "eth0", Status: Down})
	wantKinds(t, out, SendAdvert, ReleaseAddresses, Notify)
	if out[0].Priority != 0 {
		t.Errorf("goodbye %+v", out[0])
	}
	b.wantState(Fault)
	if got := b.inst.Reason().String(); got != "interface eth0 is down" {
		t.Errorf("reason %q", got)
	}
	b.hear("10.90.0.1", 50)
	b.hear("10.90.0.1", 0)
	b.run(time.Minute)
	b.wantState(Fault)
	if b.inst.Count(AdvertsReceived) != 2 {
		t.Errorf("%d adverts counted in FAULT", b.inst.Count(AdvertsReceived))
	}
}

func TestVC110InterfaceUp(t *testing.T) {
	b := trackedBench(t, with(base(V3), prio(200)))
	b.run(4 * second)
	b.give(Tracked{Kind: TrackInterface, Name: "eth0", Status: Down})
	b.run(10 * second)
	b.give(Tracked{Kind: TrackInterface, Name: "eth0", Status: Up})
	b.wantState(Backup)
	if got := b.inst.Reason().String(); got != "interface eth0 recovered" {
		t.Errorf("reason %q", got)
	}
	b.wantMasterAfter(3218750 * time.Microsecond)
	// An owner too goes through BACKUP.
	b = trackedBench(t, with(base(V3), prio(255)))
	b.give(Tracked{Kind: TrackInterface, Name: "eth0", Status: Down})
	b.give(Tracked{Kind: TrackInterface, Name: "eth0", Status: Up})
	b.wantMasterAfter(3*second + second/256)
}

func TestVC112FamiliesAreIndependent(t *testing.T) {
	v4, v6 := base(V3), base6()
	v6.Name = "VI_6"
	if v4.same(&v6) {
		t.Error("one VRID in two families is one virtual router")
	}
	b := masterBench(t, v6)
	_, err := newCodec(t, v6).Check(sent(t, v4, 255), netip.Addr{})
	if err == nil {
		t.Error("an IPv4 advert reaches the IPv6 instance")
	}
	b.wantState(Master)
}

func TestVC116SamePriorityWarns(t *testing.T) {
	b := newBench(t, base(V3))
	out := b.hear("10.90.0.1", 100)
	if len(out) != 1 || out[0].Warning != WarnSamePriority || out[0].Peer != addr("10.90.0.1") {
		t.Errorf("actions %v", out)
	}
}

// TestVC117EveryCodePrints: no transition is unexplained.
func TestVC117EveryCodePrints(t *testing.T) {
	seen := map[string]bool{}
	for c := ReasonNone; c <= ReasonStop; c++ {
		r := Reason{Code: c, Peer: addr("10.0.0.1"), Cause: Cause{Kind: TrackScript, Name: "chk"}}
		if c.String() == "" || seen[c.String()] || r.String() == "" {
			t.Errorf("code %d prints %q, reason %q", c, c, r)
		}
		seen[c.String()] = true
	}
	if got := (ReasonStop + 1).String(); got != "reason_15" {
		t.Errorf("the code after the last prints %q: the test has missed it", got)
	}
}
