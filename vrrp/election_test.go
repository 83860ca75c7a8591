package vrrp

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// pairs are the ways two routers may be configured to talk.
func pairs() map[string]Config {
	return map[string]Config{
		"v2":         base(V2),
		"v2 PASS":    with(base(V2), pass),
		"v2 AH":      with(base(V2), ah),
		"v3 IPv4":    base(V3),
		"v3 IPv6":    base6(),
		"v3 as v2":   with(base(V3), func(c *Config) { c.ChecksumAsV2 = true }),
		"v3 unicast": with(base(V3), func(c *Config) { c.Peers = []Peer{{Addr: addr("10.90.0.1")}, {Addr: addr("10.90.0.3")}} }),
		"v2 unicast AH": with(with(base(V2), ah), func(c *Config) {
			c.Peers, c.CheckUnicastSource = []Peer{{Addr: addr("10.90.0.1")}, {Addr: addr("10.90.0.3")}}, true
		}),
	}
}

// better returns the configuration of the other router, of priority 200.
func better(cfg Config) Config {
	cfg.Name, cfg.Priority = "VI_A", 200
	cfg.Source = addr("10.90.0.1")
	if cfg.IPv6 {
		cfg.Source = addr("fe80::1")
	}
	if len(cfg.Peers) > 0 {
		cfg.Peers = []Peer{{Addr: addr("10.90.0.2")}}
	}
	return cfg
}

// TestTakeover: election, silent loss and failback of two routers, by bytes,
// at exact times.
func TestTakeover(t *testing.T) {
	for name, cfg := range pairs() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seg := &segment{}
				start := time.Now()
				a := startRouter(t, seg, better(cfg))
				b := startRouter(t, seg, cfg)
				a.wait(t, "BACKUP")
				b.wait(t, "BACKUP")
				if got := a.wait(t, "MASTER").at.Sub(start); got != 3218750*time.Microsecond {
					t.Errorf("first master after %s", got)
				}
				time.Sleep(10*time.Second + time.Second/2)
				synctest.Wait()
				if len(b.changes) != 0 {
					t.Fatalf("the backup changed to %v", <-b.changes)
				}
				lost := start.Add(13218750 * time.Microsecond) // its last advert
				a.conn.cut.Store(true)
				if got := b.wait(t, "MASTER").at.Sub(lost); got != 3609375*time.Microsecond {
					t.Errorf("took over %s after the last advert", got)
				}
				time.Sleep(300 * time.Millisecond)
				a.conn.cut.Store(false)
				c := b.wait(t, "BACKUP")
				if c.Reason.Code != ReasonHigherPriority || time.Since(lost) > 5*time.Second {
					t.Errorf("yielded after %s: %s", time.Since(lost), c.Reason)
				}
				b.end(t)
				a.end(t)
			})
		})
	}
}

// TestVC098GracefulStop: the peer takes over after the skew.
func TestVC098GracefulStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seg := &segment{}
		a := startRouter(t, seg, better(base(V3)))
		b := startRouter(t, seg, base(V3))
		a.wait(t, "BACKUP")
		b.wait(t, "BACKUP")
		a.wait(t, "MASTER")
		time.Sleep(1300 * time.Millisecond)
		stopped := time.Now()
		a.end(t)
		a.wait(t, "STOP")
		c := b.wait(t, "MASTER")
		if got := c.at.Sub(stopped); got != 609375*time.Microsecond {
			t.Errorf("took over %s after the goodbye", got)
		}
		if got := c.Reason.String(); got != "10.90.0.1 gave up mastership" {
			t.Errorf("reason %q", got)
		}
		b.end(t)
	})
}

