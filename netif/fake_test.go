package netif

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// fake is a world without a kernel.
type fake struct {
	mu         sync.Mutex // guards everything
	eth0       Link
	gone       bool
	macs       [2][6]byte
	deafServer [2]bool
	gateway    int // the server that farAddr goes through, or -1
	neighbours map[NeighKey]Neighbour
	subs       []*fakeSub

	oldKernel  bool  // knows no managed neighbours
	failRoute  error // answer to every Route
	failLink   error
	failManage error
	failSubs   int // so many calls of Subscribe fail
	calls      calls
}

// calls counts how often methods were called.
type calls struct{ route, manage, probe, release, subscribe int }

func (f *fake) counts() calls {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func newFake() *fake {
	return &fake{
		eth0:       Link{Index: 2, Name: "eth0", MAC: [6]byte{2, 0, 10, 77, 1, 1}, MTU: 1500, Ethernet: true, Up: true, Carrier: true},
		macs:       [2][6]byte{{2, 0, 10, 77, 1, 11}, {2, 0, 10, 77, 1, 12}},
		gateway:    -1,
		neighbours: make(map[NeighKey]Neighbour),
	}
}

func (f *fake) server(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 1, byte(11 + i)}) }

func (f *fake) linkIndex() int { return 2 }

func (f *fake) serverMAC(i int) [6]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.macs[i]
}

func (f *fake) directorMAC() [6]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.eth0.MAC
}

// change runs f under the lock and tells subscribers of the events.
func (f *fake) change(do func(), events ...Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	f.tell(events...)
}

func (f *fake) tell(events ...Event) {
	for _, s := range f.subs {
		select {
		case s.events <- events:
		case <-s.closed:
		}
	}
}

func (f *fake) changeServerMAC(i int) {
	key := NeighKey{2, f.server(i)}
	f.change(func() {
		f.macs[i][5]++
		if n := f.neighbours[key]; n.Exists {
			n.MAC = f.macs[i]
			f.neighbours[key] = n
		}
	}, Event{Neighbour: key})
}

func (f *fake) setAnswering(i int, on bool) {
	key := NeighKey{2, f.server(i)}
	f.change(func() {
		f.deafServer[i] = !on
		if n := f.neighbours[key]; n.Exists && (n.Managed || !on) {
			f.ask(key)
		}
	}, Event{Neighbour: key})
}

// ask is one round of ARP.
func (f *fake) ask(key NeighKey) {
	n := f.neighbours[key]
	n.Exists, n.Valid, n.MAC = true, false, [6]byte{}
	for i := range f.macs {
		if key.Addr == f.server(i) && !f.deafServer[i] && !f.gone && f.eth0.Up {
			n.Valid, n.MAC = true, f.macs[i]
		}
	}
	f.neighbours[key] = n
}

func (f *fake) changeDirectorMAC() { f.change(func() { f.eth0.MAC[5] += 100 }, Event{}) }

func (f *fake) setMTU(mtu int) { f.change(func() { f.eth0.MTU = mtu }, Event{}) }

func (f *fake) setUp(up bool) {
	f.change(func() { f.eth0.Up = up; clear(f.neighbours) }, Event{})
}

func (f *fake) deleteLink() {
	f.change(func() { f.gone = true; clear(f.neighbours) }, Event{})
}

func (f *fake) routeThrough(i int) { f.change(func() { f.gateway = i }, Event{}) }

func (f *fake) dropRoute() { f.routeThrough(-1) }

func (f *fake) isManaged(key NeighKey) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.neighbours[key].Managed
}

func (f *fake) Route(dst netip.Addr) (Route, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls.route++
	switch {
	case f.failRoute != nil:
		return Route{}, f.failRoute
	case f.gone || !f.eth0.Up:
		return Route{Kind: RouteNone}, nil
	case dst == farAddr && f.gateway >= 0:
		return Route{Kind: RouteUnicast, IfIndex: 2, Gateway: f.server(f.gateway)}, nil
	case netip.MustParsePrefix("10.77.1.0/24").Contains(dst):
		return Route{Kind: RouteUnicast, IfIndex: 2}, nil
	}
	return Route{Kind: RouteNone}, nil
}

func (f *fake) Link(index int) (Link, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failLink != nil {
		return Link{}, f.failLink
	}
	if f.gone || index != 2 {
		return Link{}, fmt.Errorf("find interface %d: %w", index, ErrNoLink)
	}
	return f.eth0, nil
}

func (f *fake) Neighbour(key NeighKey) (Neighbour, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.neighbours[key], nil
}

func (f *fake) Manage(key NeighKey) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls.manage++
	if f.failManage != nil {
		return f.failManage
	}
	f.ask(key)
	if f.oldKernel {
		return ErrNotManaged
	}
	n := f.neighbours[key]
	n.Managed, n.Protocol = true, Protocol
	f.neighbours[key] = n
	f.tell(Event{Neighbour: key})
	return nil
}

func (f *fake) Probe(key NeighKey) error {
	f.change(func() { f.calls.probe++; f.ask(key) }, Event{Neighbour: key})
	return nil
}

func (f *fake) Release(key NeighKey) error {
	f.change(func() {
		f.calls.release++
		if n := f.neighbours[key]; n.Exists {
			n.Managed = false
			f.neighbours[key] = n
		}
	}, Event{Neighbour: key})
	return nil
}

func (f *fake) Managed() ([]NeighKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var keys []NeighKey
	for key, n := range f.neighbours {
		if n.Ours() {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

var errFake = errors.New("no buffer space available")

func (f *fake) Subscribe() (Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls.subscribe++
	if f.failSubs > 0 {
		f.failSubs--
		return nil, errFake
	}
	s := &fakeSub{fake: f, events: make(chan []Event, 10000), closed: make(chan struct{})}
	s.close = sync.OnceFunc(func() { close(s.closed) })
	f.subs = append(f.subs, s)
	return s, nil
}

type fakeSub struct {
	fake   *fake
	events chan []Event
	closed chan struct{}
	close  func()
}

func (s *fakeSub) Next() ([]Event, error) {
	select {
	case e := <-s.events:
		return e, nil
	case <-s.closed:
		return nil, errFake
	}
}

func (s *fakeSub) Close() error {
	s.close()
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	s.fake.subs = slices.DeleteFunc(s.fake.subs, func(o *fakeSub) bool { return o == s })
	return nil
}
