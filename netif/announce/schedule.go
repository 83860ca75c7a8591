package announce

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// tick and perTick bound what is sent without a configured pause: 1000
	// addresses are announced within 4 ms, and no switch sees thousands of
	// frames at once.
	tick    = time.Millisecond
	perTick = 512
)

// burst is what is left of a Burst for one family.
type burst struct {
	link   string
	owner  string
	epoch  uint64
	addrs  []netip.Addr
	at     int // next address
	round  int // rounds done
	rounds int
}

// lane is the schedule of the frames of one family on one link, or on a group
// of links. It belongs to one goroutine.
type lane struct {
	gap    time.Duration // pause between frames; 0 is tick and perTick
	bursts []*burst      // in order of arrival
	ready  time.Time     // the next frame is not sent before
	sent   int           // frames in this tick
}

// add queues a burst. What is left of an earlier one of its owner on the link is
// replaced, and no round of it is lost, so there is one such burst at most.
func (l *lane) add(b burst) {
	at := slices.IndexFunc(l.bursts, func(o *burst) bool { return o.owner == b.owner && o.link == b.link })
	if at >= 0 {
		old := l.bursts[at]
		if old.epoch == b.epoch {
			b.rounds = max(b.rounds, old.rounds-old.round)
		}
		l.bursts = slices.Delete(l.bursts, at, at+1)
	}
	l.bursts = append(l.bursts, &b)
}

// cancel ends the owner's bursts of the epoch and before, and returns how many
// frames they had left.
func (l *lane) cancel(owner string, epoch uint64) int {
	return l.remove(func(b *burst) bool { return b.owner == owner && b.epoch <= epoch })
}

// drop ends the bursts on a link, and returns how many frames they had left.
func (l *lane) drop(link string) int {
	return l.remove(func(b *burst) bool { return b.link == link })
}

func (l *lane) remove(which func(*burst) bool) (frames int) {
	for _, b := range l.bursts {
		if which(b) {
			frames += (b.rounds-b.round)*len(b.addrs) - b.at
		}
	}
	l.bursts = slices.DeleteFunc(l.bursts, which)
	return frames
}

// next returns the address to announce now, or false. It stays the next one
// until done says that it was announced.
func (l *lane) next(now time.Time) (link string, addr netip.Addr, ok bool) {
	if len(l.bursts) == 0 || now.Before(l.ready) {
		return "", netip.Addr{}, false
	}
	b := l.bursts[l.first()]
	return b.link, b.addrs[b.at], true
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
