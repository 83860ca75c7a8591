package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// The phases of the story, in its order. The ones that wait for the daemon
// take as long as it needs; the others are a fixed number of requests.
const (
	phaseAllUp = iota
	phaseDying
	phaseDead
	phaseReturning
	phaseBack
	phaseDraining
	phaseDrained
	phaseRefilling
	phaseRefilled
	phaseCut
	phaseSecond
	phaseReturn
	phaseFirst
	phaseStop
	phaseLast
	phaseCount
)

// The parts that the servers play, counted from 0.
const (
	victim  = 1 // dies and returns
	drainee = 2 // gets weight 0 by a reload
)

// phaseTitles name the phases in the report.
func phaseTitles() [phaseCount]string {
	v, d := serverName(victim), serverName(drainee)
	a, b := directorName(first), directorName(second)
	return [phaseCount]string{
		phaseAllUp:     "all servers up",
		phaseDying:     v + " dead, still in the table",
		phaseDead:      v + " out of the table",
		phaseReturning: v + " returns, not in the table yet",
		phaseBack:      v + " back in the table",
		phaseDraining:  "reload: weight 0 for " + d,
		phaseDrained:   d + " drained",
		phaseRefilling: "reload: weight 1 for " + d,
		phaseRefilled:  "all servers up again",
		phaseCut:       a + " loses its power",
		phaseSecond:    b + " is master",
		phaseReturn:    a + " returns",
		phaseFirst:     a + " is master again",
		phaseStop:      a + " stops",
		phaseLast:      b + " is master again",
	}
}

// How the story asks and waits. Requests of a phase are a multiple of the
// servers for each service.
const (
	requestsPerPhase = 180
	requestPause     = 10 * time.Millisecond
	requestsAtOnce   = 8
	downloadsEach    = serverCount
	downloadTime     = 3 * time.Second
	lookPause        = 20 * time.Millisecond
	// reloadMargin is how long requests run before and after a reload.
	reloadMargin = 500 * time.Millisecond
	// weighTimeout bounds the wait for a reload to show in the table.
	weighTimeout = 5 * time.Second
)

// phase is one stretch of the story.
type phase struct {
	title string
	*tally
	// pings are echo requests to the virtual addresses; none unless the second
	// director cannot balance.
	pings *tally
	took  time.Duration
}

// passage is how long the daemon took to see a change.
type passage struct {
	took time.Duration
	// seen is false when it did not see it in twice the time that it had.
	seen bool
}

// facts are what the story found out.
type facts struct {
	plan      plan
	terms     terms
	phases    [phaseCount]phase
	out, back passage
	downloads []download
	// made are the connections that the client made to each service until the
	// first director died, counted those that it counted, and idle the packets
	// that the second one forwarded meanwhile.
	made, counted []uint64
	idle          uint64
	settled       bool
	// cut, home and stop are the three moves of the virtual addresses.
	cut, home, stop handover
	// start is what the first director said when the story began, lives what
	// daemons said before they ended.
	start api.Status
	lives []life
	// removed is set when everything was taken down; left is what the daemon
	// and the lab did not take with them.
	removed bool
	left    []string
}

// emptyFacts are those of a story that has not begun.
func emptyFacts(p plan) facts {
	f := facts{plan: p, made: make([]uint64, len(p.services))}
	for i, title := range phaseTitles() {
		f.phases[i] = phase{title: title, tally: newTally(len(p.services)), pings: newTally(len(p.services))}
	}
	return f
}

// story plays the phases.
type story struct {
	plan  plan
	stage stage
	terms terms
	// say takes one line of the transcript.
	say func(string)

	facts facts
}

func newStory(p plan, s stage, t terms, say func(string)) *story {
	st := &story{plan: p, stage: s, terms: t, say: say, facts: emptyFacts(p)}
	st.facts.terms = t
	return st
}

// steady is the traffic while the first director is master.
func steady(s stage, services int) traffic {
	return traffic{ask: s.Request, services: services, every: requestPause, atOnce: requestsAtOnce, timeout: requestTimeout}
}

