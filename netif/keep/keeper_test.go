package keep

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// fake is a kernel in memory.
type fake struct {
	mu    sync.Mutex // guards everything
	eth0  link
	objs  map[id]object
	subs  []*fakeSub
	lost  bool
	calls struct{ dumps, links, applied int }
	// slow is how long one message takes.
	slow time.Duration
	// onApply is called with each batch, before it is carried out.
	onApply func([]message)
}

const (
	keeperPort = 4711
	otherPort  = 4712
)

func newFake() *fake {
	return &fake{eth0: link{index: 2, name: "eth0", up: true}, objs: make(map[id]object)}
}

type fakeSub struct {
	changes chan []change
	failed  chan error
	closed  chan struct{}
	once    sync.Once
}

func (f *fake) subscribe() (subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &fakeSub{changes: make(chan []change, 10000), failed: make(chan error, 1), closed: make(chan struct{})}
	f.subs = append(f.subs, s)
	f.lost = false
	return s, nil
}

func (s *fakeSub) close() { s.once.Do(func() { close(s.closed) }) }

func (s *fakeSub) next() ([]change, error) {
	select {
	case list := <-s.changes:
		return list, nil
	case err := <-s.failed:
		return nil, err
	case <-s.closed:
		return nil, unix.EBADF
	}
}

// tell needs f.mu.
func (f *fake) tell(c change) {
	if f.lost {
		return
	}
	for _, s := range f.subs {
		select {
		case <-s.closed:
		default:
			s.changes <- []change{c}
		}
	}
}

func (f *fake) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = true
	for _, s := range f.subs {
		select {
		case s.failed <- errLost:
		default:
		}
	}
}

func (f *fake) who(c change) string { return fmt.Sprint("process ", c.port) }

func (f *fake) links() (links, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls.links++
	return links{"lo": {1, "lo", true}, "eth0": f.eth0}, nil
}

func (f *fake) dump(kd kind) (list []object, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls.dumps++
	for i, o := range f.objs {
		if i.kind == kd && (kd != kindRoute || o.ours()) {
			list = append(list, o)
		}
	}
	return list, nil
}

func (f *fake) apply(list []message) []error {
	if f.onApply != nil {
		f.onApply(list)
	}
	time.Sleep(time.Duration(len(list)) * f.slow)
	f.mu.Lock()
	defer f.mu.Unlock()
	results := make([]error, len(list))
	for i, m := range list {
		f.calls.applied++
		results[i] = f.do(m, keeperPort)
	}
	return results
}

// do needs f.mu. It reads the bytes of the message as the kernel would.
func (f *fake) do(m message, port uint32) error {
	c, o := f.read(m)
	_, there := f.objs[c.id]
	switch {
	case c.gone && !there:
		return map[kind]error{kindAddress: unix.EADDRNOTAVAIL, kindRoute: unix.ESRCH, kindRule: unix.ENOENT}[c.id.kind]
	case c.gone:
		f.take(c.id, port)
		return nil
	case there:
		return unix.EEXIST
	}
	if index, needs := o.needsLink(); needs && index == f.eth0.index && !f.eth0.up {
		return unix.ENETDOWN
	}
	if r, ok := o.(routeObject); ok && !f.reaches(r) {
		return fmt.Errorf("%w: Nexthop has invalid gateway", unix.ENETUNREACH)
	}
	if a, ok := o.(addressObject); ok {
		for _, o := range f.objs {
			if b, ok := o.(addressObject); ok && b.sameSubnet(a) {
				a.flags |= unix.IFA_F_SECONDARY
			}
		}
		o = a
	}
	f.objs[c.id] = o
	c.port = port
	f.tell(c)
	return nil
}

func (f *fake) read(m message) (change, object) {
	c, ok := changeFrom(m.kind, m.body)
	if !ok {
		panic(fmt.Sprintf("unreadable message %+v", m))
	}
	var o object
	switch c.id.kind {
	case kindAddress:
		a, _ := parseAddress(m.body)
		if a.index != f.eth0.index {
			panic("address for no link")
		}
		o = a
	case kindRoute:
		o, _ = parseRoute(m.body)
	default:
		o, _ = parseRule(m.body)
	}
	return c, o
}

// reaches says whether the gateways are neighbours.
func (f *fake) reaches(r routeObject) bool {
	for _, w := range r.ways {
		near := !w.via.IsValid()
		for _, o := range f.objs {
			if a, ok := o.(addressObject); ok && a.Prefix.Contains(w.via) {
				near = true
			}
		}
		if !near {
			return false
		}
	}
	return true
}

// take removes an object; with the first IPv4 address of a subnet the others
// of it, and routes from an address without a word.
func (f *fake) take(i id, port uint32) {
	a, isAddress := f.objs[i].(addressObject)
	delete(f.objs, i)
	f.tell(change{id: i, gone: true, port: port})
	if isAddress && a.Prefix.Addr().Is4() && a.flags&unix.IFA_F_SECONDARY == 0 {
		for j, o := range f.objs {
			if b, ok := o.(addressObject); ok && b.sameSubnet(a) {
				f.take(j, port)
			}
		}
	}
	maps.DeleteFunc(f.objs, func(_ id, o object) bool {
		r, ok := o.(routeObject)
		return ok && i.kind == kindAddress && r.Source == i.prefix.Addr()
	})
}

