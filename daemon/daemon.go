package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/daemon/dump"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

// Daemon is one run of the program.
type Daemon struct {
	opts    Options
	log     *slog.Logger
	started time.Time

	queries chan func(context.Context)
	reloads chan reloadRequest
	// taken are configurations that a reload has put in force.
	taken chan *config.Config
	stops chan stopRequest
	// addresses holds a hint that addresses of the host have changed.
	addresses chan struct{}
	// ended is closed when the loop takes no more queries.
	ended chan struct{}
	// fellBack says why the configuration that last ran well was begun with.
	fellBack string
	// readers counts those who read the datapath beside the loop. It grows
	// in the loop only.
	readers sync.WaitGroup

	core *core // the loop's
	vrrp *election
	// checks is the core's runner, for who may come before there is one.
	checks atomic.Pointer[health.Runner]
	// cleared belongs to the signal task.
	cleared dump.Cleared
}

// stopRequest asks the loop to end. reply may be nil.
type stopRequest struct {
	keep  bool
	cause string
	reply chan api.StopResult
}

// New returns a daemon. Nothing happens before Run.
func New(o Options) *Daemon {
	o = o.orDefault()
	return &Daemon{
		opts:    o,
		log:     o.Log,
		queries: make(chan func(context.Context)),
		reloads: make(chan reloadRequest, 1),
		taken:   make(chan *config.Config),
		stops:   make(chan stopRequest),

		addresses: make(chan struct{}, 1),
		ended:     make(chan struct{}),
	}
}

// Run runs the daemon until it is told to stop: by a signal, over the socket,
// or by the end of ctx. It returns nil after a clean stop, a *StartError when it
// could not start, and another error when a part of it failed. It is called
// once.
func (d *Daemon) Run(ctx context.Context) error {
	d.started = time.Now()
	cfg, why, err := d.firstConfig()
	if err != nil {
		return startError(BadConfig, err)
	}
	d.fellBack = why
	logDiagnostics(d.log, cfg.Diagnostics)
	listener, err := d.opts.Listen(d.opts.Socket)
	if err != nil {
		return socketError(err)
	}
	// From here on nothing stops half-way: a stop comes after the start.
	work := context.WithoutCancel(ctx)
	first, err := d.startAll(work, cfg)
	if err != nil {
		return errors.Join(startError(Failed, err), listener.Close())
	}
	return d.serve(ctx, work, listener, first)
}

// startAll starts the datapath and then the elections, so that nobody hands
// clients over to a host that cannot serve yet. Who was master a moment ago
// begins with the elections, and waits for nothing else until it takes part, to
// be back before others miss it: its datapath runs already.
func (d *Daemon) startAll(ctx context.Context, cfg *config.Config) (director.Change, error) {
	d.takePlace(cfg.VRRP)
	var err error
	if d.vrrp, err = newElection(d.opts, cfg, d.touch); err != nil {
		return director.Change{}, startError(kindOfVRRP(err), fmt.Errorf("start vrrp: %w", err))
	}
	early := d.opts.WasMaster(d.opts.Memory)
	if early {
		d.vrrp.begin(ctx)
		d.vrrp.await()
	}
	first, err := d.start(ctx, cfg)
	switch {
	case err == nil && !early:
		d.vrrp.begin(ctx)
	case err != nil && early:
		// Who cannot serve shall be no master.
		err = errors.Join(err, d.vrrp.end(false))
	case err != nil:
		err = errors.Join(err, d.vrrp.drop())
	}
	return first, err
}

// touch tries the checks of a track_file. They begin later than the elections.
func (d *Daemon) touch(trackFile string) {
	if r := d.checks.Load(); r != nil {
		r.Touch(trackFile)
	}
}

func kindOfVRRP(err error) Kind {
	if errors.Is(err, fs.ErrPermission) {
		return NoPrivilege
	}
	return Failed
}

