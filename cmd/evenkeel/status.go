package main

import (
	"bufio"
	"context"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/api"
)

// statusOptions are the flags of status.
type statusOptions struct {
	where
	json bool
}

func (e *env) statusCommand() *cobra.Command {
	var o statusOptions
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the daemon, its interfaces, services and what became of packets",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return status(c.Context(), e, o) },
	}
	c.Flags().StringVar(&o.socket, "socket", api.DefaultSocket, "`path` of the daemon's socket")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func status(ctx context.Context, e *env, o statusOptions) error {
	s, err := api.NewClient(o.socket).Status(ctx)
	if err != nil {
		return err
	}
	if o.json {
		return e.printJSON(s)
	}
	out := bufio.NewWriter(e.stdout)
	printStatus(out, s)
	return out.Flush()
}
