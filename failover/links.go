package failover

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/vrrp"
)

// settle is the least time between two readings of the links. A burst of
// changes costs one at its start and one at its end.
const settle = 20 * time.Millisecond

// watchLinks follows links and addresses until ctx ends.
func (s *Service) watchLinks(ctx context.Context, sub netif.Subscription) {
	for ctx.Err() == nil {
		s.readLinks(ctx)
		s.follow(ctx, sub)
		for ctx.Err() == nil {
			var err error
			if sub, err = s.opt.Kernel.SubscribeLinks(); err == nil {
				break
			}
			s.opt.Log.Error("cannot subscribe to changes of interfaces", "error", err)
			wait(ctx, time.Second)
		}
	}
	if sub != nil {
		sub.Close()
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// follow reads the links after each change, until the subscription fails.
func (s *Service) follow(ctx context.Context, sub netif.Subscription) {
	hints := make(chan struct{}, 1)
	failed := make(chan struct{})
	go func() { // ends with the subscription
		defer close(failed)
		for {
			if _, err := sub.Next(); err != nil {
				return
			}
			select {
			case hints <- struct{}{}:
			default: // one is enough
			}
		}
	}()
	defer func() { sub.Close(); <-failed }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-failed:
			return
		case <-hints:
			s.readLinks(ctx)
			wait(ctx, settle)
		}
	}
}

// readLinks reads the links and tells everybody what changed.
func (s *Service) readLinks(ctx context.Context) {
	now, err := s.opt.Kernel.Links()
	if err != nil {
		s.opt.Log.Error("cannot read interfaces", "error", err)
		return
	}
	s.mu.Lock()
	was := s.links
	s.links = now
	units := slices.Clone(s.units)
	s.mu.Unlock()
	changed := changedLinks(was, now)
	// First who may not be master any more.
	for _, u := range units {
		for _, m := range u.members {
			s.tellLinks(ctx, u, m, changed)
		}
	}
	for _, name := range changed {
		if err := s.hub.Refresh(name); err != nil {
			s.opt.Log.Error("adverts may be lost", "interface", name, "error", err)
		}
	}
	if len(changed) > 0 {
		s.ensureVMACs()
		s.promote()
	}
	for _, u := range units {
		for _, m := range u.members {
			if src := s.source(m); m.setSource(src) {
				u.post(ctx, m.name(), vrrp.SourceChanged{Source: src})
			}
		}
	}
}

// tellLinks posts the new status of the links that the member tracks.
func (s *Service) tellLinks(ctx context.Context, u *unit, m *member, changed []string) {
	for _, t := range m.plan.election.Tracks {
		if t.Kind == vrrp.TrackInterface && slices.Contains(changed, t.Name) {
			u.post(ctx, m.name(), s.tracked(t))
		}
	}
}

// changedLinks returns the names of links that came, went, or are up or down
// now, or are others of the same name.
func changedLinks(was, now []netif.Link) (names []string) {
	type state struct {
		index       int
		up, carrier bool
	}
	states := make(map[string]state)
	for _, l := range was {
		states[l.Name] = state{l.Index, l.Up, l.Carrier}
	}
	for _, l := range now {
		if states[l.Name] != (state{l.Index, l.Up, l.Carrier}) {
			names = append(names, l.Name)
		}
		delete(states, l.Name)
	}
	for name := range states {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// linkStatus says whether a link works: there, up and with a carrier.
func linkStatus(links []netif.Link, name string) vrrp.TrackStatus {
	for _, l := range links {
		if l.Name == name && l.Up && l.Carrier {
			return vrrp.Up
		}
	}
	return vrrp.Down
}

// source returns the member's source address as the links are now.
func (s *Service) source(m *member) netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return chooseSource(m.plan.instance, s.links, s.virtual)
}

// promote puts promote_secondaries in force on the interfaces of the instances
// that ask for it.
func (s *Service) promote() {
	s.mu.Lock()
	links := slices.Clone(s.promoted)
	s.mu.Unlock()
	if err := s.vmac.Promote(links); err != nil {
		s.opt.Log.Error("promote_secondaries has no effect", "error", err)
	}
}

// ensureVMACs makes the virtual MAC interfaces that are missing. What is in the
// way shows in the log once, and as a fault of the instance.
func (s *Service) ensureVMACs() {
	s.vmacMu.Lock()
	defer s.vmacMu.Unlock()
	s.mu.Lock()
	wanted, links := s.vmacs, s.links
	s.mu.Unlock()
	for _, v := range wanted {
		has := func(name string) bool {
			return slices.ContainsFunc(links, func(l netif.Link) bool { return l.Name == name })
		}
		if !has(v.Parent) {
			continue
		}
		if err := s.vmac.Ensure(v); err != nil && s.vmacErrs[v.Name] != err.Error() {
			s.vmacErrs[v.Name] = err.Error()
			s.opt.Log.Error("no virtual MAC", "interface", v.Name, "error", err)
		} else if err == nil {
			delete(s.vmacErrs, v.Name)
		}
	}
}
