package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/failover"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/notify"
	"github.com/evenkeel/evenkeel/track"
)

// Routers is the VRRP part of a configuration at work. failover.Service is the
// real one. Its methods may be called from any goroutine; Run is called once.
type Routers interface {
	// Run takes part in the elections until ctx ends, says goodbye, and returns
	// when nothing is left of it.
	Run(context.Context) error
	// Begun returns a channel that is closed when all take part.
	Begun() <-chan struct{}
	// Close lets go of routers that were not run.
	Close() error
	// Leave makes the end of Run leave everything as it is, for a process that
	// takes over at once.
	Leave()
	// Check says why a configuration shall not be gone over to.
	Check(model.VRRP) error
	// Reload goes over to another configuration.
	Reload(model.VRRP) error
	Snapshot(context.Context) ([]failover.Status, error)
	Tracked() []track.Status
	Stats() failover.Stats
}

var _ Routers = (*failover.Service)(nil)

// election is the VRRP part of the daemon: routers, and those who run scripts
// and tell others for them. It runs until after the last goodbye, while the
// datapath serves on.
type election struct {
	log     *slog.Logger
	routers Routers
	scripts *scripts
	notices *notices
	syncing *syncing
	// settings are what only a restart changes.
	settings fixedVRRP

	stop context.CancelFunc
	// asked is closed when routers shall end.
	asked chan struct{}
	// ended is closed when routers have ended, with err set.
	ended chan struct{}
	err   error
}

// fixedVRRP are the settings that routers take at their start only.
type fixedVRRP struct {
	global      model.VRRPGlobal
	groups      []model.GARPGroup
	noFaultMail bool
	namespace   string
}

func fixedVRRPOf(cfg *config.Config) fixedVRRP {
	return fixedVRRP{cfg.VRRP.Global, cfg.VRRP.GARPGroups, cfg.Global.Mail != nil && cfg.Global.Mail.NoFaults, cfg.Global.NetNamespace}
}

// newElection prepares the elections. Nothing is left of one that cannot begin.
// onFile is told of track_files whose number has changed.
func newElection(o Options, cfg *config.Config, onFile func(name string)) (*election, error) {
	e := &election{
		log:      o.Log,
		scripts:  newScripts(cfg.Global.Scripts, o.Priority.Restore, o.Log),
		settings: fixedVRRPOf(cfg),
		asked:    make(chan struct{}),
		ended:    make(chan struct{}),
	}
	e.notices = newNotices(cfg.Global, o.Priority.Restore, o.Log)
	e.syncing = newSyncing(e.notices, o.Log)
	var err error
	e.routers, err = o.Machine.Routers(failover.Options{
		Config:      cfg.VRRP,
		Scripts:     e.scripts,
		Notifier:    e.syncing,
		NoFaultMail: e.settings.noFaultMail,
		OnTracked: func(s track.Status) {
			if s.Kind == track.File {
				onFile(s.Name)
			}
		},
		Memory: o.Memory,
		Log:    o.Log,
	})
	if err != nil {
		return nil, errors.Join(err, e.notices.close(), e.scripts.Close())
	}
	return e, nil
}

// begin begins the elections. It is followed by end, and drop is not called.
func (e *election) begin(ctx context.Context) {
	ctx, e.stop = context.WithCancel(ctx)
	go func() {
		defer close(e.ended)
		e.err = e.routers.Run(ctx)
		// The last notices are told, too.
		e.err = errors.Join(e.err, e.notices.close(), e.scripts.Close())
	}()
}

// await returns when all instances take part, or none will.
func (e *election) await() {
	select {
	case <-e.routers.Begun():
	case <-e.ended:
	}
}

// drop lets go of an election that did not begin.
func (e *election) drop() error {
	return errors.Join(e.routers.Close(), e.notices.close(), e.scripts.Close())
}

// Value implements health.Files. A file that was not read yet is not known.
func (e *election) Value(name string) (int64, bool) {
	for _, s := range e.routers.Tracked() {
		if s.Kind == track.File && s.Name == name {
			return int64(s.Value), s.State != track.Unknown
		}
	}
	return 0, false
}

// watch returns the error of routers that end by themselves, or nil when they
// shall end, or ctx does.
func (e *election) watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-e.asked:
		return nil
	case <-e.ended:
	}
	if e.err == nil {
		return errors.New("vrrp ended")
	}
	return fmt.Errorf("vrrp ended: %w", e.err)
}

// end gives up mastership and waits until another router has taken over or has
// had the time to. With leave it leaves all as it is.
func (e *election) end(leave bool) error {
	if leave {
		e.routers.Leave()
	}
	close(e.asked)
	e.stop()
	<-e.ended
	return e.err
}

// reload goes over to another configuration. It returns what only a restart
// applies.
func (e *election) reload(cfg *config.Config) (restart []string) {
	e.scripts.configure(cfg.Global.Scripts)
	e.notices.configure(cfg.Global)
	if err := e.routers.Reload(cfg.VRRP); err != nil {
		e.log.Error("vrrp did not take the configuration over", "error", err)
		return []string{"vrrp: " + err.Error()}
	}
	return e.settings.changed(fixedVRRPOf(cfg))
}

// changed names the settings that differ.
func (f fixedVRRP) changed(o fixedVRRP) (restart []string) {
	if f.global.GARPInterval != o.global.GARPInterval {
		restart = append(restart, "vrrp_garp_interval")
	}
	if f.global.GNAInterval != o.global.GNAInterval {
		restart = append(restart, "vrrp_gna_interval")
	}
	if f.global.LogUnknownVRIDs != o.global.LogUnknownVRIDs {
		restart = append(restart, "log_unknown_vrids")
	}
	if !reflect.DeepEqual(f.global.Scheduling, o.global.Scheduling) {
		restart = append(restart, "vrrp_priority, vrrp_rt_priority, vrrp_no_swap or vrrp_cpu_affinity")
	}
	if f.noFaultMail != o.noFaultMail {
		restart = append(restart, "no_email_faults")
	}
	if !sameGARPGroups(f.groups, o.groups) {
		restart = append(restart, "garp_group")
	}
	if f.namespace != o.namespace {
		restart = append(restart, "net_namespace")
	}
	return restart
}

func sameGARPGroups(a, b []model.GARPGroup) bool {
	text := func(list []model.GARPGroup) (s string) {
		for _, g := range list {
			g.Pos = model.Position{}
			s += fmt.Sprintf("%+v\n", g)
		}
		return s
	}
	return text(a) == text(b)
}

var _ track.Runner = (*scripts)(nil)

var _ failover.Notifier = (*notices)(nil)

var _ failover.Notifier = (*syncing)(nil)

var _ failover.Notifier = (*notify.Notifier)(nil)
