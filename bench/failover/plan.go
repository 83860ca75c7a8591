package main

import (
	"fmt"
	"slices"
	"time"
)

// measurement makes one run and leaves nothing behind. part is the phase of
// the interval that a fault hits, 0 to 1.
type measurement func(s *site, sub subject, set setup, part float64) (values, error)

// measure is a kind of run.
type measure struct {
	name, title string
	run         measurement
	// intervals are those that it makes sense at.
	intervals []time.Duration
	// runs is the number by default, 0 that of the command line.
	runs      int
	instances int // default 1
	addresses int // default 1
	columns   []column
	// waits says that a run does little but wait, so that several may go on at
	// the same time.
	waits bool
	// intervalsLong and fixed are about how long a run takes.
	intervalsLong float64
	fixed         time.Duration
}

// takes returns about how long one run takes.
func (m measure) takes(interval time.Duration) time.Duration {
	return m.fixed + time.Duration(m.intervalsLong*float64(interval))
}

// column is a value that the report shows.
type column struct {
	name, title string
	// theory is what the protocol's arithmetic gives in milliseconds; optional.
	theory func(interval time.Duration) float64
	goals  []goal
}

func (m measure) setup(interval time.Duration) setup {
	return setup{interval: interval, instances: max(m.instances, 1), addresses: max(m.addresses, 1)}
}

var (
	downColumn = column{vTakeover, "takeover after the last advert", func(i time.Duration) float64 {
		return millis(downTime(secondPriority, i))
	}, []goal{notLater, withinFive}}
	stallColumns = []column{
		{name: vMoment, title: "stall of the machine around the due time"},
		{name: vStall, title: "stall of the machine, longest"},
		{name: vSteal, title: "time stolen by the hypervisor, %"},
	}
	skewColumn = column{vTakeover, "takeover after the goodbye", func(i time.Duration) float64 {
		return millis(skew(secondPriority, i))
	}, []goal{notLater, withinFive}}
)

// measures returns all kinds in the order of the report.
func measures(window time.Duration) []measure {
	all := []time.Duration{time.Second, 100 * time.Millisecond, 10 * time.Millisecond}
	tenth, hundredth := all[1:2], all[2:]
	lossColumns := []column{{name: vLoss, title: "client loss"}, {name: vAnnounced, title: "first advert to gratuitous ARP"}}
	cadence := []column{
		{name: vMedian, title: "between adverts, median", theory: millis},
		{name: vP99, title: "between adverts, 99th percentile"},
		{name: vWorst, title: "between adverts, worst"},
		{name: vCalmWorst, title: "the same, the machine undisturbed"},
	}
	manyColumns := append(slices.Clone(cadence[:2]),
		column{name: vWorst, title: "between adverts, worst", theory: millis, goals: []goal{onTime}},
		column{name: vCalmWorst, title: "the same, the machine undisturbed", theory: millis, goals: []goal{onTime}},
		column{name: vTakeovers, title: "false takeovers", goals: []goal{notMore}},
		column{name: vCPUMaster, title: "processor time of the master, %"},
		column{name: vCPUBackup, title: "processor time of the backup, %"},
		column{name: vTakeover, title: "takeover after the last advert, last router", theory: downColumn.theory},
		column{name: vTakingWorst, title: "between adverts of the new master, worst", theory: millis, goals: []goal{onTime}},
		column{name: vTakingCalmWorst, title: "the same, the machine undisturbed", theory: millis, goals: []goal{onTime}},
		column{name: vAnnounced, title: "first advert to last gratuitous ARP"})
	return []measure{
		{name: "silent", title: "Silent loss of the master (its port leaves the switch, carrier stays)",
			run: takeover(silence, downTime), waits: true, intervalsLong: 10, fixed: 2 * time.Second, intervals: all, columns: append([]column{downColumn}, lossColumns...)},
		{name: "link", title: "Link loss of the master",
			run: takeover(cut, downTime), waits: true, intervalsLong: 10, fixed: 2 * time.Second, intervals: all, columns: append([]column{downColumn}, lossColumns...)},
		{name: "stop", title: "Graceful stop of the master (SIGTERM)",
			run: takeover(terminate, skew), waits: true, intervalsLong: 7, fixed: 2 * time.Second, intervals: all, columns: []column{
				skewColumn, {name: vLoss, title: "client loss", goals: []goal{mostFifty}}, lossColumns[1]}},
		{name: "kill", title: "kill -9 of the master's worker",
			run: kill, waits: true, intervalsLong: 13.5, fixed: 2500 * time.Millisecond, intervals: all, columns: []column{
				{name: vLost, title: "packets lost", goals: []goal{none}}, {name: vLoss, title: "client loss"},
				{name: vPause, title: "longest pause of adverts"}, {name: vSecond, title: "adverts of the backup"}}},
		{name: "heal", title: "Heal of a partition with two masters",
			run: heal, waits: true, intervalsLong: 15, fixed: 3500 * time.Millisecond, intervals: all, columns: []column{
				{name: vLoss, title: "client loss", goals: []goal{underHundred}}, {name: vOverlap, title: "two masters"}}},
		{name: "false", title: fmt.Sprintf("No fault for %s", window),
			run: watch(window), fixed: window + 2*time.Second, intervals: hundredth, runs: 3, columns: append([]column{
				{name: vTakeovers, title: "false takeovers", goals: []goal{notMore}},
				{name: vCalmTakeovers, title: "the same, the machine undisturbed", goals: []goal{notMore}}}, cadence...)},
		{name: "instances", title: "255 instances on one interface",
			run: many(window / 2), fixed: window/2 + 10*time.Second, intervals: tenth, runs: 3, instances: 255, columns: manyColumns},
		{name: "addresses", title: "1000 addresses in one instance",
			run: many(window / 4), fixed: window/4 + 10*time.Second, intervals: tenth, runs: 3, addresses: 1000, columns: append(slices.Clone(manyColumns),
				column{name: vPlaced, title: "addresses announced"})},
	}
}

// cell is a measure at an interval.
type cell struct {
	measure
	interval time.Duration
}

// plan picks cells by name and interval; empty lists mean all.
func plan(list []measure, names []string, intervals []time.Duration) (cells []cell, err error) {
	for _, name := range names {
		if !slices.ContainsFunc(list, func(m measure) bool { return m.name == name }) {
			return nil, fmt.Errorf("no measure is called %q", name)
		}
	}
	for _, m := range list {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		for _, i := range m.intervals {
			if len(intervals) == 0 || slices.Contains(intervals, i) {
				cells = append(cells, cell{m, i})
			}
		}
	}
	return cells, nil
}
