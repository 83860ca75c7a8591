package keep

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Options describe a Keeper.
type Options struct {
	Kernel *Kernel // required
	// OnPlaced is called from the Run goroutine when addresses of an owner have
	// come into place. It must not wait for the Keeper. Default nil: nobody is
	// told.
	OnPlaced func(Placed)
	// ResyncInterval is the time after which everything is read again though
	// nothing was heard. Default 30 s.
	ResyncInterval time.Duration
	Log            *slog.Logger // optional, default discards
}

// Placed tells of addresses that came into place.
type Placed struct {
	Owner string
	Epoch uint64
	// First is set once after each Hold of a new epoch, when all that can be
	// done is done. Later reports are of what was put back, was added by
	// another Hold of the epoch, or had to wait for its link.
	First     bool
	Addresses []PlacedAddress
	// Failed counts the owner's objects that are not in place.
	Failed int
}

// PlacedAddress is an address and the link that it is on.
type PlacedAddress struct {
	Addr netip.Addr
	Link string
	key  string // of the entry
}

const (
	// batchSize is how many objects are dealt with before new orders are
	// looked at.
	batchSize = 256
	// retryInterval is the time after which what failed is tried again.
	retryInterval = time.Second
	// settle is the least time between two subscriptions that fail.
	settle = 50 * time.Millisecond
	// lossesMost are how often within lossWindow an object is put back at
	// once. Whoever removes it more often gets it back once in retryInterval.
	lossesMost = 10
	lossWindow = 10 * time.Second
)

// Keeper keeps the objects of many owners. Its methods return at once, but for
// Sync, and may be called from any goroutine.
type Keeper struct {
	kernel surface
	opt    Options

	mu       sync.Mutex // guards the fields below
	requests map[string]request
	order    []string // owners in requests
	sweep    *[]Set
	syncs    []chan struct{}
	status   map[string]Status
	stats    Stats

	wake chan struct{} // holds a token while there are requests

	book book // belongs to Run
}

// request is the latest wish of an owner.
type request struct {
	hold  bool
	epoch uint64
	set   Set
	// drop is what an earlier request that was not carried out gave up.
	drop Set
}

// Stats count objects since the start.
type Stats struct {
	Added, Removed uint64
	// Restored are those that somebody else had removed.
	Restored uint64
	// Failed are requests that the kernel refused.
	Failed uint64
}

// Status says how far an owner's wish is fulfilled.
type Status struct {
	Epoch   uint64
	Placed  int
	Missing []Missing
}

// Missing is an object that is not in place.
type Missing struct {
	Item  string
	Error string
}

// New returns a Keeper that Run starts.
func New(opt Options) *Keeper { return newKeeper(opt.Kernel, opt) }

func newKeeper(kernel surface, opt Options) *Keeper {
	if opt.ResyncInterval == 0 {
		opt.ResyncInterval = 30 * time.Second
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.OnPlaced == nil {
		opt.OnPlaced = func(Placed) {}
	}
	return &Keeper{
		kernel:   kernel,
		opt:      opt,
		requests: make(map[string]request),
		status:   make(map[string]Status),
		wake:     make(chan struct{}, 1),
		book:     newBook(),
	}
}

// Hold puts the set in place and keeps it there. It replaces the owner's
// earlier set: what only that had is taken away. Objects that are there
// already are kept as they are.
func (k *Keeper) Hold(owner string, epoch uint64, set Set) {
	k.ask(owner, request{hold: true, epoch: epoch, set: set})
}

// Drop takes away what the owner holds, and the objects of the set, whoever put
// them in place, unless another owner holds them.
func (k *Keeper) Drop(owner string, set Set) { k.ask(owner, request{drop: set}) }

func (k *Keeper) ask(owner string, r request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if old, waiting := k.requests[owner]; waiting {
		if r.hold {
			r.drop = old.drop
		}
	} else {
		k.order = append(k.order, owner)
	}
	k.requests[owner] = r
	k.nudge()
}

// Sweep takes away what carries Protocol, is in none of the sets, and is held
// by nobody: what an earlier process left and the configuration has no more.
func (k *Keeper) Sweep(declared []Set) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sweep = &declared
	k.nudge()
}

