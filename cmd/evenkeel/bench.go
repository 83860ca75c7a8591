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
)

// benchOptions are the flags of bench.
type benchOptions struct {
	bench.Options
	levels []string
	only   string
	json   bool
	quick  bool
	out    string
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
	c.Flags().IntVar(&o.Rounds, "rounds", 6, "how often each `case` is measured; six is the least for a confident interval")
	c.Flags().Uint32Var(&o.MostFlows, "flows", 1<<20, "measure with at most so many live `flows`, up to 4194304")
	c.Flags().StringVar(&o.only, "only", "", "leave out what this `expression` does not match")
	c.Flags().BoolVar(&o.quick, "quick", false, "few rounds with few packets: shows that it works, no figures")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	c.Flags().StringVar(&o.out, "out", "", "write the figures to this `file` as JSON, too")
	c.AddCommand(e.benchCompareCommand())
	return c
}

func (e *env) benchCompareCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compare BEFORE.json AFTER.json",
		Short: "Say what changed between two runs of bench",
		Long: `Compare two runs of bench, as benchstat does: medians, and the Mann-Whitney U
test, which says how likely chance alone makes such a difference (p). A
difference with p of 0.05 or more is printed as "~". Ends with status 1 when
a figure became worse.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return compare(e, args[0], args[1]) },
	}
}

// errWorse says that something costs more than before.
var errWorse = errors.New("some figures are worse than before")

func compare(e *env, before, after string) error {
	a, err := bench.ReadReport(before)
	if err != nil {
		return err
	}
	b, err := bench.ReadReport(after)
	if err != nil {
		return err
	}
	changes := figure.Compare(a.Figures, b.Figures)
	if err := figure.WriteChanges(e.stdout, changes); err != nil {
		return err
	}
	if slices.ContainsFunc(changes, func(c figure.Change) bool { return c.Worse }) {
		return errWorse
	}
	return nil
}

func measure(ctx context.Context, e *env, o benchOptions) error {
	if o.quick {
		o.Rounds, o.Packets, o.MostFlows = 2, 10_000, 1<<10
	}
	if o.only != "" {
		only, err := regexp.Compile(o.only)
		if err != nil {
			return fmt.Errorf("read --only: %w", err)
		}
		o.Only = only
	}
	o.Progress = func(name string, number, of int) {
		fmt.Fprintf(e.stderr, "%2d of %d: %s\n", number, of, name)
	}
	r := bench.NewReport(versionText())
	r.Quick = o.quick
	if err := runLevels(ctx, &r, o); err != nil {
		return err
	}
	r.Seconds = time.Since(r.Started).Seconds()
	if o.out != "" {
		if err := r.WriteFile(o.out); err != nil {
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
	known := bench.Levels(o.Options)
	for _, name := range o.levels {
		i := slices.IndexFunc(known, func(l bench.Level) bool { return string(l.Name) == name })
		if i < 0 {
			return fmt.Errorf("no level %q", name)
		}
		figures, skipped, err := known[i].Run(ctx)
		if err != nil {
			return fmt.Errorf("level %s: %w", name, err)
		}
		r.Figures, r.Skipped = append(r.Figures, figures...), append(r.Skipped, skipped...)
	}
	return nil
}
