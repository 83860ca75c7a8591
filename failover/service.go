package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/netif/accept"
	"github.com/evenkeel/evenkeel/netif/announce"
	"github.com/evenkeel/evenkeel/netif/keep"
	"github.com/evenkeel/evenkeel/netif/vmac"
	"github.com/evenkeel/evenkeel/notify"
	"github.com/evenkeel/evenkeel/track"
	"github.com/evenkeel/evenkeel/vrrp"
	"github.com/evenkeel/evenkeel/vrrp/rawconn"
)

// Options describe a Service.
type Options struct {
	// Config is what runs first; Reload changes it.
	Config model.VRRP
	// Kernel is the network namespace. It stays the caller's to close, after
	// Run has returned.
	Kernel *netif.Kernel
	// Scripts runs vrrp_scripts; required if there are any.
	Scripts track.Runner
	// Notifier is told of each change. Optional, default nobody is. It is not
	// run here.
	Notifier Notifier
	// NoFaultMail sends no mail for FAULT (no_email_faults).
	NoFaultMail bool
	// OnChange is called for each change of state, from the goroutine of the
	// instance. It must not block. Optional.
	OnChange func(Change)
	// OnTracked is called for each change of a tracked script, file or process,
	// from one goroutine. It must not block. Optional.
	OnTracked func(track.Status)
	// Memory is a file on a file system that a crash of the process outlives,
	// but no boot need, such as /run. With it a process that is started again
	// in time takes its masterships up where they were. Optional, default
	// none.
	Memory string
	Log    *slog.Logger // optional, default discards
}

type nobody struct{}

func (nobody) Transition(notify.Transition, notify.Scripts, bool) {}

// Service runs the VRRP part of a configuration.
type Service struct {
	opt       Options
	hub       *rawconn.Hub
	loop      *vrrp.Loop // nil before Run
	keepKern  *keep.Kernel
	keeper    *keep.Keeper
	announcer *announce.Announcer
	vmac      *vmac.Manager
	accept    *accept.Filter
	tracker   *track.Tracker
	memory    *memory
	leaving   atomic.Bool
	begun     chan struct{} // closed by Run

	// lifecycle is held by Reload and by the begin and the end of Run.
	lifecycle sync.Mutex
	started   time.Time
	base      context.Context // of all that outlives the elections; nil before Run
	running   sync.WaitGroup  // units and what they leave behind
	epoch     uint64          // of the static objects
	stopped   bool
	members   int // made so far

	vmacMu   sync.Mutex        // held while interfaces are made or removed
	vmacErrs map[string]string // what was logged, by interface

	mu      sync.Mutex // guards the fields below
	units   []*unit
	byName  map[string]*member
	byOwner map[string]*member
	links   []netif.Link
	virtual map[netip.Addr]bool
	vmacs   []vmac.Interface
	// promoted are the interfaces with promote_secondaries.
	promoted []string
	global   model.VRRPGlobal
}

// New returns a Service that Run starts. The error says which part of the
// system cannot be reached. Instances that cannot run are logged and left out.
func New(opt Options) (*Service, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Notifier == nil {
		opt.Notifier = nobody{}
	}
	if opt.OnChange == nil {
		opt.OnChange = func(Change) {}
	}
	if opt.OnTracked == nil {
		opt.OnTracked = func(track.Status) {}
	}
	if opt.Scripts == nil && len(opt.Config.Scripts) > 0 {
		return nil, errors.New("vrrp_script: nobody to run it")
	}
	s := &Service{opt: opt, byName: make(map[string]*member), byOwner: make(map[string]*member), vmacErrs: make(map[string]string), begun: make(chan struct{})}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Service) open() (err error) {
	k, global := s.opt.Kernel, s.opt.Config.Global
	if s.opt.Memory != "" {
		boot, err := readBootID()
		if err != nil {
			return err
		}
		if s.memory, err = openMemory(s.opt.Memory, boot); err != nil {
			return err
		}
	}
	if s.keepKern, err = keep.Open(k); err != nil {
		return err
	}
	if s.vmac, err = vmac.New(k); err != nil {
		return err
	}
	s.accept = accept.New(k)
	s.hub = rawconn.NewHub(rawconn.Options{Enter: k.Do, CountUnknown: global.LogUnknownVRIDs, Log: s.opt.Log})
	s.keeper = keep.New(keep.Options{Kernel: s.keepKern, OnPlaced: s.placed, Log: s.opt.Log})
	pace := announce.Options{
		Links: announce.Packets{Enter: k.Do},
		Pace:  announce.Pace{ARPInterval: global.GARPInterval, NAInterval: global.GNAInterval},
		Log:   s.opt.Log,
	}
	for _, g := range s.opt.Config.GARPGroups {
		pace.Groups = append(pace.Groups, announce.Group{
			Links: g.Interfaces, Pace: announce.Pace{ARPInterval: g.GARPInterval, NAInterval: g.GNAInterval},
		})
	}
	s.announcer = announce.New(pace)
	s.tracker = track.New(track.Options{Definitions: definitions(s.opt.Config), Runner: s.opt.Scripts, Log: s.opt.Log})
	return nil
}

