package rawconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/vrrp"
)

// socketKey says which instances share a socket.
type socketKey struct {
	device   string // empty: any link
	ipv6     bool
	protocol uint8
}

// socket is what instances share: a socket of the kernel while the link exists,
// and its members. All but send and drain are called under Hub.mu.
type socket struct {
	hub     *Hub
	key     socketKey
	members atomic.Pointer[members] // replaced as a whole
	live    atomic.Pointer[live]    // nil while there is no link
}

// members are the instances on a socket, all and by their router.
type members struct {
	list   []*Conn
	byVRID [256][]*Conn
}

func newMembers(list []*Conn) *members {
	m := &members{list: list}
	for _, c := range list {
		m.byVRID[c.cfg.VRID] = append(m.byVRID[c.cfg.VRID], c)
	}
	return m
}

// wire is a socket of one family. Its methods never wait.
type wire interface {
	join(ifi *net.Interface, group netip.Addr) error
	leave(ifi *net.Interface, group netip.Addr) error
	filter(prog []bpf.RawInstruction) error
	// packet takes a message apart. The result shares its bytes.
	packet(in *inbox, i int) (vrrp.Packet, error)
	send(out *outbox, p vrrp.Packet, ifindex int) error
	Close() error
}

// live is an open socket.
type live struct {
	wire
	raw    syscall.RawConn // of the same descriptor
	ifi    *net.Interface  // nil for any link
	groups []netip.Addr

	mu   sync.Mutex // guards in, and keeps packets in order
	in   *inbox
	done bool
}

func newSocket(h *Hub, key socketKey) *socket {
	s := &socket{hub: h, key: key}
	s.members.Store(newMembers(nil))
	return s
}

// attach adds a member, and opens the socket for the first.
func (s *socket) attach(c *Conn) error {
	s.members.Store(newMembers(append(slices.Clone(s.members.Load().list), c)))
	return s.refreshFor(false)
}

// detach removes a member and says whether it was the last.
func (s *socket) detach(c *Conn) (last bool, err error) {
	list := slices.DeleteFunc(slices.Clone(s.members.Load().list), func(m *Conn) bool { return m == c })
	s.members.Store(newMembers(list))
	if len(list) == 0 {
		return true, nil
	}
	return false, s.refreshFor(false)
}

// refresh follows the link and joins the groups anew.
func (s *socket) refresh() error { return s.refreshFor(true) }

// refreshFor opens the socket if it must be, and sets groups and filter for the
// present members.
func (s *socket) refreshFor(rejoin bool) error {
	ifi, err := s.findLink()
	if err != nil {
		return err
	}
	l := s.live.Load()
	if l != nil && !l.on(ifi) {
		s.close()
		l = nil
	}
	if ifi == nil && s.key.device != "" {
		return nil // no such link now
	}
	fresh := l == nil
	if fresh {
		if l, err = s.open(ifi); err != nil {
			return err
		}
	}
	if err := errors.Join(s.setFilter(l), s.setGroups(l, rejoin && !fresh)); err != nil {
		if fresh {
			err = errors.Join(err, l.shut())
		}
		return err
	}
	if fresh {
		s.live.Store(l)
		s.hub.startReader(s)
	}
	return nil
}

// findLink returns the link, or nil when there is none.
func (s *socket) findLink() (ifi *net.Interface, err error) {
	if s.key.device == "" {
		return nil, nil
	}
	return findLink(s.hub, s.key.device)
}

func findLink(h *Hub, name string) (ifi *net.Interface, err error) {
	err = h.opt.Enter(func() error {
		all, err := net.Interfaces()
		if err != nil {
			return fmt.Errorf("list interfaces: %w", err)
		}
		if at := slices.IndexFunc(all, func(i net.Interface) bool { return i.Name == name }); at >= 0 {
			ifi = &all[at]
		}
		return nil
	})
	return ifi, err
}

// on says whether the socket is bound to the link.
func (l *live) on(ifi *net.Interface) bool {
	if l.ifi == nil || ifi == nil {
		return l.ifi == ifi
	}
	return l.ifi.Index == ifi.Index
}

func (s *socket) setFilter(l *live) error {
	var set vridSet
	for _, c := range s.members.Load().list {
		set.add(c.cfg.VRID)
	}
	prog := set.program(s.key.ipv6, s.key.protocol)
	if s.hub.opt.CountUnknown {
		prog = []bpf.Instruction{bpf.RetConstant{Val: whole}}
	}
	raw, err := bpf.Assemble(prog)
	if err != nil {
		return fmt.Errorf("assemble filter: %w", err)
	}
	if err := l.filter(raw); err != nil {
		return fmt.Errorf("set filter: %w", err)
	}
	return nil
}

