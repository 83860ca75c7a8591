package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv("CI") == "true", os.Stdout))
}

// run runs the named tiers in the module of the working directory and returns
// the exit code: 0 when nothing failed, 1 when a test did, 2 for a wrong
// command line.
func run(ctx context.Context, names []string, ci bool, out io.Writer) int {
	selected, err := selectTiers(names)
	if err != nil {
		fmt.Fprintln(out, "tally:", err)
		return 2
	}
	files, err := testFiles(".")
	if err != nil {
		fmt.Fprintln(out, "tally:", err)
		return 2
	}

	var all []result
	for _, t := range selected {
		all = append(all, runTier(ctx, t, files, out)...)
	}
	if ci {
		failUnexcusedSkips(all, excuses())
	}
	return summary(out, all)
}

// selectTiers returns the tiers of the given names, in the order of the names.
func selectTiers(names []string) ([]tier, error) {
	known := make(map[string]tier)
	var all []string
	for _, t := range tiers() {
		known[t.name] = t
		all = append(all, t.name)
	}
	var selected []tier
	for _, name := range names {
		t, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("select tier %q: not one of %s", name, strings.Join(all, ", "))
		}
		selected = append(selected, t)
	}
	if len(selected) == 0 {
		return nil, fmt.Errorf("select tiers: none named, want some of %s", strings.Join(all, ", "))
	}
	return selected, nil
}
