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
	// ARPInterval and NAInterval are the pauses between two frames on one link
	// (garp_interval, gna_interval), unless Pace says otherwise for the link.
	// Default none: frames leave in small batches.
	ARPInterval, NAInterval time.Duration
	// Pace overrides the pauses for links by name. Optional.
	Pace map[string]Pace
	// Reply sends gratuitous ARP as replies. Default: as requests, like
	// keepalived.
	Reply bool
	Log   *slog.Logger // optional, default discards
}

// Pace is the pauses of one link.
type Pace struct {
	ARPInterval, NAInterval time.Duration
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

	// The rest belongs to Run.
	lines map[string]*line
	frame []byte
}

// order is a burst, or the end of one where burst is nil.
type order struct {
	burst *Burst
	owner string
	epoch uint64
}

// line is one link with its two schedules.
type line struct {
	name string
	lane [2]lane // ARP, NA
	link Link    // nil while nothing is queued
}

const (
	laneARP = iota
	laneNA
)

// New returns an Announcer that Run starts.
func New(opt Options) *Announcer {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Announcer{
		opt:   opt,
		ended: make(map[string]uint64),
		wake:  make(chan struct{}, 1),
		lines: make(map[string]*line),
	}
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
	for _, l := range a.lines {
		l.close()
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
		for _, l := range a.lines {
			for i := range l.lane {
				a.cancelled.Add(uint64(l.lane[i].cancel(o.owner, o.epoch)))
			}
		}
	}
}

func (a *Announcer) queue(b *Burst) {
	l, ok := a.lines[b.Link]
	if !ok {
		pace, own := a.opt.Pace[b.Link]
		if !own {
			pace = Pace{a.opt.ARPInterval, a.opt.NAInterval}
		}
		l = &line{name: b.Link}
		l.lane[laneARP].gap, l.lane[laneNA].gap = pace.ARPInterval, pace.NAInterval
		a.lines[b.Link] = l
	}
	var addrs [2][]netip.Addr
	for _, addr := range b.Addrs {
		if addr = addr.Unmap(); addr.Is4() {
			addrs[laneARP] = append(addrs[laneARP], addr)
		} else {
			addrs[laneNA] = append(addrs[laneNA], addr)
		}
	}
	for i := range l.lane {
		if len(addrs[i]) > 0 {
			l.lane[i].add(burst{owner: b.Owner, epoch: b.Epoch, reply: a.opt.Reply, addrs: addrs[i], rounds: b.Rounds})
		}
	}
}

// sendDue sends what is due on all links, and returns when the next is.
func (a *Announcer) sendDue(now time.Time) (wait time.Duration, busy bool) {
	for _, l := range a.lines {
		for i := range l.lane {
			a.sendLane(now, l, i)
			if w, more := l.lane[i].wait(now); more && (!busy || w < wait) {
				wait, busy = w, true
			}
		}
		if l.idle() {
			// The next burst opens the link as it is then.
			l.close()
		}
	}
	return wait, busy
}

func (l *line) idle() bool {
	return len(l.lane[laneARP].bursts) == 0 && len(l.lane[laneNA].bursts) == 0
}

func (l *line) close() {
	if l.link != nil {
		l.link.Close()
		l.link = nil
	}
}

// sendLane stops early for new orders: they may end the burst.
func (a *Announcer) sendLane(now time.Time, l *line, i int) {
	for len(a.wake) == 0 {
		addr, reply, ok := l.lane[i].next(now)
		if !ok {
			return
		}
		switch err := a.send(l, addr, reply); {
		case err == nil:
			l.lane[i].done(now)
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS):
			l.lane[i].later(now)
		default:
			// Whatever is wrong with the link, its other frames meet it too.
			a.giveUp(l, addr, err)
		}
	}
}

func (a *Announcer) giveUp(l *line, addr netip.Addr, err error) {
	frames := l.drop()
	if errors.Is(err, ErrNotEthernet) {
		return
	}
	a.errs.Add(uint64(frames))
	a.opt.Log.Warn("address not announced", "interface", l.name, "address", addr, "error", err)
}

// drop gives up all bursts of the link and returns how many frames they had.
func (l *line) drop() (frames int) {
	for i := range l.lane {
		for _, b := range l.lane[i].bursts {
			frames += (b.rounds-b.round)*len(b.addrs) - b.at
		}
		l.lane[i].bursts = nil
	}
	l.close()
	return frames
}

func (a *Announcer) send(l *line, addr netip.Addr, reply bool) error {
	if l.link == nil {
		link, err := a.opt.Links.Open(l.name)
		if err != nil {
			return fmt.Errorf("open link: %w", err)
		}
		l.link = link
	}
	var err error
	if addr.Is4() {
		a.frame, err = appendARP(a.frame[:0], addr, l.link.MAC(), reply)
	} else {
		a.frame = appendNA(a.frame[:0], addr, l.link.MAC())
	}
	if err != nil {
		return fmt.Errorf("make frame: %w", err)
	}
	if err := l.link.Send(a.frame); err != nil {
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