// setGroups joins the groups of the members and leaves others.
func (s *socket) setGroups(l *live, rejoin bool) error {
	var want []netip.Addr
	for _, c := range s.members.Load().list {
		if g := c.cfg.Multicast; g.IsValid() && !slices.Contains(want, g) {
			want = append(want, g)
		}
	}
	var errs []error
	for _, g := range slices.Clone(l.groups) {
		if !rejoin && slices.Contains(want, g) {
			continue
		}
		l.groups = slices.DeleteFunc(l.groups, func(a netip.Addr) bool { return a == g })
		if err := l.leave(l.ifi, g); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			errs = append(errs, fmt.Errorf("leave group %s on %s: %w", g, l.ifi.Name, err))
		}
	}
	for _, g := range want {
		if slices.Contains(l.groups, g) {
			continue
		}
		if err := l.join(l.ifi, g); err != nil {
			errs = append(errs, fmt.Errorf("join group %s on %s: %w", g, l.ifi.Name, err))
			continue
		}
		l.groups = append(l.groups, g)
	}
	return errors.Join(errs...)
}

// close closes the socket; its reader ends.
func (s *socket) close() error {
	l := s.live.Swap(nil)
	if l == nil {
		return nil
	}
	return l.shut()
}

func (l *live) shut() error {
	l.mu.Lock()
	l.done = true
	l.mu.Unlock()
	return l.Close()
}

// errNoLink is returned while there is no link to send on.
var errNoLink = errors.New("interface does not exist")

func (s *socket) send(out *outbox, p vrrp.Packet) error {
	l := s.live.Load()
	if l == nil {
		return fmt.Errorf("%s: %w", s.key.device, errNoLink)
	}
	index := 0
	if l.ifi != nil {
		index = l.ifi.Index
	}
	return l.send(out, p, index)
}

// drain hands out the packets that wait in the kernel, for who asks to take its
// own. The others are told on another goroutine: who asks holds what they need.
func (s *socket) drain(who *Conn) {
	l := s.live.Load()
	if l == nil {
		return
	}
	_ = l.raw.Control(func(fd uintptr) {
		l.mu.Lock()
		defer l.mu.Unlock()
		told, _ := s.receive(l, fd, nil) // the reader meets the error again
		told = slices.DeleteFunc(told, func(c *Conn) bool { return c == who })
		if len(told) > 0 {
			s.hub.readers.Go(func() { tell(told) })
		}
	})
}

// tell has the watchers of instances take what is in their queues.
func tell(list []*Conn) {
	for _, c := range list {
		if f := c.watcher.Load(); f != nil {
			(*f)()
		}
	}
}

// readPause is how long a reader waits after an error, so that one that stays
// costs nothing.
const readPause = 100 * time.Millisecond

// read hands out packets until the socket is closed.
func (s *socket) read(ctx context.Context, l *live) {
	var told []*Conn
	var err error
	take := func(fd uintptr) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		told, err = s.receive(l, fd, told[:0])
		return len(told) > 0 || err != nil
	}
	for ctx.Err() == nil {
		if closed := l.raw.Read(take); errors.Is(closed, net.ErrClosed) {
			return
		}
		tell(told)
		if err == nil {
			continue
		}
		s.hub.opt.Log.Warn("adverts cannot be read", "interface", s.key.device, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(readPause):
		}
	}
}

// mostBatches bounds how long packets wait for others that go on arriving, as in a
// flood. It is more than a socket's queue holds.
const mostBatches = 64

// receive takes what waits, hands it out, and adds those who got something to
// told. It needs l.mu. Nothing waiting is no error.
func (s *socket) receive(l *live, fd uintptr, told []*Conn) ([]*Conn, error) {
	n := batch
	for round := 0; n == batch && round < mostBatches && !l.done; round++ {
		var err error
		n, err = l.in.receive(fd)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return told, nil
		case err != nil:
			return told, err
		}
		now := time.Now()
		for i := range n {
			p, err := l.packet(l.in, i)
			if err != nil {
				// What is no IP packet goes on too, to be counted.
				p = vrrp.Packet{Src: l.in.source(i), Protocol: s.key.protocol}
			}
			p.Arrived = arrival(now, l.in.control(i))
			told = s.deliver(p, told)
		}
	}
	return told, nil
}

// deliver gives a packet to the instances of its router, and adds them to told.
// With several of one VRID it goes to those that wait for its destination, or to
// all when none does, which is for them to count.
func (s *socket) deliver(p vrrp.Packet, told []*Conn) []*Conn {
	members := s.members.Load()
	vrid, ok := p.VRID()
	if !ok {
		s.hub.short.Add(1)
		if len(members.list) > 0 {
			told = members.list[0].put(p, told)
		}
		return told
	}
	same := members.byVRID[vrid]
	exact := slices.ContainsFunc(same, func(c *Conn) bool { return c.cfg.waitsFor(p.Dst) })
	for _, c := range same {
		if !exact || c.cfg.waitsFor(p.Dst) {
			told = c.put(p, told)
		}
	}
	if len(same) == 0 {
		s.hub.unknown.Add(1)
	}
	return told
}

// put gives a packet to an instance.
func (c *Conn) put(p vrrp.Packet, told []*Conn) []*Conn {
	c.queue.put(p)
	if !slices.Contains(told, c) {
		told = append(told, c)
	}
	return told
}

func (c Config) waitsFor(dst netip.Addr) bool {
	if c.Multicast.IsValid() {
		return c.Multicast == dst
	}
	return c.Local == dst
}
