package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/evenkeel/evenkeel/bench/process"
)

// pair is two directors with one subject at work, and perhaps a client.
type pair struct {
	*site
	setup
	routers [2]*process.Process
	client  *client
}

const (
	first  = 0 // the director of higher priority
	second = 1
)

// startPair starts the subject on both directors, waits until the first is the
// only master and answers, and until the pairs of other lanes are as far.
func (s *site) startPair(sub subject, set setup) (*pair, error) {
	s.capture.forget()
	p := &pair{site: s, setup: set}
	if err := p.begin(sub); err != nil {
		return nil, errors.Join(err, p.end())
	}
	s.seat.reach(isReady)
	return p, nil
}

func (p *pair) begin(sub subject) (err error) {
	dir := p.runDir()
	for n, priority := range []int{firstPriority, secondPriority} {
		node := p.directors[n].eth0.Node
		if p.routers[n], err = sub.start(node, filepath.Join(dir, node.Name()), p.conf(priority)); err != nil {
			return err
		}
	}
	if p.client, err = ask(p.site.client, p.vip(0, 0)); err != nil {
		return err
	}
	if !await(p.settled, p.startTime()) {
		return fmt.Errorf("the first director is not the only master after %s; its log ends:\n%s", p.startTime(), p.routers[first].Tail(5))
	}
	return p.alive()
}

// startTime is how long an election and the start of two processes may take.
func (p *pair) startTime() time.Duration {
	return downTime(secondPriority, p.interval) + longest
}

// quiet is how long the second director must be silent.
func (p *pair) quiet() time.Duration { return max(3*p.interval, 300*time.Millisecond) }

// settled says whether the first director is the only master of all routers, and
// the client reaches it.
func (p *pair) settled() bool {
	now := time.Now()
	masters := p.mastersSince(first, now.Add(-p.quiet()))
	return masters == p.instances && p.mastersSince(second, now.Add(-p.quiet())) == 0 &&
		p.client.steady(200*time.Millisecond, p.mac(first))
}

// mastersSince returns for how many routers a director has advertised.
func (p *pair) mastersSince(director int, since time.Time) int {
	routers := make(map[uint8]bool)
	for _, e := range p.capture.since(since, from(director, advert)) {
		routers[e.router] = true
	}
	return len(routers)
}

// alive returns an error if a process has ended.
func (p *pair) alive() error {
	for n, r := range p.routers {
		if r.Ended() {
			return fmt.Errorf("director %d has ended; its log ends:\n%s", n+1, r.Tail(5))
		}
	}
	return nil
}

// end stops all and leaves the network as it was, once other lanes have measured
// too.
func (p *pair) end() error {
	p.seat.reach(isMeasured)
	if p.client != nil {
		p.client.close()
	}
	var errs []error
	for _, r := range p.routers {
		if r != nil {
			errs = append(errs, r.End(endPatience))
		}
	}
	return errors.Join(append(errs, p.restore())...)
}

// phase waits for an advert of the first director and then for a part of the
// interval, 0 to 1, so that the faults of both subjects hit the same phases.
func (p *pair) phase(part float64) error {
	now := time.Now()
	var last time.Time
	heard := func() bool {
		list := p.capture.since(now, from(first, advert))
		if len(list) > 0 {
			last = list[0].at
		}
		return len(list) > 0
	}
	if !await(heard, longest) {
		return errors.New("the first director does not advertise")
	}
	target := last.Add(time.Duration(part * float64(p.interval)))
	for target.Before(time.Now()) {
		target = target.Add(p.interval)
	}
	sleepUntil(monotonic() + int64(time.Until(target)))
	return nil
}
