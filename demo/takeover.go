package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// How the story asks while the virtual addresses move. A request that is not
// answered soon is lost, and nobody waits for it before the next one, so that
// what is lost can be counted.
const (
	probeTimeout  = time.Second
	probesAtOnce  = 200
	probesOfPhase = 150
	// movePause is the time between two looks at who is master.
	movePause = 2 * time.Millisecond
	// probeMargin is how long requests run before a move and after it.
	probeMargin = 500 * time.Millisecond
)

// handover is one move of the virtual addresses.
type handover struct {
	passage
	// terms are VRRP's own; atMost is what the demo allows.
	terms, atMost time.Duration
	// gap is the longest time in which a service gave no answer, or where the
	// second director cannot balance, an address no echo.
	gap time.Duration
	// answers is set when every service answered what was asked after the move.
	answers bool
	// downloads were open when the move began.
	downloads []download
}

// life is what a daemon said last before it ended.
type life struct {
	director int
	status   api.Status
}

func (s *story) powerCut(ctx context.Context) error {
	from, to := directorName(first), directorName(second)
	h := &s.facts.cut
	h.terms = s.terms.silence[second]
	s.say(fmt.Sprintf("6. %s, the master, loses its power while requests and %d downloads run.", from, downloadsEach*len(s.plan.services)))
	if err := s.remember(ctx, first); err != nil {
		return err
	}
	patience, giveUp := context.WithCancel(ctx)
	defer giveUp()
	open, err := s.startDownloads(patience)
	if err != nil {
		return err
	}
	cut := func(context.Context) (time.Time, error) { return time.Now(), s.stage.CutPower(first) }
	gone := func(h holding) bool { return h.only(second) }
	err = s.handover(ctx, phaseCut, h, cut, gone)
	if err == nil {
		s.say(handoverText(to, *h))
		s.tellLoss(phaseCut, *h)
		err = s.countSecond(ctx, phaseSecond)
	}
	// Whoever still waits has lost its connection.
	giveUp()
	h.downloads = open.wait(time.Now())
	if err == nil {
		s.say("   " + tornText(h.downloads))
	}
	return err
}

func (s *story) powerBack(ctx context.Context) error {
	name := directorName(first)
	h := &s.facts.home
	h.terms = s.terms.silence[first]
	s.say(fmt.Sprintf("7. %s has power again and starts its daemon. Its priority is the higher one, so it takes the addresses back.", name))
	start := func(ctx context.Context) (time.Time, error) {
		err := s.stage.StartDirector(ctx, first)
		return time.Now(), err
	}
	if err := s.handover(ctx, phaseReturn, h, start, func(h holding) bool { return h.only(first) }); err != nil {
		return err
	}
	s.say(handoverText(name, *h))
	s.tellLoss(phaseReturn, *h)
	ok, err := lookFor(ctx, s.stage, first, table.allIn, fillTimeout)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%s: its tables are not full after %s", name, fillTimeout)
	}
	return s.countSome(ctx, phaseFirst, probesOfPhase)
}

func (s *story) gracefulStop(ctx context.Context) error {
	from, to := directorName(first), directorName(second)
	h := &s.facts.stop
	h.terms = s.terms.goodbye[second]
	s.say(fmt.Sprintf("8. %s's daemon is stopped (SIGTERM): it says goodbye, with priority 0.", from))
	if err := s.remember(ctx, first); err != nil {
		return err
	}
	stopped := make(chan error, 1)
	stop := func(ctx context.Context) (time.Time, error) {
		go func() { stopped <- s.stage.StopDirector(ctx, first) }()
		return time.Now(), nil
	}
	err := s.handover(ctx, phaseStop, h, stop, func(h holding) bool { return h.all(second) })
	if err := errors.Join(err, <-stopped); err != nil {
		return err
	}
	s.say(handoverText(to, *h))
	s.tellLoss(phaseStop, *h)
	if err := s.countSecond(ctx, phaseLast); err != nil {
		return err
	}
	if s.plan.peer() != PeerEvenkeel {
		return nil
	}
	return s.remember(ctx, second)
}

// remember keeps what a daemon counted, before it ends.
func (s *story) remember(ctx context.Context, director int) error {
	status, err := s.stage.Status(ctx, director)
	if err != nil {
		return err
	}
	s.facts.lives = append(s.facts.lives, life{director, status})
	return nil
}

