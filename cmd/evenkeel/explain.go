package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/loader"
)

// explainOptions are the flags of explain.
type explainOptions struct {
	where
	flags   string
	ingress string
	json    bool
}

func (e *env) explainCommand() *cobra.Command {
	var o explainOptions
	c := &cobra.Command{
		Use:   "explain PROTOCOL SOURCE DESTINATION",
		Short: "Say what the program would do with a packet, and why",
		Long: `Say what the program would do with a packet, and why: its service, the
scheduler and what it sees, its flow, the server, and how the frame leaves. The
program runs on the live maps, without effect: no cursor, counter or flow
changes.

PROTOCOL is tcp, udp or sctp. To follow a server's answer, name the server as
SOURCE and the client as DESTINATION. Without a daemon the pinned maps are used.`,
		Example: "  evenkeel explain tcp 203.0.113.9:4242 10.0.0.100:80",
		Args:    cobra.ExactArgs(3),
		RunE:    func(c *cobra.Command, args []string) error { return explain(c.Context(), e, o, args) },
	}
	o.where.flags(c)
	c.Flags().StringVar(&o.flags, "flags", "S", "TCP flags, `letters` of SAFRPU; of SCTP, S is an INIT and A is data")
	c.Flags().StringVar(&o.ingress, "interface", "", "`name` of the interface that the packet comes in by (default one that the program runs on)")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func explain(ctx context.Context, e *env, o explainOptions, args []string) error {
	p, err := loader.ParsePacket(args[0], args[1], args[2], o.flags)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	p.Interface = o.ingress
	explanation, err := api.NewClient(o.socket).Explain(ctx, p)
	if errors.Is(err, api.ErrNoDaemon) {
		explanation, err = e.explainFromPins(ctx, o, p, err)
	}
	if err != nil {
		return err
	}
	if o.json {
		return e.printJSON(explanation)
	}
	out := bufio.NewWriter(e.stdout)
	printExplanation(out, explanation)
	return out.Flush()
}

func (e *env) explainFromPins(ctx context.Context, o explainOptions, p loader.Packet, noDaemon error) (loader.Explanation, error) {
	view, err := loader.Open(o.pinDir)
	switch {
	case errors.Is(err, loader.ErrNotLoaded):
		return loader.Explanation{}, fmt.Errorf("%w; nothing is pinned in %s either", noDaemon, o.pinDir)
	case errors.Is(err, fs.ErrPermission):
		return loader.Explanation{}, fmt.Errorf("no daemon runs, and its pins are not yours to read: %w; ask as root", err)
	case err != nil:
		return loader.Explanation{}, err
	}
	fmt.Fprintf(e.stderr, "evenkeel: no daemon runs; read from %s\n", o.pinDir)
	explanation, err := view.Explain(ctx, p)
	return explanation, errors.Join(err, view.Close())
}

func printExplanation(w io.Writer, x loader.Explanation) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	flags := x.Flags
	if flags != "" {
		flags = ", flags " + flags
	}
	line("packet", "%s %s -> %s%s, in by %s", x.Protocol, x.Source, x.Destination, flags, x.Interface)
	if s := x.Service; s != nil {
		printExplainedService(w, line, x)
	}
	printExplainedFlow(line, x)
	if s := x.Server; s != nil {
		line("server", "%s, chosen by the %s", s.Server, s.ChosenBy)
		line("forward", "%s", s.Forward)
	}
	if o := x.Out; o != nil {
		line("out", "%s, frame from %s to %s", o.Interface, o.Source, o.Destination)
	}
	line("result", "%s: %s (%s, reason %d)", x.Reason.Verdict, x.Reason.Text, x.Reason.Name, x.Reason.Number)
}

func printExplainedService(w io.Writer, line func(name, format string, args ...any), x loader.Explanation) {
	s := x.Service
	if s.Service == "" {
		line("service", "removed; its flows live on")
		return
	}
	persistence := ""
	if s.PersistenceSeconds > 0 {
		persistence = fmt.Sprintf(", persistence %gs", s.PersistenceSeconds)
	}
	line("service", "%s%s", s.Service, persistence)
	line("scheduler", "%s, position %d, generation %d, newest server first:", s.Scheduler, s.Position, s.Generation)
	for _, c := range s.Candidates {
		marks := ""
		if c.Overloaded {
			marks += ", over its threshold"
		}
		if !c.Resolved {
			marks += ", next hop not resolved"
		}
		fmt.Fprintf(w, "%-10s   %s weight %d, %d active, %d inactive%s\n", "", c.Server, c.Weight, c.Active, c.Inactive, marks)
	}
}

func printExplainedFlow(line func(name, format string, args ...any), x loader.Explanation) {
	switch x.Kind {
	case loader.KindFlow:
		line("flow", "%s, becomes %s; expires in %gs without the packet", x.Flow.State, x.Flow.Becomes, x.Flow.ExpiresSeconds)
	case loader.KindReply:
		line("flow", "%s, answered by its server, becomes %s", x.Flow.State, x.Flow.Becomes)
	case loader.KindNew:
		line("flow", "new, %s", x.Flow.Becomes)
	case loader.KindOnePacket:
		line("flow", "none: each datagram is scheduled for itself (ops)")
	case loader.KindNone:
		line("flow", "none")
	}
}
