package vrrp

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Conn carries the adverts of one instance on one link. The socket belongs to
// who implements it; many instances may share one.
type Conn interface {
	// Send sends one packet and returns at once. It does not keep the slices.
	Send(Packet) error
	// Watch has f called after packets have arrived, for f to take them; nil:
	// nobody wants to know. f may be called once more just after.
	Watch(f func())
	// Take takes a packet that was read, and does not wait. The slices are the
	// caller's until the next Take or Pending. A link that goes down only has
	// none.
	Take() (Packet, bool)
	// Pending is Take, but looks also for what has arrived and was not read yet.
	// It is asked before a takeover: an instance that did not get to run must
	// not take its own silence for the master's.
	Pending() (Packet, bool)
}

// Effects carries out what an instance decides, besides sending adverts.
type Effects interface {
	// Do starts one action. It is called from the goroutine of the Runner, in
	// order; the work is to be queued, though adverts do not wait for it.
	// instance is empty for notices of the sync group.
	Do(group, instance string, a Action)
}

// Member is one instance of a Runner.
type Member struct {
	Config Config
	Conn   Conn
	// Start is how it begins.
	Start Start
	// Known is what is already known of its tracks. Those without a result
	// begin as Unknown.
	Known []Tracked
	// Resume goes on where a Runner was halted, in place of Start and Known;
	// optional.
	Resume *Held
}

// Held is an instance between two Runners.
type Held struct {
	Instance Instance
	Codec    *Codec
}

// Options describe a Runner.
type Options struct {
	// Group names the sync group; empty for a lone instance.
	Group string
	// TrackingWeight is GroupConfig's.
	TrackingWeight bool
	Members        []Member
	Effects        Effects
	// Loop is shared with other Runners, and runs as long as they do. Optional,
	// default one of its own.
	Loop *Loop
	Log  *slog.Logger // optional, default discards
}

// Runner runs a Group: one instance, or those of a sync group. Its steps are
// taken under the lock of the Loop, where adverts are sent; all other
// consequences are carried out by the goroutine of Run, which may wait. Its
// methods may be called from any goroutine.
type Runner struct {
	opt     Options
	loop    *Loop
	begun   chan struct{}
	halt    chan struct{}
	done    chan struct{}
	waiting chan struct{} // holds a token while something is in later

	// The rest is guarded by loop.mu.
	group  *Group
	codecs []*Codec
	send   []func(Packet) error
	orders []Order
	log    *slog.Logger
	limit  limiter
	ended  bool
	// later are the consequences that wait for Run, and spare is memory for
	// more.
	later, spare []func()
	// when is no later than the next deadline, and place where the Runner is
	// among those with one.
	when  time.Time
	place int
}

// ErrEnded is returned by methods of a Runner that does not run any more.
var ErrEnded = errors.New("vrrp instance has ended")

// NewRunner returns a Runner that Run starts. The error names the member that
// cannot run.
func NewRunner(opt Options) (*Runner, error) {
	cfg := GroupConfig{Name: opt.Group, TrackingWeight: opt.TrackingWeight}
	for _, m := range opt.Members {
		cfg.Members = append(cfg.Members, m.Config)
	}
	group, err := NewGroup(cfg)
	if err != nil {
		return nil, err
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{
		opt:     opt,
		loop:    opt.Loop,
		begun:   make(chan struct{}),
		halt:    make(chan struct{}),
		done:    make(chan struct{}),
		waiting: make(chan struct{}, 1),
		group:   group,
		log:     opt.Log,
		place:   nowhere,
	}
	if r.loop == nil {
		r.loop = NewLoop(nil)
	}
	for _, m := range opt.Members {
		codec, err := NewCodec(m.Config)
		if err != nil {
			return nil, err
		}
		r.codecs = append(r.codecs, codec)
		r.send = append(r.send, m.Conn.Send)
	}
	return r, nil
}

// Run drives the instances until ctx ends or Halt is called, and waits for what
// it started. When ctx ends, masters say goodbye. It returns nil and may be called
// once.
func (r *Runner) Run(ctx context.Context) error {
	defer close(r.done)
	if r.opt.Loop == nil {
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		var over sync.WaitGroup
		over.Go(func() { _ = r.loop.Run(own) })
		defer over.Wait()
		defer stop()
	}
	r.locked(r.begin)
	close(r.begun)
	for m, member := range r.opt.Members {
		member.Conn.Watch(func() { r.locked(func() { r.collect(m) }) })
		r.locked(func() { r.collect(m) }) // what came before
	}
	r.work(ctx)
	r.locked(r.end)
	for _, m := range r.opt.Members {
		m.Conn.Watch(nil)
	}
	r.flush()
	return nil
}

// work carries out what follows from the steps, until the end.
func (r *Runner) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.halt:
			return
		case <-r.waiting:
			r.flush()
		}
	}
}

// locked takes a step. After the end it does nothing.
func (r *Runner) locked(f func()) {
	r.loop.mu.Lock()
	defer r.loop.mu.Unlock()
	if r.ended {
		return
	}
	f()
	if !r.ended {
		r.loop.planned(r)
	}
}

