package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/api"
)

func (e *env) moveCommand() *cobra.Command {
	var socket string
	var asJSON bool
	c := &cobra.Command{
		Use:   "move SERVICE xdp|ipvs",
		Short: "Move a running service to the other datapath, with its flows",
		Long: `Move a running service to the other datapath, with its flows, as a reload of a
file does that says @evenkeel datapath in its virtual_server.

SERVICE is what evenkeel services --json lists, such as [192.0.2.1]:tcp:80, or
its address and port, such as 192.0.2.1:80, where one service has them.

The move lasts until the next reload or start: then the file counts again.

Exit codes: 0 moved, or there already; 1 the service stays where it is.`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return []cobra.Completion{"xdp", "ipvs"}, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			return e.move(c.Context(), socket, api.MoveRequest{Service: args[0], Datapath: args[1]}, asJSON)
		},
	}
	c.Flags().StringVar(&socket, "socket", api.DefaultSocket, "`path` of the daemon's socket")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (e *env) move(ctx context.Context, socket string, q api.MoveRequest, asJSON bool) error {
	m, err := api.NewClient(socket).Move(ctx, q)
	if err != nil {
		return err
	}
	switch {
	case asJSON:
		err = e.printJSON(m)
	case m.Refused != "":
	case m.From == m.To:
		_, err = fmt.Fprintf(e.stdout, "%s runs in %s already\n", m.Service, m.To)
	default:
		_, err = fmt.Fprintf(e.stdout, "%s moved from %s to %s with %d of %s\nUntil the next reload or start: to keep it there, write @evenkeel datapath %s into its virtual_server.\n",
			m.Service, m.From, m.To, m.Arrived, plural(m.Flows, "flow"), m.To)
	}
	if m.Refused != "" {
		return errors.Join(err, fmt.Errorf("move %s to %s: %s", m.Service, m.To, m.Refused))
	}
	return err
}