// newLoop returns what the elections share.
func (s *Service) newLoop() *vrrp.Loop {
	a, err := newAlarm()
	if err != nil {
		s.opt.Log.Warn("timers are up to 1 ms late", "error", err)
		return vrrp.NewLoop(nil)
	}
	return vrrp.NewLoop(a)
}

func definitions(cfg model.VRRP) track.Definitions {
	return track.Definitions{Scripts: cfg.Scripts, Files: cfg.Files, Processes: cfg.Processes}
}

// Close lets go of a Service that is not run. Nothing is left of it.
func (s *Service) Close() error {
	err := s.memory.drop()
	s.memory = nil
	return errors.Join(err, s.close())
}

func (s *Service) close() error {
	var errs []error
	if s.vmac != nil {
		errs = append(errs, s.vmac.Close())
	}
	if s.keepKern != nil {
		errs = append(errs, s.keepKern.Close())
	}
	return errors.Join(append(errs, s.memory.close())...)
}

// Leave makes the end of Run leave everything as it is, without a goodbye, for
// a process that takes over at once.
func (s *Service) Leave() { s.leaving.Store(true) }

// Begun returns a channel that is closed when all instances take part in their
// elections.
func (s *Service) Begun() <-chan struct{} { return s.begun }

// Run takes part in the elections until ctx ends. Then masters say goodbye, go
// on serving until another router takes over or has had the time to, and all
// addresses, routes, rules and interfaces are taken away. The error says what
// could not be begun. It may be called once.
func (s *Service) Run(ctx context.Context) error {
	sub, err := s.opt.Kernel.SubscribeLinks()
	if err != nil {
		return errors.Join(err, s.close())
	}
	s.loop = s.newLoop() // Run closes its alarm
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	var keeping error
	parts.Go(func() { _ = s.loop.Run(base) })
	parts.Go(func() { _ = s.hub.Run(base) })
	parts.Go(func() { keeping = s.keeper.Run(base) })
	parts.Go(func() { _ = s.announcer.Run(base) })
	parts.Go(func() { _ = s.tracker.Run(base) })

	s.lifecycle.Lock()
	s.base, s.started = base, time.Now()
	s.readLinks(base)
	s.apply(s.opt.Config)
	s.lifecycle.Unlock()
	close(s.begun)
	parts.Go(func() { s.watchLinks(base, sub) })
	parts.Go(func() { s.watchTracks(base) })

	<-ctx.Done()
	s.lifecycle.Lock()
	s.stopped = true
	s.stopUnits()
	s.lifecycle.Unlock()
	s.running.Wait()
	if !s.leaving.Load() {
		s.clean()
	}
	stop()
	parts.Wait()
	return errors.Join(keeping, s.close())
}

// stopUnits ends the elections and leaves what serves on to running.
func (s *Service) stopUnits() {
	s.mu.Lock()
	units := s.units
	s.mu.Unlock()
	for _, u := range units {
		if s.leaving.Load() {
			_, _ = u.runner.Halt(s.base) // it has ended, or ends now
		} else {
			u.stop()
		}
	}
	for _, u := range units {
		<-u.done
		for _, m := range u.members {
			s.running.Go(m.serveOut)
		}
	}
}