func socketError(err error) error {
	if _, ok := errors.AsType[*api.InUseError](err); ok {
		return startError(AlreadyRunning, err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return startError(NoPrivilege, fmt.Errorf("%w; run as root, or use another --socket", err))
	}
	return startError(BadSocket, fmt.Errorf("%w; use another --socket", err))
}

// start starts the datapath and returns the change that brings it to what the
// configuration says. The change is carried out when the datapath's own tasks
// run, since it waits for next hops.
func (d *Daemon) start(ctx context.Context, cfg *config.Config) (director.Change, error) {
	caps := director.ThisVersion()
	caps.LocalAddress = d.opts.Machine.Local()
	fallback := &kernelIPVS{machine: d.opts.Machine, log: d.log}
	if err := fallback.find(ctx, cfg); err != nil {
		return director.Change{}, err
	}
	caps.NoKernelIPVS = fallback.cause != nil
	xdp, err := d.startXDP(ctx, cfg, &caps)
	if err != nil {
		return director.Change{}, errors.Join(err, fallback.release(ctx, true, ""))
	}
	d.core = &core{log: d.log, local: d.opts.Machine.Local, xdp: xdp, ipvs: fallback, caps: caps}
	running, err := d.core.adopt(ctx, cfg)
	if err != nil {
		return director.Change{}, errors.Join(err, xdp.Close(), fallback.release(ctx, true, ""))
	}
	dir, change := director.Adopt(cfg.Services, caps, running)
	prober := d.opts.Prober
	var own *scripts
	if prober == nil {
		own = newScripts(cfg.Global.Scripts, d.opts.Priority.Restore, d.log)
		prober = health.NewCheckers(health.CheckersOptions{Scripts: own, Files: d.vrrp})
	}
	c := d.core
	c.dir, c.routers, c.scripts, c.syncing = dir, d.vrrp.routers, own, d.vrrp.syncing
	c.suspend(d.opts.Machine.IsLocal)
	c.runner = health.New(dir.Targets(), health.Options{Prober: prober, MaxInFlight: triesAtOnce(), Log: d.log})
	c.tell = newServiceNotices(d.vrrp.notices, cfg.Services)
	c.tell.serversAtStart = cfg.Global.ServersToldAtStart
	c.conf, c.running = cfg, loadOf(cfg, "start")
	c.running.OK, c.running.LastGood = true, d.fellBack
	c.repairs = time.NewTimer(time.Hour)
	c.repairs.Stop()
	d.checks.Store(d.core.runner)
	return change, nil
}

// adopt returns what runs already. The kernel's IPVS is emptied first where
// the file says so.
func (c *core) adopt(ctx context.Context, cfg *config.Config) (map[model.DatapathChoice]model.Tables, error) {
	if cfg.Global.FlushAtStart && c.ipvs.datapath != nil {
		if err := c.ipvs.datapath.Flush(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.ipvs.configure(cfg); err != nil {
		return nil, err
	}
	return c.snapshots(ctx)
}

// serve runs everything until a stop, and then stops in order.
func (d *Daemon) serve(ctx, work context.Context, listener net.Listener, first director.Change) error {
	tasksCtx, endTasks := context.WithCancel(work)
	defer endTasks()
	tasks, tasksCtx := errgroup.WithContext(tasksCtx)
	tasks.Go(func() error { return d.core.xdp.Run(tasksCtx) })
	d.core.carryOut(work, first)
	d.core.tell.started(d.core.dir.Snapshot())
	tasks.Go(func() error { return d.core.runner.Run(tasksCtx) })
	tasks.Go(func() error { return d.reloadTask(tasksCtx) })
	tasks.Go(func() error { return d.signalTask(tasksCtx) })
	tasks.Go(func() error { return d.opts.Machine.WatchAddresses(tasksCtx, d.hintAddresses) })
	running := d.core.conf
	tasks.Go(func() error { return d.keepTask(tasksCtx, running) })
	tasks.Go(func() error { return d.vrrp.watch(tasksCtx) })
	d.core.syncing.configure(d.core.conf.Global, d.core.ipvs.datapath, d.core.ipvs.cause)
	tasks.Go(func() error { return d.core.syncing.run(tasksCtx) })
	d.vrrp.await()

	// The socket outlives the other tasks: who asked for the stop is told
	// how it went.
	apiCtx, endAPI := context.WithCancel(work)
	defer endAPI()
	var server errgroup.Group
	server.Go(func() error {
		return api.NewServer(api.Options{Source: (*source)(d), Log: d.log}).Run(apiCtx, listener)
	})

	d.keepPlace(d.core.conf.VRRP)
	d.opts.Notify("READY=1\nSTATUS=" + d.statusLine(d.core.running))
	d.log.Info("running", "version", d.opts.Version, "config", d.opts.File, "services", len(d.core.conf.Services),
		"instances", len(d.core.conf.VRRP.Instances), "socket", d.opts.Socket)
	stop := d.loop(ctx, tasksCtx, work)

	d.opts.Notify("STOPPING=1")
	d.log.Info("stopping", "cause", stop.cause, "keep_datapath", stop.keep)
	close(d.ended)
	if !stop.keep {
		d.core.tell.stopping(d.core.dir.Snapshot())
	}
	// First of all, since who waits for a successor serves meanwhile.
	vrrpErr := d.vrrp.end(stop.keep)
	endTasks()
	err := tasks.Wait()
	if err != nil {
		err = fmt.Errorf("daemon failed, its datapath is kept: %w", err)
	} else if vrrpErr != nil {
		err = fmt.Errorf("end vrrp: %w", vrrpErr)
	}
	if d.core.scripts != nil {
		err = errors.Join(err, d.core.scripts.Close())
	}
	d.readers.Wait()
	result := d.release(work, stop.keep)
	if stop.reply != nil {
		stop.reply <- result
	}
	endAPI()
	err = errors.Join(err, server.Wait())
	if result.Error != "" {
		err = errors.Join(err, errors.New(result.Error))
	}
	if err == nil {
		d.forgetConfig()
	}
	d.log.Info("stopped", "datapath_removed", result.Removed)
	return err
}

// statusLine tells the service manager what runs.
func (d *Daemon) statusLine(l api.Load) string {
	return fmt.Sprintf("%d services, %d VRRP instances, read from %s", l.Services, l.Instances, d.opts.File)
}

// release lets go of the datapaths.
func (d *Daemon) release(ctx context.Context, keep bool) api.StopResult {
	c := d.core
	end := c.xdp.Remove
	if keep {
		end = c.xdp.Close
	}
	if err := errors.Join(end(), c.ipvs.release(ctx, keep, c.conf.Global.FlushAtStop)); err != nil {
		return api.StopResult{Error: err.Error()}
	}
	return api.StopResult{Removed: !keep}
}

// loop owns the core until a stop: one from ctx, from a request, or from a
// task that failed, whose context is then at its end.
func (d *Daemon) loop(ctx, tasks, work context.Context) stopRequest {
	watchdog, end := ticker(d.opts.Watchdog / 2)
	defer end()
	for {
		select {
		case v := <-d.core.runner.Verdicts():
			d.core.verdict(work, v)
		case query := <-d.queries:
			query(work)
		case <-d.core.repairs.C:
			d.core.repair(work)
		case <-d.addresses:
			if d.core.suspend(d.opts.Machine.IsLocal) {
				d.core.runner.Update(d.core.dir.Targets())
			}
		case <-watchdog:
			d.opts.Notify("WATCHDOG=1")
		case stop := <-d.stops:
			return stop
		case <-tasks.Done():
			return stopRequest{keep: true, cause: "a part of the daemon failed"}
		case <-ctx.Done():
			return stopRequest{cause: "told to end"}
		}
	}
}

// hintAddresses lets the loop look at the addresses of the host.
func (d *Daemon) hintAddresses() {
	select {
	case d.addresses <- struct{}{}:
	default: // it is about to look
	}
}

// ticker returns a channel that ticks, or never when every is zero.
func ticker(every time.Duration) (<-chan time.Time, func()) {
	if every <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(every)
	return t.C, t.Stop
}

// do runs f in the loop and waits for it. It does not run f when the daemon is
// stopping or ctx ends first.
func (d *Daemon) do(ctx context.Context, f func(context.Context)) error {
	done := make(chan struct{})
	query := func(work context.Context) {
		defer close(done)
		f(work)
	}
	select {
	case d.queries <- query:
		<-done
		return nil
	case <-d.ended:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop asks the loop to end. It reports false when the loop has ended already.
func (d *Daemon) stop(ctx context.Context, s stopRequest) bool {
	select {
	case d.stops <- s:
		return true
	case <-d.ended:
	case <-ctx.Done():
	}
	return false
}

// signalTask turns signals into requests. The first one that stops ends it:
// later ones stay unread and do no harm.
func (d *Daemon) signalTask(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case sig := <-d.opts.Signals:
			if sig == syscall.SIGHUP {
				d.askReload("SIGHUP")
				continue
			}
			if d.dump(ctx, sig) {
				continue
			}
			d.stop(ctx, stopRequest{cause: signalName(sig)})
			return nil
		}
	}
}

func signalName(sig os.Signal) string {
	switch sig {
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGINT:
		return "SIGINT"
	}
	return sig.String()
}