// Sync waits until all that was asked for before is done or has failed, or ctx
// ends.
func (k *Keeper) Sync(ctx context.Context) error {
	done := make(chan struct{})
	k.mu.Lock()
	k.syncs = append(k.syncs, done)
	k.nudge()
	k.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nudge needs k.mu.
func (k *Keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default: // one token is enough
	}
}

// Status returns how far the owner's wish is fulfilled, as of the last time
// that the Keeper looked.
func (k *Keeper) Status(owner string) Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status[owner]
}

// Stats returns the counters.
func (k *Keeper) Stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stats
}

// Run keeps the objects in place until ctx ends, and then returns nil. What is
// in place stays. It returns an error only when it cannot subscribe to changes
// at the start. It may be called once.
func (k *Keeper) Run(ctx context.Context) error {
	sub, err := k.kernel.subscribe()
	if err != nil {
		return err
	}
	for {
		err := k.follow(ctx, sub)
		if ctx.Err() != nil {
			return nil
		}
		k.opt.Log.Warn("network changes were lost, reading everything again", "error", err)
		if sub = k.resubscribe(ctx); sub == nil {
			return nil
		}
	}
}

// resubscribe tries until it works. It returns nil when ctx ended.
func (k *Keeper) resubscribe(ctx context.Context) subscription {
	for wait := settle; ; wait = retryInterval {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		sub, err := k.kernel.subscribe()
		if err == nil {
			return sub
		}
		k.opt.Log.Error("cannot subscribe to network changes", "error", err)
	}
}

// feed reads a subscription in a goroutine of its own.
type feed struct {
	sub     subscription
	changes chan []change
	failed  chan error    // holds the error that ended it
	done    chan struct{} // closed to end it
	reader  sync.WaitGroup
}

func newFeed(sub subscription) *feed {
	f := &feed{sub: sub, changes: make(chan []change, 16), failed: make(chan error, 1), done: make(chan struct{})}
	f.reader.Go(f.read)
	return f
}

func (f *feed) read() {
	for {
		list, err := f.sub.next()
		if err != nil {
			f.failed <- err
			return
		}
		select {
		case f.changes <- list:
		case <-f.done:
			return
		}
	}
}

func (f *feed) stop() {
	close(f.done)
	f.sub.close()
	f.reader.Wait()
}

// follow works over one subscription. It starts with reading everything, and
// ends with the error of the subscription or nil with ctx.
func (k *Keeper) follow(ctx context.Context, sub subscription) error {
	f := newFeed(sub)
	defer f.stop()
	resync := time.NewTicker(k.opt.ResyncInterval)
	defer resync.Stop()
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	now := make(chan time.Time)
	close(now)

	k.book.markAll()
	for {
		wait, more := k.pass(time.Now())
		again.Reset(wait)
		ready := (<-chan time.Time)(again.C)
		if more {
			ready = now // look what is new, then go on
		}
		if err := k.await(ctx, f, ready, resync.C); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// await returns when there may be something to do.
func (k *Keeper) await(ctx context.Context, f *feed, ready, resync <-chan time.Time) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-f.failed:
			return err
		case list := <-f.changes:
			if !k.note(list, f.changes) {
				continue
			}
		case <-resync:
			k.book.markAll()
		case <-k.wake:
		case <-ready:
		}
		return nil
	}
}

// note takes changes and all that wait behind them, so that a flood of them is
// one reading. It says whether any of them matters.
func (k *Keeper) note(list []change, more <-chan []change) (matters bool) {
	for {
		for _, c := range list {
			matter, lost := k.book.note(c)
			matters = matters || matter
			if lost && k.book.culprit == "" {
				k.book.culprit = cmp.Or(k.kernel.who(c), "somebody")
			}
		}
		select {
		case list = <-more:
		default:
			return matters
		}
	}
}

// takeRequests moves the requests into the book.
func (k *Keeper) takeRequests() (syncs []chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, owner := range k.order {
		r := k.requests[owner]
		k.book.drop(owner, r.drop, !r.hold)
		if r.hold {
			k.book.hold(owner, r.epoch, r.set)
		} else {
			delete(k.status, owner)
		}
	}
	if k.sweep != nil {
		k.book.declare(*k.sweep)
	}
	clear(k.requests)
	k.order, k.sweep = nil, nil
	syncs, k.syncs = k.syncs, nil
	return syncs
}
