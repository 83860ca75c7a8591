package loader

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// XDP is the datapath in XDP. It satisfies director.Datapath. Its methods may
// be called from several goroutines, but Apply from one at a time.
type XDP struct {
	opts    Options
	log     *slog.Logger
	pins    pins
	lock    *lock
	maps    *lbmaps.Maps
	tables  tables
	adopted bool
	loaded

	// hopChanged holds one token after a change of a next hop.
	hopChanged chan struct{}

	mu     sync.Mutex // guards what follows, and every write to the maps
	closed bool
	state  *sched.State
	// slots is what ek_servers holds; user space alone writes it.
	slots map[uint32]lbmaps.Server
	// uses are the slots of servers of running services, by address.
	uses map[netip.Addr]map[uint32]bool
	// early is until when a next hop of before the start is believed more
	// than a report that there is none.
	early time.Time
	// idle is when a deleted server was first seen without flows.
	idle map[uint32]time.Time
	// ports are the wanted interfaces by name.
	ports map[string]*port
	mode  model.XDPMode
	// entries and vlans are what ek_ports and ek_vlans hold; user space alone writes
	// them.
	entries map[uint32]lbmaps.Port
	vlans   map[lbmaps.Tag]uint32
	sweep   sweepCounts
	// known is what ek_known holds, and stale is set while it may have bytes of what
	// is gone; user space alone writes it.
	known lbmaps.Known
	stale bool
}

// ErrClosed is returned after Close or Remove.
var ErrClosed = errors.New("datapath is closed")

// Start adopts the datapath that is pinned in Options.Dir, replacing its
// program, or makes a new one. It attaches to no interface: what was attached stays so, and
// Attach says what is wanted. It must be called, as must Attach and Run, in
// the network namespace of the interfaces.
//
// The error matches ErrRunning when another process holds the datapath, is an
// *IncompatibleError when other maps are pinned, an *UnfitError when the
// machine lacks something, and a *ProgramError when the kernel refuses the
// program. After an error what ran before runs on.
func Start(o Options) (*XDP, error) {
	o = o.withDefaults()
	if o.Links == nil {
		return nil, errors.New("start the XDP datapath: no Links given")
	}
	if err := firstProblem(Probe(o.Dir)); err != nil {
		return nil, err
	}
	l, err := takeLock(o.Dir)
	if err != nil {
		return nil, err
	}
	x := &XDP{
		opts: o, log: o.Log, pins: pins(o.Dir), lock: l,
		hopChanged: make(chan struct{}, 1),
		uses:       map[netip.Addr]map[uint32]bool{},
		idle:       map[uint32]time.Time{},
		ports:      map[string]*port{},
		mode:       model.XDPAuto,
	}
	if err := x.start(); err != nil {
		return nil, errors.Join(err, x.abandon())
	}
	return x, nil
}

func (x *XDP) start() error {
	var err error
	if x.adopted, err = x.pins.exist(); err != nil {
		return err
	}
	if !x.adopted {
		if err := x.create(); err != nil {
			return err
		}
	}
	if err := x.pins.makeDirs(); err != nil {
		return err
	}
	spec, err := x.open()
	if err != nil {
		return err
	}
	found, err := restore(x.maps)
	if err != nil {
		return fmt.Errorf("adopt %s: %w; end it with `evenkeel stop`, which drops its flows", x.pins, err)
	}
	if err := x.load(spec); err != nil {
		return err
	}
	if err := x.adoptLinks(); err != nil {
		return err
	}
	if err := pinPrograms(x.pins, x.progs); err != nil {
		return err
	}
	return x.takeOver(found)
}

// create pins new maps.
func (x *XDP) create() error {
	spec, err := sized(lbmaps.Limits{
		Services: x.opts.Services, Servers: x.opts.Servers, Flows: x.opts.Flows, Replies: x.opts.Flows,
	})
	if err != nil {
		return err
	}
	return createMaps(x.pins, spec, x.settings())
}

func (x *XDP) settings() lbmaps.Settings {
	return lbmaps.Settings{
		LayoutVersion: lbmaps.LayoutVersion,
		ICMPPerSecond: x.opts.ICMPPerSecond,
		Timeouts:      x.opts.Timeouts,
	}
}

