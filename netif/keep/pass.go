package keep

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pass takes the requests, reads what may have changed, and carries out one
// batch. It says whether there is more to do at once, and if not, when to look
// again.
func (k *Keeper) pass(now time.Time) (wait time.Duration, more bool) {
	b := &k.book
	b.syncs = append(b.syncs, k.takeRequests()...)
	if err := k.read(); err != nil {
		k.opt.Log.Error("cannot read the network's state", "error", err)
		return retryInterval, false
	}
	ops, lost := b.plan(now, batchSize)
	k.logLost(lost)
	if len(ops) > 0 {
		k.carryOut(ops, now)
	}
	k.report()
	if len(ops) > 0 {
		return 0, true
	}
	for _, s := range b.syncs {
		close(s)
	}
	b.syncs = nil
	return b.nextRetry(now), false
}

// read brings links and objects up to date where they matter.
func (k *Keeper) read() error {
	b := &k.book
	if b.staleLinks {
		l, err := k.kernel.links()
		if err != nil {
			return err
		}
		b.setLinks(l)
	}
	for kd := range kinds {
		if !b.stale[kd] || !b.needs(kd) {
			continue
		}
		list, err := k.kernel.dump(kd)
		if err != nil {
			return err
		}
		b.setSeen(kd, list)
	}
	return nil
}

// logLost writes one line for all that was found missing at once.
func (k *Keeper) logLost(lost []*entry) {
	if len(lost) == 0 {
		return
	}
	k.opt.Log.Warn("virtual addresses, routes or rules were removed, putting them back",
		"count", len(lost), "first", lost[0].key, "by", k.book.culprit)
	k.book.culprit = ""
}

// carryOut applies the plan and learns from the answers.
func (k *Keeper) carryOut(ops []op, now time.Time) {
	var list []message
	for _, o := range ops {
		list = append(list, o.messages()...)
	}
	results := k.kernel.apply(append(list, k.book.insure(ops)...))
	var sum Stats
	for _, o := range ops {
		n := len(o.messages())
		err := results[n-1]
		results = results[n:]
		if o.entry == nil {
			sum.add(k.removed(o, err))
		} else {
			sum.add(k.added(o, err, now))
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stats.add(sum)
}

func (s *Stats) add(t Stats) {
	s.Added += t.Added
	s.Removed += t.Removed
	s.Restored += t.Restored
	s.Failed += t.Failed
}

// removed takes the answer to a removal. Whatever it is, there is no second
// try: the next reading shows what is there, and only who holds it can want it.
func (k *Keeper) removed(o op, err error) Stats {
	delete(k.book.gone, o.key)
	delete(k.book.seen[o.obj.id().kind], o.obj.id())
	switch {
	case err == nil:
		return Stats{Removed: 1}
	case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return Stats{} // was gone
	}
	k.opt.Log.Error("not removed", "item", o.key, "error", err)
	return Stats{Failed: 1}
}

// added takes the answer to an addition.
func (k *Keeper) added(o op, err error, now time.Time) (s Stats) {
	e, b := o.entry, &k.book
	switch {
	case err == nil:
		b.seen[o.obj.id().kind][o.obj.id()] = o.obj
		s.Added = 1
	case errors.Is(err, unix.EEXIST):
		// Somebody put it there, perhaps with other marks.
		e.foreign = true
	default:
		k.logFailure(e, err)
		e.err, e.retry = err, now.Add(retryInterval)
		return Stats{Failed: 1}
	}
	if e.lost {
		s.Restored = 1
	}
	e.placed, e.lost, e.err, e.retry = true, false, nil, time.Time{}
	for owner := range e.owners {
		delete(b.claims[owner].reported, e.key)
	}
	return s
}

// logFailure writes each failure once, until it changes.
func (k *Keeper) logFailure(e *entry, err error) {
	if e.err == nil || e.err.Error() != err.Error() {
		k.opt.Log.Error("not put in place", "item", e.key, "error", err)
	}
}

// report tells each owner for whom all is done that can be.
func (k *Keeper) report() {
	var list []Placed
	states := make(map[string]Status, len(k.book.claims))
	for owner, c := range k.book.claims {
		p, st, settled := k.book.settle(owner, c)
		states[owner] = st
		if settled {
			c.tell(&p)
		}
		if settled && (p.First || len(p.Addresses) > 0) {
			list = append(list, p)
		}
	}
	k.mu.Lock()
	k.status = states
	k.mu.Unlock()
	slices.SortFunc(list, func(x, y Placed) int { return strings.Compare(x.Owner, y.Owner) })
	for _, p := range list {
		k.opt.OnPlaced(p)
	}
}

// settle looks how far a claim is, and whether it gets no further now.
func (b *book) settle(owner string, c *claim) (p Placed, st Status, settled bool) {
	p, st = Placed{Owner: owner, Epoch: c.epoch, First: c.first}, Status{Epoch: c.epoch}
	settled = true
	for _, key := range c.keys {
		e := b.entries[key]
		if !e.placed {
			settled = settled && e.err != nil
			st.Missing = append(st.Missing, Missing{key, errorText(e.err)})
			continue
		}
		st.Placed++
		if a, ok := e.item.(address); ok && !c.reported[key] {
			p.Addresses = append(p.Addresses, PlacedAddress{Addr: a.Prefix.Addr(), Link: a.Interface, key: key})
		}
	}
	p.Failed = len(st.Missing)
	return p, st, settled
}

// tell notes what p reports.
func (c *claim) tell(p *Placed) {
	c.first = false
	for _, a := range p.Addresses {
		c.reported[a.key] = true
	}
}

func errorText(err error) string {
	if err == nil {
		return "not done yet"
	}
	return fmt.Sprint(err)
}
