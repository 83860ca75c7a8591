package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
}

// lane makes one run at a time, in a network of its own.
type lane struct {
	prefix string // of the namespaces
	site   *site  // nil before the first run and after a failed one
	out    io.Writer
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
			b.lane = append(b.lane, &lane{prefix: prefix, out: b.out})
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

// cell makes the runs of a cell, the programs in turns. The error is that of
// the file.
func (b *benchmark) cell(c cell) error {
	runs, lanes := b.runsOf(c), b.lanesOf(c)
	for _, sub := range b.subjects {
		b.results.begin(c, sub, lanes)
	}
	began := time.Now()
	for _, round := range share(runs, len(b.subjects), lanes) {
		made := b.round(c, runs, round)
		if b.ctx.Err() != nil {
			return nil
		}
		for n, j := range round {
			sub := b.subjects[j.subject]
			s := b.results.find(c.name, c.interval, sub.name)
			s.Runs = append(s.Runs, made[n])
			fmt.Fprintf(b.out, "%-9s %5s  run %2d of %d  %-10s %s\n", c.name, c.interval, j.run+1, runs, sub.name, made[n].line(c))
		}
		if err := b.results.write(b.json); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.out, "%-9s %5s  took %s\n", c.name, c.interval, time.Since(began).Round(time.Second))
	return nil
}

// round makes one run in each of the first lanes.
func (b *benchmark) round(c cell, runs int, round []job) []run {
	made := make([]run, len(round))
	m := newMeeting(len(round))
	var all sync.WaitGroup
	for n, j := range round {
		// Spread over the interval, in the same order for all subjects.
		part := (float64(j.run*7%runs) + 0.5) / float64(runs)
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
	l.site.seat = at
	v, err := c.measure.run(l.site, sub, c.setup(c.interval), part)
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
