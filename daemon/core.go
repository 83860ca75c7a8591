package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
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
	log  *slog.Logger
	xdp  XDP
	ipvs *kernelIPVS
	caps director.Capabilities
	// local reads which addresses are this host's own.
	local  func() func(netip.Addr) bool
	dir    *director.Director
	runner *health.Runner
	// routers are asked whether they can go over to a configuration; what they
	// do belongs to the election.
	routers Routers
	// syncing has the kernel's sync daemons follow the elections.
	syncing *syncing
	// tell tells others of services and servers.
	tell *serviceNotices
	// scripts runs MISC_CHECK; nil where Options have a Prober.
	scripts *scripts

	conf    *config.Config
	running api.Load
	reload  *api.Load
	refusal *api.Load
	refused *config.Report

	// leaving is set while the program may stay on interfaces that only a
	// service needs which leaves XDP.
	leaving bool
	// carried counts the flows of moves.
	carried struct{ had, arrived int }
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

// suspend lets checks rest or go on (ha_suspend). It reports whether the targets
// of the checks changed.
func (c *core) suspend(local func(netip.Addr) bool) bool {
	events := c.dir.Suspend(local)
	for _, e := range events {
		logEvent(c.log, e)
	}
	return len(events) > 0
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
	var errs []error
	unsure := make(map[model.ServiceKey]bool)
	came := make(arrivals)
	for _, s := range steps {
		ops := withoutLeaving(s.Ops, unsure)
		c.carryAll(ctx, s.Datapath, ops, came)
		came.note(s)
		if err := c.apply(ctx, s.Datapath, ops); err != nil {
			errs = append(errs, err)
			for _, op := range s.Ops {
				unsure[op.Service.Key] = true
			}
		}
	}
	return errors.Join(errs...)
}

// withoutLeaving leaves out the ends of services whose new datapath may not
// have taken them: they stay where they are until a repair.
func withoutLeaving(ops []sched.Op, unsure map[model.ServiceKey]bool) []sched.Op {
	if len(unsure) == 0 {
		return ops
	}
	return slices.DeleteFunc(slices.Clone(ops), func(op sched.Op) bool {
		return op.Kind == sched.DelService && unsure[op.Service.Key]
	})
}

// apply carries out operations in one datapath.
func (c *core) apply(ctx context.Context, datapath model.DatapathChoice, ops []sched.Op) error {
	if datapath == model.DatapathXDP {
		return c.xdp.Apply(ctx, ops)
	}
	if c.ipvs.datapath == nil {
		// The director places nothing where there is no datapath.
		return fmt.Errorf("%d operations for %s, which is not there", len(ops), datapath)
	}
	return c.ipvs.datapath.Apply(ctx, ops)
}

// snapshots returns what the datapaths run.
func (c *core) snapshots(ctx context.Context) (map[model.DatapathChoice]model.Tables, error) {
	inXDP, err := c.xdp.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	inIPVS, err := c.ipvs.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return map[model.DatapathChoice]model.Tables{model.DatapathXDP: inXDP, model.DatapathIPVS: inIPVS}, nil
}

// align brings the datapaths to what is wanted, whatever they run now.
func (c *core) align(ctx context.Context) error {
	running, err := c.snapshots(ctx)
	if err != nil {
		return err
	}
	return c.applySteps(ctx, c.dir.RepairAll(running))
}

// repair tries that again after a change was not taken.
func (c *core) repair(ctx context.Context) {
	err := c.align(ctx)
	if err != nil {
		c.failed(err)
		return
	}
	c.log.Info("datapath in line again", "after", time.Since(c.faultAt))
	c.dirty, c.pause, c.fault = false, 0, ""
	c.repairs.Stop()
	c.letGo(ctx)
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
