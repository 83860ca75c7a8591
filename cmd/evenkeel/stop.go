package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/ipvs"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
)

// stopTimeout bounds the wait for a daemon that stops, reloadTimeout that for
// one that reads a large configuration.
const (
	stopTimeout   = time.Minute
	reloadTimeout = 2 * time.Minute
)

// stopOptions are the flags of stop.
type stopOptions struct {
	where
	keep bool
	// file names the services in IPVS that a dead daemon left.
	file string
}

func (e *env) stopCommand() *cobra.Command {
	var o stopOptions
	c := &cobra.Command{
		Use:   "stop",
		Short: "Stop the daemon and take the datapath away",
		Long: `Stop the daemon and take the datapath away: the XDP program is detached and all
flows end. It works without a daemon, too: then it removes what a dead one
left. Of the services in the kernel's IPVS it deletes those of the file that
--file names, since nothing there says whose they are. With --keep the datapath
runs on and the next start takes it over.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return stop(c.Context(), e, o) },
	}
	o.flags(c)
	c.Flags().BoolVar(&o.keep, "keep", false, "leave the datapath running")
	c.Flags().StringVarP(&o.file, "file", "f", "", "without a daemon: delete from IPVS the services of this configuration `file`")
	return c
}

func stop(ctx context.Context, e *env, o stopOptions) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	result, err := api.NewClient(o.socket).Stop(ctx, o.keep)
	switch {
	case errors.Is(err, api.ErrNoDaemon):
		return errors.Join(e.stopPins(o), e.stopIPVS(ctx, o))
	case err != nil:
		return err
	case result.Error != "":
		return errors.New(result.Error)
	case result.Removed:
		fmt.Fprintln(e.stdout, "stopped; the datapath is removed")
	default:
		fmt.Fprintln(e.stdout, "stopped; the datapath runs on")
	}
	return nil
}

// stopPins takes away what a dead daemon left.
func (e *env) stopPins(o stopOptions) error {
	if _, err := os.Stat(o.pinDir); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(e.stdout, "no daemon runs, and nothing is pinned: nothing to stop")
		return nil
	}
	if o.keep {
		fmt.Fprintf(e.stdout, "no daemon runs; what is pinned in %s stays\n", o.pinDir)
		return nil
	}
	err := loader.Remove(o.pinDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintln(e.stdout, "no daemon runs, and nothing is pinned: nothing to stop")
		return nil
	case errors.Is(err, loader.ErrRunning):
		return &exitError{code: exitRunning, err: fmt.Errorf("%w; name its socket with --socket", err)}
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; stop it as root", err)
	case err != nil:
		return err
	}
	fmt.Fprintf(e.stdout, "no daemon runs; the datapath in %s is removed\n", o.pinDir)
	return nil
}

// stopIPVS deletes the services of a file from the kernel's IPVS, and says how
// many are there otherwise.
func (e *env) stopIPVS(ctx context.Context, o stopOptions) error {
	kernel, err := ipvs.Start(ctx, ipvs.Options{OnlyIfLoaded: true})
	if errors.Is(err, ipvs.ErrNoIPVS) {
		return nil
	}
	if err != nil {
		return err
	}
	defer kernel.Close()
	if o.file == "" || o.keep {
		return e.countIPVS(ctx, kernel)
	}
	cfg, err := config.Load(o.file, config.Options{})
	if err != nil {
		return err
	}
	for _, vs := range cfg.Services {
		kernel.Claim(vs.Key)
	}
	tables, err := kernel.Snapshot(ctx)
	if err != nil {
		return err
	}
	for _, step := range director.Clear(model.DatapathIPVS, tables) {
		if err := kernel.Apply(ctx, step.Ops); err != nil {
			return err
		}
	}
	fmt.Fprintf(e.stdout, "deleted from the kernel's IPVS: %s\n", plural(len(tables.Services), "service"))
	return nil
}

func (e *env) countIPVS(ctx context.Context, kernel *ipvs.IPVS) error {
	if err := kernel.ClaimAll(ctx); err != nil {
		return err
	}
	tables, err := kernel.Snapshot(ctx)
	if err != nil || len(tables.Services) == 0 {
		return err
	}
	fmt.Fprintf(e.stdout, "in the kernel's IPVS: %s; --file FILE deletes those of a configuration\n", plural(len(tables.Services), "service"))
	return nil
}

func (e *env) reloadCommand() *cobra.Command {
	var o where
	c := &cobra.Command{
		Use:   "reload",
		Short: "Make the daemon read its configuration again",
		Long: `Make the daemon read its configuration again, as SIGHUP does, and say what came
of it.

Exit codes: 0 taken over; 5 refused, the running configuration stays.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return reload(c.Context(), e, o) },
	}
	c.Flags().StringVar(&o.socket, "socket", api.DefaultSocket, "`path` of the daemon's socket")
	return c
}

func reload(ctx context.Context, e *env, o where) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	load, err := api.NewClient(o.socket).Reload(ctx)
	if err != nil {
		return err
	}
	if !load.OK {
		return &exitError{code: exitConfig, err: fmt.Errorf("reload refused, the running configuration stays: %s", load.Error)}
	}
	fmt.Fprintf(e.stdout, "taken over: %s, %s\n", contentText(load), plural(load.Warnings, "warning"))
	for _, line := range load.RestartNeeded {
		fmt.Fprintf(e.stdout, "needs a restart: %s\n", line)
	}
	return nil
}
