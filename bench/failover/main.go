package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// options are the command line.
type options struct {
	names     []string // of measures
	subjects  []string
	intervals []time.Duration
	runs      int
	window    time.Duration
	evenkeel  string
	json      string
	markdown  string
	prefix    string // of the namespaces
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = bench(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-failover:", err)
		os.Exit(1)
	}
}

func parse(args []string, help io.Writer) (options, error) {
	f := flag.NewFlagSet("bench-failover", flag.ContinueOnError)
	f.SetOutput(help)
	f.Usage = func() {
		fmt.Fprintln(help, "usage: bench-failover [flags] [measure ...]\n\nMeasures, default all:")
		for _, m := range measures(time.Minute) {
			fmt.Fprintf(help, "  %-10s %s\n", m.name, m.title)
		}
		fmt.Fprintln(help, "\nFlags:")
		f.PrintDefaults()
	}
	o := options{prefix: defaultPrefix}
	intervals := f.String("intervals", "", "advert `intervals`, such as 1s,100ms,10ms (default all that a measure is made at)")
	subjects := f.String("subjects", theirName+","+ourName, "`programs` that take turns")
	f.IntVar(&o.runs, "runs", 0, "`number` of runs of each program in each cell (default 20, and 3 of false, instances and addresses)")
	f.DurationVar(&o.window, "window", time.Minute, "how long cadence and false takeovers are watched")
	f.StringVar(&o.evenkeel, "evenkeel", "bin/evenkeel", "`path` of the evenkeel binary")
	f.StringVar(&o.json, "json", "bench/results/failover.json", "results `file`; other cells that it has stay")
	f.StringVar(&o.markdown, "markdown", "bench/results/failover.md", "report `file`, made from all of the results")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.names, o.subjects = f.Args(), strings.Split(*subjects, ",")
	for _, text := range strings.FieldsFunc(*intervals, func(r rune) bool { return r == ',' }) {
		d, err := time.ParseDuration(text)
		if err != nil {
			return o, err
		}
		o.intervals = append(o.intervals, d)
	}
	return o, nil
}

// defaultPrefix names the namespaces of one bench at a time.
const defaultPrefix = "ekbench"

// bench measures what the options ask for. Runs that fail are no error.
func bench(ctx context.Context, o options, out io.Writer) error {
	list := measures(o.window)
	cells, err := plan(list, o.names, o.intervals)
	if err != nil {
		return err
	}
	subs, err := subjects(o.subjects, o.evenkeel)
	if err != nil {
		return err
	}
	r, err := readResults(o.json)
	if err != nil {
		return err
	}
	r.Machine = thisMachine()
	if err := lab.Clean(o.prefix); err != nil {
		return err
	}
	b := &benchmark{ctx: ctx, results: &r, subjects: subs, options: o, out: out}
	defer b.closeSite()
	for _, c := range cells {
		if ctx.Err() == nil {
			err = errors.Join(err, b.cell(c))
		}
	}
	fmt.Fprintln(out)
	r.print(out, cells)
	return errors.Join(err, replaceFile(o.markdown, []byte(r.markdown(list))))
}

// benchmark is a bench at work.
type benchmark struct {
	options
	ctx      context.Context
	results  *results
	subjects []subject
	out      io.Writer
	site     *site // nil before the first run and after a failed one
}

func (b *benchmark) closeSite() {
	if b.site == nil {
		return
	}
	if err := b.site.close(); err != nil {
		fmt.Fprintln(b.out, "leave the network:", err)
	}
	b.site = nil
}

// cell makes the runs of a cell, the programs in turns. The error is that of
// the file.
func (b *benchmark) cell(c cell) error {
	runs := c.runs
	if runs == 0 {
		runs = 20
	}
	if b.runs > 0 {
		runs = b.runs
	}
	for _, sub := range b.subjects {
		b.results.begin(c, sub)
	}
	began := time.Now()
	for n := range runs {
		// Spread over the interval, in the same order for both.
		part := (float64(n*7%runs) + 0.5) / float64(runs)
		for _, sub := range b.subjects {
			if b.ctx.Err() != nil {
				return nil
			}
			r := b.run(c, sub, part)
			s := b.results.find(c.name, c.interval, sub.name)
			s.Runs = append(s.Runs, r)
			fmt.Fprintf(b.out, "%-9s %5s  run %2d of %d  %-10s %s\n", c.name, c.interval, n+1, runs, sub.name, r.line(c))
			if err := b.results.write(b.json); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(b.out, "%-9s %5s  took %s\n", c.name, c.interval, time.Since(began).Round(time.Second))
	return nil
}

// run makes one run. After a failed one the next gets a new network.
func (b *benchmark) run(c cell, sub subject, part float64) run {
	if b.site == nil {
		s, err := newSite(b.prefix)
		if err != nil {
			return run{Error: err.Error()}
		}
		b.site = s
	}
	v, err := c.measure.run(b.site, sub, c.setup(c.interval), part)
	if err != nil {
		b.closeSite()
		return run{Values: v, Error: err.Error()}
	}
	return run{Values: v}
}

// line shows a run while the others go on.
func (r run) line(c cell) string {
	if r.Error != "" {
		return "FAILED: " + r.Error
	}
	var words []string
	for _, col := range c.columns {
		if v, ok := r.Values[col.name]; ok {
			words = append(words, fmt.Sprintf("%s=%s", col.name, number(v)))
		}
	}
	return strings.Join(words, " ")
}
