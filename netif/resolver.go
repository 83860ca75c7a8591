package netif

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"
)

// Surface is what the Resolver needs of the kernel. Kernel is the real one,
// whose methods say what each must do.
type Surface interface {
	Route(dst netip.Addr) (Route, error)
	Link(index int) (Link, error)
	Neighbour(NeighKey) (Neighbour, error)
	Manage(NeighKey) error
	Probe(NeighKey) error
	Release(NeighKey) error
	Managed() ([]NeighKey, error)
	Subscribe() (Subscription, error)
}

// ResolverConfig describes a Resolver.
type ResolverConfig struct {
	Kernel Surface // required
	// OnChange is called from the Run goroutine for each watched address: once
	// soon after it is watched, resolved or not, and then for every change. It
	// must not wait for the Resolver. Default nil: nobody is told.
	OnChange func(netip.Addr, NextHop)
	// ProbeInterval is the time between probes of neighbours that the kernel
	// does not keep warm by itself. Default 5 s, which is the kernel's own
	// interval.
	ProbeInterval time.Duration
	// ResyncInterval is the time after which everything is read again though
	// nothing was heard, against changes that the kernel makes silently.
	// Default 30 s.
	ResyncInterval time.Duration
	Log            *slog.Logger // optional, default discards
}

// settle is the least time between two readings of everything. A burst of route
// changes costs one reading at its start and one at its end, not one each.
const settle = 50 * time.Millisecond

// retryInterval is the time after which what failed is tried again.
const retryInterval = time.Second

// Resolver keeps the next hops of a set of addresses. It works without traffic:
// it asks the kernel to find each neighbour and to keep it reachable.
type Resolver struct {
	cfg ResolverConfig

	mu   sync.Mutex // guards the maps
	want map[netip.Addr]bool
	hops map[netip.Addr]NextHop

	wanted chan struct{} // holds one token after a change of want

	// The rest belongs to the Run goroutine.
	table table
}

// NewResolver returns a Resolver that watches nothing yet.
func NewResolver(cfg ResolverConfig) *Resolver {
	if cfg.ProbeInterval == 0 {
		cfg.ProbeInterval = 5 * time.Second
	}
	if cfg.ResyncInterval == 0 {
		cfg.ResyncInterval = 30 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Resolver{
		cfg:    cfg,
		want:   make(map[netip.Addr]bool),
		hops:   make(map[netip.Addr]NextHop),
		wanted: make(chan struct{}, 1),
		table:  newTable(),
	}
}

// Watch adds addresses to the watched set. It may be called before Run.
func (r *Resolver) Watch(addrs ...netip.Addr) {
	r.mu.Lock()
	for _, a := range addrs {
		r.want[a.Unmap()] = true
	}
	r.mu.Unlock()
	r.wake()
}

// Unwatch removes addresses. Their neighbours are released unless another
// watched address needs them. One more report may still be on its way.
func (r *Resolver) Unwatch(addrs ...netip.Addr) {
	r.mu.Lock()
	for _, a := range addrs {
		delete(r.want, a.Unmap())
		delete(r.hops, a.Unmap())
	}
	r.mu.Unlock()
	r.wake()
}

func (r *Resolver) wake() {
	select {
	case r.wanted <- struct{}{}:
	default: // one token is enough
	}
}

// NextHop returns what is known of a watched address. It is false before the
// first answer and for an address that is not watched.
func (r *Resolver) NextHop(addr netip.Addr) (NextHop, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, ok := r.hops[addr.Unmap()]
	return h, ok
}

// NextHops returns a copy of all that is known.
func (r *Resolver) NextHops() map[netip.Addr]NextHop {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.hops)
}

// Run resolves and reports until ctx ends, and then returns nil. It returns an
// error only when it cannot subscribe to changes at the start; later it
// subscribes again for as long as it takes. The neighbours stay managed, so
// that forwarding survives the daemon: call Release to end that.
func (r *Resolver) Run(ctx context.Context) error {
	sub, err := r.cfg.Kernel.Subscribe()
	if err != nil {
		return err
	}
	for {
		err := r.follow(ctx, sub)
		if ctx.Err() != nil {
			return nil
		}
		r.cfg.Log.Warn("network events were lost, reading everything again", "error", err)
		if sub = r.resubscribe(ctx); sub == nil {
			return nil
		}
	}
}

// resubscribe tries until it works. It returns nil when ctx ended. It waits
// before the first try too, so that subscriptions that fail at once do not
// fill log and CPU.
func (r *Resolver) resubscribe(ctx context.Context) Subscription {
	for wait := settle; ; wait = retryInterval {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		sub, err := r.cfg.Kernel.Subscribe()
		if err == nil {
			return sub
		}
		r.cfg.Log.Error("cannot subscribe to network events", "error", err)
	}
}

// Release ends the kernel's care for all neighbours that carry Protocol,
// those of an earlier process included. Call it after Run has returned, when
// forwarding ends too.
func (r *Resolver) Release() error { return r.releaseExcept(nil) }

// feed reads a subscription in a goroutine of its own.
type feed struct {
	sub    Subscription
	events chan Event
	failed chan error    // holds the error that ended it
	done   chan struct{} // closed to end it
	reader sync.WaitGroup
}

// feedBuffer is how many events wait in the process; beyond that they wait in
// the kernel.
const feedBuffer = 256

func newFeed(sub Subscription) *feed {
	f := &feed{sub: sub, events: make(chan Event, feedBuffer), failed: make(chan error, 1), done: make(chan struct{})}
	f.reader.Go(f.read)
	return f
}

func (f *feed) read() {
	for {
		events, err := f.sub.Next()
		if err != nil {
			f.failed <- err
			return
		}
		for _, ev := range events {
			select {
			case f.events <- ev:
			case <-f.done:
				return
			}
		}
	}
}

// stop closes the subscription and waits for the reader.
func (f *feed) stop() {
	close(f.done)
	f.sub.Close()
	f.reader.Wait()
}

// follow is the main loop over one subscription. It starts with reading
// everything, and ends with the error of the subscription or nil with ctx.
func (r *Resolver) follow(ctx context.Context, sub Subscription) error {
	f := newFeed(sub)
	defer f.stop()
	resync := time.NewTicker(r.cfg.ResyncInterval)
	defer resync.Stop()
	probe := time.NewTicker(r.cfg.ProbeInterval)
	defer probe.Stop()
	again := time.NewTimer(retryInterval) // fires when something is left to do
	defer again.Stop()

	r.table.markAll()
	for {
		r.takeWanted()
		if wait, later := r.pass(time.Now()); later {
			again.Reset(wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-f.failed:
			return err
		case <-r.wanted:
		case ev := <-f.events:
			r.take(ev, f.events)
		case <-resync.C:
			r.table.markAll()
		case <-probe.C:
			r.probeUnmanaged()
		case <-again.C:
		}
	}
}

// take notes an event and all that wait behind it, so that a burst is one pass.
func (r *Resolver) take(ev Event, more <-chan Event) {
	for {
		r.table.note(ev)
		select {
		case ev = <-more:
		default:
			return
		}
	}
}
