package keep

import (
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// book is what the Keeper knows: who wants what, and what the kernel has. It
// plans, and learns what came of the plan. It belongs to one goroutine.
type book struct {
	claims  map[string]*claim
	entries map[string]*entry // by the item's words
	order   [kinds][]*entry   // as they were asked for
	gone    map[string]item   // to be removed
	sweep   []Set             // declared sets; nil: nothing to sweep
	syncs   []chan struct{}

	links links
	seen  [kinds]map[id]object
	byID  map[id]*entry

	staleLinks bool
	stale      [kinds]bool
	// outdated says that something else than what is wanted has changed, so
	// that a new wish needs a new reading.
	outdated [kinds]bool
	culprit  string // who removed what is missing
}

// claim is what one owner holds.
type claim struct {
	epoch    uint64
	keys     []string
	reported map[string]bool // keys that OnPlaced has told of
	first    bool            // the first report is due
}

// entry is a wanted object.
type entry struct {
	key    string
	item   item
	owners map[string]bool

	obj object // nil while a link is missing
	// placed says that it was in place when last looked, foreign that the
	// kernel said so though it is not among what is seen.
	placed, foreign bool
	err             error
	retry           time.Time // not before
	losses          int       // since lossesFrom
	lossesFrom      time.Time
	lost            bool // being put back
}

func newBook() book {
	return book{
		claims:  make(map[string]*claim),
		entries: make(map[string]*entry),
		gone:    make(map[string]item),
		byID:    make(map[id]*entry),
	}
}

func (b *book) markAll() {
	b.staleLinks = true
	b.stale = [kinds]bool{true, true, true}
	for _, e := range b.entries {
		e.foreign = false
	}
}

// hold replaces the owner's claim.
func (b *book) hold(owner string, epoch uint64, set Set) {
	c, ok := b.claims[owner]
	if !ok {
		c = &claim{reported: make(map[string]bool)}
		b.claims[owner] = c
	}
	if !ok || c.epoch != epoch {
		c.epoch, c.first = epoch, true
		clear(c.reported)
	}
	b.catchUp()
	old, want := c.keys, make(map[string]bool)
	c.keys = nil
	for _, it := range set.items() {
		key := it.String()
		if want[key] {
			continue
		}
		want[key] = true
		c.keys = append(c.keys, key)
		delete(b.gone, key)
		b.enter(key, it).owners[owner] = true
	}
	for _, key := range old {
		if !want[key] {
			delete(c.reported, key)
			b.release(owner, key)
		}
	}
}

// enter returns the entry of an item, new or as it was.
func (b *book) enter(key string, it item) *entry {
	e, known := b.entries[key]
	switch {
	case !known:
		e = &entry{key: key, item: it, owners: make(map[string]bool)}
		b.entries[key] = e
		kd := kindOf(it)
		b.order[kd] = append(b.order[kd], e)
	case !sameItem(e.item, it):
		// Other attributes: it is put in place anew.
		e.item, e.obj, e.placed, e.foreign = it, nil, false, false
	}
	return e
}

// catchUp asks for a new reading of what has changed unheeded.
func (b *book) catchUp() {
	for kd := range kinds {
		b.stale[kd] = b.stale[kd] || b.outdated[kd]
		b.outdated[kd] = false
	}
}

func (b *book) release(owner, key string) {
	e, ok := b.entries[key]
	if !ok {
		return
	}
	delete(e.owners, owner)
	if len(e.owners) > 0 {
		return
	}
	delete(b.entries, key)
	if e.obj != nil {
		delete(b.byID, e.obj.id())
	}
	kd := kindOf(e.item)
	b.order[kd] = slices.DeleteFunc(b.order[kd], func(o *entry) bool { return o == e })
	b.gone[key] = e.item
}

// drop gives up a set, and with all what the owner holds.
func (b *book) drop(owner string, set Set, all bool) {
	if c := b.claims[owner]; c != nil && all {
		delete(b.claims, owner)
		for _, key := range c.keys {
			b.release(owner, key)
		}
	}
	b.catchUp()
	for _, it := range set.items() {
		if key := it.String(); b.entries[key] == nil {
			b.gone[key] = it
		}
	}
}

func (b *book) declare(sets []Set) {
	if sets == nil {
		sets = []Set{}
	}
	b.catchUp()
	b.sweep = sets
}

// note takes a change. It says whether that may matter now, and whether a
// wanted object was removed.
func (b *book) note(c change) (matters, lost bool) {
	if c.link {
		b.staleLinks = true
		return true, false
	}
	if c.gone && c.id.kind == kindAddress && len(b.order[kindRoute]) > 0 {
		// Routes with that source address go silently.
		b.stale[kindRoute], matters = true, true
	}
	e := b.byID[c.id]
	if e == nil || !c.gone {
		b.outdated[c.id.kind] = true
		return matters, false
	}
	e.foreign = false
	b.stale[c.id.kind] = true
	return true, e.placed
}

// needs says whether objects of the kind matter now.
func (b *book) needs(kd kind) bool {
	return b.sweep != nil || len(b.order[kd]) > 0 ||
		slices.ContainsFunc(slices.Collect(maps.Values(b.gone)), func(it item) bool { return kindOf(it) == kd })
}

// setLinks takes a reading of the links. When they changed, everything that
// depends on them is read anew.
func (b *book) setLinks(l links) {
	b.staleLinks = false
	if maps.Equal(b.links, l) {
		return
	}
	b.links = l
	clear(b.byID)
	for _, e := range b.entries {
		e.obj, e.foreign, e.retry = nil, false, time.Time{}
	}
	b.stale = [kinds]bool{true, true, true}
}

func (b *book) setSeen(kd kind, list []object) {
	b.stale[kd] = false
	b.seen[kd] = make(map[id]object, len(list))
	for _, o := range list {
		b.seen[kd][o.id()] = o
	}
}

// op is one step of a plan.
type op struct {
	entry *entry // what is added, or nil
	key   string // of what is removed
	obj   object // what is added or removed
	// replace is the seen object that has to go first.
	replace object
}

func (o op) messages() []message {
	switch {
	case o.entry == nil:
		return []message{o.obj.del()}
	case o.replace != nil:
		return []message{o.replace.del(), o.obj.add()}
	}
	return []message{o.obj.add()}
}

// plan returns up to most steps: first what is to be removed, rules before
// routes before addresses, then what is missing in the other direction. It also
// returns the objects found missing that were in place before.
func (b *book) plan(now time.Time, most int) (ops []op, lost []*entry) {
	b.planSweep()
	ops = b.planGone(most)
	for kd := range kinds {
		for _, e := range b.order[kd] {
			if len(ops) >= most {
				return ops, lost
			}
			o, missing := b.planEntry(e, now)
			if missing {
				lost = append(lost, e)
			}
			if o.obj != nil {
				ops = append(ops, o)
			}
		}
	}
	return ops, lost
}

// planSweep turns leftovers into things to be removed.
func (b *book) planSweep() {
	if b.sweep == nil {
		return
	}
	known := make(map[id]bool)
	for _, set := range b.sweep {
		for _, it := range set.items() {
			if o, err := it.resolve(b.links); err == nil {
				known[o.id()] = true
			}
		}
	}
	for _, e := range b.entries {
		if b.find(e) {
			known[e.obj.id()] = true
		}
	}
	for kd := range kinds {
		for i, o := range b.seen[kd] {
			if o.ours() && !known[i] {
				left := leftover{o}
				b.gone[left.String()] = left
			}
		}
	}
	b.sweep = nil
}

// planGone leaves out, and forgets, what is not there.
func (b *book) planGone(most int) (ops []op) {
	keys := slices.Collect(maps.Keys(b.gone))
	slices.SortFunc(keys, func(x, y string) int { return int(kindOf(b.gone[y])) - int(kindOf(b.gone[x])) })
	for _, key := range keys {
		if len(ops) >= most {
			break
		}
		o, err := b.gone[key].resolve(b.links)
		if err != nil {
			delete(b.gone, key)
			continue
		}
		seen, there := b.seen[o.id().kind][o.id()]
		if holder := b.byID[o.id()]; !there && o.ours() || holder != nil {
			delete(b.gone, key)
			continue
		}
		if there {
			o = seen
		}
		ops = append(ops, op{key: key, obj: o})
	}
	return ops
}

// insure returns messages that put addresses back which the kernel took along
// with the removed ones. Those that it did not are there already.
func (b *book) insure(ops []op) (list []message) {
	var gone []addressObject
	for _, o := range ops {
		if a, ok := o.obj.(addressObject); ok && o.entry == nil {
			gone = append(gone, a)
		}
	}
	for _, e := range b.order[kindAddress] {
		a, ok := e.obj.(addressObject)
		if ok && e.placed && slices.ContainsFunc(gone, a.sameSubnet) {
			list = append(list, a.add())
		}
	}
	return list
}

// find makes sure that the entry's links are known.
func (b *book) find(e *entry) bool {
	if e.obj != nil {
		return true
	}
	o, err := e.item.resolve(b.links)
	if err != nil {
		e.err, e.placed = err, false
		return false
	}
	e.obj = o
	b.byID[o.id()] = e
	return true
}

func (b *book) planEntry(e *entry, now time.Time) (o op, lost bool) {
	if !b.find(e) {
		return op{}, false
	}
	seen, there := b.seen[e.obj.id().kind][e.obj.id()]
	switch {
	case e.foreign, there && (e.placed || e.obj.equal(seen)):
		e.placed, e.err = true, nil
		return op{}, false
	case e.placed:
		e.placed, e.lost, lost = false, true, true
		e.count(now)
	}
	if index, needs := e.obj.needsLink(); needs {
		if l, ok := b.links.byIndex(index); ok && !l.up {
			e.err = unix.ENETDOWN
			return op{}, lost
		}
	}
	if now.Before(e.retry) {
		return op{}, lost
	}
	if errors.Is(e.err, unix.ENETDOWN) {
		e.err = nil
	}
	o = op{entry: e, obj: e.obj}
	if there {
		o.replace = seen
	}
	return o, lost
}

// errFight is why an object waits.
var errFight = errors.New("somebody removes it again and again")

// count slows down an object that is removed again and again.
func (e *entry) count(now time.Time) {
	if now.Sub(e.lossesFrom) > lossWindow {
		e.losses, e.lossesFrom = 0, now
	}
	if e.losses++; e.losses > lossesMost {
		e.err, e.retry = errFight, now.Add(retryInterval)
	}
}

// nextRetry returns how long until something that failed is due.
func (b *book) nextRetry(now time.Time) time.Duration {
	wait := time.Hour
	for _, e := range b.entries {
		if d := e.retry.Sub(now); !e.placed && !e.retry.IsZero() && d < wait {
			wait = max(d, 0)
		}
	}
	return wait
}
