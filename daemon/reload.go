package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
)

// reloadRequest asks for a reload. reply may be nil.
type reloadRequest struct {
	cause string
	reply chan api.Load
}

// askReload asks for a reload and does not wait. One that waits already reads
// the file later than now, so another is not needed.
func (d *Daemon) askReload(cause string) {
	select {
	case d.reloads <- reloadRequest{cause: cause}:
	default:
		d.log.Info("reload waits already", "cause", cause)
	}
}

// reloadTask reloads, one at a time.
func (d *Daemon) reloadTask(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-d.reloads:
			load, err := d.reload(ctx, r.cause)
			if r.reply != nil && err == nil {
				r.reply <- load
			}
		}
	}
}

// reload reads the configuration and hands it to the loop. Its error is that
// of a daemon that ends.
func (d *Daemon) reload(ctx context.Context, cause string) (api.Load, error) {
	d.opts.Notify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonicMicroseconds()))
	cfg, readErr := d.opts.Load(d.opts.File)
	var load api.Load
	err := d.do(ctx, func(work context.Context) {
		load = d.core.takeOver(work, cfg, readErr, cause)
	})
	if err == nil && load.OK {
		// Beside the loop, since it waits for the elections.
		load.RestartNeeded = d.vrrp.reload(cfg)
		err = d.do(ctx, func(context.Context) { d.core.running, d.core.reload = load, &load })
		d.tookOver(ctx, cfg)
	}
	status := d.statusLine(load)
	if !load.OK {
		status = "reload refused: " + load.Error
	}
	d.opts.Notify("READY=1\nSTATUS=" + status)
	return load, err
}

// monotonicMicroseconds is the clock that sd_notify(3) asks for.
func monotonicMicroseconds() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return now.Nano() / int64(time.Microsecond)
}

// takeOver puts a configuration in the place of the running one, or refuses it.
func (c *core) takeOver(ctx context.Context, cfg *config.Config, readErr error, cause string) api.Load {
	c.writeReloadLog(cfg, readErr)
	if readErr != nil {
		return c.refuse(refusedLoad(readErr, cause), refusedReport(readErr))
	}
	logDiagnostics(c.log, cfg.Diagnostics)
	load := loadOf(cfg, cause)
	if cfg.HasErrors() {
		load.Error = firstError(cfg.Diagnostics)
		return c.refuse(load, new(cfg.Report()))
	}
	if err := c.breaks(cfg); err != nil {
		load.Error = oneLine(err)
		return c.refuse(load, new(cfg.Report()))
	}
	// Also without a difference: which interfaces lead to the same addresses
	// may have changed since.
	if err := c.configure(ctx, cfg); err != nil {
		load.Error = err.Error()
		return c.refuse(load, new(cfg.Report()))
	}
	load.OK = true
	before := c.dir.Snapshot()
	change := c.dir.Reload(cfg.Services, c.caps)
	c.conf, c.running, c.reload = cfg, load, &load
	c.carryOut(ctx, change)
	c.letGo(ctx)
	c.tell.serversAtStart = cfg.Global.ServersToldAtStart
	c.tell.reloaded(before, c.dir.Snapshot(), cfg.Services)
	c.alignClaimed(ctx)
	c.syncing.configure(cfg.Global, c.ipvs.datapath, c.ipvs.cause)
	if c.scripts != nil {
		c.scripts.configure(cfg.Global.Scripts)
	}
	c.suspend(c.caps.LocalAddress)
	c.runner.Update(c.dir.Targets())
	c.log.Info("configuration taken over", "cause", cause, "services", load.Services, "instances", load.Instances, "warnings", load.Warnings,
		"operations", len(change.Ops()))
	return load
}

// configure puts the settings of a file in force.
func (c *core) configure(ctx context.Context, cfg *config.Config) error {
	if err := c.ipvs.find(ctx, cfg); err != nil {
		return err
	}
	c.caps.NoKernelIPVS = c.ipvs.cause != nil
	c.caps.LocalAddress = c.local()
	settings := settingsOf(cfg, c.caps)
	leaving := c.leaves(cfg)
	if leaving {
		settings = settings.withBefore(settingsOf(c.conf, c.caps))
	}
	if err := c.xdp.Configure(ctx, settings); err != nil {
		return err
	}
	c.leaving = c.leaving || leaving
	return c.ipvs.configure(cfg)
}

// alignClaimed brings services into line that the reload has claimed and that
// somebody else had put into IPVS.
func (c *core) alignClaimed(ctx context.Context) {
	if c.ipvs.datapath == nil || c.dirty {
		return
	}
	if err := c.align(ctx); err != nil {
		c.failed(err)
	}
}

// errNothingLeft refuses what a file looks like that was cut short.
var errNothingLeft = errors.New("neither a service nor a VRRP instance is left in it; to run nothing, use evenkeel stop")

// breaks says what keeps a configuration without a mistake from being taken
// over: it can only be one by accident.
func (c *core) breaks(cfg *config.Config) error {
	runs := len(c.conf.Services) + len(c.conf.VRRP.Instances)
	if runs > 0 && len(cfg.Services)+len(cfg.VRRP.Instances) == 0 {
		return errNothingLeft
	}
	return c.routers.Check(cfg.VRRP)
}

func (c *core) refuse(load api.Load, report *config.Report) api.Load {
	c.reload, c.refusal, c.refused = &load, &load, report
	c.log.Error("configuration refused, the running one stays", "cause", load.Cause, "error", load.Error)
	return load
}

// loadOf describes a configuration that was read.
func loadOf(cfg *config.Config, cause string) api.Load {
	load := api.Load{At: time.Now(), Cause: cause, Services: len(cfg.Services), Instances: len(cfg.VRRP.Instances)}
	for _, d := range cfg.Diagnostics {
		switch d.Severity {
		case config.Error:
			load.Errors++
		case config.Warning:
			load.Warnings++
		case config.Note:
		}
	}
	return load
}

// refusedLoad describes a configuration that could not be read.
func refusedLoad(err error, cause string) api.Load {
	return api.Load{At: time.Now(), Cause: cause, Error: err.Error(), Errors: 1}
}

func refusedReport(err error) *config.Report {
	unparsable, ok := errors.AsType[*config.UnparsableError](err)
	if !ok {
		return nil
	}
	report := unparsable.Report()
	return &report
}
