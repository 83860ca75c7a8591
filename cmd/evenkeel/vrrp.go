package main

import (
	"bufio"
	"context"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/api"
)

// vrrpOptions are the flags of vrrp.
type vrrpOptions struct {
	where
	json bool
}

func (e *env) vrrpCommand() *cobra.Command {
	var o vrrpOptions
	c := &cobra.Command{
		Use:   "vrrp",
		Short: "Show the VRRP instances: state, why, master, priority, counters",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return showVRRP(c.Context(), e, o) },
	}
	c.Flags().StringVar(&o.socket, "socket", api.DefaultSocket, "`path` of the daemon's socket")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func showVRRP(ctx context.Context, e *env, o vrrpOptions) error {
	v, err := api.NewClient(o.socket).VRRP(ctx)
	if err != nil {
		return err
	}
	if o.json {
		return e.printJSON(v)
	}
	out := bufio.NewWriter(e.stdout)
	printVRRP(out, v)
	return out.Flush()
}
