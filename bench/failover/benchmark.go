package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// benchmark is a bench at work.
type benchmark struct {
	options
	ctx      context.Context
	results  *results
	subjects []subject
	out      io.Writer
	lane     []*lane
	canary   *canary
}

// lane makes one run at a time, in a network of its own.
type lane struct {
	prefix string // of the namespaces
	site   *site  // nil before the first run and after a failed one
	out    io.Writer
	canary *canary
}

// mostLanes bounds the lanes. All their prefixes are cleaned, so that a bench
// that was killed leaves nothing behind for long.
const mostLanes = 16

func (b *benchmark) openLanes() error {
	for n := range mostLanes {
		prefix := b.prefix
		if n > 0 {
			prefix = fmt.Sprintf("%s%d", b.prefix, n)
		}
		if err := lab.Clean(prefix); err != nil {
			return err
		}
		if n < max(b.lanes, 1) {
			b.lane = append(b.lane, &lane{prefix: prefix, out: b.out, canary: b.canary})
		}
	}
	return nil
}

func (b *benchmark) closeLanes() {
	for _, l := range b.lane {
		l.close()
	}
}

func (l *lane) close() {
	if l.site == nil {
		return
	}
	if err := l.site.close(); err != nil {
		fmt.Fprintln(l.out, "leave the network:", err)
	}
	l.site = nil
}

// defaultRuns is the number of runs of each program in a cell.
const defaultRuns = 20

func (b *benchmark) runsOf(c cell) int {
	switch {
	case b.runs > 0:
		return b.runs
	case c.runs > 0:
		return c.runs
	}
	return defaultRuns
}

// lanesOf returns how many runs of a cell go on at the same time: several only
// where they do little but wait.
func (b *benchmark) lanesOf(c cell) int {
	if c.waits && c.interval >= time.Second {
		return len(b.lane)
	}
	return 1
}

// duration is about how long the cells take.
func (b *benchmark) duration(cells []cell) (sum time.Duration) {
	for _, c := range cells {
		rounds := len(share(b.runsOf(c), len(b.subjects), b.lanesOf(c)))
		sum += time.Duration(rounds) * c.takes(c.interval)
	}
	return sum
}

// job is one run.
type job struct {
	run, subject int
}

// share deals the runs of all subjects out to lanes, round by round, so that
// the subjects take turns in each lane and all run in each round.
func share(runs, subjects, lanes int) (rounds [][]job) {
	made := make([]int, subjects)
	for left := runs * subjects; left > 0; {
		var round []job
		for l := 0; l < lanes && left > 0; l++ {
			subject := (l + len(rounds)) % subjects
			for made[subject] == runs {
				subject = (subject + 1) % subjects
			}
			round = append(round, job{made[subject], subject})
			made[subject]++
			left--
		}
		rounds = append(rounds, round)
	}
	return rounds
}

// mostTimes bounds the runs on a machine that stands still again and again: so
// many times as many as were asked for.
const mostTimes = 3

// cell makes the runs of a cell, the programs in turns, and repeats those that
// the machine disturbed: as many of each program as the one needs that was
// disturbed more often, whatever the runs had shown. The error is that of the
// file.
func (b *benchmark) cell(c cell) error {
	runs := b.runsOf(c)
	for _, sub := range b.subjects {
		b.results.begin(c, sub, b.lanesOf(c), b.stall)
	}
	began := time.Now()
	for made, more := 0, runs; more > 0 && b.ctx.Err() == nil; {
		if err := b.runsFrom(c, made, more); err != nil {
			return err
		}
		made += more
		more = min(b.missing(c), mostTimes*runs-made)
	}
	fmt.Fprintf(b.out, "%-9s %5s  took %s\n", c.name, c.interval, time.Since(began).Round(time.Second))
	return nil
}

// missing returns how many runs the program lacks that was disturbed most.
func (b *benchmark) missing(c cell) (most int) {
	for _, sub := range b.subjects {
		s := b.results.find(c.name, c.interval, sub.name)
		most = max(most, b.runsOf(c)-(len(s.Runs)-s.disturbed()))
	}
	return most
}

// runsFrom makes more runs of each program after the first.
func (b *benchmark) runsFrom(c cell, first, more int) error {
	for _, round := range share(more, len(b.subjects), b.lanesOf(c)) {
		made := b.round(c, first, round)
		if b.ctx.Err() != nil {
			return nil
		}
		for n, j := range round {
			sub := b.subjects[j.subject]
			s := b.results.find(c.name, c.interval, sub.name)
			s.Runs = append(s.Runs, made[n])
			note := ""
			if s.disturbs(made[n]) {
				note = " (disturbed, is repeated)"
			}
			fmt.Fprintf(b.out, "%-9s %5s  run %2d of %d  %-10s %s%s\n", c.name, c.interval, first+j.run+1, b.runsOf(c), sub.name, made[n].line(c), note)
		}
		if err := b.results.write(b.json); err != nil {
			return err
		}
	}
	return nil
}

// round makes one run in each of the first lanes.
func (b *benchmark) round(c cell, first int, round []job) []run {
	runs := b.runsOf(c)
	made := make([]run, len(round))
	m := newMeeting(len(round))
	var all sync.WaitGroup
	for n, j := range round {
		// Spread over the interval, in the same order for all subjects.
		part := (float64((first+j.run)*7%runs) + 0.5) / float64(runs)
		all.Go(func() { made[n] = b.lane[n].run(c, b.subjects[j.subject], part, &seat{meeting: m}) })
	}
	all.Wait()
	return made
}

// run makes one run. After a failed one the next gets a new network.
func (l *lane) run(c cell, sub subject, part float64, at *seat) run {
	defer at.leave()
	if l.site == nil {
		s, err := newSite(l.prefix)
		if err != nil {
			return run{Error: err.Error()}
		}
		l.site = s
	}
	l.site.seat, l.site.canary = at, l.canary
	began, kept := time.Now(), stolen()
	v, err := c.measure.run(l.site, sub, c.setup(c.interval), part)
	if v != nil {
		v[vSteal] = 100 * float64(stolen()-kept) / float64(time.Since(began)) / float64(runtime.NumCPU())
	}
	if err != nil {
		at.reach(isMeasured) // then take down
		return run{Values: v, Error: errors.Join(err, l.drop()).Error()}
	}
	return run{Values: v}
}

// drop gives the network up.
func (l *lane) drop() error {
	s := l.site
	l.site = nil
	return s.close()
}
