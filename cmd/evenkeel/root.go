package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/loader"
)

// defaultFile is keepalived's own, so that a swap needs no other file.
const defaultFile = "/etc/keepalived/keepalived.conf"

// env is what a command sees of the world.
type env struct {
	stdout, stderr io.Writer
	// args are what the process was called with, without its name.
	args []string
}

// run runs the command line and returns the exit code.
func (e *env) run(ctx context.Context, args []string) int {
	e.args = args
	started := false
	root := e.root(&started)
	root.SetArgs(args)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if !started {
		fmt.Fprintf(e.stderr, "evenkeel: %s; see evenkeel --help\n", oneLine(err))
		return exitUsage
	}
	if exit, ok := errors.AsType[*exitError](err); !ok || !exit.silent {
		fmt.Fprintf(e.stderr, "evenkeel: %s\n", oneLine(err))
	}
	return codeOf(err)
}

// root builds the command tree. started is set when a command line was
// understood and its command begins.
func (e *env) root(started *bool) *cobra.Command {
	root := &cobra.Command{
		Use:           "evenkeel",
		Short:         "Virtual addresses and load balancing in XDP from a keepalived.conf",
		Long:          "Evenkeel reads keepalived.conf, keeps virtual addresses alive by VRRP, checks\nthe real servers and balances their traffic in an XDP program.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.AddCommand(
		e.runCommand(), e.checkCommand(), e.servicesCommand(), e.vrrpCommand(), e.checksCommand(), e.statusCommand(),
		e.reloadCommand(), e.diffCommand(), e.stopCommand(), e.doctorCommand(), e.demoCommand(), e.benchCommand(),
		e.explainCommand(), e.mapCommand(), e.versionCommand(),
	)
	for _, c := range root.Commands() {
		run := c.RunE
		c.RunE = func(c *cobra.Command, args []string) error {
			*started = true
			return run(c, args)
		}
	}
	return root
}

func (e *env) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(e.stdout, "evenkeel %s\n", versionText())
			return err
		},
	}
}

// versionText is what the linker was told, or what the go command noted.
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// where says where the daemon and its datapath are.
type where struct {
	socket, pinDir string
}

func (w *where) flags(c *cobra.Command) {
	c.Flags().StringVar(&w.socket, "socket", api.DefaultSocket, "`path` of the daemon's socket")
	c.Flags().StringVar(&w.pinDir, "pin-dir", loader.DefaultDir, "`directory` where the datapath is pinned")
}

func (e *env) printJSON(value any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}
