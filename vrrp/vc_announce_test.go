package vrrp

import (
	"slices"
	"testing"
	"time"
)

// The tests of section 4.5 as far as they are decisions.

func TestVC120SecondBurst(t *testing.T) {
	b := newBench(t, base(V3))
	b.run(3609375 * time.Microsecond)
	b.run(4 * second)
	b.hear("10.90.0.1", 200) // mastership lost before the second burst
	epoch := b.of(TakeAddresses)[0].Epoch
	if got := b.of(ReleaseAddresses); got[len(got)-1].Epoch != epoch {
		t.Errorf("released epoch %d, taken %d", got[len(got)-1].Epoch, epoch)
	}
	b.forget()
	b.run(3609375 * time.Microsecond) // master again
	promoted := b.elapsed()
	b.run(10 * second)
	got := b.of(Announce)
	if len(got) != 2 || got[0].Cause != CausePromotion || got[1].Cause != CauseAgain {
		t.Fatalf("announcements %+v", got)
	}
	if got[1].at-promoted != 5*second || got[1].Epoch != epoch+1 {
		t.Errorf("second burst after %s of epoch %d", got[1].at-promoted, got[1].Epoch)
	}
}

func TestVC121Refresh(t *testing.T) {
	b := masterBench(t, with(base(V3), func(c *Config) {
		c.Announce = AnnounceTimes{Delay: -1, Refresh: 10 * second}
	}))
	_, since := b.inst.State()
	b.run(35 * second)
	got := b.of(Announce)
	if len(got) != 3 {
		t.Fatalf("%d announcements in 35 s", len(got))
	}
	for n, a := range got {
		if want := since.Sub(b.start) + time.Duration(n+1)*10*second; a.at != want || a.Cause != CauseRefresh {
			t.Errorf("%s after %s, want after %s", a.Cause, a.at, want)
		}
	}
}

// TestExtraInterfaces: garp_extra_if begins after the promotion's announcements.
func TestExtraInterfaces(t *testing.T) {
	b := masterBench(t, with(base(V3), func(c *Config) { c.Announce.Extra = 7 * second }))
	_, since := b.inst.State()
	b.run(20 * second)
	var got []time.Duration
	for _, a := range b.of(Announce) {
		if a.Cause == CauseExtra {
			got = append(got, a.at-since.Sub(b.start))
		}
	}
	if want := []time.Duration{12 * second, 19 * second}; !slices.Equal(got, want) {
		t.Errorf("announced elsewhere %v after the promotion, want %v", got, want)
	}
	b.forget()
	b.give(Reconfigured{with(base(V3), func(c *Config) { c.Announce.Extra = 3 * second })})
	b.run(10 * second)
	if got := len(b.of(Announce)); got != 3 {
		t.Errorf("%d announcements every 3 s in 10 s", got)
	}
	b.forget()
	b.give(Reconfigured{base(V3)})
	b.run(10 * second)
	if got := len(b.of(Announce)); got != 0 {
		t.Errorf("%d announcements without garp_extra_if", got)
	}
}

func TestVC131AdvertThenAddressThenAnnouncement(t *testing.T) {
	b := newBench(t, base(V3))
	b.run(4 * second)
	order := kinds(actions(b.done))
	want := []ActionKind{ReleaseAddresses, Notify, SendAdvert, TakeAddresses, Announce, Notify}
	if !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

// TestVC133HealIsTaught (G8): whichever of two masters hears the other first,
// the winner announces itself after the loser has yielded.
func TestVC133HealIsTaught(t *testing.T) {
	// Loser hears the winner first: its last advert tells the winner.
	loser := masterBench(t, base(V3))
	loser.run(second / 2)
	out := loser.hear("10.90.0.1", 200)
	if out[0].Kind != SendAdvert || out[0].Priority != 100 {
		t.Fatalf("the loser does %v", out)
	}
	winner := masterBench(t, with(base(V3), func(c *Config) { c.Priority, c.Source = 200, addr("10.90.0.1") }))
	winner.run(second / 2)
	winner.forget()
	from := winner.elapsed()
	wantKinds(t, winner.hear("10.90.0.2", 100), SendAdvert, Announce, Notify)
	winner.run(second)
	got := winner.of(Announce)
	if len(got) != 2 || got[1].at-from != second || got[1].Cause != CauseHeal {
		t.Errorf("announcements %+v", got)
	}
	// keepalived's own default.
	silent := masterBench(t, with(base(V3), func(c *Config) { c.HigherPrioNoAdvert = true }))
	wantKinds(t, silent.hear("10.90.0.1", 200), ReleaseAddresses, Notify)
}

// TestHealOutlastsTheGrace: with short intervals the second announcement still
// comes after the loser has stopped serving.
func TestHealOutlastsTheGrace(t *testing.T) {
	winner := masterBench(t, with(base(V3), func(c *Config) {
		c.Priority, c.Source, c.Interval = 200, addr("10.90.0.1"), 10*time.Millisecond
	}))
	winner.run(second / 2)
	winner.forget()
	from := winner.elapsed()
	winner.hear("10.90.0.2", 100)
	winner.run(second)
	got := winner.of(Announce)
	if len(got) != 2 || got[1].Cause != CauseHeal || got[1].at-from <= YieldGrace {
		t.Errorf("announcements %+v, the second must come later than %s", got, YieldGrace)
	}
}

func TestVC143OwnerAccepts(t *testing.T) {
	for priority, want := range map[uint8]bool{255: true, 100: false} {
		b := newBench(t, with(base(V3), func(c *Config) { c.Priority, c.NoAccept = priority, true }))
		b.run(4 * second)
		if got := b.of(TakeAddresses)[0].Accept; got != want {
			t.Errorf("priority %d accepts: %v, want %v", priority, got, want)
		}
	}
}

func TestVC144AcceptIsDefault(t *testing.T) {
	b := newBench(t, base(V3))
	b.run(4 * second)
	if !b.of(TakeAddresses)[0].Accept {
		t.Error("packets to the addresses are refused by default")
	}
}