// TestVC082HighestBackupWins: three routers, and neighbouring priorities.
func TestVC082HighestBackupWins(t *testing.T) {
	for _, p := range [][2]uint8{{150, 100}, {254, 253}} {
		synctest.Test(t, func(t *testing.T) {
			seg := &segment{}
			master := startRouter(t, seg, with(better(base(V3)), prio(255)))
			second := startRouter(t, seg, with(base(V3), prio(p[0])))
			third := startRouter(t, seg, with(base(V3), func(c *Config) { c.Priority, c.Source = p[1], addr("10.90.0.3") }))
			master.wait(t, "MASTER")
			second.wait(t, "BACKUP")
			third.wait(t, "BACKUP")
			time.Sleep(5*time.Second + time.Second/2) // between two adverts
			master.conn.cut.Store(true)
			second.wait(t, "MASTER")
			time.Sleep(time.Minute)
			if third.conn.sent.Load() != 0 {
				t.Errorf("priority %d sent %d adverts", p[1], third.conn.sent.Load())
			}
			for _, r := range []*router{third, second, master} {
				r.end(t)
			}
		})
	}
}

// TestVC115SimultaneousStart: equal priorities end with one master, the higher
// address, within one advert.
func TestVC115SimultaneousStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seg := &segment{}
		low := startRouter(t, seg, with(base(V3), func(c *Config) { c.Source = addr("10.90.0.1") }))
		high := startRouter(t, seg, base(V3))
		time.Sleep(3609375 * time.Microsecond)
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		state := func(r *router) State {
			list, err := r.Instances(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s, _ := list[0].State()
			return s
		}
		if l, h := state(low), state(high); (l == Master) == (h == Master) {
			t.Errorf("states %s and %s", l, h)
		}
		high.end(t)
		low.end(t)
	})
}

// TestVC111RunnerGroup: two instances of a group on two links fail over
// together, by bytes.
func TestVC111RunnerGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var links [2]segment
		routers := make([]*router, 2)
		for n := range routers {
			first := with(base(V3), func(c *Config) {
				c.Priority, c.Source = uint8(200-100*n), netip.AddrFrom4([4]byte{10, 90, 0, byte(n + 1)})
				ownInterface(c)
			})
			second := with(first, func(c *Config) { c.Name, c.VRID = "VI_2", 52 })
			known := []Tracked{{Kind: TrackInterface, Name: "eth0", Status: Up}}
			routers[n] = startRouter(t, &links[0], first, func(o *Options) {
				o.Group = "VG"
				o.Members[0].Known = known
				o.Members = append(o.Members, Member{Config: second, Conn: links[1].join(second.Source), Known: known})
			})
		}
		a, b := routers[0], routers[1]
		for range 2 {
			a.wait(t, "BACKUP")
			b.wait(t, "BACKUP")
		}
		a.wait(t, "MASTER")
		a.wait(t, "MASTER")
		time.Sleep(10 * time.Second)
		failed := time.Now()
		if err := a.Post(t.Context(), "VI_2", Tracked{Kind: TrackInterface, Name: "eth0", Status: Down}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if c := a.wait(t, "FAULT"); c.at != failed {
				t.Errorf("in fault after %s", c.at.Sub(failed))
			}
			if c := b.wait(t, "MASTER"); c.at.Sub(failed) != 609375*time.Microsecond {
				t.Errorf("took over after %s", c.at.Sub(failed))
			}
		}
		b.end(t)
		a.end(t)
	})
}

// TestVC113ManyInstances: 255 virtual routers on one link elect, each once.
func TestVC113ManyInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 255
		var list []*router
		for vrid := 1; vrid <= n; vrid++ {
			seg := &segment{} // the socket that is shared gives each its own
			cfg := with(base(V3), func(c *Config) { c.VRID = uint8(vrid) })
			list = append(list, startRouter(t, seg, better(cfg)), startRouter(t, seg, cfg))
		}
		time.Sleep(10 * time.Second)
		for m, r := range list {
			want := []string{"BACKUP", "MASTER"}[:2-m%2]
			for _, w := range want {
				r.wait(t, w)
			}
			if len(r.changes) != 0 {
				t.Fatalf("router %d changed once more", m)
			}
		}
		for m := range list {
			list[len(list)-1-m].end(t)
		}
	})
}
