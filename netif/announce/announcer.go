package announce

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Links opens links for sending. Packets is the real one.
type Links interface {
	// Open opens the link of that name, as it is now.
	Open(link string) (Link, error)
}

// Link sends Ethernet frames.
type Link interface {
	// MAC is the link's own address.
	MAC() MAC
	// Send sends a frame and does not wait. It does not keep the slice.
	Send(frame []byte) error
	Close() error
}

// Options describe an Announcer.
type Options struct {
	Links Links // required
	// Pace is the default of every link by itself.
	Pace Pace
	// Groups pace links together. A link is in one at most. Optional.
	Groups []Group
	// Reply sends gratuitous ARP as replies. Default: as requests, like
	// keepalived.
	Reply bool
	Log   *slog.Logger // optional, default discards
}

// Pace is the least pauses between two frames (garp_interval, gna_interval).
// Zero is none: frames leave in small batches.
type Pace struct {
	ARPInterval, NAInterval time.Duration
}

// Group is links that share a switch and so a Pace (garp_group). A zero pause
// is that of Options.Pace, on each link by itself.
type Group struct {
	Links []string
	Pace  Pace
}

// Burst announces addresses in rounds.
type Burst struct {
	// Owner has one burst on a link at a time; a new one takes over what is
	// left of it.
	Owner string
	// Epoch numbers the owner's masterships, upwards.
	Epoch uint64
	Link  string
	Addrs []netip.Addr
	// Rounds is how often each address is announced. Zero: not at all.
	Rounds int
}

// Announcer sends bursts. Its methods return at once and may be called from
// any goroutine.
type Announcer struct {
	opt Options

	mu      sync.Mutex // guards the mailbox
	mailbox []order
	ended   map[string]uint64 // owner to the last epoch that ended

	wake chan struct{} // holds a token while the mailbox has something

	arps, nas, errs, cancelled atomic.Uint64

	groups map[laneKey]Group // by link; does not change

	// The rest belongs to Run.
	lanes map[laneKey]*lane
	open  map[string]Link
	frame []byte
}

// order is a burst, or the end of one where burst is nil.
type order struct {
	burst *Burst
	owner string
	epoch uint64
}

// laneKey names a schedule: of a link, or of a group of links, and a family.
type laneKey struct {
	name string
	ipv6 bool
}

// New returns an Announcer that Run starts.
func New(opt Options) *Announcer {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	a := &Announcer{
		opt:    opt,
		ended:  make(map[string]uint64),
		wake:   make(chan struct{}, 1),
		groups: make(map[laneKey]Group),
		lanes:  make(map[laneKey]*lane),
		open:   make(map[string]Link),
	}
	for _, g := range opt.Groups {
		for _, link := range g.Links {
			if g.Pace.ARPInterval > 0 {
				a.groups[laneKey{link, false}] = g
			}
			if g.Pace.NAInterval > 0 {
				a.groups[laneKey{link, true}] = g
			}
		}
	}
	return a
}

// Announce queues a burst. It is ignored when its epoch has ended.
func (a *Announcer) Announce(b Burst) {
	if b.Rounds <= 0 || len(b.Addrs) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.ended[b.Owner]; ok && b.Epoch <= last {
		return
	}
	a.post(order{burst: &b})
}

// Cancel ends the owner's bursts of the epoch and before: none of their frames
// leaves after Cancel has returned, but for one that is leaving now.
func (a *Announcer) Cancel(owner string, epoch uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended[owner] = max(epoch, a.ended[owner])
	a.post(order{owner: owner, epoch: epoch})
}

// Forget drops what is remembered of an owner that is gone.
func (a *Announcer) Forget(owner string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.ended, owner)
}

// post needs a.mu.
func (a *Announcer) post(o order) {
	a.mailbox = append(a.mailbox, o)
	select {
	case a.wake <- struct{}{}:
	default: // one token is enough
	}
}

// Stats are frames counted since the start.
type Stats struct {
	ARP, NA uint64
	// Errors are frames that did not leave, Cancelled those of bursts that
	// were ended.
	Errors, Cancelled uint64
}

// Stats returns the counters.
func (a *Announcer) Stats() Stats {
	return Stats{ARP: a.arps.Load(), NA: a.nas.Load(), Errors: a.errs.Load(), Cancelled: a.cancelled.Load()}
}