func (f *fake) resolve(it item) object {
	o, err := it.resolve(links{"lo": {1, "lo", true}, "eth0": f.eth0})
	if err != nil {
		panic(err)
	}
	return o
}

func (f *fake) has(it item) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.resolve(it)
	seen, ok := f.objs[o.id()]
	return ok && o.equal(seen)
}

func (f *fake) remove(it item) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.do(f.resolve(it).del(), otherPort) // what is gone already may be removed again
}

func (f *fake) put(it item) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.resolve(it)
	if err := f.do(o.add(), otherPort); err != nil {
		panic(err)
	}
	if a, ok := f.objs[o.id()].(addressObject); ok {
		a.protocol = 0
		f.objs[o.id()] = a
	}
}

func (f *fake) setUp(up bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.eth0.up = up
	if !up {
		f.clearLink(func(o object) bool { a, ok := o.(addressObject); return !ok || a.Prefix.Addr().Is6() })
	}
	f.tell(change{link: true})
}

// clearLink removes objects of eth0; routes go silently.
func (f *fake) clearLink(which func(object) bool) {
	for i, o := range f.objs {
		index, on := o.needsLink()
		if i.kind == kindAddress {
			index, on = i.link, true
		}
		if on && index == f.eth0.index && which(o) {
			delete(f.objs, i)
			if i.kind == kindAddress {
				f.tell(change{id: i, gone: true})
			}
		}
	}
}

func (f *fake) renew() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clearLink(func(object) bool { return true })
	maps.DeleteFunc(f.objs, func(i id, o object) bool { // via a gateway of the link
		r, ok := o.(routeObject)
		return ok && len(r.ways) > 0
	})
	f.eth0.index += 10
	f.tell(change{link: true})
}

// TestScenariosFake runs the scenarios in virtual time.
func TestScenariosFake(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, newFake())
				defer func() { s.stop() }()
				sc.run(s)
			})
		})
	}
}

// TestGivingUpComesFirst: a drop in the middle of taking 1000 addresses waits
// for one batch, not for all.
func TestGivingUpComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.slow = time.Millisecond
		s := newStage(t, f)
		defer func() { s.stop() }()
		s.keeper.Hold("B", 1, addrs("10.90.0.100/24"))
		s.report()
		s.keeper.Hold("A", 1, manyAddresses(1000))
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		s.keeper.Drop("B", Set{})
		s.await(addrs("10.90.0.100/24"), false)
		if took := time.Since(start); took > 2*batchSize*f.slow {
			t.Errorf("drop took %v", took)
		}
		if p := s.report(); p.Owner != "A" || len(p.Addresses) != 1000 {
			t.Errorf("report of %s with %d addresses", p.Owner, len(p.Addresses))
		}
	})
}

// TestOwnChangesCostNoReading: what the Keeper does itself it need not read
// again.
func TestOwnChangesCostNoReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := newStage(t, f)
		defer func() { s.stop() }()
		s.keeper.Hold("A", 1, manyAddresses(1000))
		s.report()
		synctest.Wait()
		if f.calls.dumps > 1 || f.calls.links > 1 {
			t.Errorf("%d dumps, %d readings of links; want 1 of each", f.calls.dumps, f.calls.links)
		}
	})
}

// TestFight: who removes an address again and again gets it back at once ten
// times, then once a second.
func TestFight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := newStage(t, f)
		defer func() { s.stop() }()
		set := addrs("10.90.0.100/24")
		s.keeper.Hold("A", 1, set)
		s.report()
		for range 5000 {
			f.remove(set.items()[0])
			time.Sleep(time.Millisecond)
		}
		if got := s.keeper.Stats().Restored; got < 10 || got > 20 {
			t.Errorf("Restored = %d in 5 s, want about 15", got)
		}
		s.await(set, true)
	})
}

// TestBackInPlaceAtOnce: no timer stands between a removal and its repair.
func TestBackInPlaceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, newFake())
		defer func() { s.stop() }()
		set := addrs("10.90.0.100/24")
		s.keeper.Hold("A", 1, set)
		s.report()
		start := time.Now()
		s.remove(set.items()[0])
		synctest.Wait()
		s.want(set, true)
		if took := time.Since(start); took != 0 {
			t.Errorf("put back after %v", took)
		}
	})
}

// TestResync finds what the kernel did silently.
func TestResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := newStage(t, f)
		defer func() { s.stop() }()
		set := full()
		s.keeper.Hold("A", 1, set)
		s.report()
		f.mu.Lock()
		delete(f.objs, f.resolve(route(set.Routes[1])).id())
		f.mu.Unlock()
		s.want(Set{Routes: set.Routes[1:2]}, false)
		time.Sleep(31 * time.Second)
		s.want(set, true)
	})
}

// TestOrder: routes and rules come after addresses, and go before them.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var seen []uint16
		f.onApply = func(list []message) {
			for _, m := range list {
				seen = append(seen, m.kind)
			}
		}
		s := newStage(t, f)
		defer func() { s.stop() }()
		set := full()
		s.keeper.Hold("A", 1, set)
		s.report()
		if !slices.IsSortedFunc(seen, func(a, b uint16) int { return int(a) - int(b) }) {
			t.Errorf("added in the order %v", seen)
		}
		seen = nil
		s.keeper.Drop("A", set)
		s.sync()
		if !slices.IsSortedFunc(seen, func(a, b uint16) int { return int(b) - int(a) }) {
			t.Errorf("removed in the order %v", seen)
		}
	})
}