// play plays the story to its end. An error means that it could not go on; the
// facts up to there stand.
func (s *story) play(ctx context.Context) error {
	acts := []func(context.Context) error{s.allUp, s.deathAndReturn, s.drain, s.refill, s.settle, s.powerCut, s.powerBack, s.gracefulStop}
	for _, act := range acts {
		if err := act(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) allUp(ctx context.Context) error {
	s.say("1. All servers are up.")
	return s.count(ctx, phaseAllUp)
}

func (s *story) deathAndReturn(ctx context.Context) error {
	name := serverName(victim)
	s.say(fmt.Sprintf("2. %s dies: its listener and its connections are closed while requests run.", name))
	die := func() error { return s.stage.StopServer(victim) }
	out := func(t table) bool { return t.out(victim) }
	if err := s.change(ctx, phaseDying, die, out, s.terms.down, &s.facts.out); err != nil {
		return err
	}
	s.say(passageText("out of the table", s.facts.out, s.terms.down))
	s.tell("until then", phaseDying)
	if err := s.count(ctx, phaseDead); err != nil {
		return err
	}
	s.say(fmt.Sprintf("3. %s returns.", name))
	live := func() error { return s.stage.StartServer(victim) }
	in := func(t table) bool { return t.in(victim) }
	if err := s.change(ctx, phaseReturning, live, in, s.terms.up, &s.facts.back); err != nil {
		return err
	}
	s.say(passageText("back in the table", s.facts.back, s.terms.up))
	s.tell("until then", phaseReturning)
	return s.count(ctx, phaseBack)
}

func passageText(what string, p passage, terms time.Duration) string {
	if !p.seen {
		return fmt.Sprintf("   still not %s after %s; its check allows %s", what, seconds(p.took), seconds(terms))
	}
	return fmt.Sprintf("   %s after %s; its check allows %s", what, seconds(p.took), seconds(terms))
}

func (s *story) drain(ctx context.Context) error {
	n := downloadsEach * len(s.plan.services)
	s.say(fmt.Sprintf("4. A reload (SIGHUP) sets %s to weight 0 while requests and %d downloads run.", serverName(drainee), n))
	downloads, err := s.startDownloads(ctx)
	if err != nil {
		return err
	}
	err = s.reload(ctx, phaseDraining, s.plan.drained(drainee))
	s.facts.downloads = downloads.wait(time.Now())
	if err != nil {
		return err
	}
	s.tell("while it reloaded", phaseDraining)
	s.say("   " + downloadsText(s.facts.downloads))
	return s.count(ctx, phaseDrained)
}

func (s *story) refill(ctx context.Context) error {
	s.say("5. Another reload gives the weight back.")
	if err := s.reload(ctx, phaseRefilling, s.plan.evenWeights()); err != nil {
		return err
	}
	s.tell("while it reloaded", phaseRefilling)
	return s.count(ctx, phaseRefilled)
}

// settle compares the counts of both ends.
func (s *story) settle(ctx context.Context) error {
	t, err := s.stage.Table(ctx, first)
	if err != nil {
		return err
	}
	for _, row := range t.services {
		s.facts.counted = append(s.facts.counted, row.conns)
	}
	s.facts.settled = true
	if s.plan.peer() != PeerEvenkeel {
		return nil
	}
	status, err := s.stage.Status(ctx, second)
	s.facts.idle = status.Packets.Forwarded
	return err
}

// count sends the requests of a phase.
func (s *story) count(ctx context.Context, number int) error {
	return s.countSome(ctx, number, requestsPerPhase)
}

func (s *story) countSome(ctx context.Context, number, n int) error {
	s.send(ctx, number, n, nil)
	s.tell("then", number)
	return ctx.Err()
}

// tell says how the requests of a phase went.
func (s *story) tell(when string, number int) {
	p := s.facts.phases[number]
	s.say(fmt.Sprintf("   %s %s", when, phaseText(p, s.plan.serverNames())))
}

// send sends the requests of a phase.
func (s *story) send(ctx context.Context, number, n int, stop <-chan struct{}) {
	p := &s.facts.phases[number]
	start := time.Now()
	steady(s.stage, len(s.plan.services)).run(ctx, n, stop, p.add)
	p.took += time.Since(start)
	s.made(p.tally)
}

// made notes connections that the first director should have counted.
func (s *story) made(t *tally) {
	for i, service := range t.services {
		if !s.facts.settled {
			s.facts.made[i] += uint64(service.sent)
		}
	}
}

// during sends requests while do runs.
func (s *story) during(ctx context.Context, number int, do func() error) error {
	stop := make(chan struct{})
	var err error
	var doing sync.WaitGroup
	doing.Go(func() {
		defer close(stop)
		err = do()
	})
	s.send(ctx, number, 0, stop)
	doing.Wait()
	return err
}

// change makes a change while requests run, and waits until the daemon's table
// shows it, at most for twice the terms and a little.
func (s *story) change(ctx context.Context, number int, act func() error, shown func(table) bool, terms time.Duration, p *passage) error {
	return s.during(ctx, number, func() error {
		start := time.Now()
		if err := act(); err != nil {
			return err
		}
		var err error
		p.seen, err = lookFor(ctx, s.stage, first, shown, 2*terms+time.Second)
		p.took = time.Since(start)
		return err
	})
}

// until asks again and again, at that pace and for at most that long.
func until(ctx context.Context, every, atMost time.Duration, there func(context.Context) (bool, error)) (bool, error) {
	pace := time.NewTicker(every)
	defer pace.Stop()
	deadline := time.After(atMost)
	for {
		ok, err := there(ctx)
		if ok || err != nil {
			return ok, err
		}
		select {
		case <-pace.C:
		case <-deadline:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// lookFor looks at a director's table until it is as wanted.
func lookFor(ctx context.Context, s stage, director int, wanted func(table) bool, atMost time.Duration) (bool, error) {
	return until(ctx, lookPause, atMost, func(ctx context.Context) (bool, error) {
		t, err := s.Table(ctx, director)
		return err == nil && wanted(t), err
	})
}

// reload changes the weights while requests run.
func (s *story) reload(ctx context.Context, number int, weights []int32) error {
	return s.during(ctx, number, func() error {
		pause(ctx, reloadMargin)
		if err := s.stage.Reload(ctx, weights); err != nil {
			return err
		}
		ok, err := lookFor(ctx, s.stage, first, func(t table) bool { return t.weigh(weights) }, weighTimeout)
		if err == nil && !ok {
			err = fmt.Errorf("reload: the table does not show the weights %v", weights)
		}
		pause(ctx, reloadMargin)
		return err
	})
}

// pause lets requests run for a while.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