// Run sends until ctx ends and returns nil. It may be called once.
func (a *Announcer) Run(ctx context.Context) error {
	defer a.closeLinks()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		a.takeOrders()
		wait, busy := a.sendDue(time.Now())
		if busy {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-timer.C:
		}
	}
	return nil
}

func (a *Announcer) closeLinks() {
	for name, l := range a.open {
		l.Close()
		delete(a.open, name)
	}
}

func (a *Announcer) takeOrders() {
	select {
	case <-a.wake:
	default: // woken by the timer
	}
	a.mu.Lock()
	orders := a.mailbox
	a.mailbox = nil
	a.mu.Unlock()
	for _, o := range orders {
		if o.burst != nil {
			a.queue(o.burst)
			continue
		}
		for _, l := range a.lanes {
			a.cancelled.Add(uint64(l.cancel(o.owner, o.epoch)))
		}
	}
}

func (a *Announcer) queue(b *Burst) {
	var addrs [2][]netip.Addr
	for _, addr := range b.Addrs {
		if addr = addr.Unmap(); addr.Is4() {
			addrs[0] = append(addrs[0], addr)
		} else {
			addrs[1] = append(addrs[1], addr)
		}
	}
	for i, list := range addrs {
		if len(list) > 0 {
			a.lane(b.Link, i == 1).add(burst{
				link: b.Link, owner: b.Owner, epoch: b.Epoch, addrs: list, rounds: b.Rounds,
			})
		}
	}
}

// lane returns the schedule that the link's frames go by.
func (a *Announcer) lane(link string, ipv6 bool) *lane {
	key, pace := laneKey{link, ipv6}, a.opt.Pace
	if g, grouped := a.groups[key]; grouped {
		key, pace = laneKey{"group of " + g.Links[0], ipv6}, g.Pace
	}
	l, ok := a.lanes[key]
	if !ok {
		l = &lane{gap: pace.ARPInterval}
		if ipv6 {
			l.gap = pace.NAInterval
		}
		a.lanes[key] = l
	}
	return l
}

// sendDue sends what is due, and returns when the next is.
func (a *Announcer) sendDue(now time.Time) (wait time.Duration, busy bool) {
	for _, l := range a.lanes {
		a.sendLane(now, l)
		if w, more := l.wait(now); more && (!busy || w < wait) {
			wait, busy = w, true
		}
	}
	if !busy {
		// The next burst opens its link as that is then.
		a.closeLinks()
	}
	return wait, busy
}

// sendLane stops early for new orders: they may end the burst.
func (a *Announcer) sendLane(now time.Time, l *lane) {
	for len(a.wake) == 0 {
		link, addr, ok := l.next(now)
		if !ok {
			return
		}
		switch err := a.send(link, addr); {
		case err == nil:
			l.done(now)
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS):
			l.later(now)
		default:
			// Whatever is wrong with the link, its other frames meet it too.
			a.giveUp(link, addr, err)
		}
	}
}

// giveUp drops all bursts of the link.
func (a *Announcer) giveUp(link string, addr netip.Addr, err error) {
	frames := 0
	for _, l := range a.lanes {
		frames += l.drop(link)
	}
	if open, ok := a.open[link]; ok {
		open.Close()
		delete(a.open, link)
	}
	if errors.Is(err, ErrNotEthernet) {
		return
	}
	a.errs.Add(uint64(frames))
	a.opt.Log.Warn("address not announced", "interface", link, "address", addr, "error", err)
}

func (a *Announcer) send(name string, addr netip.Addr) error {
	link, ok := a.open[name]
	if !ok {
		var err error
		if link, err = a.opt.Links.Open(name); err != nil {
			return fmt.Errorf("open link: %w", err)
		}
		a.open[name] = link
	}
	var err error
	if addr.Is4() {
		a.frame, err = appendARP(a.frame[:0], addr, link.MAC(), a.opt.Reply)
	} else {
		a.frame = appendNA(a.frame[:0], addr, link.MAC())
	}
	if err != nil {
		return fmt.Errorf("make frame: %w", err)
	}
	if err := link.Send(a.frame); err != nil {
		return fmt.Errorf("send frame: %w", err)
	}
	if addr.Is4() {
		a.arps.Add(1)
	} else {
		a.nas.Add(1)
	}
	return nil
}

// ErrNotEthernet is returned by Packets.Open for a link without Ethernet
// addresses, such as lo: there is nobody to tell.
var ErrNotEthernet = errors.New("link has no Ethernet address")