// end stops the members, unless they were halted.
func (r *Runner) end() {
	r.ended = true
	r.carryOut(r.group.StopAll(time.Now(), Stop{}, r.orders[:0]))
	r.loop.forget(r)
}

// after has f called by the goroutine of Run.
func (r *Runner) after(f func()) {
	r.later = append(r.later, f)
	select {
	case r.waiting <- struct{}{}:
	default: // one token is enough
	}
}

// mostLater bounds the consequences that wait: beyond it packets stay in the
// queue of the Conn, which loses the oldest.
const mostLater = 256

// flush carries out what waits, and takes the packets that were left meanwhile.
func (r *Runner) flush() {
	for {
		r.loop.mu.Lock()
		list := r.later
		r.later, r.spare = r.spare[:0], nil
		r.loop.mu.Unlock()
		for _, f := range list {
			f()
		}
		behind := len(list) >= mostLater
		clear(list)
		r.loop.mu.Lock()
		r.spare = list
		r.loop.mu.Unlock()
		switch {
		case len(list) == 0:
			return
		case behind:
			for m := range r.opt.Members {
				r.locked(func() { r.collect(m) })
			}
		}
	}
}

// begin starts the members that do not go on from an earlier Runner.
func (r *Runner) begin() {
	now := time.Now()
	starts := make([]Start, len(r.opt.Members))
	for m, member := range r.opt.Members {
		if member.Resume != nil {
			r.group.resume(m, member.Resume.Instance)
		}
	}
	for m, member := range r.opt.Members {
		starts[m] = member.Start
		if member.Resume != nil {
			r.resume(now, m)
			continue
		}
		for _, t := range member.Known {
			r.step(now, m, t)
		}
	}
	r.orders = r.group.StartAll(now, starts, r.orders[:0])
	r.carryOut(r.orders)
}

// resume goes on with a held instance under its new configuration.
func (r *Runner) resume(now time.Time, m int) {
	codec, cfg := r.opt.Members[m].Resume.Codec, r.opt.Members[m].Config
	if codec.Reconfigure(cfg) == nil { // NewRunner has validated cfg
		r.codecs[m] = codec
	}
	r.step(now, m, Reconfigured{cfg})
	r.orders = r.group.rejoin(now, m, r.orders[:0])
	r.carryOut(r.orders)
}

// collect deals with what has arrived for a member.
func (r *Runner) collect(member int) {
	for len(r.later) < mostLater {
		p, ok := r.opt.Members[member].Conn.Take()
		if !ok {
			return
		}
		r.packet(time.Now(), member, p)
	}
}

// packet checks a packet and tells the instance.
func (r *Runner) packet(now time.Time, member int, p Packet) {
	master, _ := r.group.members[member].Master()
	h, err := r.codecs[member].Check(p, master)
	if err == nil {
		r.step(now, member, h)
		return
	}
	var drop *DropError
	if errors.As(err, &drop) {
		r.step(now, member, Refused{drop.Drop})
		r.logDrop(now, member, p.Src, drop)
	}
}

// tick carries out what is due. Adverts that wait to be read come first, where
// a timer speaks of silence.
func (r *Runner) tick(now time.Time) {
	for m := range r.group.members {
		if i := &r.group.members[m]; r.group.Due(m, now) && (i.state == Backup || i.listening) {
			r.drain(now, m)
		}
	}
	for m := range r.group.members {
		if r.group.Due(m, now) {
			r.step(now, m, Tick{})
		}
	}
}

// drainMost bounds how many packets a takeover waits for.
const drainMost = 64

func (r *Runner) drain(now time.Time, member int) {
	for range drainMost {
		p, ok := r.opt.Members[member].Conn.Pending()
		if !ok {
			return
		}
		r.packet(now, member, p)
	}
}

func (r *Runner) step(now time.Time, member int, ev Event) {
	r.orders = r.group.Step(now, member, ev, r.orders[:0])
	r.carryOut(r.orders)
}

// carryOut sends adverts at once and leaves all else to Run, in order.
func (r *Runner) carryOut(orders []Order) {
	unsent := groupItself
	for _, o := range orders {
		switch o.Kind {
		case SendAdvert:
			if err := r.codecs[o.Member].Encode(o.Priority, r.send[o.Member]); err != nil {
				unsent = o.Member
				r.logSend(o.Member, err)
			}
		case Warn:
			r.logWarning(o)
		default:
			r.carryOutLater(o)
		}
	}
	if unsent != groupItself {
		r.group.Step(time.Now(), unsent, SendFailed{}, nil)
	}
}

// carryOutLater is a function of its own so that an advert does not share the
// memory that its order needs.
func (r *Runner) carryOutLater(o Order) {
	name := r.name(o.Member)
	r.after(func() {
		r.logNotice(name, o)
		r.opt.Effects.Do(r.group.name, name, o.Action)
	})
}

func (r *Runner) name(member int) string {
	if member == groupItself {
		return ""
	}
	return r.group.members[member].cfg.Name
}
