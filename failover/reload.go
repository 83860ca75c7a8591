package failover

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif/vmac"
	"github.com/evenkeel/evenkeel/vrrp"
)

// ErrStopped is returned by Reload before Run and after its end.
var ErrStopped = errors.New("vrrp does not run")

// Reload goes over to another configuration. Virtual routers of an Identity
// that stays keep their state, timers and addresses, whatever else changes; new
// ones start, and those that are gone say goodbye. The pauses between
// announcements and log_unknown_vrids stay what they were at the start.
func (s *Service) Reload(cfg model.VRRP) error {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	if s.base == nil || s.stopped {
		return ErrStopped
	}
	if s.opt.Scripts == nil && len(cfg.Scripts) > 0 {
		return errors.New("vrrp_script: nobody to run it")
	}
	s.tracker.Update(definitions(cfg))
	s.apply(cfg)
	return nil
}

// heldMember is an instance between two units.
type heldMember struct {
	member *member
	held   vrrp.Held
	// followed says that another member goes on for it, and reused that that
	// one has its sockets.
	followed, reused bool
}

// apply brings the units in line with a configuration. It needs s.lifecycle.
func (s *Service) apply(cfg model.VRRP) {
	p, err := newPlan(cfg)
	if err != nil {
		s.opt.Log.Error("vrrp_instances left out", "error", err)
	}
	stay, end := s.sortUnits(p)
	held := s.halt(end, identities(p))

	s.mu.Lock()
	oldVMACs := s.vmacs
	s.global, s.virtual, s.vmacs, s.promoted = cfg.Global, p.virtual, p.vmacs(), promoted(cfg)
	s.mu.Unlock()
	refused := p.refused()
	// At the start there is at most something left to take away, and the kernel
	// takes milliseconds for it that a restarted master has no time for.
	later := s.epoch == 0 && len(refused) == 0
	if !later {
		s.refuse(refused)
	}
	s.removeLeftovers()
	s.ensureVMACs()
	s.promote()
	s.refreshLinks()
	s.epoch++
	s.keeper.Hold(static, s.epoch, p.static)

	units := s.makeUnits(p, stay, held)
	s.mu.Lock()
	s.units = units
	clear(s.byName)
	clear(s.byOwner)
	for _, u := range units {
		for _, m := range u.members {
			s.byName[m.name()], s.byOwner[m.owner] = m, m
		}
	}
	s.mu.Unlock()
	var begun []*unit
	for _, u := range units {
		if u.stop == nil {
			u.start(s.base)
			begun = append(begun, u)
		}
	}
	for _, u := range begun {
		u.settleIn(s.base)
	}
	if later {
		s.refuse(nil)
	}
	s.keeper.Sweep(p.sets())
	s.leaveBehind(end, held, oldVMACs)
}

// removeLeftovers deletes virtual MAC interfaces of an earlier process that the
// configuration has no more. Those of this one have a known end.
func (s *Service) removeLeftovers() {
	if s.epoch > 0 {
		return
	}
	names, err := s.vmac.Leftovers()
	if err != nil {
		s.opt.Log.Error("virtual MAC interfaces may be left behind", "error", err)
	}
	for _, name := range names {
		if !slices.ContainsFunc(s.vmacs, func(v vmac.Interface) bool { return v.Name == name }) {
			s.removeVMACs([]vmac.Interface{{Name: name}})
		}
	}
}

// refreshLinks takes note of interfaces that were just made.
func (s *Service) refreshLinks() {
	now, err := s.opt.Kernel.Links()
	if err != nil {
		s.opt.Log.Error("cannot read interfaces", "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links = now
}

// sortUnits tells the units that stay as they are from those that end.
func (s *Service) sortUnits(p plan) (stay map[string]*unit, end []*unit) {
	stay = make(map[string]*unit)
	for _, u := range s.units {
		same := func(n unitPlan) bool { return n.key() == u.plan.key() && reflect.DeepEqual(n, u.plan) }
		if slices.ContainsFunc(p.units, same) {
			stay[u.plan.key()] = u
		} else {
			end = append(end, u)
		}
	}
	return stay, end
}

func identities(p plan) map[model.Identity]bool {
	set := make(map[model.Identity]bool)
	for _, u := range p.units {
		for _, m := range u.members {
			set[m.instance.Identity()] = true
		}
	}
	return set
}

// halt ends units. Members that are gone say goodbye; the others are held.
func (s *Service) halt(end []*unit, wanted map[model.Identity]bool) map[model.Identity]*heldMember {
	held := make(map[model.Identity]*heldMember)
	for _, u := range end {
		for _, m := range u.members {
			if !wanted[m.plan.instance.Identity()] {
				u.post(s.base, m.name(), vrrp.Stop{Deleted: true})
			}
		}
		list, err := u.runner.Halt(s.base)
		<-u.done
		if err != nil {
			continue // it had ended before
		}
		for n, m := range u.members {
			if id := m.plan.instance.Identity(); wanted[id] {
				held[id] = &heldMember{member: m, held: list[n]}
			}
		}
	}
	return held
}

func (s *Service) makeUnits(p plan, stay map[string]*unit, held map[model.Identity]*heldMember) (units []*unit) {
	for _, up := range p.units {
		if u, ok := stay[up.key()]; ok {
			units = append(units, u)
			continue
		}
		byName := make(map[string]*heldMember)
		for _, m := range up.members {
			if h, ok := held[m.instance.Identity()]; ok {
				byName[m.instance.Name] = h
			}
		}
		u, err := s.newUnit(up, byName)
		if err != nil {
			s.opt.Log.Error("vrrp unit left out", "unit", up.key(), "error", err)
			continue
		}
		units = append(units, u)
	}
	return units
}

// leaveBehind lets members that are gone serve out, and takes away what nobody
// needs any more.
func (s *Service) leaveBehind(end []*unit, held map[model.Identity]*heldMember, oldVMACs []vmac.Interface) {
	reused := make(map[*member]bool)
	for _, h := range held {
		reused[h.member] = h.followed && h.reused
		if !h.followed {
			h.member.drop()
		}
	}
	for _, u := range end {
		for _, m := range u.members {
			if !reused[m] {
				s.running.Go(m.serveOut)
			}
		}
	}
	s.mu.Lock()
	var gone []vmac.Interface
	for _, v := range oldVMACs {
		if !slices.ContainsFunc(s.vmacs, func(o vmac.Interface) bool { return o.Name == v.Name }) {
			gone = append(gone, v)
		}
	}
	s.mu.Unlock()
	if len(gone) == 0 {
		return
	}
	s.running.Go(func() {
		for _, u := range end {
			for _, m := range u.members {
				if over := m.lingering(); over != nil {
					<-over
				}
			}
		}
		ctx, stop := context.WithTimeout(s.base, cleanTimeout)
		defer stop()
		_ = s.keeper.Sync(ctx) // the addresses go first, if they can
		s.removeVMACs(gone)
	})
}
