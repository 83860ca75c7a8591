package netif

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// world is a director with eth0 in 10.77.1.0/24 and two servers there, either
// pretended (fake_test.go) or of real namespaces (world_netns_test.go). The
// scenarios run in both.
type world interface {
	Surface
	server(i int) netip.Addr
	serverMAC(i int) [6]byte
	directorMAC() [6]byte
	// changeServerMAC gives the server another address and lets it announce
	// that.
	changeServerMAC(i int)
	// setAnswering makes the server deaf to ARP, or not.
	setAnswering(i int, on bool)
	changeDirectorMAC()
	setMTU(mtu int)
	setUp(up bool)
	deleteLink()
	// routeThrough sends farAddr through the server.
	routeThrough(i int)
	dropRoute()
	isManaged(NeighKey) bool
	linkIndex() int
}

// farAddr is reached only by the route of routeThrough.
var farAddr = netip.MustParseAddr("10.99.0.5")

// scenarios are what the Resolver must notice. Each starts with a running
// Resolver that watches nothing.
var scenarios = []struct {
	name string
	run  func(s *stage)
}{
	{"resolves without traffic", func(s *stage) {
		s.resolver.Watch(s.world.server(0), s.world.server(1))
		for i := range 2 {
			h := s.expect(s.world.server(i), "resolved", resolvedTo(s.world.serverMAC(i)))
			if h.SrcMAC != s.world.directorMAC() || h.IfName != "eth0" || h.IfIndex != s.world.linkIndex() || h.Gateway.IsValid() || h.MTU != 1500 {
				s.Errorf("next hop = %+v, want from eth0's own address, on the link", h)
			}
			if known, ok := s.resolver.NextHop(s.world.server(i)); !ok || known != h {
				s.Errorf("NextHop = %+v, want what was reported, %+v", known, h)
			}
			if key := (NeighKey{s.world.linkIndex(), s.world.server(i)}); !s.world.isManaged(key) {
				s.Errorf("neighbour of server %d is not managed", i)
			}
		}
	}},
	{"server gets another address", func(s *stage) {
		s.watchResolved(0)
		s.world.changeServerMAC(0)
		s.expect(s.world.server(0), "the new address", resolvedTo(s.world.serverMAC(0)))
	}},
	{"server fails and comes back", func(s *stage) {
		s.watchResolved(0)
		s.world.setAnswering(0, false)
		h := s.expect(s.world.server(0), "unresolved", unresolved)
		if want := "no answer to ARP from 10.77.1.11 on eth0"; h.Reason != want {
			s.Errorf("reason = %q, want %q", h.Reason, want)
		}
		s.world.setAnswering(0, true)
		s.expect(s.world.server(0), "resolved", resolvedTo(s.world.serverMAC(0)))
	}},
	{"director gets another address", func(s *stage) {
		s.watchResolved(0)
		s.world.changeDirectorMAC()
		s.expect(s.world.server(0), "frames from the new address", func(h NextHop) bool {
			return h.Resolved && h.SrcMAC == s.world.directorMAC()
		})
	}},
	{"MTU changes", func(s *stage) {
		s.watchResolved(0)
		s.world.setMTU(1400)
		s.expect(s.world.server(0), "the new MTU", func(h NextHop) bool { return h.Resolved && h.MTU == 1400 })
	}},
	{"route through a gateway", func(s *stage) {
		s.resolver.Watch(farAddr)
		h := s.expect(farAddr, "unresolved", unresolved)
		if want := "no route to 10.99.0.5"; h.Reason != want {
			s.Errorf("reason = %q, want %q", h.Reason, want)
		}
		s.world.routeThrough(0)
		s.expect(farAddr, "the first gateway", through(s.world.server(0), s.world.serverMAC(0)))
		s.world.routeThrough(1)
		s.expect(farAddr, "the second gateway", through(s.world.server(1), s.world.serverMAC(1)))
		if s.world.isManaged(NeighKey{s.world.linkIndex(), s.world.server(0)}) {
			s.Error("the first gateway is still managed")
		}
		s.world.dropRoute()
		s.expect(farAddr, "unresolved", unresolved)
	}},
	{"interface goes down and up", func(s *stage) {
		s.watchResolved(0)
		s.world.setUp(false)
		s.expect(s.world.server(0), "unresolved", unresolved)
		s.world.setUp(true)
		s.expect(s.world.server(0), "resolved", resolvedTo(s.world.serverMAC(0)))
	}},
	{"interface disappears", func(s *stage) {
		s.watchResolved(0)
		s.world.deleteLink()
		h := s.expect(s.world.server(0), "unresolved", unresolved)
		if h.SrcMAC != [6]byte{} || h.DstMAC != [6]byte{} {
			s.Errorf("next hop = %+v, want no addresses left in it", h)
		}
	}},
	{"events are lost", func(s *stage) {
		s.watchResolved(0)
		s.lossy.deafen()
		s.world.changeServerMAC(0)
		s.lossy.breakAll()
		s.expect(s.world.server(0), "what was missed", resolvedTo(s.world.serverMAC(0)))
		s.world.changeServerMAC(0)
		s.expect(s.world.server(0), "the new subscription to work", resolvedTo(s.world.serverMAC(0)))
	}},
	{"unwatched neighbours are released", func(s *stage) {
		s.watchResolved(0)
		s.watchResolved(1)
		s.world.routeThrough(1)
		s.resolver.Watch(farAddr)
		s.expect(farAddr, "resolved", through(s.world.server(1), s.world.serverMAC(1)))
		s.resolver.Unwatch(s.world.server(0), s.world.server(1))
		if _, ok := s.resolver.NextHop(s.world.server(0)); ok {
			s.Error("NextHop still knows an address that is not watched")
		}
		s.resolver.Watch(s.world.server(0)) // passes through the Run goroutine after Unwatch
		s.expect(s.world.server(0), "resolved again", resolvedTo(s.world.serverMAC(0)))
		s.resolver.Unwatch(s.world.server(0))
		s.settle()
		for i, want := range []bool{false, true} { // server 1 is farAddr's gateway
			if got := s.world.isManaged(NeighKey{s.world.linkIndex(), s.world.server(i)}); got != want {
				s.Errorf("neighbour of server %d managed: %t, want %t", i, got, want)
			}
		}
	}},
	{"release ends the kernel's care", func(s *stage) {
		s.watchResolved(0)
		s.stop()
		key := NeighKey{s.world.linkIndex(), s.world.server(0)}
		if !s.world.isManaged(key) {
			s.Error("neighbour is not managed after Run: forwarding would not survive the daemon")
		}
		if err := s.resolver.Release(); err != nil {
			s.Errorf("Release = %v", err)
		}
		if s.world.isManaged(key) {
			s.Error("neighbour is still managed after Release")
		}
		if n, err := s.world.Neighbour(key); err != nil || !n.Valid {
			s.Errorf("neighbour = %+v, %v after Release, want its address kept", n, err)
		}
	}},
}

