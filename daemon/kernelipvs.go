package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/ipvs"
	"github.com/evenkeel/evenkeel/model"
)

// IPVS is the kernel's IPVS as the daemon needs it. Its methods come from any
// goroutine.
type IPVS interface {
	director.Datapath
	// Claim takes over services that may be there already; those of others
	// are neither shown nor touched.
	Claim(...model.ServiceKey)
	// Templates calls yield with each persistence template until it returns
	// false.
	Templates(ctx context.Context, yield func(model.Flow) bool) error
	// Import takes over flows and templates from XDP and returns how many are
	// here now.
	Import(context.Context, []model.Flow) (int, error)
	// SetTimeouts changes the time-outs of idle flows; a zero one stays.
	SetTimeouts(ipvs.Timeouts) error
	// SetSyncDaemons has these run, in place of those that it had run before.
	SetSyncDaemons(context.Context, ...ipvs.SyncDaemon) error
	// Flush deletes all services, those of others too.
	Flush(context.Context) error
}

// kernelIPVS is the second datapath, as far as there is one. It belongs to the
// loop; the datapath in it may be used by anybody.
type kernelIPVS struct {
	machine Machine
	log     *slog.Logger
	// datapath is nil while nobody wanted it, or there is none.
	datapath IPVS
	// cause is why there is none; nil while nobody wanted it.
	cause error
}

// find asks for the kernel's IPVS, if the file may put a service there. The
// error is that of a file which cannot do without.
func (k *kernelIPVS) find(ctx context.Context, cfg *config.Config) error {
	if k.datapath == nil && mayUseIPVS(cfg) {
		first := k.cause == nil
		k.datapath, k.cause = k.machine.IPVS(ctx)
		if k.cause != nil {
			k.datapath = nil
		}
		if k.cause != nil && first {
			k.log.Warn("no fallback: services run in XDP or not at all", "cause", oneLine(k.cause))
		}
	}
	if k.cause != nil && asksForIPVS(cfg) {
		return startError(kindOfIPVS(k.cause), fmt.Errorf("datapath ipvs: %w", k.cause))
	}
	return nil
}

func kindOfIPVS(err error) Kind {
	switch {
	case errors.Is(err, ipvs.ErrNoIPVS):
		return NoIPVS
	case errors.Is(err, fs.ErrPermission):
		return NoPrivilege
	}
	return Failed
}

// mayUseIPVS reports whether a service may run there, or flows be handed over.
func mayUseIPVS(cfg *config.Config) bool {
	if cfg.Global.Sync != nil {
		return true
	}
	for _, vs := range cfg.Services {
		if vs.Datapath != model.DatapathXDP {
			return true
		}
	}
	return false
}

// asksForIPVS reports whether the file as a whole asks for IPVS. A single
// service that does is left out where there is none, and the others run.
func asksForIPVS(cfg *config.Config) bool {
	if cfg.Global.Datapath != model.DatapathIPVS {
		return false
	}
	for _, vs := range cfg.Services {
		if vs.Datapath == model.DatapathIPVS {
			return true
		}
	}
	return false
}

// configure puts a file in force: its time-outs, and its services are ours
// from now on, also where somebody else has put them there.
func (k *kernelIPVS) configure(cfg *config.Config) error {
	if k.datapath == nil {
		return nil
	}
	g := cfg.Global
	if err := k.datapath.SetTimeouts(ipvs.Timeouts{TCP: g.TimeoutTCP, TCPFin: g.TimeoutTCPFin, UDP: g.TimeoutUDP}); err != nil {
		return err
	}
	for _, vs := range cfg.Services {
		k.datapath.Claim(vs.Key)
	}
	return nil
}

// snapshot returns what runs there.
func (k *kernelIPVS) snapshot(ctx context.Context) (model.Tables, error) {
	if k.datapath == nil {
		return model.Tables{}, nil
	}
	return k.datapath.Snapshot(ctx)
}

// status is what the status says of it.
func (k *kernelIPVS) status() api.IPVS {
	switch {
	case k.datapath != nil:
		return api.IPVS{Running: true}
	case k.cause != nil:
		return api.IPVS{Detail: oneLine(k.cause)}
	}
	return api.IPVS{Detail: "not asked for"}
}

// release lets go of it. Without keep its services are deleted, as keepalived
// deletes them, or all that are there.
func (k *kernelIPVS) release(ctx context.Context, keep bool, scope model.FlushScope) error {
	if k.datapath == nil {
		return nil
	}
	var err error
	switch {
	case keep:
		return k.datapath.Close()
	case scope == model.FlushAll:
		err = k.datapath.Flush(ctx)
	default:
		err = k.deleteOurs(ctx)
	}
	return errors.Join(err, k.datapath.SetSyncDaemons(ctx), k.datapath.Close())
}

func (k *kernelIPVS) deleteOurs(ctx context.Context) error {
	tables, err := k.datapath.Snapshot(ctx)
	if err != nil {
		return err
	}
	for _, step := range director.Clear(model.DatapathIPVS, tables) {
		if err := k.datapath.Apply(ctx, step.Ops); err != nil {
			return err
		}
	}
	return nil
}