// cleanTimeout bounds how long the end waits for a stuck kernel.
const cleanTimeout = 5 * time.Second

// clean takes everything away.
func (s *Service) clean() {
	s.keeper.Drop(static, keep.Set{})
	ctx, stop := context.WithTimeout(s.base, cleanTimeout)
	defer stop()
	if err := s.keeper.Sync(ctx); err != nil {
		s.opt.Log.Error("addresses may be left behind", "error", err)
	}
	s.refuse(nil)
	s.mu.Lock()
	gone := s.vmacs
	s.vmacs, s.promoted = nil, nil
	s.mu.Unlock()
	s.removeVMACs(gone)
	s.promote()
}

// refuse keeps packets to the addresses away from this host.
func (s *Service) refuse(addrs []netip.Addr) {
	if err := s.accept.Set(addrs); err != nil {
		s.opt.Log.Error("no_accept has no effect", "error", err)
	}
}

// removeVMACs removes interfaces that are not among s.vmacs any more.
func (s *Service) removeVMACs(gone []vmac.Interface) {
	s.vmacMu.Lock() // nobody is about to make them anew
	defer s.vmacMu.Unlock()
	for _, v := range gone {
		if err := s.vmac.Remove(v); err != nil {
			s.opt.Log.Error("virtual MAC left behind", "interface", v.Name, "error", err)
		}
	}
}

// static owns the objects that no instance owns. No instance has an empty name.
const static = ""

// hold returns how long instances wait after the start.
func (s *Service) hold() time.Duration {
	since := time.Since(s.started)
	wait := s.global.StartupDelay - since
	if s.global.AfterBoot > 0 {
		if up, err := uptime(); err == nil {
			wait = max(wait, s.global.AfterBoot-up)
		}
	}
	return max(wait, 0)
}

// uptime returns how long the machine has run.
func uptime() (time.Duration, error) {
	b, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0, fmt.Errorf("read uptime: %w", err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

func (s *Service) member(name string) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byName[name]
}

func (s *Service) groupUnit(name string) *unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.units {
		if u.plan.name == name {
			return u
		}
	}
	return nil
}

// Status is one instance at one moment.
type Status struct {
	// Group is empty for an instance in none.
	Group string
	// Config is what was configured, and Interface where adverts come and go:
	// that of Config or the virtual MAC on it.
	Config    model.VRRPInstance
	Interface string
	Instance  vrrp.Instance
	// Addresses says what is in place of what the instance holds.
	Addresses keep.Status
	// Serving says that the router gave up and goes on serving until another
	// one has taken over.
	Serving bool
	// Lost are adverts that the instance did not get to in time.
	Lost uint64
}

// Snapshot returns the instances in the order of the configuration.
func (s *Service) Snapshot(ctx context.Context) ([]Status, error) {
	s.mu.Lock()
	units := append([]*unit(nil), s.units...)
	s.mu.Unlock()
	var list []Status
	for _, u := range units {
		instances, err := u.runner.Instances(ctx)
		if errors.Is(err, vrrp.ErrEnded) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for n, i := range instances {
			m := u.members[n]
			list = append(list, Status{
				Group: u.plan.name, Config: m.plan.instance, Interface: m.plan.conn.Interface,
				Instance: i, Addresses: s.keeper.Status(m.owner),
				Serving: m.lingering() != nil, Lost: m.socket.Overflowed(),
			})
		}
	}
	return list, nil
}

// Stats are what is counted for all instances together.
type Stats struct {
	Adverts   rawconn.Stats
	Objects   keep.Stats
	Announced announce.Stats
}

// Stats returns the counters.
func (s *Service) Stats() Stats {
	return Stats{s.hub.Stats(), s.keeper.Stats(), s.announcer.Stats()}
}

// Tracked returns the status of all tracked scripts, files and processes.
func (s *Service) Tracked() []track.Status { return s.tracker.Snapshot() }
