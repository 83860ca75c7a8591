package vrrp

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestEffectsOrder: effects see the order of a takeover and what a
// release ends.
func TestEffectsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRouter(t, &segment{}, base(V3))
		r.wait(t, "BACKUP")
		r.wait(t, "MASTER")
		r.end(t)
		close(r.actions)
		var got []string
		for a := range r.actions {
			got = append(got, fmt.Sprintf("%s/%d", a.Kind, a.Epoch))
		}
		want := "release_addresses/0 notify/0 take_addresses/1 announce/1 notify/0 release_addresses/1 notify/0"
		if text := strings.Join(got, " "); text != want {
			t.Errorf("actions\n%s, want\n%s", text, want)
		}
	})
}

// TestPendingAdvertsBeatTheTimer (G13): adverts that were not read yet prevent
// a false takeover.
func TestPendingAdvertsBeatTheTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seg := &segment{}
		a := startRouter(t, seg, better(with(base(V3), every(10*time.Millisecond))))
		a.wait(t, "BACKUP")
		a.wait(t, "MASTER")
		b := startRouter(t, seg, with(base(V3), every(10*time.Millisecond)))
		b.wait(t, "BACKUP")
		time.Sleep(5 * time.Millisecond)
		b.conn.unread.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(b.changes) != 0 {
			t.Errorf("changed to %s", (<-b.changes).what)
		}
		b.end(t)
		a.end(t)
	})
}

// TestHaltAndResume: another Runner goes on; the neighbours see nothing.
func TestHaltAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seg := &segment{}
		cfg := better(with(base(V2), ah))
		a := startRouter(t, seg, cfg)
		b := startRouter(t, seg, with(base(V2), ah))
		b.wait(t, "BACKUP")
		a.wait(t, "BACKUP")
		a.wait(t, "MASTER")
		time.Sleep(2500 * time.Millisecond)
		sent := a.conn.sent.Load()
		held, err := a.Halt(t.Context())
		if err != nil || len(held) != 1 {
			t.Fatalf("Halt = %v, %v", held, err)
		}
		if err := <-a.done; err != nil || a.conn.sent.Load() != sent {
			t.Errorf("Run after Halt = %v, %d adverts more", err, a.conn.sent.Load()-sent)
		}
		next := startRouter(t, seg, with(cfg, prio(210)), func(o *Options) { o.Members[0].Resume = &held[0] })
		time.Sleep(10 * time.Second)
		list, err := next.Instances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s, _ := list[0].State(); s != Master || list[0].Priority() != 210 || list[0].Epoch() != 1 {
			t.Errorf("state %s, priority %d, epoch %d", s, list[0].Priority(), list[0].Epoch())
		}
		if len(next.changes)+len(b.changes) != 0 {
			t.Error("somebody changed state")
		}
		peer, _ := b.Instances(t.Context())
		if _, p := peer[0].Master(); p != 210 || peer[0].Dropped(DropReplay) != 0 {
			t.Errorf("the peer follows priority %d, %d replays", p, peer[0].Dropped(DropReplay))
		}
		b.end(t)
		next.end(t)
	})
}

func TestPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRouter(t, &segment{}, with(base(V3), ownInterface), func(o *Options) {
			o.Members[0].Known = []Tracked{{Kind: TrackInterface, Name: "eth0", Status: Up}}
		})
		r.wait(t, "BACKUP") // never in FAULT, since the interface is known
		r.wait(t, "MASTER")
		ctx := t.Context()
		if err := r.Post(ctx, "VI_1", Tracked{Kind: TrackInterface, Name: "eth0", Status: Down}); err != nil {
			t.Error(err)
		}
		r.wait(t, "FAULT")
		if err := r.Post(ctx, "VI_1", Reconfigured{base(V3)}); err != nil {
			t.Error(err)
		}
		r.wait(t, "BACKUP")
		var ce *ConfigError
		if err := r.Post(ctx, "VI_1", Reconfigured{with(base(V3), prio(0))}); !errors.As(err, &ce) {
			t.Errorf("bad configuration: %v", err)
		}
		r.wait(t, "MASTER")
		if err := r.Post(ctx, "VI_1", SourceChanged{}); err != nil {
			t.Error(err)
		}
		if c := r.wait(t, "FAULT"); r.conn.sent.Load() != 4 {
			t.Errorf("%d adverts, the last a goodbye with the lost address (%s)", r.conn.sent.Load(), c.Reason)
		}
		if err := r.Post(ctx, "VI_9", Tick{}); err == nil {
			t.Error("posted to nobody")
		}
		r.end(t)
		if err := r.Post(ctx, "VI_1", Tick{}); !errors.Is(err, ErrEnded) {
			t.Errorf("Post after the end = %v", err)
		}
		if _, err := r.Instances(ctx); !errors.Is(err, ErrEnded) {
			t.Errorf("Instances after the end = %v", err)
		}
	})
}

// TestLog: one line for a change of state, with its reason; refusals and
// failures are bounded.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		r := startRouter(t, &segment{}, base(V3), func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&text, nil)) })
		r.wait(t, "BACKUP")
		bad := sent(t, base(V3), 200)
		bad.Payload[7] ^= 1
		foreign := repair(with2(sent(t, base(V3), 200), func(p *Packet) { p.Payload[1] = 99 }))
		for range 20 {
			r.conn.arrive(clonePacket(bad))
			r.conn.arrive(clonePacket(foreign))
		}
		r.wait(t, "MASTER")
		r.conn.broken.Store(true)
		time.Sleep(10*time.Second + time.Second/2)
		list, err := r.Instances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := list[0]
		if i.Dropped(DropChecksum) != 20 || i.Dropped(DropVRID) != 20 || i.Count(SendErrors) != 10 {
			t.Errorf("counted %d, %d, %d", i.Dropped(DropChecksum), i.Dropped(DropVRID), i.Count(SendErrors))
		}
		r.end(t)
		for line, want := range map[string]int{
			`msg="instance changed state"`:                                 3,
			`state=MASTER priority=100 reason="no master heard for 3.61s"`: 1,
			`msg="advert refused"`:                                         1,
			`counter=checksum_err`:                                         1,
			`vrid_err`:                                                     0,
			`msg="advert not sent"`:                                        1,
			`cause="network is down`:                                       1,
		} {
			if got := strings.Count(text.String(), line); got != want {
				t.Errorf("%q is logged %d times, want %d:\n%s", line, got, want, text.String())
			}
		}
	})
}

func with2(p Packet, f func(*Packet)) Packet { f(&p); return p }
