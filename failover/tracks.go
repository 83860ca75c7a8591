package failover

import (
	"context"
	"slices"

	"github.com/evenkeel/evenkeel/track"
	"github.com/evenkeel/evenkeel/vrrp"
)

// watchTracks hands on what the tracker sees until ctx ends.
func (s *Service) watchTracks(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case st := <-s.tracker.Changes():
			s.tellTrack(ctx, st)
			s.opt.OnTracked(st)
		}
	}
}

func (s *Service) tellTrack(ctx context.Context, st track.Status) {
	s.mu.Lock()
	units := slices.Clone(s.units)
	s.mu.Unlock()
	for _, u := range units {
		for _, m := range u.members {
			for _, t := range m.plan.election.Tracks {
				if trackKind(t.Kind) == st.Kind && t.Name == st.Name {
					u.post(ctx, m.name(), statusOf(t, st))
				}
			}
		}
	}
}

func trackKind(k vrrp.TrackKind) track.Kind {
	switch k {
	case vrrp.TrackInterface:
		return track.Interface
	case vrrp.TrackScript:
		return track.Script
	case vrrp.TrackFile:
		return track.File
	case vrrp.TrackProcess:
		return track.Process
	case vrrp.TrackBFD:
		return track.BFD
	case vrrp.FaultSource, vrrp.FaultGroup:
	}
	return ""
}

// tracked returns what is known of a tracked thing now.
func (s *Service) tracked(t vrrp.Track) vrrp.Tracked {
	if t.Kind == vrrp.TrackInterface {
		s.mu.Lock()
		defer s.mu.Unlock()
		return vrrp.Tracked{Kind: t.Kind, Name: t.Name, Status: linkStatus(s.links, t.Name)}
	}
	for _, st := range s.tracker.Snapshot() {
		if st.Kind == trackKind(t.Kind) && st.Name == t.Name {
			return statusOf(t, st)
		}
	}
	return vrrp.Tracked{Kind: t.Kind, Name: t.Name}
}

// tellAll posts all that is known to a unit that has just started: some of it
// may have changed meanwhile.
func (s *Service) tellAll(ctx context.Context, u *unit) {
	for _, m := range u.members {
		for _, t := range m.plan.election.Tracks {
			if ev := s.tracked(t); ev.Status != vrrp.Unknown {
				u.post(ctx, m.name(), ev)
			}
		}
	}
}
