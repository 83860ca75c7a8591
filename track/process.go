package track

import (
	"context"
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// ProcessSource shows the processes of the machine. The real one is
// KernelProcesses.
type ProcessSource interface {
	// Subscribe returns a channel on which all changes from now on arrive. It
	// is closed when ctx ends or no more can be told. The error says why there
	// are none.
	Subscribe(ctx context.Context) (<-chan ProcessEvent, error)
	// List returns the numbers of all processes.
	List() ([]int, error)
	// Proc returns a process, or false if there is none, or it has ended and
	// only waits for its parent.
	Proc(pid int) (Proc, bool)
}

// ProcessEventKind is what happened to a process.
type ProcessEventKind uint8

// The kinds of events. Those of threads are left out.
const (
	// Forked: PID is a new process that is like Parent.
	Forked ProcessEventKind = iota + 1
	// Renamed: PID runs another program, or has another name.
	Renamed
	// Exited: PID has ended.
	Exited
	// Lost: events were lost, and nothing else is said.
	Lost
)

// ProcessEvent is one change.
type ProcessEvent struct {
	Kind        ProcessEventKind
	PID, Parent int
}

// processPoll is how often processes are counted where there are no events.
const processPoll = time.Second

// processes counts for all vrrp_track_process blocks. It belongs to one
// goroutine.
type processes struct {
	tracker *Tracker
	source  ProcessSource
	counts  []*processCount
	// scanned is set after the first count, to which delays do not apply.
	scanned bool
}

// processCount counts for one block.
type processCount struct {
	definition model.TrackProcess
	entry      *entry
	// members are the processes that match.
	members map[int]bool
	// shown is the state that others know; it holds after the first count.
	shown bool
	// due is when the other state is shown, if it lasts; zero is never.
	due time.Time
}

// runProcesses counts until ctx ends.
func (t *Tracker) runProcesses(ctx context.Context, list []model.TrackProcess, entries []*entry) {
	p := &processes{tracker: t, source: t.opts.Processes}
	for i, d := range list {
		p.counts = append(p.counts, &processCount{definition: d, entry: entries[i], members: make(map[int]bool)})
	}
	// The end of ctx ends the subscription; its channel is closed then.
	events, err := p.source.Subscribe(ctx)
	if err != nil {
		t.opts.Log.Warn("processes are counted each second", "error", err)
	}
	p.scan()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p.arm(timer, events == nil)
		select {
		case <-ctx.Done():
			drain(events)
			return
		case e, ok := <-events:
			if !ok && ctx.Err() == nil {
				t.opts.Log.Warn("process events ended: processes are counted each second")
			}
			if !ok {
				events = nil
				continue
			}
			p.handle(e)
		case <-timer.C:
			if events == nil {
				p.scan()
			}
			p.show()
		}
	}
}

// drain waits until the source has ended, which is when it closes the channel.
func drain(events <-chan ProcessEvent) {
	if events == nil {
		return
	}
	for range events {
		continue
	}
}

// arm sets the timer to the next thing that is due.
func (p *processes) arm(timer *time.Timer, polling bool) {
	var next time.Time
	if polling {
		next = time.Now().Add(processPoll)
	}
	for _, c := range p.counts {
		if !c.due.IsZero() && (next.IsZero() || c.due.Before(next)) {
			next = c.due
		}
	}
	if next.IsZero() {
		timer.Stop()
		return
	}
	timer.Reset(time.Until(next))
}

// scan counts all anew. It comes after Subscribe, so that what happens in the
// meantime is told by events.
func (p *processes) scan() {
	pids, err := p.source.List()
	if err != nil {
		p.tracker.opts.Log.Error("processes not counted", "error", err)
		return
	}
	before := make([]int, len(p.counts))
	for i, c := range p.counts {
		before[i] = len(c.members)
		clear(c.members)
	}
	for _, pid := range pids {
		p.compare(pid)
	}
	for i, c := range p.counts {
		p.counted(c, before[i])
	}
	p.scanned = true
}

// compare makes a process a member where it matches, and only there.
func (p *processes) compare(pid int) {
	proc, ok := p.source.Proc(pid)
	for _, c := range p.counts {
		if ok && matches(c.definition, proc) {
			c.members[pid] = true
		} else {
			delete(c.members, pid)
		}
	}
}

// handle takes one event.
func (p *processes) handle(e ProcessEvent) {
	if e.Kind == Lost {
		p.scan()
		return
	}
	before := make([]int, len(p.counts))
	for i, c := range p.counts {
		before[i] = len(c.members)
	}
	switch e.Kind {
	case Forked:
		for _, c := range p.counts {
			if c.members[e.Parent] {
				c.members[e.PID] = true
			}
		}
	case Renamed:
		p.compare(e.PID)
	case Exited:
		for _, c := range p.counts {
			delete(c.members, e.PID)
		}
	case Lost:
	}
	for i, c := range p.counts {
		if len(c.members) != before[i] {
			p.counted(c, before[i])
		}
	}
}

// counted looks whether a new count turns the state, now or after the delay of
// its direction. A turn that is undone within the delay is not shown.
func (p *processes) counted(c *processCount, before int) {
	n := len(c.members)
	state := hasQuorum(c.definition, n)
	delay := c.definition.ForkDelay
	if n < before {
		delay = c.definition.TerminateDelay
	}
	switch {
	case !p.scanned || delay <= 0:
		c.shown, c.due = state, time.Time{}
	case state == c.shown:
		c.due = time.Time{}
	case c.due.IsZero():
		c.due = time.Now().Add(delay)
	}
	p.publish(c)
}

// show shows the states whose delay is over.
func (p *processes) show() {
	now := time.Now()
	for _, c := range p.counts {
		if !c.due.IsZero() && !c.due.After(now) {
			c.shown, c.due = !c.shown, time.Time{}
			p.publish(c)
		}
	}
}

func (p *processes) publish(c *processCount) {
	d, n := c.definition, len(c.members)
	p.tracker.board.update(c.entry, func(s *Status) {
		was := s.State
		s.Value, s.State = n, Down
		if c.shown {
			s.State = Up
		}
		if s.State != was || c.due.IsZero() {
			s.Reason = quorumReason(d, n)
		}
	})
}

// quorumReason says how many there are and how many there should be.
func quorumReason(d model.TrackProcess, n int) string {
	switch {
	case d.QuorumMax < 0:
		return fmt.Sprintf("%d running, at least %d wanted", n, d.Quorum)
	case d.Quorum == d.QuorumMax:
		return fmt.Sprintf("%d running, %d wanted", n, d.Quorum)
	}
	return fmt.Sprintf("%d running, %d to %d wanted", n, d.Quorum, d.QuorumMax)
}