func resolvedTo(mac [6]byte) func(NextHop) bool {
	return func(h NextHop) bool { return h.Resolved && h.DstMAC == mac && h.Reason == "" }
}

func through(gateway netip.Addr, mac [6]byte) func(NextHop) bool {
	return func(h NextHop) bool { return h.Resolved && h.DstMAC == mac && h.Gateway == gateway }
}

func unresolved(h NextHop) bool { return !h.Resolved && h.Reason != "" }

// stage is one running Resolver in a world.
type stage struct {
	testing.TB
	world    world
	lossy    *lossy
	resolver *Resolver
	changes  chan change
	unread   map[netip.Addr][]NextHop
	stop     func()
}

type change struct {
	addr netip.Addr
	hop  NextHop
}

// newStage starts a Resolver; the test must call stop.
func newStage(t testing.TB, w world) *stage {
	s := &stage{TB: t, world: w, lossy: &lossy{Surface: w}, changes: make(chan change, 1000), unread: make(map[netip.Addr][]NextHop)}
	s.resolver = NewResolver(ResolverConfig{
		Kernel:         s.lossy,
		OnChange:       func(a netip.Addr, h NextHop) { s.changes <- change{a, h} },
		ResyncInterval: time.Hour, // what is noticed must be noticed by events
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.resolver.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return s
}

// patience is how long expect waits. Real ARP needs a while to give up.
const patience = 20 * time.Second

// expect waits until a report about the address holds, and returns it. Reports
// about other addresses wait for their own expect.
func (s *stage) expect(addr netip.Addr, what string, holds func(NextHop) bool) NextHop {
	s.Helper()
	timeout := time.After(patience)
	var last NextHop
	for {
		for len(s.unread[addr]) > 0 {
			last, s.unread[addr] = s.unread[addr][0], s.unread[addr][1:]
			if holds(last) {
				return last
			}
		}
		select {
		case c := <-s.changes:
			s.unread[c.addr] = append(s.unread[c.addr], c.hop)
		case <-timeout:
			s.Fatalf("%s: waited for %s, last report %+v", addr, what, last)
		}
	}
}

// watchResolved watches a server and waits until it is resolved.
func (s *stage) watchResolved(i int) {
	s.Helper()
	s.resolver.Watch(s.world.server(i))
	s.expect(s.world.server(i), "resolved", resolvedTo(s.world.serverMAC(i)))
}

// settle waits until the Run goroutine has seen everything asked of it so far.
func (s *stage) settle() {
	s.Helper()
	marker := netip.MustParseAddr("10.255.255.1")
	s.resolver.Watch(marker)
	s.expect(marker, "anything", func(NextHop) bool { return true })
	s.resolver.Unwatch(marker)
}

// lossy is a Surface whose subscriptions can lose events and break.
type lossy struct {
	Surface

	mu   sync.Mutex // guards the list
	subs []*lossySubscription
}

// deafen makes the open subscriptions lose all further events.
func (l *lossy) deafen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.subs {
		s.deaf.Store(true)
	}
}

// breakAll ends the open subscriptions as an overrun does.
func (l *lossy) breakAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.subs {
		s.Close()
	}
	l.subs = nil
}

func (l *lossy) Subscribe() (Subscription, error) {
	inner, err := l.Surface.Subscribe()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &lossySubscription{Subscription: inner}
	l.subs = append(l.subs, s)
	return s, nil
}

type lossySubscription struct {
	Subscription
	deaf atomic.Bool
}

func (s *lossySubscription) Next() ([]Event, error) {
	for {
		events, err := s.Subscription.Next()
		if err != nil || !s.deaf.Load() {
			return events, err
		}
	}
}
