package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

// How long to wait before a datapath that did not take a change is brought
// into line again. The pause doubles from the least to the most.
const (
	repairLeast = time.Second
	repairMost  = 30 * time.Second
)

// verdictsAtOnce bounds how many verdicts are carried out as one change, so
// that a rack that fails costs one change and a flood of verdicts keeps no
// query waiting.
const verdictsAtOnce = 256

// core is what the loop owns.
type core struct {
	log    *slog.Logger
	xdp    XDP
	caps   director.Capabilities
	dir    *director.Director
	runner *health.Runner
	// routers are asked whether they can go over to a configuration; what they
	// do belongs to the election.
	routers Routers
	// tell tells others of services and servers.
	tell *serviceNotices
	// scripts runs MISC_CHECK; nil where Options have a Prober.
	scripts *scripts

	conf    *config.Config
	running api.Load
	reload  *api.Load
	refusal *api.Load
	refused *config.Report

	// dirty is set while the datapath is not known to run what is wanted.
	dirty   bool
	pause   time.Duration
	repairs *time.Timer
	fault   string
	faultAt time.Time
}

// verdict carries out a verdict and those that wait behind it.
func (c *core) verdict(ctx context.Context, v health.Verdict) {
	change := c.dir.Verdict(v)
	for range verdictsAtOnce {
		select {
		case v = <-c.runner.Verdicts():
			next := c.dir.Verdict(v)
			change.Steps = append(change.Steps, next.Steps...)
			change.Events = append(change.Events, next.Events...)
			continue
		default:
		}
		break
	}
	c.carryOut(ctx, change)
	c.tell.changed(change.Events)
}

// carryOut applies a change and logs its events. When the datapath does not
// take it, the loop tries again later; the daemon goes on.
func (c *core) carryOut(ctx context.Context, change director.Change) {
	for _, e := range change.Events {
		logEvent(c.log, e)
	}
	if c.dirty {
		c.repair(ctx)
		return
	}
	if err := c.applySteps(ctx, change.Steps); err != nil {
		c.failed(err)
	}
}

func (c *core) applySteps(ctx context.Context, steps []director.Step) error {
	for _, s := range steps {
		if s.Datapath != model.DatapathXDP {
			// The director places nothing where this version has no
			// datapath.
			c.log.Error("operations for a datapath that is not there", "datapath", s.Datapath, "operations", len(s.Ops))
			continue
		}
		if err := c.xdp.Apply(ctx, s.Ops); err != nil {
			return err
		}
	}
	return nil
}

// repair brings the datapath to what is wanted, whatever it runs now.
func (c *core) repair(ctx context.Context) {
	tables, err := c.xdp.Snapshot(ctx)
	if err == nil {
		err = c.applySteps(ctx, c.dir.Repair(model.DatapathXDP, tables))
	}
	if err != nil {
		c.failed(err)
		return
	}
	c.log.Info("datapath in line again", "after", time.Since(c.faultAt))
	c.dirty, c.pause, c.fault = false, 0, ""
	c.repairs.Stop()
}

func (c *core) failed(err error) {
	if !c.dirty {
		c.faultAt = time.Now()
	}
	c.dirty, c.fault = true, oneLine(err)
	c.pause = min(max(2*c.pause, repairLeast), repairMost)
	c.log.Error("datapath did not take a change", "error", c.fault, "next_try", c.pause)
	c.repairs.Reset(c.pause)
}

// oneLine is the first of joined errors, and how many more there are: a
// datapath may refuse many services at once.
func oneLine(err error) string {
	first, rest, more := strings.Cut(err.Error(), "\n")
	if !more {
		return first
	}
	return fmt.Sprintf("%s (and %d more)", first, 1+strings.Count(rest, "\n"))
}

func logEvent(log *slog.Logger, e director.Event) {
	attrs := []slog.Attr{slog.String("event", e.Kind.String()), slog.String("service", e.Service.String())}
	if e.Server.IsValid() {
		attrs = append(attrs, slog.String("server", e.Server.String()))
	}
	attrs = append(attrs, slog.String("reason", e.Reason))
	level := slog.LevelInfo
	switch e.Kind {
	case director.ServerDown, director.QuorumLost:
		level = slog.LevelWarn
	default:
	}
	log.LogAttrs(context.Background(), level, "state changed", attrs...)
}

// logDiagnostics logs what the configuration's reader complained about.
func logDiagnostics(log *slog.Logger, all []config.Diagnostic) {
	for _, d := range all {
		level := slog.LevelDebug
		switch d.Severity {
		case config.Error:
			level = slog.LevelError
		case config.Warning:
			level = slog.LevelWarn
		case config.Note:
		}
		attrs := []slog.Attr{slog.String("position", d.Position().String()), slog.String("message", d.Message)}
		if d.Hint != "" {
			attrs = append(attrs, slog.String("hint", d.Hint))
		}
		log.LogAttrs(context.Background(), level, "configuration", attrs...)
	}
}
