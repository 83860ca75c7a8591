package main

import (
	"bufio"
	"context"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/api"
)

// checksOptions are the flags of checks.
type checksOptions struct {
	where
	down, json bool
}

func (e *env) checksCommand() *cobra.Command {
	var o checksOptions
	c := &cobra.Command{
		Use:   "checks",
		Short: "Show every check: verdict, since when, tries, and the last failure with its evidence",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return showChecks(c.Context(), e, o) },
	}
	c.Flags().StringVar(&o.socket, "socket", api.DefaultSocket, "`path` of the daemon's socket")
	c.Flags().BoolVar(&o.down, "down", false, "only servers that are down")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func showChecks(ctx context.Context, e *env, o checksOptions) error {
	all, err := api.NewClient(o.socket).Checks(ctx)
	if err != nil {
		return err
	}
	return e.listChecks(all, o)
}

func (e *env) listChecks(all api.Checks, o checksOptions) error {
	if o.down {
		all.Servers = downServers(all.Servers)
	}
	if o.json {
		return e.printJSON(all)
	}
	out := bufio.NewWriter(e.stdout)
	printChecks(out, all)
	return out.Flush()
}

// downServers returns the servers that are down; never nil, so that JSON has a
// list.
func downServers(servers []api.CheckedServer) []api.CheckedServer {
	down := []api.CheckedServer{}
	for _, s := range servers {
		if !s.Up {
			down = append(down, s)
		}
	}
	return down
}
