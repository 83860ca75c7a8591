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

// TestEarly has the first interval of a mastership alone be shorter, by half of it
// at most.
func TestEarly(t *testing.T) {
	for _, tt := range []struct{ early, first time.Duration }{
		{0, second},
		{300 * time.Millisecond, 700 * time.Millisecond},
		{900 * time.Millisecond, 500 * time.Millisecond},
		{-second, second},
	} {
		b := newBench(t, with(base(V3), func(c *Config) { c.Early = tt.early }))
		down := b.inst.down()
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
	b := newBench(t, with(base(V3), func(c *Config) { c.Early = 300 * time.Millisecond }))
	b.run(b.inst.down())
	b.forget()
	b.sleep(10 * second)
	b.run(2500 * time.Millisecond)
	got := b.sentAt()
	if len(got) != 2 || got[1]-got[0] != 700*time.Millisecond {
		t.Errorf("adverts at %s, want two, 700 ms apart", got)
	}
}
