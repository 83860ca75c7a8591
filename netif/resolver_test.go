package netif

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// inFake runs a test with a Resolver over a fake, in virtual time.
func inFake(t *testing.T, prepare func(*fake), run func(*stage, *fake)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		if prepare != nil {
			prepare(f)
		}
		s := newStage(t, f)
		defer s.stop()
		run(s, f)
	})
}

func TestScenarios(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			inFake(t, nil, func(s *stage, _ *fake) { sc.run(s) })
		})
	}
}

// TestOldKernel has no managed neighbours: the Resolver must probe by itself.
func TestOldKernel(t *testing.T) {
	old := func(f *fake) { f.oldKernel = true }
	inFake(t, old, func(s *stage, f *fake) {
		s.watchResolved(0)
		s.world.setAnswering(0, false)
		s.expect(f.server(0), "unresolved", unresolved)
		before := f.counts().probe
		f.change(func() { f.deafServer[0] = false }) // nobody tells the Resolver
		start := time.Now()
		s.expect(f.server(0), "resolved by a probe", resolvedTo(f.serverMAC(0)))
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v, want one probe interval at most", took)
		}
		if n := f.counts().probe - before; n != 1 {
			t.Errorf("%d probes, want 1", n)
		}
		manages := f.counts().manage
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := f.counts().manage - manages; n != 0 {
			t.Errorf("asked %d more times for what the kernel does not have", n)
		}
		s.resolver.Unwatch(f.server(0))
		synctest.Wait()
		before = f.counts().probe
		time.Sleep(time.Minute)
		synctest.Wait()
		if f.counts().probe != before {
			t.Error("a neighbour that nobody uses is still probed")
		}
	})
}

// TestForeignNeighbours reads entries that others keep, and leaves them alone.
func TestForeignNeighbours(t *testing.T) {
	tests := map[string]Neighbour{
		"permanent":              {Exists: true, Valid: true, MAC: [6]byte{1, 2, 3}, Fixed: true},
		"managed by somebody":    {Exists: true, Valid: true, MAC: [6]byte{1, 2, 3}, Managed: true, Protocol: 42},
		"permanent, old kernel":  {Exists: true, Valid: true, MAC: [6]byte{1, 2, 3}, Fixed: true},
		"managed by nobody else": {Exists: true, Valid: true, MAC: [6]byte{1, 2, 3}, Managed: true},
	}
	for name, entry := range tests {
		t.Run(name, func(t *testing.T) {
			var key NeighKey
			prepare := func(f *fake) {
				f.oldKernel = name == "permanent, old kernel"
				key = NeighKey{2, f.server(0)}
				f.neighbours[key] = entry
			}
			inFake(t, prepare, func(s *stage, f *fake) {
				s.resolver.Watch(f.server(0))
				s.expect(f.server(0), "the given address", resolvedTo(entry.MAC))
				time.Sleep(time.Minute)
				s.resolver.Unwatch(f.server(0))
				synctest.Wait()
				s.stop()
				if err := s.resolver.Release(); err != nil {
					t.Error(err)
				}
				now, err := f.Neighbour(key)
				if c := f.counts(); c.manage+c.probe+c.release != 0 || now != entry || err != nil {
					t.Errorf("touched: %+v, now %+v", c, now)
				}
			})
		})
	}
}

// TestEarlierRun has managed neighbours from a killed process.
func TestEarlierRun(t *testing.T) {
	ours := Neighbour{Exists: true, Valid: true, Managed: true, Protocol: Protocol}
	var used, unused NeighKey
	prepare := func(f *fake) {
		used, unused = NeighKey{2, f.server(0)}, NeighKey{2, f.server(1)}
		ours.MAC = f.macs[0]
		f.neighbours[used], f.neighbours[unused] = ours, ours
	}
	inFake(t, prepare, func(s *stage, f *fake) {
		time.Sleep(time.Minute)
		synctest.Wait()
		if !f.isManaged(unused) {
			t.Error("released before the configuration came")
		}
		s.watchResolved(0)
		synctest.Wait()
		if f.isManaged(unused) {
			t.Error("a neighbour of the earlier run that nobody uses stays managed")
		}
		if n := f.counts().release; n != 1 || !f.isManaged(used) {
			t.Errorf("released %d, want only %v", n, unused)
		}
	})
}

