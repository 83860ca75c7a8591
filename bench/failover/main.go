package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
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
	lanes     int    // zero is one
	report    bool
	stall     time.Duration // of the machine, above which a run is repeated; zero: none is
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
	var o options
	intervals := f.String("intervals", "", "advert `intervals`, such as 1s,100ms,10ms (default all that a measure is made at)")
	subjects := f.String("subjects", theirName+","+ourName, "`programs` that take turns")
	f.IntVar(&o.runs, "runs", 0, "`number` of runs of each program in each cell (default 20, and 3 of false, instances and addresses)")
	f.IntVar(&o.lanes, "lanes", 1, "how many runs go on at the same time, each in a network of its own, for faults at adverts every second: those only wait")
	f.StringVar(&o.prefix, "prefix", defaultPrefix, "beginning of the names of the namespaces; what an earlier bench left under them is removed")
	f.DurationVar(&o.stall, "stall", defaultStall, "a `time` that the machine may stand still when a director is due; beyond it the run is repeated, 0 for never")
	f.BoolVar(&o.report, "report", false, "measure nothing: make the report from the results file")
	f.DurationVar(&o.window, "window", time.Minute, "how long cadence and false takeovers are watched")
	f.StringVar(&o.evenkeel, "evenkeel", "bin/evenkeel", "`path` of the evenkeel binary")
	f.StringVar(&o.json, "json", "bench/results/failover.json", "results `file`; other cells that it has stay")
	f.StringVar(&o.markdown, "markdown", "bench/results/failover.md", "report `file`, made from all of the results")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.lanes < 1 || o.lanes > mostLanes {
		return o, fmt.Errorf("%d lanes: 1 to %d work", o.lanes, mostLanes)
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

// defaultStall is less than the tolerance of the goals.
const defaultStall = 3 * time.Millisecond

// defaultPrefix names the namespaces of one bench at a time.
const defaultPrefix = "ekbench"

// bench measures what the options ask for. Runs that fail are no error.
func bench(ctx context.Context, o options, out io.Writer) error {
	list := measures(o.window)
	cells, err := plan(list, o.names, o.intervals)
	if err != nil {
		return err
	}
	if o.report {
		return writeReport(o, list)
	}
	subs, err := subjects(o.subjects, o.evenkeel)
	if err != nil {
		return err
	}
	r, err := readResults(o.json)
	if err != nil {
		return err
	}
	watch, err := newCanary(o.stall)
	if err != nil {
		return err
	}
	defer watch.close()
	b := &benchmark{ctx: ctx, results: &r, subjects: subs, options: o, out: out, canary: watch}
	if err := b.openLanes(); err != nil {
		return err
	}
	defer b.closeLanes()
	if watch.weak.Load() {
		fmt.Fprintln(out, "no real-time priority: stalls may be those of other programs")
	}
	fmt.Fprintf(out, "this takes about %s\n", b.duration(cells).Round(time.Minute))
	for _, c := range cells {
		if ctx.Err() == nil {
			err = errors.Join(err, b.cell(c), replaceFile(o.markdown, []byte(r.markdown(list))))
		}
	}
	fmt.Fprintln(out)
	r.print(out, cells)
	return errors.Join(err, replaceFile(o.markdown, []byte(r.markdown(list))))
}

// writeReport makes the report from what was measured earlier.
func writeReport(o options, list []measure) error {
	r, err := readResults(o.json)
	if err != nil {
		return err
	}
	return replaceFile(o.markdown, []byte(r.markdown(list)))
}

// line shows a run while the others go on.
func (r run) line(c cell) string {
	if r.Error != "" {
		return "FAILED: " + r.Error
	}
	var words []string
	for _, col := range append(slices.Clone(c.columns), stallColumns...) {
		if v, ok := r.Values[col.name]; ok {
			words = append(words, fmt.Sprintf("%s=%s", col.name, number(v)))
		}
	}
	return strings.Join(words, " ")
}