// open opens the pinned maps, whose sizes count from now on.
func (x *XDP) open() (*ebpf.CollectionSpec, error) {
	maps, spec, err := openMaps(x.pins)
	if err != nil {
		return nil, err
	}
	x.maps = maps
	if x.entries, err = maps.Ports(); err != nil {
		return nil, err
	}
	if x.vlans, err = maps.VLANs(); err != nil {
		return nil, err
	}
	known, err := maps.Known()
	if err != nil {
		return nil, err
	}
	x.known = *known
	have := maps.Limits()
	if have.Flows != x.opts.Flows || have.Services != x.opts.Services || have.Servers != x.opts.Servers {
		x.log.Warn("the running maps keep their sizes until they are made anew",
			"flows", have.Flows, "wanted_flows", x.opts.Flows,
			"services", have.Services, "wanted_services", x.opts.Services,
			"servers", have.Servers, "wanted_servers", x.opts.Servers)
	}
	return spec, nil
}

func (x *XDP) load(spec *ebpf.CollectionSpec) error {
	l := x.opts.testLoaded
	if l == nil {
		err := follow(spec, x.opts.Profile)
		if err != nil {
			return err
		}
		if l, err = loadPrograms(spec, x.maps, x.opts.testClock); err != nil {
			return err
		}
	}
	x.loaded = *l
	for place := range uint32(lbmaps.SweepKeys) {
		x.sweep.places = append(x.sweep.places, place)
	}
	x.tables = kernelTables{x.maps, l.progs.publish, l.progs.edit}
	return nil
}

// takeOver makes what was found in the maps the state, and repairs what a crash
// left half done.
func (x *XDP) takeOver(found *restored) error {
	if err := x.maps.PutSettings(x.settings()); err != nil {
		return err
	}
	x.early = time.Now().Add(earlyTime)
	if err := x.repair(found); err != nil {
		return err
	}
	if x.adopted {
		x.log.Info("adopted the running XDP datapath", "dir", string(x.pins),
			"services", len(x.state.Services()), "repairs", found.repairs())
	} else {
		x.log.Info("made the XDP datapath", "dir", string(x.pins))
	}
	return nil
}

// abandon undoes a start that failed: what this start made goes, what ran
// before stays.
func (x *XDP) abandon() error {
	var errs []error
	if !x.adopted {
		errs = append(errs, x.pins.remove())
	}
	return errors.Join(append(errs, x.letGo())...)
}

// letGo closes what this process holds. Pinned objects live on.
func (x *XDP) letGo() error {
	var errs []error
	for _, p := range x.ports {
		errs = append(errs, p.closeLink())
	}
	errs = append(errs, x.loaded.close())
	if x.maps != nil {
		errs = append(errs, x.maps.Close())
	}
	return errors.Join(append(errs, x.lock.release())...)
}

// Close lets go of the datapath, which runs on in the kernel and can be
// adopted. Run must have returned.
func (x *XDP) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	return x.letGo()
}

// Remove ends the datapath: it detaches the program from all interfaces and
// removes the maps with all flows. It goes on after an error. Run must have returned.
func (x *XDP) Remove() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	x.closed = true
	var errs []error
	for _, p := range x.ports {
		errs = append(errs, p.detach())
	}
	errs = append(errs, x.pins.remove())
	return errors.Join(append(errs, x.letGo())...)
}

// Remove ends a datapath that no daemon holds, of whatever version. Its error
// matches ErrRunning when one does, and fs.ErrNotExist when nothing is
// pinned in dir; empty is DefaultDir.
func Remove(dir string) error {
	if dir == "" {
		dir = DefaultDir
	}
	if err := checkBPFFS(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("remove the XDP datapath: %w", err)
	}
	l, err := lockExisting(dir)
	if err != nil {
		return err
	}
	p := pins(dir)
	return errors.Join(detachPinned(p), p.remove(), l.release())
}

// SetTimeouts replaces the time-outs of idle flows; a zero one is IPVS's
// default. Flows take the new one with their next packet.
func (x *XDP) SetTimeouts(t lbmaps.Timeouts) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	x.opts.Timeouts = withDefaultTimeouts(t)
	return x.maps.PutSettings(x.settings())
}
