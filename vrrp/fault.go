package vrrp

import (
	"slices"
	"time"
)

// toFault leaves the election. A master says goodbye, if it still can.
func (s *step) toFault(c Cause) {
	if s.state == Master {
		s.send(PriorityStop)
	}
	s.become(Fault, Reason{Code: ReasonFault, Cause: c})
	s.deadline = [timers]time.Time{}
	s.wants = false
	s.release()
	s.notice(NoticeState)
}

// checkFaults enters or leaves FAULT. It is always left through BACKUP with a
// full down timer.
func (s *step) checkFaults() {
	if s.state == Init {
		return
	}
	faults := s.Faults()
	switch {
	case len(faults) > 0 && s.state != Fault:
		s.toFault(faults[0])
	case len(faults) > 0:
		if !slices.ContainsFunc(faults, s.reason.Cause.sameThing) {
			s.reason.Cause = faults[0]
		}
	case s.state == Fault:
		s.toBackup(Reason{Code: ReasonRecovered, Cause: s.reason.Cause})
		if len(s.cfg.Peers) > 0 {
			s.do(Action{Kind: AnnounceSource, Epoch: s.epoch})
		}
		s.notice(NoticeState)
	}
}

func (c Cause) sameThing(d Cause) bool { return c.Kind == d.Kind && c.Name == d.Name }

func (s *step) tracked(ev Tracked) {
	if findTrack(s.tracks, ev.Kind, ev.Name) < 0 {
		return
	}
	s.tracks = slices.Clone(s.tracks)
	for n := range s.tracks {
		if t := &s.tracks[n]; t.Kind == ev.Kind && t.Name == ev.Name {
			t.status, t.value = ev.Status, ev.Value
		}
	}
	s.prioritise()
	s.checkFaults()
}

func (s *step) sourceChanged(ev SourceChanged) {
	s.source = ev.Source.WithZone("")
	if s.state == Master && s.source.IsValid() {
		s.master = s.source
	}
	s.checkFaults()
}

func (s *step) setBase(priority uint8) {
	if s.cfg.owner() || priority == 0 || priority == PriorityOwner {
		return
	}
	s.base = priority
	s.prioritise()
}

// prioritise computes the effective priority. A backup's running timer moves
// by the change of the skew.
func (s *step) prioritise() {
	was := s.priority
	s.priority = s.effective()
	if s.priority == was {
		return
	}
	s.rearm()
	if s.state == Master {
		s.masterPriority = s.priority
	}
	if s.state != Init {
		s.notice(NoticePriority)
	}
}

func (s *step) setGroupFault(member string) {
	s.groupFault = member
	s.checkFaults()
}

// groupMaster is the group's consent.
func (s *step) groupMaster() {
	if s.state != Backup {
		return
	}
	r := Reason{Code: ReasonGroup}
	if s.wants {
		r = s.wantReason
	}
	s.becomeMaster(r)
}

// groupBackup follows a member that is no longer master. Nobody is told by a
// goodbye, since a better master is there.
func (s *step) groupBackup(member string) {
	if s.state != Master {
		return
	}
	s.toBackup(Reason{Code: ReasonGroup, Cause: Cause{Kind: FaultGroup, Name: member}})
	s.notice(NoticeState)
}

// reconfigure takes a new configuration of the same virtual router.
func (s *step) reconfigure(cfg Config) {
	cfg = cfg.withDefaults()
	old := s.cfg
	if !old.same(&cfg) {
		return
	}
	s.cfg, s.base = &cfg, cfg.Priority
	if cfg.Source.IsValid() {
		s.source = cfg.Source
	}
	if !s.learned || cfg.Version != V3 {
		s.masterInterval, s.learned = cfg.Interval, false
	}
	s.masterInterval = min(s.masterInterval, max(cfg.MaxLearnedInterval, cfg.Interval))
	s.setTracks(cfg.Tracks)
	s.prioritise()
	s.rearm()
	if s.state == Master {
		s.reconfigureMaster(old)
	}
	s.checkFaults()
}

func (s *step) reconfigureMaster(old *Config) {
	if s.cfg.Interval != old.Interval {
		s.answer() // backups of version 3 learn the interval from it
	}
	switch refresh := s.cfg.Announce.Refresh; {
	case refresh <= 0:
		s.cancel(timerRefresh)
	case refresh != old.Announce.Refresh:
		s.after(timerRefresh, refresh)
	}
	switch extra := s.cfg.Announce.Extra; {
	case extra <= 0:
		s.cancel(timerExtra)
	case extra != old.Announce.Extra:
		s.after(timerExtra, extra)
	}
	s.do(Action{Kind: UpdateAddresses, Epoch: s.epoch, Accept: s.accepts()})
}