// handover does what makes the addresses move, and measures it while requests
// run. act returns the moment from which VRRP's terms count.
func (s *story) handover(ctx context.Context, number int, h *handover, act func(context.Context) (time.Time, error), moved func(holding) bool) error {
	h.atMost = h.terms + slack
	g := newGauge(len(s.plan.services))
	return s.probing(ctx, number, g, func(ctx context.Context) error {
		pause(ctx, probeMargin)
		start, err := act(ctx)
		if err != nil {
			return err
		}
		h.seen, err = until(ctx, movePause, 2*h.atMost, func(ctx context.Context) (bool, error) {
			now, err := s.stage.Holding(ctx)
			return err == nil && moved(now), err
		})
		// At least a moment: zero says that nothing was measured.
		h.took = max(time.Since(start), time.Nanosecond)
		if err != nil {
			return err
		}
		h.answers = g.await(ctx, requestTimeout)
		pause(ctx, probeMargin)
		h.gap = g.gap(time.Now())
		return ctx.Err()
	})
}

// probing sends requests while do runs, and where the second director cannot
// balance, pings too. The gauge measures the ones that both directors answer.
func (s *story) probing(ctx context.Context, number int, g *gauge, do func(context.Context) error) error {
	p := &s.facts.phases[number]
	start := time.Now()
	defer func() { p.took += time.Since(start) }()
	stop := make(chan struct{})
	var err error
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		defer close(stop)
		err = do(ctx)
	})
	onRequest, onPing := p.add, p.pings.add
	if s.plan.peer() == PeerEvenkeel {
		onRequest = both(p.add, g.add)
	} else {
		onPing = both(p.pings.add, g.add)
		work.Go(func() { probes(s.ping, len(s.plan.services)).run(ctx, 0, stop, onPing) })
	}
	probes(s.stage.Request, len(s.plan.services)).run(ctx, 0, stop, onRequest)
	work.Wait()
	return err
}

func both(a, b func(outcome)) func(outcome) { return func(o outcome) { a(o); b(o) } }

// probes are the traffic while addresses move.
func probes(ask func(context.Context, int) (string, error), services int) traffic {
	return traffic{ask: ask, services: services, every: requestPause, atOnce: probesAtOnce, timeout: probeTimeout}
}

// ping is an ask that nobody's name answers.
func (s *story) ping(ctx context.Context, service int) (string, error) {
	return "", s.stage.Ping(ctx, service)
}

// countSecond sends the requests of a phase in which the second director is
// master, or pings, where it cannot balance.
func (s *story) countSecond(ctx context.Context, number int) error {
	if s.plan.peer() == PeerEvenkeel {
		return s.countSome(ctx, number, probesOfPhase)
	}
	p := &s.facts.phases[number]
	start := time.Now()
	pings := steady(s.stage, len(s.plan.services))
	pings.ask = s.ping
	pings.run(ctx, probesOfPhase, nil, p.pings.add)
	p.took += time.Since(start)
	s.say(fmt.Sprintf("   then %d pings of the virtual addresses, %d answered; requests would be refused: %s runs without IPVS here",
		p.pings.sent(), p.pings.sent()-p.pings.failed(), s.plan.peer()))
	return ctx.Err()
}

func handoverText(name string, h handover) string {
	if !h.seen {
		return fmt.Sprintf("   %s still does not have the virtual addresses alone after %s; VRRP's timers take up to %s", name, seconds(h.took), seconds(h.terms))
	}
	return fmt.Sprintf("   %s is master after %s; VRRP's timers take up to %s", name, seconds(h.took), seconds(h.terms))
}

// tellLoss says what the client lost while the addresses moved.
func (s *story) tellLoss(number int, h handover) {
	p := s.facts.phases[number]
	s.say("   meanwhile " + phaseText(p, s.plan.serverNames()))
	if p.pings.sent() > 0 {
		s.say(fmt.Sprintf("   meanwhile %d pings, %d answered", p.pings.sent(), p.pings.sent()-p.pings.failed()))
	}
	s.say(fmt.Sprintf("   the longest time without an answer: %s", seconds(h.gap)))
}

// tornText says how open downloads fared when their director died.
func tornText(list []download) string {
	return fmt.Sprintf("%d of %d open downloads broke: %s", len(torn(list)), len(list), "the flows of a director die with it")
}

// torn are the downloads that did not end whole.
func torn(list []download) []download {
	return slices.DeleteFunc(slices.Clone(list), func(d download) bool { return d.err == nil })
}
