package vrrp

import (
	"net/netip"
	"time"
)

// announce teaches the neighbours whose the addresses are.
func (s *step) announce(c AnnounceCause) {
	s.lastAnnounced = s.now
	s.do(Action{Kind: Announce, Epoch: s.epoch, Cause: c})
}

func (s *step) announceIfMaster(c AnnounceCause) {
	if s.state == Master {
		s.announce(c)
	}
}

// announceLater announces once more after d, or sooner if that is due anyway.
func (s *step) announceLater(c AnnounceCause, d time.Duration) {
	at := s.now.Add(d)
	if d > 0 && (s.deadline[timerAgain].IsZero() || at.Before(s.deadline[timerAgain])) {
		s.deadline[timerAgain], s.againCause = at, c
	}
}

// YieldGrace is how long a router that yields to another may go on serving the
// addresses. Until then it may also tell who asks that they are there.
const YieldGrace = 50 * time.Millisecond

// healDelay returns when a rival has yielded for certain and serves no more.
func (i *Instance) healDelay() time.Duration {
	return max(i.cfg.Interval, YieldGrace+10*time.Millisecond)
}

// announceAgainst undoes what a rival master has taught: at once unless that
// was just done, one interval later, when the rival has yielded for certain,
// and once more after the configured delay.
func (s *step) announceAgainst(rival netip.Addr) {
	since := s.now.Sub(s.lastAnnounced)
	if since >= s.cfg.Interval || rival != s.rival && since >= s.gap() {
		s.announce(CauseLowerPriority)
	}
	s.rival = rival
	s.soonest(timerHeal, s.now.Add(s.healDelay()))
	s.announceLater(CauseLowerPriorityAgain, s.cfg.Announce.LowerPrioDelay)
}

// announceNothing keeps silent for d, while the mastership is in doubt. What
// comes after it makes up for the announcements that were due.
func (s *step) announceNothing(d time.Duration) {
	s.cancel(timerAgain, timerHeal)
	if !s.deadline[timerRefresh].IsZero() {
		s.after(timerRefresh, d+s.cfg.Announce.Refresh)
	}
	if !s.deadline[timerExtra].IsZero() {
		s.after(timerExtra, d+s.cfg.Announce.Extra)
	}
}

func (s *step) tickAnnounce() {
	if _, ok := s.due(timerHeal); ok {
		s.rival = netip.Addr{}
		s.announce(CauseHeal)
	}
	if _, ok := s.due(timerAgain); ok {
		s.announce(s.againCause)
	}
	if at, ok := s.due(timerRefresh); ok && s.cfg.Announce.Refresh > 0 {
		s.announce(CauseRefresh)
		s.repeat(timerRefresh, at, s.cfg.Announce.Refresh)
	}
	if at, ok := s.due(timerExtra); ok && s.cfg.Announce.Extra > 0 {
		// Not announce, after which a rival's lesson would wait.
		s.do(Action{Kind: Announce, Epoch: s.epoch, Cause: CauseExtra})
		s.repeat(timerExtra, at, s.cfg.Announce.Extra)
	}
}

// repeat sets a periodic deadline that was due at, without making up for those
// that were missed.
func (s *step) repeat(t timer, at time.Time, period time.Duration) {
	s.deadline[t] = at.Add(period)
	if !s.deadline[t].After(s.now) {
		s.after(t, period)
	}
}
