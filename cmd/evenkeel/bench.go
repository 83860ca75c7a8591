package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bench"
	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/config"
)

// benchOptions are the flags of bench.
type benchOptions struct {
	bench.Options
	levels []string
	only   string
	json   bool
	quick  bool
	out    string
	page   string
	with   []string
	// history are files of earlier versions.
	history []string
	file    string
	// beside are the programs of others, as NAME=PIN.
	beside []string
}

func (e *env) benchCommand() *cobra.Command {
	var o benchOptions
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure what packets cost",
		Long: `Measure what packets cost. Needs root. No interface and no running datapath is
touched: everything happens in maps and namespaces of its own.

Level program is the XDP program alone, by BPF_PROG_TEST_RUN: nanoseconds for a
packet, net of the program that makes the packets, beside the floor, which is
what the least balancer costs in the same round.

With --beside it measures other XDP programs on the same packets in the same
rounds: their owner has loaded and pinned them, with maps for the addresses that
docs/bench.md names.

Level path is packets per second of live frames through namespaces: XDP by each
method, nftables' DNAT, IPVS where the kernel has it, and plain forwarding.

Level users is real clients and servers: wrk and UDP through the daemon to nginx,
beside plain forwarding, also while the daemon reloads four times a second.

Level scale is large tables: 4 M flows, 10,000 services with 40,000 servers.

Level versus is XDP against the kernel's IPVS, each method and scheduler: needs a
kernel that has both.

Figures are medians of several rounds with their interval of confidence.
Nanoseconds do not travel from machine to machine, ratios in one run do.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, unix.SIGTERM)
			defer stop()
			return measure(ctx, e, o)
		},
	}
	c.Flags().StringSliceVar(&o.levels, "level", []string{string(figure.Program)}, "`levels` to measure, with commas")
	c.Flags().IntVar(&o.Rounds, "rounds", 6, "how often each `case` is measured; six is the least for a confident interval, and cases of a few nanoseconds take five times as many from there on")
	c.Flags().Uint32Var(&o.MostFlows, "flows", 1<<20, "measure with at most so many live `flows`, a power of two up to 4194304")
	c.Flags().StringVar(&o.only, "only", "", "leave out what this `expression` does not match")
	c.Flags().BoolVar(&o.quick, "quick", false, "few rounds with few packets: shows that it works, no figures")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	c.Flags().StringVar(&o.out, "out", "", "write the figures to this `file` as JSON, too")
	c.Flags().StringVar(&o.page, "page", "", "write a report page with drawings into this `directory`")
	c.Flags().StringVar(&o.file, "config", "", "level program measures the services of this `file`, instead of its own")
	c.Flags().StringSliceVar(&o.beside, "beside", nil, "level program measures these pinned XDP programs, too, each `NAME=PIN`")
	c.Flags().StringSliceVar(&o.with, "with", nil, "take over the figures of these `files`, which runs on other kernels wrote")
	c.Flags().StringSliceVar(&o.history, "history", nil, "show the figures of these `files`, of earlier versions, on the page")
	c.AddCommand(e.benchCompareCommand())
	return c
}

func (e *env) benchCompareCommand() *cobra.Command {
	var o compareOptions
	c := &cobra.Command{
		Use:   "compare BEFORE.json AFTER.json",
		Short: "Say what changed between two runs of bench",
		Long: `Compare two runs of bench, as benchstat does: medians, and the Mann-Whitney U
test, which says how likely chance alone makes such a difference (p). A
difference with p of 0.05 or more is printed as "~". Ends with status 1 when
a figure became worse.

With --within the medians alone decide: status 1 when one is worse by more than
so many per cent, or is not there any more. That is for counted instructions,
which chance moves by less than 1 %.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return compare(e, args[0], args[1], o) },
	}
	c.Flags().Float64Var(&o.within, "within", 0, "the `per cent` by which a median may be worse")
	c.Flags().StringVar(&o.only, "only", "", "leave out figures whose names this `expression` does not match")
	return c
}

// compareOptions are the flags of bench compare.
type compareOptions struct {
	within float64
	only   string
}

// errWorse says that something costs more than before.
var errWorse = errors.New("some figures are worse than before")

func compare(e *env, before, after string, o compareOptions) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("read --only: %w", err)
	}
	a, err := bench.ReadReport(before)
	if err != nil {
		return err
	}
	b, err := bench.ReadReport(after)
	if err != nil {
		return err
	}
	old := slices.DeleteFunc(a.Figures, func(f figure.Figure) bool { return !only.MatchString(f.Name) })
	changes := figure.Compare(old, b.Figures)
	if err := figure.WriteChanges(e.stdout, changes); err != nil {
		return err
	}
	if o.within > 0 {
		return figure.Gate(old, changes, o.within/100)
	}
	if slices.ContainsFunc(changes, func(c figure.Change) bool { return c.Worse }) {
		return errWorse
	}
	return nil
}

// errBeside says that nothing would be measured beside anything.
var errBeside = errors.New("--beside is for the cases of level program, and not for --config")

func measure(ctx context.Context, e *env, o benchOptions) error {
	if o.quick {
		o.Rounds, o.Packets, o.MostFlows, o.Short = 2, 10_000, 1<<10, true
	}
	if len(o.beside) > 0 && (o.file != "" || !slices.Contains(o.levels, string(figure.Program))) {
		return errBeside
	}
	others, err := bench.ParseOthers(o.beside)
	if err != nil {
		return fmt.Errorf("read --beside: %w", err)
	}
	o.Beside = others
	if o.file != "" {
		cfg, err := config.Load(o.file, config.Options{})
		if err != nil {
			return err
		}
		o.Services = cfg.Services
	}
	if o.only != "" {
		only, err := regexp.Compile(o.only)
		if err != nil {
			return fmt.Errorf("read --only: %w", err)
		}
		o.Only = only
	}
	if !o.json { // a machine has one output for both
		o.Progress = func(name string, number, of int) {
			fmt.Fprintf(e.stderr, "%2d of %d: %s\n", number, of, name)
		}
	}
	r := bench.NewReport(versionText())
	r.Quick = o.quick
	if err := runLevels(ctx, &r, o); err != nil {
		return err
	}
	for _, file := range o.with {
		other, err := bench.ReadReport(file)
		if err != nil {
			return err
		}
		r.Add(other)
	}
	r.Seconds = time.Since(r.Started).Seconds()
	if o.out != "" {
		if err := r.WriteFile(o.out); err != nil {
			return err
		}
	}
	if o.page != "" {
		earlier, err := bench.ReadEarlier(o.history)
		if err != nil {
			return err
		}
		if err := r.WritePage(o.page, earlier...); err != nil {
			return err
		}
	}
	if o.json {
		return e.printJSON(r)
	}
	return r.WriteText(e.stdout)
}

// runLevels measures the levels that were asked for.
func runLevels(ctx context.Context, r *bench.Report, o benchOptions) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	known := bench.Levels(program, o.Options)
	for _, name := range o.levels {
		i := slices.IndexFunc(known, func(l bench.Level) bool { return string(l.Name) == name })
		if i < 0 {
			return fmt.Errorf("no level %q", name)
		}
		began := time.Now()
		figures, skipped, err := known[i].Run(ctx)
		if err != nil {
			return fmt.Errorf("level %s: %w", name, err)
		}
		r.Figures, r.Skipped = append(r.Figures, figures...), append(r.Skipped, skipped...)
		r.Took = append(r.Took, bench.Took{Level: known[i].Name, Seconds: time.Since(began).Seconds()})
	}
	return nil
}
