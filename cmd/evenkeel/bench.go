package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bench"
)

// benchOptions are the flags of bench.
type benchOptions struct {
	bench.Options
	json  bool
	quick bool
}

func (e *env) benchCommand() *cobra.Command {
	var o benchOptions
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure what a packet costs in the XDP program",
		Long: `Measure what a packet costs in the XDP program: established flows, replies, new
flows of each scheduler, and traffic of others, by BPF_PROG_TEST_RUN with maps
of its own. No interface and no running datapath is touched. Needs root.

Each figure is nanoseconds for a packet, net of the program that makes the
packets, as the median of several rounds with its range. The floor is what the
least balancer costs in the same run: nanoseconds do not travel from machine to
machine, ratios to the floor do.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, unix.SIGTERM)
			defer stop()
			return measure(ctx, e, o)
		},
	}
	c.Flags().IntVar(&o.Rounds, "rounds", 5, "how often each `case` is measured")
	c.Flags().Uint32Var(&o.MostFlows, "flows", 1<<20, "measure with at most so many live `flows`, up to 4194304")
	c.Flags().BoolVar(&o.quick, "quick", false, "one round with few packets: shows that it works, no figures")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func measure(ctx context.Context, e *env, o benchOptions) error {
	if o.quick {
		o.Rounds, o.Packets, o.MostFlows = 1, 10_000, 1<<10
	}
	o.Progress = func(name string, number, of int) {
		fmt.Fprintf(e.stderr, "%2d of %d: %s\n", number, of, name)
	}
	began := time.Now()
	r, err := bench.Program(ctx, o.Options)
	if err != nil {
		return err
	}
	r.Version, r.Seconds = versionText(), time.Since(began).Seconds()
	if o.json {
		return e.printJSON(r)
	}
	return r.WriteText(e.stdout)
}
