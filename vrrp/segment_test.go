package vrrp

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// segment is a link in memory: what one Conn sends, the others receive at
// once, as bytes.
type segment struct {
	mu    sync.Mutex // guards conns
	conns []*memConn
}

// memConn is one end of a segment.
type memConn struct {
	seg     *segment
	addr    netip.Addr
	queue   chan Packet
	cut     atomic.Bool // neither sends nor receives
	unread  atomic.Bool // nobody is told of what arrives
	broken  atomic.Bool // Send fails
	sent    atomic.Int32
	watcher atomic.Pointer[func()]
}

func (s *segment) join(addr netip.Addr) *memConn {
	c := &memConn{seg: s, addr: addr, queue: make(chan Packet, 64)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	return c
}

func (c *memConn) Send(p Packet) error {
	if c.broken.Load() {
		return errors.New("network is down")
	}
	c.sent.Add(1)
	c.seg.mu.Lock()
	defer c.seg.mu.Unlock()
	for _, to := range c.seg.conns {
		if to == c || c.cut.Load() || to.cut.Load() || !p.Dst.IsMulticast() && to.addr != p.Dst {
			continue
		}
		to.arrive(clonePacket(p))
	}
	return nil
}

// arrive tells of a packet on a goroutine of its own, as a socket does.
func (c *memConn) arrive(p Packet) {
	c.queue <- p
	if f := c.watcher.Load(); f != nil && *f != nil && !c.unread.Load() {
		go (*f)()
	}
}

func (c *memConn) Watch(f func()) { c.watcher.Store(&f) }

func (c *memConn) Take() (Packet, bool) {
	if c.unread.Load() {
		return Packet{}, false
	}
	return c.Pending()
}

func (c *memConn) Pending() (Packet, bool) {
	select {
	case p := <-c.queue:
		return p, true
	default:
		return Packet{}, false
	}
}

// router is a Runner of one instance under test.
type router struct {
	*Runner
	conn    *memConn
	actions chan Action // all but the notices of the group
	changes chan change
	stop    context.CancelFunc
	done    chan error
}

// change is a notice with its time.
type change struct {
	at   time.Time
	what string
	Action
}

func (r *router) Do(_, instance string, a Action) {
	if instance == "" {
		return
	}
	r.actions <- a
	if a.Kind == Notify && (a.Notice == NoticeState || a.Notice == NoticeStop) {
		r.changes <- change{time.Now(), a.Notice.Event(a.State), a}
	}
}

// startRouter runs an instance on a segment.
func startRouter(t *testing.T, seg *segment, cfg Config, options ...func(*Options)) *router {
	t.Helper()
	r := &router{
		conn:    seg.join(cfg.Source),
		actions: make(chan Action, 1000),
		changes: make(chan change, 100),
		done:    make(chan error, 1),
	}
	opt := Options{Members: []Member{{Config: cfg, Conn: r.conn}}, Effects: r}
	for _, change := range options {
		change(&opt)
	}
	runner, err := NewRunner(opt)
	if err != nil {
		t.Fatal(err)
	}
	r.Runner = runner
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() { r.done <- runner.Run(ctx) }()
	return r
}

// wait returns the next change of state.
func (r *router) wait(t *testing.T, want string) change {
	t.Helper()
	c := <-r.changes
	if c.what != want {
		t.Fatalf("next change of %s is to %s (%s), want %s", r.group.members[0].cfg.Name, c.what, c.Reason, want)
	}
	return c
}

// end stops the router and waits for it.
func (r *router) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("Run after stop = %v, want nil", err)
	}
}