// TestKernelTrouble keeps a good next hop over an error, and tries again.
func TestKernelTrouble(t *testing.T) {
	inFake(t, nil, func(s *stage, f *fake) {
		s.watchResolved(0)
		f.change(func() { f.failRoute = errors.New("timed out") }, Event{})
		s.resolver.Watch(f.server(1))
		h := s.expect(f.server(1), "unresolved", unresolved)
		if h.Reason != "timed out" {
			t.Errorf("reason = %q, want the error", h.Reason)
		}
		time.Sleep(time.Second / 2)
		synctest.Wait()
		if h, _ := s.resolver.NextHop(f.server(0)); !h.Resolved {
			t.Errorf("next hop = %+v, want the last good one", h)
		}
		f.change(func() { f.failRoute = nil })
		start := time.Now()
		s.expect(f.server(1), "resolved", resolvedTo(f.serverMAC(1)))
		if took := time.Since(start); took > retryInterval {
			t.Errorf("tried again after %v, want %v at most", took, retryInterval)
		}
	})
}

func TestLinkVanishesBetweenReads(t *testing.T) {
	inFake(t, nil, func(s *stage, f *fake) {
		s.watchResolved(0)
		f.change(func() { f.failLink = ErrNoLink }, Event{})
		s.expect(f.server(0), "unresolved", unresolved)
	})
}

// TestWithoutPrivilege cannot manage neighbours but reads those that are there.
func TestWithoutPrivilege(t *testing.T) {
	denied := errors.New("operation not permitted")
	prepare := func(f *fake) {
		f.failManage = denied
		f.ask(NeighKey{2, f.server(0)})
	}
	inFake(t, prepare, func(s *stage, f *fake) {
		s.watchResolved(0)
		s.resolver.Watch(f.server(1))
		if h := s.expect(f.server(1), "unresolved", unresolved); h.Reason != denied.Error() {
			t.Errorf("reason = %q, want %q", h.Reason, denied)
		}
	})
}

// TestBurst counts what a thousand route changes cost.
func TestBurst(t *testing.T) {
	inFake(t, nil, func(s *stage, f *fake) {
		s.watchResolved(0)
		time.Sleep(time.Second)
		synctest.Wait()
		before := f.counts().route
		for range 1000 {
			f.change(func() {}, Event{})
			synctest.Wait()
		}
		f.changeServerMAC(0) // is not held back by the route changes
		start := time.Now()
		s.expect(f.server(0), "the new address", resolvedTo(f.serverMAC(0)))
		if took := time.Since(start); took != 0 {
			t.Errorf("noticed after %v, want at once", took)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := f.counts().route - before; n != 3 {
			t.Errorf("looked up %d routes, want 3: the first change, the neighbour, all the rest", n)
		}
	})
}

func TestResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		changes := make(chan NextHop, 10)
		r := NewResolver(ResolverConfig{Kernel: f, OnChange: func(_ netip.Addr, h NextHop) { changes <- h }})
		r.Watch(f.server(0))
		done := make(chan error)
		go func() { done <- r.Run(t.Context()) }()
		t.Cleanup(func() {
			if err := <-done; err != nil {
				t.Errorf("Run = %v", err)
			}
		})
		<-changes
		synctest.Wait()                        // the Resolver has read what it was told so far
		f.change(func() { f.eth0.MTU = 9000 }) // silently
		start := time.Now()
		select {
		case h := <-changes:
			if took := time.Since(start); h.MTU != 9000 || took > 30*time.Second {
				t.Errorf("next hop = %+v after %v, want the new MTU after 30 s at most", h, took)
			}
		case <-time.After(time.Hour):
			t.Error("the change was never noticed")
		}
	})
}

func TestSubscribeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.failSubs = 1
		if err := NewResolver(ResolverConfig{Kernel: f}).Run(t.Context()); !errors.Is(err, errFake) {
			t.Errorf("Run = %v, want the error of Subscribe", err)
		}
	})
	inFake(t, nil, func(s *stage, f *fake) {
		s.watchResolved(0)
		f.change(func() { f.failSubs = 3 })
		s.lossy.breakAll()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := f.counts().subscribe; n != 3 {
			t.Errorf("subscribed %d times in 2 s, want at the start, at once and after 1 s", n)
		}
		f.changeServerMAC(0)
		s.expect(f.server(0), "the new address", resolvedTo(f.serverMAC(0)))
		s.lossy.breakAll()
	})
}

// TestMapped takes an IPv4-mapped address for what it is.
func TestMapped(t *testing.T) {
	inFake(t, nil, func(s *stage, f *fake) {
		mapped := netip.AddrFrom16(f.server(0).As16())
		s.resolver.Watch(mapped)
		s.expect(f.server(0), "resolved", resolvedTo(f.serverMAC(0)))
		if h, ok := s.resolver.NextHop(mapped); !ok || h.Model().MAC != f.serverMAC(0) {
			t.Errorf("NextHop = %+v, %t", h, ok)
		}
		if n := len(s.resolver.NextHops()); n != 1 {
			t.Errorf("%d next hops, want 1", n)
		}
		s.resolver.Unwatch(mapped)
		if n := len(s.resolver.NextHops()); n != 0 {
			t.Errorf("%d next hops, want none", n)
		}
	})
}
