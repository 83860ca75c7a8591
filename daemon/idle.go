package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// startXDP starts the datapath. A configuration with nothing but VRRP runs
// without one where there is none to be had, and so does one whose services
// can all run in IPVS: caps then say why XDP cannot.
func (d *Daemon) startXDP(ctx context.Context, cfg *config.Config, caps *director.Capabilities) (XDP, error) {
	settings := settingsOf(cfg, *caps)
	xdp, err := d.opts.Machine.Start(ctx, settings)
	if err == nil {
		return xdp, nil
	}
	failed, ok := errors.AsType[*StartError](err)
	if !ok {
		return nil, err
	}
	switch {
	case len(cfg.Services) == 0 && len(cfg.VRRP.Instances) > 0:
		if failed.Kind != NoBPF && failed.Kind != NoPrivilege && failed.Kind != BadPins {
			return nil, err
		}
		d.log.Warn("no datapath; nothing in the configuration needs it", "cause", oneLine(err))
	case failed.Kind == NoBPF && !caps.NoKernelIPVS:
		caps.NoXDP = director.ReasonProgramRefused
	case failed.Kind == BadInterface && !caps.NoKernelIPVS && len(settings.Interfaces) == 0:
		caps.NoXDP = director.ReasonNoInterface
	default:
		return nil, err
	}
	if caps.NoXDP != director.ReasonNone {
		caps.NoXDPDetail = oneLine(err)
		d.log.Warn("no XDP: services run in IPVS or not at all", "cause", caps.NoXDPDetail)
	}
	return idle{err}, nil
}

// errUnwanted is the cause of a datapath that was not started.
var errUnwanted = errors.New("no service was to run in XDP at the start")

// idle stands in for a datapath that nobody needs, or that could not be
// started.
type idle struct{ cause error }

func (i idle) Apply(_ context.Context, ops []sched.Op) error {
	if len(ops) > 0 {
		return fmt.Errorf("apply %d operations: %w", len(ops), i.cause)
	}
	return nil
}

func (idle) Snapshot(context.Context) (model.Tables, error) { return model.Tables{}, nil }

func (idle) Flows(context.Context, func(model.Flow) bool) error { return nil }

func (idle) Release(context.Context, model.ServiceKey, func([]model.Flow) error) error { return nil }

func (i idle) Import(context.Context, []model.Flow) (int, error) {
	return 0, fmt.Errorf("import flows: %w", i.cause)
}

func (idle) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Configure refuses what needs a datapath.
func (i idle) Configure(_ context.Context, s Settings) error {
	if s.ServiceCount > 0 {
		return fmt.Errorf("the XDP datapath is not started, and a service needs it: %w; then restart", i.cause)
	}
	return nil
}

func (i idle) Report(context.Context) (Report, error) {
	return Report{Datapath: api.Datapath{Kernel: kernelRelease(), Detail: oneLine(i.cause), Interfaces: []api.Interface{}}, Reasons: []api.Reason{}}, nil
}

func (i idle) Explain(context.Context, loader.Packet) (loader.Explanation, error) {
	return loader.Explanation{}, fmt.Errorf("explain: there is no datapath: %w", i.cause)
}

func (idle) Remove() error { return nil }

func (idle) Close() error { return nil }
