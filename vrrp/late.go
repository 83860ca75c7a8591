package vrrp

import "time"

// A timer that comes very late leaves open what others did meanwhile. Two
// accidents look alike: the process did not get to run, or the whole machine
// stood still. In the first the kernel went on receiving, so that a look into
// the sockets tells all. In the second what was sent meanwhile comes with the
// next interrupts, or, after a long stand, not at all.
const (
	// longPause is a stand of the machine after which nothing that was sent
	// meanwhile need come any more.
	longPause = time.Second
	// settleMaster and settleBackup are what is given to packets on their
	// way after less than that. A master takes less, so that it is heard by a
	// backup that stood still with it.
	settleMaster = 2 * time.Millisecond
	settleBackup = 5 * time.Millisecond
)

// hearing is how long a router that is late listens before it acts: a moment,
// or after a long pause until who lives must have sent the next advert. The
// caller drains the sockets at its end.
func hearing(late, moment, full time.Duration) time.Duration {
	if late > longPause {
		return full
	}
	return min(moment, full)
}

func (s *step) noteLate(late time.Duration) {
	s.listening, s.lateBy = true, late
	s.counts[Late]++
	s.warn(WarnLate, s.master)
}
