package announce

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// tick and perTick bound what is sent without a configured pause: 1000
	// addresses are announced within 20 ms, and no switch sees thousands of
	// frames at once.
	tick    = time.Millisecond
	perTick = 64
)

// burst is what is left of a Burst for one family.
type burst struct {
	owner  string
	epoch  uint64
	reply  bool
	addrs  []netip.Addr
	at     int // next address
	round  int // rounds done
	rounds int
}

// lane is the schedule of one link and family. It belongs to one goroutine.
type lane struct {
	gap    time.Duration // pause between frames; 0 is tick and perTick
	bursts []*burst      // in order of arrival
	ready  time.Time     // the next frame is not sent before
	sent   int           // frames in this tick
}

// add queues a burst. What is left of an earlier one of its owner is replaced,
// and no round of it is lost, so an owner has one burst at most.
func (l *lane) add(b burst) {
	if at := l.find(b.owner); at >= 0 {
		old := l.bursts[at]
		if old.epoch == b.epoch {
			b.rounds = max(b.rounds, old.rounds-old.round)
		}
		l.bursts = slices.Delete(l.bursts, at, at+1)
	}
	l.bursts = append(l.bursts, &b)
}

func (l *lane) find(owner string) int {
	return slices.IndexFunc(l.bursts, func(b *burst) bool { return b.owner == owner })
}

// cancel ends the owner's burst if it is of the epoch or before, and returns
// how many frames it had left.
func (l *lane) cancel(owner string, epoch uint64) int {
	at := l.find(owner)
	if at < 0 || l.bursts[at].epoch > epoch {
		return 0
	}
	b := l.bursts[at]
	l.bursts = slices.Delete(l.bursts, at, at+1)
	return (b.rounds-b.round)*len(b.addrs) - b.at
}

// next returns the address to announce now, or false. It stays the next one
// until done says that it was announced.
func (l *lane) next(now time.Time) (addr netip.Addr, reply, ok bool) {
	if len(l.bursts) == 0 || now.Before(l.ready) {
		return netip.Addr{}, false, false
	}
	b := l.bursts[l.first()]
	return b.addrs[b.at], b.reply, true
}

// first returns the burst that has done fewest rounds.
func (l *lane) first() (at int) {
	for i, b := range l.bursts {
		if b.round < l.bursts[at].round {
			at = i
		}
	}
	return at
}

func (l *lane) done(now time.Time) {
	at := l.first()
	b := l.bursts[at]
	if b.at++; b.at == len(b.addrs) {
		b.at, b.round = 0, b.round+1
		if b.round >= b.rounds {
			l.bursts = slices.Delete(l.bursts, at, at+1)
		}
	}
	l.pause(now)
}

// later tries the same address again after a tick.
func (l *lane) later(now time.Time) { l.sent, l.ready = 0, now.Add(tick) }

func (l *lane) pause(now time.Time) {
	if l.gap > 0 {
		l.ready = now.Add(l.gap)
		return
	}
	if l.sent++; l.sent == perTick {
		l.sent, l.ready = 0, now.Add(tick)
	}
}

// wait returns how long nothing is to be done; false with an empty lane.
func (l *lane) wait(now time.Time) (time.Duration, bool) {
	return max(l.ready.Sub(now), 0), len(l.bursts) > 0
}
