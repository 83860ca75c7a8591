package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// values are what one run measured, by name; times are in milliseconds.
type values map[string]float64

// The names of values. They are keys of the JSON file.
const (
	// vTakeover is from the last advert of the first director that reached the
	// second to the first advert of the second.
	vTakeover = "takeover_ms"
	// vSinceFault is from the fault to the same advert.
	vSinceFault = "since_fault_ms"
	// vAnnounced is from that advert to the first gratuitous ARP of the last address.
	vAnnounced = "announced_ms"
	// vLost is how many requests of the client had no answer, vLoss the
	// longest time without, vGap the longest time between two answers, and
	// vClientPause between two requests.
	vLost        = "lost_packets"
	vLoss        = "loss_ms"
	vGap         = "gap_ms"
	vClientPause = "client_pause_ms"
	// vOverlap is from the heal to the last advert of the director that gives
	// up.
	vOverlap = "overlap_ms"
	// vSecond counts the adverts of the second director.
	vSecond = "second_adverts"
	// vTakeovers counts its masterships.
	vTakeovers = "false_takeovers"
	// vPause is the longest time between two adverts of the first director.
	vPause = "advert_pause_ms"
	// vStall is the longest time in which the machine stood still while a run
	// was watched, vMoment the longest that touched the moment at which the
	// second director was due, and vSteal how much of the time of all CPUs the
	// hypervisor kept for itself.
	vStall  = "stall_ms"
	vMoment = "moment_stall_ms"
	vSteal  = "steal_percent"
)

// fault is one way to lose a master.
type fault func(*pair) error

// silence cuts the first director off without its noticing.
func silence(p *pair) error { return p.setJoined(first, false) }

// cut takes the carrier away.
func cut(p *pair) error { return p.setPort(first, false) }

// terminate stops the program as its users do.
func terminate(p *pair) error { return p.routers[first].Cmd.Process.Signal(unix.SIGTERM) }

// longest bounds the wait for what must come. A machine may be busy.
const longest = 30 * time.Second

// takeover measures a fault after which the second director must take over,
// a time after the last advert that it hears.
func takeover(f fault, after func(priority int, interval time.Duration) time.Duration) measurement {
	return func(s *site, sub subject, set setup, part float64) (values, error) {
		p, err := s.startPair(sub, set)
		if err != nil {
			return nil, err
		}
		v, err := p.takeover(f, part, after(secondPriority, set.interval))
		return v, errors.Join(err, p.end())
	}
}

func (p *pair) takeover(f fault, part float64, after time.Duration) (values, error) {
	if err := p.phase(part); err != nil {
		return nil, err
	}
	t0 := time.Now().Round(0)
	if err := f(p); err != nil {
		return nil, err
	}
	taken := func() bool { return len(p.capture.since(t0, from(second, advert))) > 0 }
	if !await(taken, downTime(secondPriority, p.interval)+longest) {
		return nil, fmt.Errorf("no takeover; the log of the second director ends:\n%s", p.routers[second].Tail(5))
	}
	to := p.recovered(second)
	v := p.client.outage(t0, to).values()
	p.addTakeover(v, t0)
	p.addStalls(v, t0, to, p.lastHeard(t0).Add(after))
	return v, nil
}

// lastHeard returns when the last advert reached the second director before it
// advertised itself, after t0.
func (p *pair) lastHeard(t0 time.Time) (at time.Time) {
	for _, e := range p.capture.since(time.Time{}, anyAdvertAt(second)) {
		switch {
		case e.toward:
			at = e.at
		case e.at.After(t0):
			return at
		}
	}
	return at
}

func (o outage) values() values {
	return values{vLost: float64(o.lost), vLoss: millis(o.longest), vGap: millis(o.gap), vClientPause: millis(o.pause)}
}

// tailTime is how long a client must be served without a loss to count as served
// again, and longestTail when the observation ends at the latest.
const (
	tailTime    = 500 * time.Millisecond
	longestTail = 12 * time.Second
)

// recovered waits until a director has served the client for a while, or for
// too long, and returns the time. The answers to what was asked until then have
// come when it returns, or count as lost.
func (p *pair) recovered(director int) time.Time {
	await(func() bool { return p.client.steady(tailTime, p.mac(director)) }, longestTail)
	to := time.Now().Round(0)
	time.Sleep(patience)
	return to
}

// kill measures the death of the process that speaks VRRP. What supervises it
// may start it again; for one that nobody supervises, a service manager is
// played that does so at once.
func kill(s *site, sub subject, set setup, part float64) (values, error) {
	p, err := s.startPair(sub, set)
	if err != nil {
		return nil, err
	}
	v, err := p.kill(part)
	return v, errors.Join(err, p.end())
}

func (p *pair) kill(part float64) (values, error) {
	if err := p.phase(part); err != nil {
		return nil, err
	}
	main := p.routers[first]
	pid := worker(main)
	t0 := time.Now().Round(0)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return nil, fmt.Errorf("kill the worker: %w", err)
	}
	if pid == main.Cmd.Process.Pid {
		<-main.Done
		next, err := again(main, p.directors[first].eth0.Node)
		if err != nil {
			return nil, err
		}
		p.routers[first] = next
	}
	// Long enough for a takeover and its end.
	time.Sleep(2*downTime(secondPriority, p.interval) + time.Second)
	to := p.recovered(first)
	v := p.client.outage(t0, to).values()
	v[vSecond] = float64(len(p.capture.since(t0, from(second, advert))))
	v[vPause] = millis(longestPause(p.capture.since(t0.Add(-2*p.interval), from(first, advert))))
	p.addStalls(v, t0, to, time.Time{})
	return v, nil
}

// longestPause is the longest time between two events.
func longestPause(list []event) (longest time.Duration) {
	for n := 1; n < len(list); n++ {
		longest = max(longest, list[n].at.Sub(list[n-1].at))
	}
	return longest
}

// heal measures the end of a partition in which both directors were masters and
// the client was with the second.
func heal(s *site, sub subject, set setup, part float64) (values, error) {
	p, err := s.startPair(sub, set)
	if err != nil {
		return nil, err
	}
	v, err := p.heal(part)
	return v, errors.Join(err, p.end())
}

func (p *pair) heal(part float64) (values, error) {
	if err := p.setJoined(first, false); err != nil {
		return nil, err
	}
	lone := func() bool { return p.client.steady(tailTime, p.mac(second)) }
	if !await(lone, downTime(secondPriority, p.interval)+longest) {
		return nil, errors.New("the second director does not serve the client in the partition")
	}
	if err := p.phase(part); err != nil {
		return nil, err
	}
	t0 := time.Now().Round(0)
	if err := p.setJoined(first, true); err != nil {
		return nil, err
	}
	over := func() bool { return p.mastersSince(second, time.Now().Add(-p.quiet())) == 0 }
	if !await(over, longest) {
		return nil, errors.New("two masters after the heal")
	}
	to := p.recovered(first)
	v := p.client.outage(t0, to).values()
	v[vOverlap] = 0
	if list := p.capture.since(t0, from(second, advert)); len(list) > 0 {
		v[vOverlap] = millis(list[len(list)-1].at.Sub(t0))
	}
	p.addStalls(v, t0, to, time.Time{})
	return v, nil
}
