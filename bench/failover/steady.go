package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// The names of what is measured of the cadence of adverts.
const (
	vAdverts = "adverts"
	vMedian  = "cadence_median_ms"
	vP99     = "cadence_p99_ms"
	vWorst   = "cadence_worst_ms"
	// vCalmWorst is the worst of those that were due while the machine did not
	// stand still.
	vCalmWorst = "cadence_calm_worst_ms"
	// vCalmTakeovers are false takeovers before which it did not either.
	vCalmTakeovers = "calm_false_takeovers"
	// vTaking are the same of the second director while it puts addresses in
	// place.
	vTakingP99       = "taking_p99_ms"
	vTakingWorst     = "taking_worst_ms"
	vTakingCalmWorst = "taking_calm_worst_ms"
	// What the processes of a director use while nothing happens, in percent of
	// one CPU. The kernel counts with the sender what it does until a frame is in
	// the other's queue.
	vCPUMaster = "cpu_master_percent"
	vCPUBackup = "cpu_backup_percent"
	// vPlaced counts the addresses that were announced.
	vPlaced = "announced_addresses"
)

// watch measures the cadence of adverts for a while in which nothing happens,
// and counts false takeovers.
func watch(while time.Duration) measurement {
	return func(s *site, sub subject, set setup, _ float64) (values, error) {
		p, err := s.startPair(sub, set)
		if err != nil {
			return nil, err
		}
		return p.watch(while), errors.Join(p.alive(), p.end())
	}
}

func (p *pair) watch(while time.Duration) values {
	t0 := time.Now().Round(0)
	used := p.used()
	time.Sleep(while)
	v := p.client.outage(t0, time.Now().Add(-patience)).values()
	v.addUsed(used, p.used())
	v[vCalmTakeovers] = 0
	list := pauses(p.capture.since(t0, from(first, advert)))
	c := summarize(list.millis())
	v[vAdverts], v[vMedian], v[vP99], v[vWorst] = float64(c.n), c.median, c.p99, c.worst
	v[vCalmWorst] = list.calm(p.canary, p.interval)
	begun := masterships(p.capture.since(t0, from(second, advert)), 3*p.interval)
	v[vTakeovers] = float64(len(begun))
	for _, at := range begun {
		if !p.canary.disturbed(at.Add(-downTime(secondPriority, p.interval)-around), at) {
			v[vCalmTakeovers]++
		}
	}
	p.addStalls(v, t0, time.Now(), time.Time{})
	return v
}

// usage is the processor time of each director up to a moment.
type usage struct {
	at  time.Time
	cpu [2]time.Duration
}

// used returns what was used up to now. A process that is gone has used nothing.
func (p *pair) used() usage {
	u := usage{at: time.Now()}
	for n, r := range p.routers {
		if now, err := r.Usage(); err == nil {
			u.cpu[n] = now.CPU
		}
	}
	return u
}

// addUsed adds what was used between two moments.
func (v values) addUsed(from, to usage) {
	for n, name := range []string{first: vCPUMaster, second: vCPUBackup} {
		v[name] = 100 * float64(to.cpu[n]-from.cpu[n]) / float64(to.at.Sub(from.at))
	}
}

// pause is the time between two adverts of one router.
type pause struct{ from, to time.Time }

type pauseList []pause

// pauses returns those of each router.
func pauses(list []event) (all pauseList) {
	last := make(map[uint8]time.Time)
	for _, e := range list {
		if at, ok := last[e.router]; ok {
			all = append(all, pause{at, e.at})
		}
		last[e.router] = e.at
	}
	return all
}

func (l pauseList) millis() (ms []float64) {
	for _, p := range l {
		ms = append(ms, millis(p.to.Sub(p.from)))
	}
	return ms
}

// calm returns the longest in milliseconds of those at whose due time the machine
// ran.
func (l pauseList) calm(c *canary, interval time.Duration) (longest float64) {
	for _, p := range l {
		if ms := millis(p.to.Sub(p.from)); ms > longest && !c.disturbed(p.from.Add(interval-around), p.from.Add(interval+around)) {
			longest = ms
		}
	}
	return longest
}

// masterships returns the begins of the groups of adverts with more than a pause
// between them, for each router.
func masterships(list []event, pause time.Duration) (begun []time.Time) {
	last := make(map[uint8]time.Time)
	for _, e := range list {
		if at, ok := last[e.router]; !ok || e.at.Sub(at) > pause {
			begun = append(begun, e.at)
		}
		last[e.router] = e.at
	}
	return begun
}

// many measures the cadence as watch does, then the takeover of all routers and
// addresses at once after the loss of the link, and the cadence meanwhile.
func many(while time.Duration) measurement {
	return func(s *site, sub subject, set setup, part float64) (values, error) {
		p, err := s.startPair(sub, set)
		if err != nil {
			return nil, err
		}
		v := p.watch(while)
		err = p.alive()
		if err == nil {
			err = p.takeAll(v, part)
		}
		return v, errors.Join(err, p.end())
	}
}

// takingTime is how long the cadence is watched after a takeover.
const takingTime = 5 * time.Second

func (p *pair) takeAll(v values, part float64) error {
	if err := p.phase(part); err != nil {
		return err
	}
	t0 := time.Now().Round(0)
	if err := cut(p); err != nil {
		return err
	}
	all := func() bool { return p.mastersSince(second, t0) == p.instances }
	if !await(all, downTime(secondPriority, p.interval)+longest) {
		return fmt.Errorf("%d of %d routers taken over", p.mastersSince(second, t0), p.instances)
	}
	time.Sleep(takingTime)
	p.addTakeover(v, t0)
	list := pauses(p.capture.since(t0, from(second, advert)))
	c := summarize(list.millis())
	v[vTakingP99], v[vTakingWorst] = c.p99, c.worst
	v[vTakingCalmWorst] = list.calm(p.canary, p.interval)
	return nil
}

// addTakeover adds the times of the takeover of all routers after t0: those of
// the slowest.
func (p *pair) addTakeover(v values, t0 time.Time) {
	last, taken := make(map[uint8]time.Time), make(map[uint8]bool)
	var begin time.Time
	for _, e := range p.capture.since(time.Time{}, anyAdvertAt(second)) {
		switch {
		case e.toward:
			last[e.router] = e.at
		case e.at.Before(t0) || taken[e.router]:
		default:
			if begin.IsZero() {
				begin = e.at
			}
			taken[e.router] = true
			v[vTakeover] = max(v[vTakeover], millis(e.at.Sub(last[e.router])))
			v[vSinceFault] = max(v[vSinceFault], millis(e.at.Sub(t0)))
		}
	}
	p.addAnnounced(v, begin)
}

// addAnnounced adds when the last address was announced for the first time.
func (p *pair) addAnnounced(v values, begin time.Time) {
	seen := make(map[netip.Addr]bool)
	for _, e := range p.capture.since(begin, from(second, announce)) {
		if !seen[e.addr] {
			seen[e.addr] = true
			v[vAnnounced] = millis(e.at.Sub(begin))
		}
	}
	v[vPlaced] = float64(len(seen))
}

// anyAdvertAt accepts adverts from and to a director.
func anyAdvertAt(director int) func(event) bool {
	return func(e event) bool { return e.port == director && e.kind == advert }
}
