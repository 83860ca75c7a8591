package vrrp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Conn carries the adverts of one instance on one link. The socket belongs to
// who implements it; many instances may share one.
type Conn interface {
	// Send sends one packet and returns at once. It does not keep the slices.
	Send(Packet) error
	// Recv waits for the next packet that may be for the instance. The slices
	// belong to the caller. Its error ends Run, so a link that goes down for
	// a while is no error.
	Recv(context.Context) (Packet, error)
	// Pending takes a packet that has already arrived, and does not wait. It
	// is asked before a takeover: an instance that did not get to run must
	// not take its own silence for the master's. It may be called while Recv
	// waits.
	Pending() (Packet, bool)
}

// Effects carries out what an instance decides, besides sending adverts.
type Effects interface {
	// Do starts one action and returns at once: the work is queued, in order,
	// and may not hold back the caller, who has adverts to send. instance is
	// empty for notices of the sync group.
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
	// Wake is called from the Run goroutine with the time to the next
	// deadline whenever that changes, for who can wake the process more
	// exactly than the runtime's timers do. It must not block. Optional.
	Wake func(time.Duration)
	Log  *slog.Logger // optional, default discards
}

// Runner is the goroutine of a Group: of one instance, or of those of a sync
// group. Its methods may be called from any goroutine.
type Runner struct {
	opt      Options
	group    *Group
	codecs   []*Codec
	arrived  chan arrival
	requests chan func()
	done     chan struct{}

	// The rest belongs to Run.
	send   []func(Packet) error
	orders []Order
	log    *slog.Logger
	limit  limiter
	halted bool
	failed error // of a Conn
}

// arrival is what a reader hands over.
type arrival struct {
	member int
	packet Packet
	err    error
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
	if opt.Wake == nil {
		opt.Wake = func(time.Duration) {}
	}
	r := &Runner{
		opt:      opt,
		group:    group,
		arrived:  make(chan arrival),
		requests: make(chan func()),
		done:     make(chan struct{}),
		log:      opt.Log,
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

// Run drives the instances until ctx ends, Halt is called or a Conn fails, and
// waits for what it started. When ctx ends, or a Conn has failed, masters say
// goodbye. It returns nil after a clean end. It may be called once.
func (r *Runner) Run(ctx context.Context) error {
	defer close(r.done)
	readers, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for m := range r.opt.Members {
		wg.Go(func() { r.read(readers, m) })
	}
	r.begin()
	r.loop(ctx)
	if !r.halted {
		r.carryOut(r.group.StopAll(time.Now(), Stop{}, r.orders[:0]))
	}
	return r.failed
}

// read hands over what arrives for one member.
func (r *Runner) read(ctx context.Context, member int) {
	for {
		p, err := r.opt.Members[member].Conn.Recv(ctx)
		if ctx.Err() != nil {
			return
		}
		select {
		case r.arrived <- arrival{member, p, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
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

func (r *Runner) loop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var armed time.Time
	for !r.halted && r.failed == nil {
		if next, ok := r.group.Next(); !ok {
			timer.Stop()
			armed = time.Time{}
		} else if !next.Equal(armed) {
			d := time.Until(next)
			timer.Reset(d)
			r.opt.Wake(d) // after the timer is set, so that it finds it due
			armed = next
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			armed = time.Time{}
			r.tick(time.Now())
		case in := <-r.arrived:
			r.receive(in)
		case request := <-r.requests:
			request()
		}
	}
}

func (r *Runner) receive(in arrival) {
	if in.err != nil {
		r.failed = fmt.Errorf("receive for vrrp_instance %s: %w", r.name(in.member), in.err)
		return
	}
	r.packet(time.Now(), in.member, in.packet)
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
		select {
		case in := <-r.arrived:
			r.receive(in)
			continue
		default:
		}
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

// carryOut sends adverts itself and hands all else to Effects, in order.
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
			r.logNotice(o)
			r.opt.Effects.Do(r.group.name, r.name(o.Member), o.Action)
		}
	}
	if unsent != groupItself {
		r.group.Step(time.Now(), unsent, SendFailed{}, nil)
	}
}

func (r *Runner) name(member int) string {
	if member == groupItself {
		return ""
	}
	return r.group.members[member].cfg.Name
}
