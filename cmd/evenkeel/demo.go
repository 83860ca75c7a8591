package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/demo"
)

func (e *env) demoCommand() *cobra.Command {
	var o demo.Options
	clean := false
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show virtual services and their failover at work, in network namespaces",
		Long: `Show virtual services at work: a client, two directors and three servers in
network namespaces, the real daemon, and steady requests on one screen. Nothing
outside the namespaces is touched, and nothing is left behind. Needs root.

With --script, or without a terminal, it plays a story unattended: a server
dies and returns, a reload drains another, the master loses its power, returns
and is stopped; it ends with a summary.

With --peer keepalived the second director's elections are run by the
installed keepalived. It does not balance here, so while it is master only its
addresses are measured, by ping.

Exit codes: 0 all went well; 1 a claim of the story did not hold, or it broke
off; 10 the machine lacks something, each with its fix; 13 a demo runs already.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if clean {
				return e.cleanDemo(o.Name)
			}
			o.Stdin, o.Stdout = os.Stdin, os.Stdout
			return e.demoResult(demo.Run(c.Context(), o))
		},
	}
	c.Flags().BoolVar(&o.Script, "script", false, "play the story unattended, in under a minute")
	c.Flags().BoolVar(&o.JSON, "json", false, "play the story and print only its report, as JSON")
	c.Flags().StringVar((*string)(&o.Peer), "peer", string(demo.PeerEvenkeel), "`program` of the second director: evenkeel or keepalived")
	c.Flags().BoolVar(&clean, "clean", false, "remove what a killed demo left behind")
	c.Flags().StringVar(&o.Name, "name", demo.DefaultName, "`name` of the namespaces, pins and run directory")
	c.MarkFlagsMutuallyExclusive("clean", "script")
	c.MarkFlagsMutuallyExclusive("clean", "json")
	return c
}

// demoResult gives the demo's errors their exit codes.
func (e *env) demoResult(err error) error {
	if unfit, ok := errors.AsType[*demo.UnfitError](err); ok {
		for _, problem := range unfit.Problems {
			fmt.Fprintf(e.stderr, "evenkeel: %s\n", problem)
		}
		return &exitError{code: exitPrivilege, silent: true}
	}
	if _, ok := errors.AsType[*demo.LiveError](err); ok {
		return &exitError{code: exitRunning, err: err}
	}
	if errors.Is(err, demo.ErrNotHeld) {
		return &exitError{code: exitFailed, silent: true}
	}
	return err
}

func (e *env) cleanDemo(name string) error {
	removed, err := demo.Clean(name)
	switch {
	case err != nil:
		return e.demoResult(err)
	case len(removed) == 0:
		fmt.Fprintln(e.stdout, "nothing to remove")
	default:
		fmt.Fprintf(e.stdout, "removed: %s\n", strings.Join(removed, ", "))
	}
	return nil
}
