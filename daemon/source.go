package daemon

import (
	"context"
	"os"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
)

// source is the daemon as package api sees it. Everything but the flows,
// the checks and the elections is read in the loop, so that one answer is of one moment.
type source Daemon

// Status implements api.Source.
func (s *source) Status(ctx context.Context) (api.Status, error) {
	d := (*Daemon)(s)
	status := api.Status{
		Version:       d.opts.Version,
		PID:           os.Getpid(),
		Started:       d.started,
		UptimeSeconds: time.Since(d.started).Seconds(),
		State:         "running",
		ConfigFile:    d.opts.File,
		Socket:        d.opts.Socket,
	}
	var readErr error
	err := d.do(ctx, func(work context.Context) { readErr = d.core.fill(work, &status) })
	if err == nil {
		err = readErr
	}
	if err != nil {
		return status, err
	}
	instances, err := d.vrrp.routers.Snapshot(ctx)
	status.VRRP = api.SummarizeVRRP(instances)
	return status, err
}

// VRRP implements api.Source.
func (s *source) VRRP(ctx context.Context) (api.VRRP, error) {
	routers := s.vrrp.routers
	instances, err := routers.Snapshot(ctx)
	if err != nil {
		return api.VRRP{}, err
	}
	return api.FromVRRP(instances, routers.Tracked(), routers.Stats()), nil
}

// fill completes a status with what the loop knows.
func (c *core) fill(ctx context.Context, s *api.Status) error {
	report, err := c.xdp.Report(ctx)
	if err != nil {
		return err
	}
	services, err := c.services(ctx)
	if err != nil {
		return err
	}
	s.Running, s.LastReload, s.LastRefusal = c.running, c.reload, c.refusal
	s.Datapath, s.Flows, s.Reasons = report.Datapath, report.Flows, report.Reasons
	s.PinDir, s.Datapath.IPVS = report.PinDir, c.ipvs.status()
	s.Datapath.IPVS.SyncDaemon = c.syncing.status()
	if c.fault != "" {
		s.Datapath.LastError, s.Datapath.LastErrorAt = c.fault, new(c.faultAt)
	}
	s.Services = api.Summarize(services)
	s.Packets = packetsOf(report.Reasons)
	s.Checks = api.SummarizeChecks(c.runner.Snapshot())
	return nil
}

// services returns what is wanted together with what runs.
func (c *core) services(ctx context.Context) ([]api.Service, error) {
	running, err := c.snapshots(ctx)
	if err != nil {
		return nil, err
	}
	conf := make(map[model.ServiceKey]model.Service, len(c.conf.Services))
	for _, vs := range c.conf.Services {
		conf[vs.Key] = vs.Service
	}
	return api.Merge(c.dir.Snapshot(), conf, running), nil
}

// Services implements api.Source.
func (s *source) Services(ctx context.Context) (api.Services, error) {
	d := (*Daemon)(s)
	out := api.Services{Daemon: true}
	var readErr error
	err := d.do(ctx, func(work context.Context) { out.Services, readErr = d.core.services(work) })
	if err == nil {
		err = readErr
	}
	return out, err
}

// Flows implements api.Source. It reads beside the loop: a table of a million
// flows delays no verdict. A stop cuts it short.
func (s *source) Flows(ctx context.Context, yield func(api.Flow) bool) error {
	d := (*Daemon)(s)
	datapaths := []director.Datapath{d.core.xdp}
	err := d.do(ctx, func(context.Context) {
		d.readers.Add(1)
		if also := d.core.ipvs.datapath; also != nil {
			datapaths = append(datapaths, also)
		}
	})
	if err != nil {
		return err
	}
	defer d.readers.Done()
	stopping, enough := false, false
	for _, datapath := range datapaths {
		err := datapath.Flows(ctx, func(f model.Flow) bool {
			select {
			case <-d.ended:
				stopping = true
				return false
			default:
				enough = !yield(api.FromFlow(f))
				return !enough
			}
		})
		switch {
		case stopping:
			return errStopping
		case err != nil || enough:
			return err
		}
	}
	return nil
}

// Explain implements api.Source. Like Flows it works beside the loop, and a stop
// waits for it.
func (s *source) Explain(ctx context.Context, p loader.Packet) (loader.Explanation, error) {
	d := (*Daemon)(s)
	if err := d.do(ctx, func(context.Context) { d.readers.Add(1) }); err != nil {
		return loader.Explanation{}, err
	}
	defer d.readers.Done()
	return d.core.xdp.Explain(ctx, p)
}

// Checks implements api.Source.
func (s *source) Checks(context.Context) (api.Checks, error) {
	return api.FromChecks(s.core.runner.Snapshot()), nil
}

// Config implements api.Source.
func (s *source) Config(ctx context.Context) (api.Config, error) {
	d := (*Daemon)(s)
	var out api.Config
	err := d.do(ctx, func(context.Context) {
		out = api.Config{Running: d.core.running, Report: d.core.conf.Report(), Refused: d.core.refused}
	})
	return out, err
}

// Reload implements api.Source.
func (s *source) Reload(ctx context.Context, cause string) (api.Load, error) {
	d := (*Daemon)(s)
	reply := make(chan api.Load, 1)
	select {
	case d.reloads <- reloadRequest{cause: cause, reply: reply}:
	case <-d.ended:
		return api.Load{}, errStopping
	case <-ctx.Done():
		return api.Load{}, ctx.Err()
	}
	select {
	case load := <-reply:
		return load, nil
	case <-d.ended:
		return api.Load{}, errStopping
	case <-ctx.Done():
		return api.Load{}, ctx.Err()
	}
}

// Stop implements api.Source.
func (s *source) Stop(ctx context.Context, keep bool, cause string) (api.StopResult, error) {
	d := (*Daemon)(s)
	reply := make(chan api.StopResult, 1)
	if !d.stop(ctx, stopRequest{keep: keep, cause: cause, reply: reply}) {
		if ctx.Err() != nil {
			return api.StopResult{}, ctx.Err()
		}
		return api.StopResult{}, errStopping
	}
	select {
	case result := <-reply:
		return result, nil
	case <-ctx.Done():
		return api.StopResult{}, ctx.Err()
	}
}
