package failover

import (
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif/keep"
	"github.com/evenkeel/evenkeel/notify"
	"github.com/evenkeel/evenkeel/vrrp"
)

// Notifier tells the world outside. notify.Notifier is the real one.
type Notifier interface {
	// Transition does not block.
	Transition(t notify.Transition, s notify.Scripts, mail bool)
}

// Change is a change of state of an instance, or of a sync group.
type Change struct {
	Group bool
	Name  string
	State vrrp.State
	// Reason says why; for a group it is that of one of its members.
	Reason vrrp.Reason
}

// Do carries out what an instance or a group decides. It is for Runners: it
// only queues, so that no advert waits.
func (s *Service) Do(group, instance string, a vrrp.Action) {
	if instance == "" {
		s.notifyGroup(group, a)
		return
	}
	m := s.member(instance)
	if m == nil {
		return
	}
	switch a.Kind {
	case vrrp.TakeAddresses, vrrp.UpdateAddresses:
		m.take(a.Epoch)
	case vrrp.ReleaseAddresses:
		m.release(a)
	case vrrp.Announce:
		if a.Cause == vrrp.CauseExtra {
			m.announceExtra(a.Epoch)
			break
		}
		m.announce(a.Epoch, m.rounds(a.Cause))
	case vrrp.AnnounceSource:
		m.announceSource(a.Epoch)
	case vrrp.Notify:
		s.notifyInstance(m.plan.instance, a)
	case vrrp.SendAdvert, vrrp.Warn:
		// The Runner's own.
	}
}

// placed is the Keeper's report.
func (s *Service) placed(p keep.Placed) {
	s.mu.Lock()
	m := s.byOwner[p.Owner]
	s.mu.Unlock()
	if m != nil {
		m.inPlace(p)
	}
}

func (s *Service) notifyInstance(i model.VRRPInstance, a vrrp.Action) {
	if a.Notice == vrrp.NoticePriority && !i.PriorityEvents {
		return
	}
	s.changed(Change{Name: i.Name, State: a.State, Reason: a.Reason}, a)
	s.opt.Notifier.Transition(notify.Transition{
		Object:   notify.Instance,
		Name:     i.Name,
		State:    notify.State(a.Notice.Event(a.State)),
		Priority: a.Priority,
		Reason:   a.Reason.String(),
	}, notify.Scripts(i.Scripts), i.Mail && s.mailed(a))
}

func (s *Service) notifyGroup(name string, a vrrp.Action) {
	u := s.groupUnit(name)
	if u == nil || a.Kind != vrrp.Notify {
		return
	}
	s.changed(Change{Group: true, Name: name, State: a.State, Reason: a.Reason}, a)
	s.opt.Notifier.Transition(notify.Transition{
		Object: notify.Group,
		Name:   name,
		State:  notify.State(a.Notice.Event(a.State)),
		Reason: a.Reason.String(),
	}, notify.Scripts(u.plan.group.Scripts), u.plan.group.Mail && s.mailed(a))
}

// mailed says whether mail is sent of it.
func (s *Service) mailed(a vrrp.Action) bool {
	return !s.opt.NoFaultMail || a.State != vrrp.Fault
}

func (s *Service) changed(c Change, a vrrp.Action) {
	switch a.Notice {
	case vrrp.NoticeState, vrrp.NoticeStop, vrrp.NoticeDeleted:
		s.opt.OnChange(c)
	case vrrp.NoticePriority, vrrp.NoticeLowerPriority:
	}
}
