package failover

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/evenkeel/evenkeel/track"
	"github.com/evenkeel/evenkeel/vrrp"
)

// unit is a sync group or a lone instance at work.
type unit struct {
	service *Service
	plan    unitPlan
	members []*member
	// follows are the members that this unit's ones go on for.
	follows []*member
	runner  *vrrp.Runner
	stop    context.CancelFunc
	done    chan struct{} // closed when the runner has ended
}

// newUnit prepares a unit. held are the members that go on, by the name that
// they have now.
func (s *Service) newUnit(p unitPlan, held map[string]*heldMember) (*unit, error) {
	u := &unit{service: s, plan: p, done: make(chan struct{})}
	opt := vrrp.Options{
		Group: p.name,
		// The plan has left out what does not count.
		TrackingWeight: true,
		Effects:        s,
		Loop:           s.loop,
		Log:            s.opt.Log,
	}
	for _, mp := range p.members {
		h := held[mp.instance.Name]
		m, err := s.newMember(mp, h)
		if err != nil {
			u.closeConns()
			return nil, err
		}
		u.members = append(u.members, m)
		if h != nil {
			u.follows = append(u.follows, h.member)
		}
		opt.Members = append(opt.Members, s.begin(m, h))
	}
	var err error
	if u.runner, err = vrrp.NewRunner(opt); err != nil {
		u.closeConns()
		return nil, err
	}
	for _, h := range held {
		h.followed = true
	}
	return u, nil
}

func (u *unit) closeConns() {
	for _, m := range u.members {
		m.socket.Close()
	}
}

// newMember makes a member with its sockets, or with those of the one that it
// follows.
func (s *Service) newMember(p memberPlan, h *heldMember) (*member, error) {
	s.members++
	m := &member{service: s, plan: p, owner: fmt.Sprintf("%s/%d", p.instance.Name, s.members)}
	if h != nil && h.member.plan.conn == p.conn {
		m.socket, m.conn = h.member.socket, h.member.conn
		h.reused = true
	} else {
		socket, err := s.hub.Open(p.conn)
		if err != nil {
			return nil, fmt.Errorf("vrrp_instance %s: %w", p.instance.Name, err)
		}
		note, err := s.memory.slot(p.instance.Name)
		if err != nil {
			s.opt.Log.Warn("a crash will lose this mastership", "instance", p.instance.Name, "error", err)
		}
		m.socket, m.conn = socket, &advertising{Conn: socket, note: note}
	}
	if h != nil {
		m.follow(h.member)
	}
	return m, nil
}

// begin says how a member starts.
func (s *Service) begin(m *member, h *heldMember) vrrp.Member {
	cfg := m.plan.election
	cfg.Source = s.source(m)
	m.setSource(cfg.Source)
	out := vrrp.Member{Config: cfg, Conn: m.conn}
	if h != nil {
		out.Resume = &h.held
		return out
	}
	age, was := m.conn.note.age()
	out.Start.Adopt = was && age >= 0 && age < vrrp.ResumeWithin(cfg)
	m.left = was && !out.Start.Adopt
	out.Start.Hold = s.hold()
	for _, t := range cfg.Tracks {
		ev := s.tracked(t)
		if out.Start.Adopt && ev.Status == vrrp.Unknown && t.Kind != vrrp.TrackInterface {
			// A moment ago it was no fault, or there was no mastership.
			ev.Status, ev.Value = noFault(t)
		}
		out.Known = append(out.Known, ev)
	}
	return out
}

// noFault is the status, and the number of a file, that keep an instance out of
// FAULT.
func noFault(t vrrp.Track) (vrrp.TrackStatus, int) {
	switch {
	case t.Kind == vrrp.TrackFile && t.Reverse && t.Weight == 0:
		return vrrp.Up, 1
	case t.Reverse && t.Weight == 0:
		return vrrp.Down, 0
	}
	return vrrp.Up, 0
}

// start runs the unit until ctx ends or it is halted.
func (u *unit) start(ctx context.Context) {
	ctx, u.stop = context.WithCancel(ctx)
	u.service.running.Go(func() {
		defer close(u.done)
		_ = u.runner.Run(ctx)
	})
}

// settleIn returns when the unit has begun, so that what it goes on with has a
// new owner, and ends the old one's.
func (u *unit) settleIn(ctx context.Context) {
	if _, err := u.runner.Instances(ctx); err != nil {
		return // the process ends
	}
	for _, m := range u.follows {
		m.forget()
	}
	u.follows = nil
	u.service.tellAll(ctx, u)
}

// post gives an event to a member. A unit that has ended needs none.
func (u *unit) post(ctx context.Context, name string, ev vrrp.Event) {
	err := u.runner.Post(ctx, name, ev)
	if err != nil && !errors.Is(err, vrrp.ErrEnded) && ctx.Err() == nil {
		u.service.opt.Log.Error("vrrp event lost", "instance", name, "error", err)
	}
}

// serveOut goes on reading after the end of the runner, until the member serves
// no more, and closes its socket.
func (m *member) serveOut() {
	defer m.forgetBursts()
	defer m.socket.Close()
	over := m.lingering()
	if over == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	var waiting sync.WaitGroup
	waiting.Go(func() {
		<-over
		stop()
	})
	for {
		if _, err := m.conn.Recv(ctx); err != nil {
			break
		}
	}
	waiting.Wait()
}

// statusOf returns the event for a tracked thing other than an interface.
func statusOf(t vrrp.Track, st track.Status) vrrp.Tracked {
	ev := vrrp.Tracked{Kind: t.Kind, Name: t.Name, Value: st.Value}
	switch st.State {
	case track.Up:
		ev.Status = vrrp.Up
	case track.Down:
		ev.Status = vrrp.Down
	case track.Disabled:
		// It has no say: no fault, and no weight.
		if t.Weight == 0 {
			ev.Status, _ = noFault(t) // scripts only
		}
	case track.Unknown:
	}
	return ev
}
