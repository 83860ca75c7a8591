package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/model"
)

// checkOptions are the flags of check.
type checkOptions struct {
	file, configID string
	json, strict   bool
	print          bool
}

// placement says where a service will run.
type placement struct {
	Service string `json:"service"`
	// Group is the virtual server for a group that the service belongs to; empty
	// for others.
	Group    string         `json:"group,omitempty"`
	Position model.Position `json:"position"`
	// Runs is set when a datapath of this version runs the service.
	Runs bool `json:"runs"`
	// Datapath is xdp, ipvs or none; Reason says why, and ReasonWord says it
	// for machines.
	Datapath   string `json:"datapath"`
	Reason     string `json:"reason,omitempty"`
	ReasonWord string `json:"reason_word"`
}

// checkReport is what check --json prints.
type checkReport struct {
	config.Report
	Placements []placement `json:"placements"`
}

func (e *env) checkCommand() *cobra.Command {
	var o checkOptions
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what a configuration will do, and what is wrong with it",
		Long: `Say what a configuration will do, and what is wrong with it. Nothing is started
and nothing on this machine is looked at but the file.

Exit codes: 0 all is well; 4 the file cannot be read or parsed; 5 it has
errors, or, with --strict, warnings or services that no datapath runs.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return check(e, o) },
	}
	c.Flags().StringVarP(&o.file, "file", "f", defaultFile, "configuration `file`")
	c.Flags().StringVarP(&o.configID, "config-id", "i", "", "`word` that @word lines are compared with (default the host name)")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	c.Flags().BoolVar(&o.print, "print", false, "print the configuration as it is read, with includes, conditions,\ndefinitions and sequences carried out, and complain on standard error")
	c.MarkFlagsMutuallyExclusive("json", "print")
	c.Flags().BoolVar(&o.strict, "strict", false, "treat warnings as errors")
	return c
}

func check(e *env, o checkOptions) error {
	opts := config.Options{ConfigID: o.configID}
	if o.print {
		opts.Expanded = e.stdout
	}
	cfg, err := config.Load(o.file, opts)
	var report checkReport
	if err != nil {
		unparsable, ok := errors.AsType[*config.UnparsableError](err)
		if !ok {
			return err
		}
		report = checkReport{Report: unparsable.Report(), Placements: []placement{}}
	} else {
		report = checkReport{Report: cfg.Report(), Placements: placements(cfg.Services)}
	}
	switch {
	case o.print:
		for _, d := range report.Diagnostics {
			fmt.Fprintln(e.stderr, d)
		}
	default:
		if err := e.printCheck(report, o.json); err != nil {
			return err
		}
	}
	if code := report.code(o.strict); code != exitOK {
		return &exitError{code: code, silent: true}
	}
	return nil
}

func (r checkReport) code(strict bool) int {
	switch {
	case !r.Usable:
		return exitUnparsable
	case r.Errors > 0:
		return exitConfig
	case strict && (r.Warnings > 0 || r.unplaced() > 0):
		return exitConfig
	}
	return exitOK
}

// unplaced counts the services that no datapath runs.
func (r checkReport) unplaced() int {
	n := 0
	for _, p := range r.Placements {
		if !p.Runs {
			n++
		}
	}
	return n
}

func placements(services []model.VirtualServer) []placement {
	caps := director.ThisVersion()
	out := make([]placement, 0, len(services))
	for _, vs := range services {
		p := director.Choose(vs, caps)
		entry := placement{
			Service:    vs.Key.String(),
			Position:   vs.Pos,
			Runs:       p.Runs(),
			Datapath:   "none",
			ReasonWord: p.Reason.Word(),
		}
		if vs.GroupBlock.Group != "" {
			entry.Group = vs.Block().String()
		}
		if p.Runs() {
			entry.Datapath = string(p.Datapath)
		}
		if p.Datapath != model.DatapathXDP {
			entry.Reason = p.String()
		}
		out = append(out, entry)
	}
	return out
}

// alike counts how many of the first services of a list are of one group and in
// the same place for the same reason.
func alike(list []placement) int {
	n := 1
	for n < len(list) && list[0].Group != "" && list[n].Group == list[0].Group &&
		list[n].Datapath == list[0].Datapath && list[n].Reason == list[0].Reason {
		n++
	}
	return n
}

func (e *env) printCheck(r checkReport, asJSON bool) error {
	if asJSON {
		return e.printJSON(r)
	}
	if len(r.Placements) > 0 {
		fmt.Fprintln(e.stdout, "where services will run:")
	}
	needed := false
	for i := 0; i < len(r.Placements); {
		p, n := r.Placements[i], alike(r.Placements[i:])
		service := p.Service
		if n > 1 {
			service = fmt.Sprintf("%s to %s (%d services)", service, r.Placements[i+n-1].Service, n)
		}
		fmt.Fprintf(e.stdout, "  %s: %s %s\n", p.Position, service, placeText(p.Datapath, p.Reason))
		needed = needed || p.Datapath == string(model.DatapathIPVS)
		i += n
	}
	if needed {
		fmt.Fprintln(e.stdout, "  (ipvs is the kernel's, module ip_vs; evenkeel doctor says whether this machine has it)")
	}
	return r.WriteText(e.stdout)
}
