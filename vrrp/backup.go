package vrrp

import (
	"net/netip"
	"time"
)

// toBackup waits for a master with a full down timer, on its own interval
// until an advert teaches another. The caller gives notice.
func (s *step) toBackup(r Reason) {
	s.become(Backup, r)
	s.masterInterval, s.learned = s.cfg.Interval, false
	s.preemptAt = time.Time{}
	s.arm()
}

// arm starts a full down timer: this router is backup for good.
func (s *step) arm() { s.armAt(s.now) }

// armAt starts it as if that had been at a moment before now.
func (s *step) armAt(at time.Time) {
	s.armed, s.goodbye, s.listening, s.wants = at, false, false, false
	s.lesser, s.lesserPriority = netip.Addr{}, 0
	s.rearm()
	s.release()
}

// rearm computes the running timer anew, after a change of priority or
// interval: what has passed of it stays passed.
func (s *step) rearm() {
	switch {
	case s.state != Backup || s.wants || s.listening:
	case s.goodbye:
		s.deadline[timerDown] = s.armed.Add(s.skew())
	default:
		s.deadline[timerDown] = s.armed.Add(s.down())
	}
}

func (s *step) heardBackup(h Heard) {
	switch {
	case h.Priority == PriorityStop:
		s.masterResigned(h)
	case h.Priority >= s.priority:
		s.preemptAt = time.Time{}
		s.follow(h)
	case !s.mayPreempt():
		s.follow(h)
	default:
		// Discarded: the timer runs on and the lesser master is preempted.
		s.lesser, s.lesserPriority = h.Source, h.Priority
	}
}

// mayPreempt says whether a master of lower priority is to be ignored. The
// delay counts from its first advert.
func (s *step) mayPreempt() bool {
	switch {
	case s.cfg.owner():
		return true
	case s.cfg.NoPreempt:
		return false
	case s.cfg.PreemptDelay == 0:
		return true
	case s.preemptAt.IsZero():
		s.preemptAt = s.now.Add(s.cfg.PreemptDelay)
	}
	return !s.now.Before(s.preemptAt)
}

// masterResigned shortens the timer to the skew. It never lengthens it, so
// that a stream of goodbyes cannot put off an election.
func (s *step) masterResigned(h Heard) {
	s.master, s.masterPriority = h.Source, h.Priority
	at := s.arrival(h)
	if s.wants || s.goodbye || s.deadline[timerDown].Before(at.Add(s.skew())) {
		return
	}
	s.armed, s.goodbye, s.listening = at, true, false
	s.rearm()
}

// follow accepts the sender as master.
func (s *step) follow(h Heard) {
	s.master, s.masterPriority = h.Source, h.Priority
	s.learn(h)
	s.armAt(s.arrival(h))
}

// arrival is when the silence after an advert begins: when it reached this
// host, however late it is read. It moves no timer back.
func (s *step) arrival(h Heard) time.Time {
	switch {
	case h.Arrived.IsZero() || h.Arrived.After(s.now):
		return s.now
	case h.Arrived.Before(s.armed):
		return s.armed
	}
	return h.Arrived
}

// learn adopts the master's interval, within the bound (version 3).
func (s *step) learn(h Heard) {
	if s.cfg.Version != V3 || h.Interval <= 0 {
		return
	}
	s.masterInterval, s.learned = h.Interval, true
	if h.Interval > s.cfg.MaxLearnedInterval {
		s.masterInterval = s.cfg.MaxLearnedInterval
		s.counts[IntervalBound]++
		s.warn(WarnIntervalBound, h.Source)
	}
}

// tickBackup takes over when the timer is due. A timer that comes more than
// an interval late says that this process did not run: the master may well
// live, so it is given a chance to be heard, once.
func (s *step) tickBackup() {
	at, ok := s.due(timerDown)
	if !ok {
		return
	}
	if late := s.now.Sub(at); late > s.masterInterval && !s.listening {
		s.noteLate(late)
		s.after(timerDown, hearing(late, settleBackup, s.masterInterval+s.skew()))
		return
	}
	s.listening = false
	s.promote(s.takeoverReason())
}

func (s *step) takeoverReason() Reason {
	switch {
	case s.goodbye:
		return Reason{Code: ReasonResigned, Peer: s.master}
	case s.lesser.IsValid():
		return Reason{Code: ReasonPreempt, Peer: s.lesser, PeerPriority: s.lesserPriority}
	}
	return Reason{Code: ReasonSilence, Peer: s.master, PeerPriority: s.masterPriority, Silence: s.now.Sub(s.armed)}
}
