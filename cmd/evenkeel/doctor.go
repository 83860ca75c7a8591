package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/daemon/doctor"
	"github.com/evenkeel/evenkeel/netif"
)

// doctorTimeout bounds the wait for a daemon that does not answer.
const doctorTimeout = 5 * time.Second

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	where
	file, configID string
	json           bool
}

func (e *env) doctorCommand() *cobra.Command {
	var o doctorOptions
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether this machine can do what a configuration asks",
		Long: `Look whether this machine can do what a configuration asks: kernel, privileges,
bpf file system, other daemons, interfaces, other XDP programs. Each failure
comes with its fix. Nothing is changed.

Exit codes: 0 nothing failed; 1 something did.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runDoctor(c.Context(), e, o) },
	}
	o.flags(c)
	c.Flags().StringVarP(&o.file, "file", "f", "", "configuration `file` (default "+defaultFile+" if it is there)")
	c.Flags().StringVarP(&o.configID, "config-id", "i", "", "`word` that @word lines are compared with (default the host name)")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func runDoctor(ctx context.Context, e *env, o doctorOptions) error {
	if o.file == "" {
		if _, err := os.Stat(defaultFile); !errors.Is(err, fs.ErrNotExist) {
			o.file = defaultFile
		}
	}
	kernel, err := netif.Open()
	if err != nil {
		return err
	}
	defer kernel.Close()
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	findings := doctor.Examine(ctx, kernel, doctor.Options{File: o.file, ConfigID: o.configID, PinDir: o.pinDir, Socket: o.socket})
	if err := e.printFindings(findings, o.json); err != nil {
		return err
	}
	if doctor.Failed(findings) {
		return &exitError{code: exitFailed, silent: true}
	}
	return nil
}

func (e *env) printFindings(findings []doctor.Finding, asJSON bool) error {
	if asJSON {
		return e.printJSON(struct {
			OK       bool             `json:"ok"`
			Findings []doctor.Finding `json:"findings"`
		}{!doctor.Failed(findings), findings})
	}
	table := tabwriter.NewWriter(e.stdout, 0, 8, 2, ' ', 0)
	for _, f := range findings {
		text := f.Found
		if f.Fix != "" {
			text += "; fix: " + f.Fix
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", levelWord(f.Level), f.Subject, text)
	}
	return table.Flush()
}

func levelWord(l doctor.Level) string {
	switch l {
	case doctor.Warning:
		return "WARN"
	case doctor.Failure:
		return "FAIL"
	default:
		return "ok"
	}
}
