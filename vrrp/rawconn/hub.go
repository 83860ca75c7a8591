package rawconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/evenkeel/evenkeel/vrrp"
)

// Options describe a Hub.
type Options struct {
	// Enter runs a function on a thread in the network namespace that the
	// sockets belong to. Default: the caller's thread, for a process that
	// never leaves its namespace.
	Enter func(func() error) error
	// ReceiveBuffer is the size in bytes of a socket's queue in the kernel.
	// Optional, default 1 MiB: room for an advert of each of 255 routers.
	ReceiveBuffer int
	// CountUnknown has the kernel hand over packets for routers that no
	// instance is part of, so that they are counted (log_unknown_vrids).
	CountUnknown bool
	Log          *slog.Logger // optional, default discards
}

const defaultReceiveBuffer = 1 << 20

// Hub owns the sockets of one network namespace. Its methods may be called
// from several goroutines.
type Hub struct {
	opt Options

	mu      sync.Mutex // guards the fields below, and changes of the sockets
	sockets map[socketKey]*socket
	frames  map[string]*frameSocket
	ctx     context.Context // nil before Run
	readers *sync.WaitGroup

	unknown, short atomic.Uint64
}

// NewHub returns a Hub without sockets.
func NewHub(opt Options) *Hub {
	if opt.Enter == nil {
		opt.Enter = func(f func() error) error { return f() }
	}
	if opt.ReceiveBuffer == 0 {
		opt.ReceiveBuffer = defaultReceiveBuffer
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Hub{
		opt:     opt,
		sockets: make(map[socketKey]*socket),
		frames:  make(map[string]*frameSocket),
		readers: &sync.WaitGroup{},
	}
}

// Run reads the sockets until ctx ends, then closes them, waits for the
// readers and returns nil. Before Run only Pending finds packets. It may be
// called once; after it the Hub is of no use.
func (h *Hub) Run(ctx context.Context) error {
	h.mu.Lock()
	h.ctx = ctx
	for _, s := range h.sockets {
		h.startReader(s)
	}
	h.mu.Unlock()
	<-ctx.Done()
	err := h.close()
	h.readers.Wait()
	return err
}

// startReader needs h.mu. Before Run, and without an open socket, it does
// nothing.
func (h *Hub) startReader(s *socket) {
	live := s.live.Load()
	if h.ctx == nil || h.ctx.Err() != nil || live == nil {
		return
	}
	ctx := h.ctx
	h.readers.Go(func() { s.read(ctx, live) })
}

func (h *Hub) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, s := range h.sockets {
		errs = append(errs, s.close())
	}
	for _, f := range h.frames {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

// Open joins an instance to the sockets that it needs. An interface that does
// not exist is no error: Refresh opens the socket when it appears. The error
// tells what the configuration lacks, or what the kernel refused.
func (h *Hub) Open(cfg Config) (*Conn, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("open adverts of virtual router %d: %w", cfg.VRID, err)
	}
	if cfg.Queue <= 0 {
		cfg.Queue = defaultQueue
	}
	c := &Conn{hub: h, cfg: cfg, queue: newQueue(cfg.Queue), closed: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.attach(c); err != nil {
		return nil, errors.Join(fmt.Errorf("open adverts of virtual router %d: %w", cfg.VRID, err), h.detach(c))
	}
	return c, nil
}

func (c Config) protocols() []uint8 {
	if c.AuthHeader {
		return []uint8{vrrp.ProtocolVRRP, vrrp.ProtocolAH}
	}
	return []uint8{vrrp.ProtocolVRRP}
}

// attach needs h.mu.
func (h *Hub) attach(c *Conn) error {
	for _, protocol := range c.cfg.protocols() {
		key := socketKey{c.cfg.Interface, c.cfg.IPv6, protocol}
		s, ok := h.sockets[key]
		if !ok {
			s = newSocket(h, key)
			h.sockets[key] = s
		}
		c.sockets = append(c.sockets, s)
		if err := s.attach(c); err != nil {
			return err
		}
	}
	if !c.cfg.fromVirtualMAC() {
		return nil
	}
	link := cmp.Or(c.cfg.Parent, c.cfg.Interface)
	f, ok := h.frames[link]
	if !ok {
		f = &frameSocket{hub: h, link: link}
		h.frames[f.link] = f
	}
	c.frames = f
	f.users++
	return f.refresh()
}

// detach needs h.mu. It undoes an attach that failed halfway, too.
func (h *Hub) detach(c *Conn) error {
	var errs []error
	for _, s := range c.sockets {
		last, err := s.detach(c)
		if last {
			delete(h.sockets, s.key)
			err = errors.Join(err, s.close())
		}
		errs = append(errs, err)
	}
	if f := c.frames; f != nil {
		if f.users--; f.users == 0 {
			delete(h.frames, f.link)
			errs = append(errs, f.close())
		}
	}
	return errors.Join(errs...)
}

// Refresh brings the sockets of a link in line with it after the link came,
// went, changed its carrier or became another one of the same name. Groups are
// joined again, so that switches hear of them. The error is the kernel's.
func (h *Hub) Refresh(link string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for key, s := range h.sockets {
		if key.device == link {
			errs = append(errs, s.refresh())
		}
	}
	if f, ok := h.frames[link]; ok {
		errs = append(errs, f.refresh())
	}
	return errors.Join(errs...)
}

// Stats are what a Hub counts for all instances.
type Stats struct {
	// Unknown are packets for routers that no instance is part of. Without
	// Options.CountUnknown the kernel drops most of them unseen.
	Unknown uint64
	// Short are packets too short to name a router. The first instance on the
	// socket gets them, so that they show in one place.
	Short uint64
}

// Stats returns the counters.
func (h *Hub) Stats() Stats {
	return Stats{Unknown: h.unknown.Load(), Short: h.short.Load()}
}
