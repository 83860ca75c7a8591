package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/daemon"
)

// diffOptions are the flags of diff.
type diffOptions struct {
	socket, file, configID string
	json                   bool
}

func (e *env) diffCommand() *cobra.Command {
	var o diffOptions
	c := &cobra.Command{
		Use:   "diff [-f FILE | OLD NEW]",
		Short: "Say what a reload would do",
		Long: `Say what a reload would do, one line for each operation, and change nothing.

With -f, or without arguments, the running daemon compares FILE (by default its
own) with what it runs now. With two files, the second is compared with the
first, and servers count as they do at a start; no daemon is needed.

Exit codes: 0 nothing would change; 4 a file cannot be read or parsed; 5 the
reload would be refused; 7 something would change.`,
		Args: cobra.MatchAll(cobra.MaximumNArgs(2), func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 1:
				return errors.New("diff takes two files; to compare one with the running daemon, write -f FILE")
			case len(args) == 2 && o.file != "":
				return errors.New("diff takes either -f or two files")
			}
			return nil
		}),
		RunE: func(c *cobra.Command, args []string) error {
			diff, err := o.diff(c.Context(), args)
			if err != nil {
				return err
			}
			return e.printDiff(diff, o.json)
		},
	}
	c.Flags().StringVarP(&o.file, "file", "f", "", "configuration `file` to compare with the running daemon (default the daemon's own)")
	c.Flags().StringVar(&o.socket, "socket", api.DefaultSocket, "`path` of the daemon's socket")
	c.Flags().StringVarP(&o.configID, "config-id", "i", "", "with two files: `word` that @word lines are compared with (default the host name)")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func (o diffOptions) diff(ctx context.Context, args []string) (api.Diff, error) {
	if len(args) == 0 {
		return o.ofDaemon(ctx)
	}
	var files [2]*config.Config
	for i, name := range args {
		var err error
		if files[i], err = config.Load(name, config.Options{ConfigID: o.configID}); err != nil {
			return api.Diff{}, err
		}
	}
	diff := daemon.Diff(files[0], files[1])
	diff.File = args[1]
	return diff, nil
}

func (o diffOptions) ofDaemon(ctx context.Context) (api.Diff, error) {
	file := o.file
	if file != "" {
		var err error
		if file, err = filepath.Abs(file); err != nil {
			return api.Diff{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	return api.NewClient(o.socket).Diff(ctx, file)
}

func (e *env) printDiff(d api.Diff, asJSON bool) error {
	code := exitOK
	switch {
	case d.Refused != "":
		code = exitConfig
	case !d.Same():
		code = exitDiffers
	}
	if asJSON {
		if err := e.printJSON(d); err != nil {
			return err
		}
	} else if d.Refused == "" {
		for _, c := range d.Changes {
			fmt.Fprintln(e.stdout, c)
		}
		for _, name := range d.RestartNeeded {
			fmt.Fprintf(e.stdout, "needs a restart: %s\n", name)
		}
	}
	switch {
	case code == exitOK:
		return nil
	case d.Refused != "" && !asJSON:
		return &exitError{code: code, err: fmt.Errorf("the reload would be refused: %s", d.Refused)}
	}
	return &exitError{code: code, silent: true}
}
