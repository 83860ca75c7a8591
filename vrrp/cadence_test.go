package vrrp

import (
	"slices"
	"testing"
	"time"
)

// sentAt returns when adverts were sent.
func (b *bench) sentAt() (list []time.Duration) {
	for _, d := range b.of(SendAdvert) {
		list = append(list, d.at)
	}
	return list
}

// onFullSecond returns an instance that becomes master on a full second, the
// fourth.
func onFullSecond(t *testing.T, cfg Config) *bench {
	t.Helper()
	b := newIdleBench(t, cfg)
	b.sleep(4*second - b.inst.down())
	b.give(Start{})
	return b
}

// TestBeats: those that begin early share the moments at which they send, whenever
// they became master, and their interval is what is configured.
func TestBeats(t *testing.T) {
	for n := range 100 {
		began := time.Duration(n) * 1234567 * time.Nanosecond
		b := newIdleBench(t, with(base(V3), func(c *Config) { c.Early = time.Duration(n+1) * time.Millisecond }))
		b.sleep(began)
		b.give(Start{})
		b.run(b.inst.down() + 5*second)
		list := b.sentAt()
		if len(list) < 5 {
			t.Fatalf("%d adverts", len(list))
		}
		early := list[0] + second - time.Duration(n+1)*time.Millisecond - list[1]
		if list[1]%(second/beats) != 0 || early < 0 || early >= second/beats || list[4]-list[1] != 3*second {
			t.Errorf("begun %s: adverts at %s", began, list)
		}
	}
}

// TestEarly has the first interval of a mastership alone be shorter, by half of it
// at most.
func TestEarly(t *testing.T) {
	for _, tt := range []struct{ early, first time.Duration }{
		{0, second},
		{300 * time.Millisecond, 700 * time.Millisecond},
		{900 * time.Millisecond, 500 * time.Millisecond},
		{-second, second},
	} {
		b := onFullSecond(t, with(base(V3), func(c *Config) { c.Early = tt.early }))
		down := 4 * second
		b.run(down + 3*second)
		if got, want := b.sentAt(), []time.Duration{down, down + tt.first, down + tt.first + second, down + tt.first + 2*second}; !slices.Equal(got, want[:len(got)]) || len(got) < 3 {
			t.Errorf("early %s: adverts at %s, want %s", tt.early, got, want)
		}
	}
}

// TestCadenceAfterAStall: a master that did not run goes on in its own step, not in that
// of all others that did not run either.
func TestCadenceAfterAStall(t *testing.T) {
	b := newBench(t, base(V3))
	began := b.inst.down()
	b.run(began)
	b.forget()
	b.sleep(2300 * time.Millisecond) // two adverts are late
	b.run(second)
	if got, want := b.sentAt(), []time.Duration{began + 2300*time.Millisecond, began + 3*second}; !slices.Equal(got, want) {
		t.Errorf("adverts at %s, want %s", got, want)
	}
}

// TestEarlyAfterALongStall: who had to listen first begins anew.
func TestEarlyAfterALongStall(t *testing.T) {
	b := onFullSecond(t, with(base(V3), func(c *Config) { c.Early = 300 * time.Millisecond }))
	b.run(b.inst.down())
	b.forget()
	b.sleep(10 * second)
	b.run(2500 * time.Millisecond)
	got := b.sentAt()
	if len(got) != 2 || got[1]-got[0] != 700*time.Millisecond {
		t.Errorf("adverts at %s, want two, 700 ms apart", got)
	}
}
