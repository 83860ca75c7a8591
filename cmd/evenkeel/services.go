package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/api"
)

// servicesOptions are the flags of services.
type servicesOptions struct {
	where
	stats, exact, flows, json, nosort bool
}

func (e *env) servicesCommand() *cobra.Command {
	var o servicesOptions
	c := &cobra.Command{
		Use:   "services",
		Short: "List services and servers in ipvsadm's layout",
		Long: `List services and servers in ipvsadm's layout. The last flag of a service says
where it runs, or why it does not.

Without a daemon the pinned maps and the kernel's IPVS are read, and standard
error says so. The file is the source of truth: to change something, edit it and run
evenkeel reload. Only where a service runs can be changed at once: see
evenkeel services move.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return services(c.Context(), e, o) },
	}
	o.flags(c)
	c.Flags().BoolVar(&o.stats, "stats", false, "list counters, as ipvsadm --stats does")
	c.Flags().BoolVar(&o.exact, "exact", false, "with --stats: do not shorten numbers")
	c.Flags().BoolVarP(&o.flows, "connections", "c", false, "list flows, as ipvsadm -c does")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	c.Flags().BoolVar(&o.nosort, "nosort", false, "keep the datapath's own order, newest server first")
	c.Flags().BoolP("numeric", "n", true, "addresses are always numbers; accepted for ipvsadm's sake")
	c.AddCommand(e.moveCommand())
	c.MarkFlagsMutuallyExclusive("connections", "stats")
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fmt.Errorf("%w; to change services edit the file and run evenkeel reload", err)
	})
	return c
}

func services(ctx context.Context, e *env, o servicesOptions) error {
	client := api.NewClient(o.socket)
	var err error
	if o.flows {
		err = e.listFlows(o.json, func(yield func(api.Flow) bool) error { return client.Flows(ctx, yield) })
	} else {
		var all api.Services
		if all, err = client.Services(ctx); err == nil {
			err = e.listServices(all, o)
		}
	}
	if errors.Is(err, api.ErrNoDaemon) {
		return e.fromKernel(ctx, o, err)
	}
	return err
}

// fromKernel lists what the pinned maps and the kernel's IPVS say, all of the
// latter: nobody knows which services there are ours.
func (e *env) fromKernel(ctx context.Context, o servicesOptions, noDaemon error) error {
	left, err := openLeft(ctx, o.pinDir)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("no daemon runs, and what it left is not yours to read: %w; ask as root", err)
	}
	if err != nil {
		return err
	}
	defer left.Close()
	tables, err := left.tables(ctx)
	if err != nil {
		return err
	}
	if left.view == nil && len(tables) == 0 {
		return fmt.Errorf("%w; nothing is pinned in %s either", noDaemon, o.pinDir)
	}
	fmt.Fprintf(e.stderr, "evenkeel: no daemon runs; read from %s\n", left.from(o.pinDir, len(tables) > 0))
	if o.flows {
		return e.listFlows(o.json, func(yield func(api.Flow) bool) error { return left.flows(ctx, yield) })
	}
	return e.listServices(api.Services{Services: tables}, o)
}

func (e *env) listServices(all api.Services, o servicesOptions) error {
	if !o.nosort {
		all.Services = sorted(all.Services)
	}
	out := bufio.NewWriter(e.stdout)
	switch {
	case o.json:
		return e.printJSON(all)
	case o.stats:
		printStats(out, all.Services, o.exact)
	default:
		printServices(out, all.Services)
	}
	return out.Flush()
}

// listFlows prints flows as they come. The header comes with the first one or
// with the end, so that an error at the start is all that is printed.
func (e *env) listFlows(asJSON bool, read func(func(api.Flow) bool) error) error {
	if asJSON {
		all := api.Flows{Flows: []api.Flow{}}
		if err := read(func(f api.Flow) bool { all.Flows = append(all.Flows, f); return true }); err != nil {
			return err
		}
		return e.printJSON(all)
	}
	out := bufio.NewWriter(e.stdout)
	begun := false
	begin := func() {
		if !begun {
			begun = true
			fmt.Fprint(out, flowsHeader)
		}
	}
	err := read(func(f api.Flow) bool {
		begin()
		_, err := out.WriteString(flowLine(f))
		return err == nil
	})
	if err != nil {
		return errors.Join(err, out.Flush())
	}
	begin()
	return out.Flush()
}
