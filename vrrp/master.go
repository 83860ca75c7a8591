package vrrp

import (
	"net/netip"
	"time"
)

// promote becomes master, or in a group asks for it.
func (s *step) promote(r Reason) {
	if !s.grouped {
		s.becomeMaster(r)
		return
	}
	if s.state == Init {
		// Not toBackup, which would give adopted addresses away.
		s.become(Backup, Reason{Code: ReasonStart})
		s.notice(NoticeState)
	}
	s.wants, s.wantReason = true, r
	s.cancel(timerDown)
}

// becomeMaster sends its advert before anything else (RFC 9568 6.4.2).
func (s *step) becomeMaster(r Reason) {
	s.become(Master, r)
	s.deadline = [timers]time.Time{}
	s.wants, s.goodbye, s.listening = false, false, false
	s.masterInterval, s.learned = s.cfg.Interval, false
	s.preemptAt = time.Time{}
	s.rival = netip.Addr{}
	s.master, s.masterPriority = s.source, s.priority
	s.epoch++
	s.holding = true
	s.counts[BecameMaster]++

	s.send(s.priority)
	s.deadline[timerAdvert] = s.firstAdvert(s.now)
	s.do(Action{Kind: TakeAddresses, Epoch: s.epoch, Accept: s.accepts()})
	s.announce(CausePromotion)
	s.announceLater(CauseAgain, s.cfg.Announce.Delay)
	if s.cfg.Announce.Refresh > 0 {
		s.after(timerRefresh, s.cfg.Announce.Refresh)
	}
	if s.cfg.Announce.Extra > 0 {
		s.after(timerExtra, max(s.cfg.Announce.Delay, 0)+s.cfg.Announce.Extra)
	}
	s.notice(NoticeState)
}

// beats is how many moments of an interval instances with Early send at.
const beats = 50

// firstAdvert is when a mastership's second advert is due after one at a time.
// Where instances are many, the moments that they send at are fewer, the same for
// all: to wake up costs as much as some adverts do.
func (i *Instance) firstAdvert(at time.Time) time.Time {
	next := at.Add(i.cfg.Interval - i.cfg.Early)
	if i.cfg.Early == 0 {
		return next
	}
	return next.Add(-time.Duration(next.UnixNano()) % (i.cfg.Interval / beats))
}

// accepts is RFC 9568's Accept_Mode with keepalived's default.
func (i *Instance) accepts() bool { return !i.cfg.NoAccept || i.cfg.owner() }

func (s *step) tickMaster() {
	if at, ok := s.due(timerAdvert); ok {
		s.advertDue(at)
	}
	s.tickAnnounce()
}

// advertDue sends the next advert. When so long has passed since the last that
// others have taken over, listening comes first: they are heard meanwhile, and
// until then the addresses stay.
func (s *step) advertDue(at time.Time) {
	silent := s.now.Sub(s.lastSent)
	if silent > s.takeover() && !s.listening {
		s.noteLate(silent)
		d := hearing(silent, settleMaster, s.cfg.Interval)
		s.after(timerAdvert, d)
		s.announceNothing(d)
		return
	}
	s.send(s.priority)
	// The next one counts from when this one was due, so that the cadence
	// does not drift, and many instances that were late do not fall in step.
	missed := s.now.Sub(at) / s.cfg.Interval
	s.deadline[timerAdvert] = at.Add((missed + 1) * s.cfg.Interval)
	if s.listening {
		s.listening = false
		s.deadline[timerAdvert] = s.firstAdvert(at)
		s.announce(CauseHeal)
	}
}

func (s *step) heardMaster(h Heard) {
	switch {
	case h.Priority == PriorityStop:
		s.answer()
	case h.Priority > s.priority:
		s.yield(h, ReasonHigherPriority)
	case h.Priority == s.priority && s.source.Less(h.Source):
		s.yield(h, ReasonHigherAddress)
	case h.Source == s.source:
		// Ourselves, or a router that cannot be decided against.
	case s.listening && s.cfg.NoPreempt && !s.cfg.owner():
		s.yield(h, ReasonLate)
	default:
		s.heardLesser(h)
	}
}

// heardLesser answers a master of lower priority, and teaches the neighbours
// whom it may have misled, now and one interval after.
func (s *step) heardLesser(h Heard) {
	s.counts[LowerPriorityReceived]++
	s.listening = false
	if !s.cfg.LowerPrioNoAdvert {
		s.answer()
	}
	s.announceAgainst(h.Source)
	s.notice(NoticeLowerPriority)
}

// answerGap bounds how often an advert answers another.
const answerGap = 5 * time.Millisecond

func (i *Instance) gap() time.Duration { return min(answerGap, i.cfg.Interval/10) }

// answer sends an advert at once, or a moment after the last one: a flood
// cannot make a master flood.
func (s *step) answer() {
	if s.now.Sub(s.lastSent) < s.gap() {
		s.soonest(timerAdvert, s.lastSent.Add(s.gap()))
		return
	}
	s.send(s.priority)
	s.after(timerAdvert, s.cfg.Interval)
}

// yield goes to BACKUP for a better master. The last advert makes that master
// announce itself; without it, neighbours that learned this router stay with it.
func (s *step) yield(h Heard, code ReasonCode) {
	r := Reason{Code: code, Peer: h.Source, PeerPriority: h.Priority}
	if code == ReasonLate {
		r.Silence = s.lateBy
	} else if !s.cfg.HigherPrioNoAdvert {
		s.send(s.priority)
	}
	if s.stranger(h.Source) {
		s.counts[PreemptedByUnknown]++
		s.warn(WarnStranger, h.Source)
	}
	s.toBackup(r)
	s.follow(h)
	s.notice(NoticeState)
}
