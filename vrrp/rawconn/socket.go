package rawconn

import (
	"bytes"
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
	"golang.org/x/net/ipv4"
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
	members atomic.Pointer[[]*Conn] // replaced as a whole
	live    atomic.Pointer[live]    // nil while there is no link
}

// wire is a socket of one family. Its methods never wait.
type wire interface {
	join(ifi *net.Interface, group netip.Addr) error
	leave(ifi *net.Interface, group netip.Addr) error
	filter(prog []bpf.RawInstruction) error
	// receive fills the messages with what has arrived.
	receive(ms []ipv4.Message) (int, error)
	// packet takes a message apart. The result shares its bytes.
	packet(m *ipv4.Message) (vrrp.Packet, error)
	send(out *outbox, p vrrp.Packet, ifindex int) error
	Close() error
}

// live is an open socket.
type live struct {
	wire
	ifi    *net.Interface // nil for any link
	groups []netip.Addr
	// waiting is a second descriptor of the same socket. Its read lock is held
	// while the reader waits; wire's is free for Pending.
	waiting net.PacketConn
	ready   syscall.RawConn

	mu   sync.Mutex // guards ms, and keeps packets in order
	ms   []ipv4.Message
	done bool
}

const (
	// batch is how many packets one system call takes.
	batch = 8
	// longest is more than the longest advert: 255 IPv6 addresses.
	longest = 4608
	// oobLen is room for the control data of one packet.
	oobLen = 256
)

func newSocket(h *Hub, key socketKey) *socket {
	s := &socket{hub: h, key: key}
	s.members.Store(new([]*Conn))
	return s
}

// attach adds a member, and opens the socket for the first.
func (s *socket) attach(c *Conn) error {
	members := append(slices.Clone(*s.members.Load()), c)
	s.members.Store(&members)
	return s.refreshFor(false)
}

// detach removes a member and says whether it was the last.
func (s *socket) detach(c *Conn) (last bool, err error) {
	members := slices.DeleteFunc(slices.Clone(*s.members.Load()), func(m *Conn) bool { return m == c })
	s.members.Store(&members)
	if len(members) == 0 {
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
	for _, c := range *s.members.Load() {
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
	for _, c := range *s.members.Load() {
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
	return errors.Join(l.waiting.Close(), l.Close())
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

// drain hands the packets that wait in the kernel to the members.
func (s *socket) drain() {
	if l := s.live.Load(); l != nil {
		s.receive(l) //nolint:errcheck // the reader meets the error again
	}
}

// readPause is how long a reader waits after an error, so that one that stays
// costs nothing.
const readPause = 100 * time.Millisecond

// read hands out packets until the socket is closed.
func (s *socket) read(ctx context.Context, l *live) {
	for ctx.Err() == nil {
		err := l.ready.Read(readable)
		if err == nil {
			err = s.receive(l)
		}
		switch {
		case err == nil:
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		s.hub.opt.Log.Warn("adverts cannot be read", "interface", s.key.device, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(readPause):
		}
	}
}

// readable says whether a read would not wait. It takes nothing, so that
// packets leave the kernel under live.mu only.
func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
}

// receive takes all that waits and hands it out. Nothing waiting is no error.
func (s *socket) receive(l *live) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.done {
		n, err := l.receive(l.ms)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil:
			return err
		}
		now := time.Now()
		for i := range l.ms[:n] {
			if p, err := l.packet(&l.ms[i]); err == nil {
				p.Arrived = arrival(now, l.ms[i].OOB[:l.ms[i].NN])
				s.deliver(p)
			} else {
				s.deliverBroken(&l.ms[i])
			}
		}
		if n < len(l.ms) {
			return nil
		}
	}
	return nil
}

// deliverBroken hands on what is no IP packet, so that it is counted.
func (s *socket) deliverBroken(m *ipv4.Message) {
	s.deliver(vrrp.Packet{Src: addrOf(m.Addr), Protocol: s.key.protocol})
}

// deliver gives a packet to the instances of its router. With several of one
// VRID it goes to those that wait for its destination, or to all when none
// does, which is for them to count.
func (s *socket) deliver(p vrrp.Packet) {
	members := *s.members.Load()
	vrid, ok := p.VRID()
	if !ok {
		s.hub.short.Add(1)
		if len(members) > 0 {
			members[0].queue.put(clone(p))
		}
		return
	}
	exact := slices.ContainsFunc(members, func(c *Conn) bool { return c.cfg.VRID == vrid && c.cfg.waitsFor(p.Dst) })
	known := false
	for _, c := range members {
		if c.cfg.VRID == vrid && (!exact || c.cfg.waitsFor(p.Dst)) {
			c.queue.put(clone(p))
			known = true
		}
	}
	if !known {
		s.hub.unknown.Add(1)
	}
}

func (c Config) waitsFor(dst netip.Addr) bool {
	if c.Multicast.IsValid() {
		return c.Multicast == dst
	}
	return c.Local == dst
}

// clone copies the bytes, which the next batch overwrites.
func clone(p vrrp.Packet) vrrp.Packet {
	p.Header, p.Payload = bytes.Clone(p.Header), bytes.Clone(p.Payload)
	return p
}

func addrOf(a net.Addr) netip.Addr {
	ip, ok := a.(*net.IPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(ip.IP)
	return addr.Unmap()
}
