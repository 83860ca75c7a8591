package netif

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"time"
)

// table is the Resolver's view of its addresses.
type table struct {
	targets map[netip.Addr]*target
	// users holds, for each neighbour entry in use, the addresses behind it.
	users map[NeighKey]map[netip.Addr]bool
	// unmanaged are the entries in use that must be probed at intervals.
	unmanaged map[NeighKey]bool

	all     bool                // read everything
	lastAll time.Time           // when everything was read last
	dirty   map[netip.Addr]bool // read these
	retry   map[netip.Addr]bool // read these after retryInterval
	retryAt time.Time
	swept   bool // neighbours of an earlier process were looked for
}

// target is one watched address.
type target struct {
	hop      NextHop
	key      NeighKey // the zero key while no neighbour is in use
	reported bool
}

func newTable() table {
	return table{
		targets:   make(map[netip.Addr]*target),
		users:     make(map[NeighKey]map[netip.Addr]bool),
		unmanaged: make(map[NeighKey]bool),
		dirty:     make(map[netip.Addr]bool),
		retry:     make(map[netip.Addr]bool),
	}
}

func (t *table) markAll() { t.all = true }

// note marks what an event may concern.
func (t *table) note(ev Event) {
	if ev.Neighbour == (NeighKey{}) {
		t.markAll()
		return
	}
	for addr := range t.users[ev.Neighbour] {
		t.dirty[addr] = true
	}
}

// due empties the marks and returns the addresses to read now. Reading
// everything waits until settle has passed since the last time.
func (t *table) due(now time.Time) []netip.Addr {
	if len(t.retry) > 0 && !now.Before(t.retryAt) {
		maps.Copy(t.dirty, t.retry)
		clear(t.retry)
	}
	if t.all && now.Sub(t.lastAll) >= settle {
		t.all, t.lastAll = false, now
		for addr := range t.targets {
			t.dirty[addr] = true
		}
	}
	var addrs []netip.Addr
	for addr := range t.dirty {
		if t.targets[addr] != nil {
			addrs = append(addrs, addr)
		}
	}
	clear(t.dirty)
	return addrs
}

// next says when due will have something that it holds back now, if it does.
func (t *table) next(now time.Time) (wait time.Duration, later bool) {
	switch {
	case t.all:
		return t.lastAll.Add(settle).Sub(now), true
	case len(t.retry) > 0:
		return t.retryAt.Sub(now), true
	}
	return 0, false
}

// use notes that an address uses a neighbour entry, or none for the zero key.
// It returns the entry that nobody uses any more, if there is one.
func (t *table) use(addr netip.Addr, key NeighKey) (NeighKey, bool) {
	tg := t.targets[addr]
	old := tg.key
	if old == key {
		return NeighKey{}, false
	}
	tg.key = key
	if key != (NeighKey{}) {
		if t.users[key] == nil {
			t.users[key] = make(map[netip.Addr]bool)
		}
		t.users[key][addr] = true
	}
	if old == (NeighKey{}) {
		return NeighKey{}, false
	}
	delete(t.users[old], addr)
	if len(t.users[old]) > 0 {
		return NeighKey{}, false
	}
	delete(t.users, old)
	delete(t.unmanaged, old)
	return old, true
}

// later marks an address to be read again after retryInterval.
func (t *table) later(addr netip.Addr, now time.Time) {
	if len(t.retry) == 0 {
		t.retryAt = now.Add(retryInterval)
	}
	t.retry[addr] = true
}

// takeWanted brings the targets in line with the watched set.
func (r *Resolver) takeWanted() {
	r.mu.Lock()
	var gone []netip.Addr
	for addr := range r.table.targets {
		if !r.want[addr] {
			gone = append(gone, addr)
		}
	}
	for addr := range r.want {
		tg := r.table.targets[addr]
		if tg == nil {
			tg = &target{}
			r.table.targets[addr] = tg
		}
		if _, told := r.hops[addr]; !told { // new, or unwatched and watched again
			tg.reported = false
			r.table.dirty[addr] = true
		}
	}
	r.mu.Unlock()
	for _, addr := range gone {
		r.use(addr, NeighKey{})
		delete(r.table.targets, addr)
	}
}

// use is table.use with its effect: an entry that nobody uses is released.
func (r *Resolver) use(addr netip.Addr, key NeighKey) {
	if old, free := r.table.use(addr, key); free {
		if err := r.releaseOurs(old); err != nil {
			r.cfg.Log.Warn("cannot release a neighbour", "address", old.Addr, "interface", old.IfIndex, "error", err)
		}
	}
}

// releaseOurs releases an entry unless it is somebody else's.
func (r *Resolver) releaseOurs(key NeighKey) error {
	n, err := r.cfg.Kernel.Neighbour(key)
	if err != nil || !n.Ours() {
		return err
	}
	return r.cfg.Kernel.Release(key)
}

