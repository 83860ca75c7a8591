package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/loader"
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
	o.flags(c)
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func status(ctx context.Context, e *env, o statusOptions) error {
	s, err := api.NewClient(o.socket).Status(ctx)
	if errors.Is(err, api.ErrNoDaemon) {
		return runsOn(err, o.pinDir)
	}
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

// runsOn adds to the error of a dead daemon that its datapath lives.
func runsOn(noDaemon error, pinDir string) error {
	view, err := loader.Open(pinDir)
	if err != nil {
		return noDaemon
	}
	return errors.Join(fmt.Errorf("%w; the datapath in %s runs on, see evenkeel services", noDaemon, pinDir), view.Close())
}
