package vrrp

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// countedAlarm counts how often it is set.
type countedAlarm struct {
	*timerAlarm
	sets atomic.Int32
}

func (a *countedAlarm) Set(d time.Duration) { a.sets.Add(1); a.timerAlarm.Set(d) }

// startLoop returns a Loop that runs until the test ends, and its alarm.
func startLoop(t *testing.T) (*Loop, *countedAlarm) {
	t.Helper()
	a := &countedAlarm{timerAlarm: newTimerAlarm()}
	l := NewLoop(a)
	go func() { _ = l.Run(t.Context()) }()
	return l, a
}

func on(l *Loop) func(*Options) { return func(o *Options) { o.Loop = l } }

// TestSharedLoop: many instances on one Loop take over when each is due, and end
// on their own.
func TestSharedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := startLoop(t)
		began := time.Now()
		var list []*router
		for n := range 50 {
			cfg := with(base(V3), func(c *Config) { c.VRID, c.Priority = uint8(n+1), uint8(200-n) })
			list = append(list, startRouter(t, &segment{}, cfg, on(l)))
		}
		for n, r := range list {
			r.wait(t, "BACKUP")
			want := DownInterval(V3, uint8(200-n), second, 3)
			if got := r.wait(t, "MASTER").at.Sub(began); got != want {
				t.Errorf("instance %d took over after %s, want %s", n, got, want)
			}
		}
		for _, r := range list[:25] {
			r.end(t)
		}
		sent := list[30].conn.sent.Load()
		time.Sleep(10 * second)
		if got := list[30].conn.sent.Load() - sent; got != 10 {
			t.Errorf("%d adverts in 10 s", got)
		}
		for _, r := range list[25:] {
			r.end(t)
		}
		if len(l.due) != 0 {
			t.Errorf("%d are due after the end", len(l.due))
		}
	})
}

// TestAlarmIsLeftAlone: adverts that only put a takeover off set no alarm.
func TestAlarmIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, alarm := startLoop(t)
		seg := &segment{}
		a := startRouter(t, seg, better(with(base(V3), every(100*time.Millisecond))))
		a.wait(t, "BACKUP")
		a.wait(t, "MASTER")
		b := startRouter(t, seg, with(base(V3), every(100*time.Millisecond)), on(l))
		b.wait(t, "BACKUP")
		time.Sleep(10 * second)
		if n := alarm.sets.Load(); n < 2 || n > 60 {
			t.Errorf("alarm set %d times while 100 adverts came", n)
		}
		a.conn.cut.Store(true)
		b.wait(t, "MASTER")
		b.end(t)
		a.end(t)
	})
}

// stuck carries nothing out until it is let go.
type stuck struct {
	Effects
	free chan struct{}
}

func (s stuck) Do(group, instance string, a Action) {
	<-s.free
	s.Effects.Do(group, instance, a)
}

// TestAdvertsDoNotWaitForEffects: neither its own adverts nor those of others on
// the Loop, and all is carried out in the end.
func TestAdvertsDoNotWaitForEffects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := startLoop(t)
		free := make(chan struct{})
		bad := startRouter(t, &segment{}, base(V3), on(l), func(o *Options) { o.Effects = stuck{o.Effects, free} })
		good := startRouter(t, &segment{}, base(V3), on(l))
		good.wait(t, "BACKUP")
		good.wait(t, "MASTER")
		time.Sleep(10*second + second/2)
		if n := bad.conn.sent.Load(); n != 11 || good.conn.sent.Load() != n {
			t.Errorf("%d adverts of the one that is stuck, %d of the other, want 11", n, good.conn.sent.Load())
		}
		ctx, stop := context.WithTimeout(t.Context(), second)
		defer stop()
		go func() { time.Sleep(second / 2); close(free) }()
		if err := bad.Post(ctx, "VI_1", PrioritySet{90}); err != nil {
			t.Error(err)
		}
		bad.wait(t, "BACKUP")
		bad.wait(t, "MASTER")
		bad.end(t)
		good.end(t)
	})
}

// TestFloodBehindEffects: while nothing is carried out, packets wait where their
// number is bounded, and are dealt with afterwards.
func TestFloodBehindEffects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := startLoop(t)
		free := make(chan struct{})
		r := startRouter(t, &segment{}, base(V3), on(l), func(o *Options) { o.Effects = stuck{o.Effects, free} })
		time.Sleep(5 * second) // master
		lesser := sent(t, with(base(V3), func(c *Config) { c.Source = addr("10.90.0.1") }), 50)
		for range 2 * mostLater {
			if len(r.conn.queue) < cap(r.conn.queue) {
				r.conn.arrive(clonePacket(lesser))
			}
			synctest.Wait()
		}
		l.mu.Lock()
		waiting := len(r.later)
		l.mu.Unlock()
		if waiting < mostLater || waiting > 2*mostLater || len(r.conn.queue) == 0 {
			t.Errorf("%d consequences and %d packets wait", waiting, len(r.conn.queue))
		}
		go func() {
			for range r.actions {
			}
		}()
		close(free)
		synctest.Wait()
		if n := len(r.conn.queue); n != 0 {
			t.Errorf("%d packets are left", n)
		}
		r.end(t)
		close(r.actions)
	})
}