// pass reads what is due, and reports what changed. It returns later when
// something is left to do after wait.
func (r *Resolver) pass(now time.Time) (wait time.Duration, later bool) {
	addrs := r.table.due(now)
	seen := reading{surface: r.cfg.Kernel, links: make(map[int]linkAnswer), neighbours: make(map[NeighKey]Neighbour)}
	for _, addr := range addrs {
		hop, key, err := r.resolve(addr, &seen)
		if err != nil {
			r.table.later(addr, now)
			if tg := r.table.targets[addr]; tg.hop.Resolved && !errors.Is(err, ErrNoLink) {
				r.cfg.Log.Warn("cannot read a next hop, keeping the last one", "address", addr, "error", err)
				continue
			}
			hop = NextHop{Reason: err.Error()}
		}
		r.use(addr, key)
		r.report(addr, hop)
	}
	r.sweep()
	return r.table.next(now)
}

// report tells of a next hop if it is not what was told last.
func (r *Resolver) report(addr netip.Addr, hop NextHop) {
	tg := r.table.targets[addr]
	if tg.reported && tg.hop == hop {
		return
	}
	if tg.reported {
		r.cfg.Log.Info("next hop changed", "address", addr, "old", describe(tg.hop), "new", describe(hop), "reason", hop.Reason)
	}
	tg.hop, tg.reported = hop, true
	r.mu.Lock()
	watched := r.want[addr]
	if watched {
		r.hops[addr] = hop
	}
	r.mu.Unlock()
	if watched && r.cfg.OnChange != nil {
		r.cfg.OnChange(addr, hop)
	}
}

// describe prints a next hop for the log.
func describe(h NextHop) string {
	if !h.Resolved {
		return "unresolved"
	}
	return fmt.Sprintf("%x on %s", h.DstMAC, h.IfName)
}

// resolve reads the next hop of an address. It returns the neighbour entry that
// must be kept warm for it, or the zero key.
func (r *Resolver) resolve(addr netip.Addr, seen *reading) (NextHop, NeighKey, error) {
	route, err := r.cfg.Kernel.Route(addr)
	if err != nil {
		return NextHop{}, NeighKey{}, err
	}
	if route.Kind != RouteUnicast {
		return deadRoute(addr, route.Kind), NeighKey{}, nil
	}
	link, err := seen.link(route.IfIndex)
	if err != nil {
		return NextHop{}, NeighKey{}, err
	}
	if linkProblem(link) != "" {
		return nextHop(addr, route, link, Neighbour{}), NeighKey{}, nil
	}
	key := neighbourOf(addr, route)
	n, ok := seen.neighbours[key]
	if !ok {
		if n, err = r.keepWarm(key); err != nil && !n.Valid {
			return NextHop{}, key, err
		}
		seen.neighbours[key] = n
	}
	return nextHop(addr, route, link, n), key, nil
}

// keepWarm reads a neighbour entry, and makes the kernel look after it unless
// somebody does already.
func (r *Resolver) keepWarm(key NeighKey) (Neighbour, error) {
	n, err := r.cfg.Kernel.Neighbour(key)
	if err != nil || n.Fixed || n.Managed {
		delete(r.table.unmanaged, key)
		return n, err
	}
	if r.table.unmanaged[key] && n.Exists {
		return n, nil // the ticker probes it
	}
	switch err := r.cfg.Kernel.Manage(key); {
	case errors.Is(err, ErrNotManaged):
		r.table.unmanaged[key] = true
	case err != nil:
		return n, err
	}
	return r.cfg.Kernel.Neighbour(key)
}

// probeUnmanaged does the kernel's work where the kernel cannot.
func (r *Resolver) probeUnmanaged() {
	for key := range r.table.unmanaged {
		if n, err := r.cfg.Kernel.Neighbour(key); err != nil || n.Fixed {
			continue
		}
		if err := r.cfg.Kernel.Probe(key); err != nil {
			r.cfg.Log.Warn("cannot probe a neighbour", "address", key.Addr, "error", err)
		}
	}
}

// sweep releases, once, the neighbours that an earlier process managed and that
// are in use no more. It waits until something is watched, since before that
// the configuration may not have arrived.
func (r *Resolver) sweep() {
	if r.table.swept || len(r.table.targets) == 0 {
		return
	}
	r.table.swept = true
	if err := r.releaseExcept(r.table.users); err != nil {
		r.cfg.Log.Warn("cannot release the neighbours of an earlier run", "error", err)
	}
}

// releaseExcept releases our neighbours that are not in use.
func (r *Resolver) releaseExcept(used map[NeighKey]map[netip.Addr]bool) error {
	keys, err := r.cfg.Kernel.Managed()
	if err != nil {
		return err
	}
	var errs []error
	for _, key := range keys {
		if used[key] == nil {
			errs = append(errs, r.cfg.Kernel.Release(key))
		}
	}
	return errors.Join(errs...)
}

// reading remembers what one pass has read, since many addresses share links
// and gateways.
type reading struct {
	surface    Surface
	links      map[int]linkAnswer
	neighbours map[NeighKey]Neighbour
}

type linkAnswer struct {
	link Link
	err  error
}

func (s *reading) link(index int) (Link, error) {
	if a, ok := s.links[index]; ok {
		return a.link, a.err
	}
	l, err := s.surface.Link(index)
	if err == nil && l.VLAN != 0 {
		var below Link
		below, err = s.surface.Link(l.Lower)
		l = oneTag(l, below)
	}
	s.links[index] = linkAnswer{l, err}
	return l, err
}
