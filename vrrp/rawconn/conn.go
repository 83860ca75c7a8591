package rawconn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/evenkeel/evenkeel/vrrp"
)

// MAC is an Ethernet address.
type MAC = [6]byte

// Config describes the adverts of one instance.
type Config struct {
	// Interface is the link's name. It may be empty for unicast: adverts then
	// leave as the routes say, and arrive on any link.
	Interface string
	// VRID is the virtual router, 1 to 255.
	VRID uint8
	IPv6 bool
	// Multicast is the group to join. The zero Addr selects unicast.
	Multicast netip.Addr
	// Local is the address that unicast peers send to. It tells instances with
	// one VRID apart; optional.
	Local netip.Addr
	// AuthHeader takes packets with an authentication header too.
	AuthHeader bool
	// VirtualMAC makes multicast adverts leave from this Ethernet address.
	// Zero: from the link's own, as vmac_xmit_base and unicast want it.
	VirtualMAC MAC
	// Parent is the link that they leave through; optional, default
	// Interface. Where Interface is a macvlan of the virtual MAC, Parent is
	// the link below it: the kernel hands what other routers send from the
	// same MAC to the macvlan only, and the addresses that adverts come from
	// are on the parent only.
	Parent string
	// Queue is how many packets wait for the instance. Optional, default 64.
	Queue int
}

const defaultQueue = 64

func (c Config) fromVirtualMAC() bool {
	return c.VirtualMAC != (MAC{}) && c.Multicast.IsValid()
}

func (c Config) validate() error {
	switch {
	case c.VRID == 0:
		return errors.New("virtual router id 0 is not between 1 and 255")
	case c.Interface == "" && c.Multicast.IsValid():
		return errors.New("multicast needs an interface")
	case c.Multicast.IsValid() && (!c.Multicast.IsMulticast() || c.Multicast.Is4() == c.IPv6):
		return fmt.Errorf("%s is no multicast group of the adverts' family", c.Multicast)
	case c.AuthHeader && c.IPv6:
		return errors.New("an authentication header needs IPv4")
	}
	return nil
}

// Conn carries the adverts of one instance. It is a vrrp.Conn. Its methods may
// be called from several goroutines, but Send from one at a time.
type Conn struct {
	hub *Hub
	cfg Config
	// sockets are those that the instance shares: the first one sends.
	sockets []*socket
	frames  *frameSocket // nil without a virtual MAC
	queue   *queue
	out     outbox
	watcher atomic.Pointer[func()]
	closed  chan struct{}
	ended   atomic.Bool
}

var _ vrrp.Conn = (*Conn)(nil)

// ErrClosed is returned by Recv after Close.
var ErrClosed = errors.New("connection is closed")

// Send sends one packet without waiting. The error says why it did not leave;
// a link that is gone or down is one.
func (c *Conn) Send(p vrrp.Packet) error {
	if err := c.send(p); err != nil {
		return fmt.Errorf("send advert to %s: %w", p.Dst, err)
	}
	return nil
}

func (c *Conn) send(p vrrp.Packet) error {
	if c.frames != nil && p.Dst.IsMulticast() {
		return c.frames.send(c.out.frame(c.cfg.VirtualMAC, p))
	}
	for _, s := range c.sockets {
		if s.key.protocol == p.Protocol {
			return s.send(&c.out, p)
		}
	}
	return fmt.Errorf("no socket for protocol %d", p.Protocol)
}

// Watch has f called after packets have arrived, on the goroutine that has read
// them, which reads no more before f returns; nil: nobody wants to know.
func (c *Conn) Watch(f func()) {
	if f == nil {
		c.watcher.Store(nil)
		return
	}
	c.watcher.Store(&f)
}

// Take takes a packet that was read, and does not wait. Its slices, as those of
// Pending and Recv, are the caller's until the next one is taken, by one at a
// time.
func (c *Conn) Take() (vrrp.Packet, bool) { return c.queue.take() }

// Pending takes a packet that has arrived, in the queue or still in the
// kernel, and does not wait.
func (c *Conn) Pending() (vrrp.Packet, bool) {
	if p, ok := c.queue.take(); ok {
		return p, true
	}
	for _, s := range c.sockets {
		s.drain(c)
	}
	return c.queue.take()
}

// Recv waits for the next packet, for who does not watch. Its error is that of
// ctx, or ErrClosed.
func (c *Conn) Recv(ctx context.Context) (vrrp.Packet, error) {
	for {
		if p, ok := c.queue.take(); ok {
			return p, nil
		}
		select {
		case <-c.queue.arrived:
		case <-ctx.Done():
			return vrrp.Packet{}, ctx.Err()
		case <-c.closed:
			return vrrp.Packet{}, ErrClosed
		}
	}
}

// Overflowed returns how many packets were lost since nobody took them.
func (c *Conn) Overflowed() uint64 { return c.queue.overflowed() }

// Close ends the Conn. The last one on a socket closes it, which leaves its
// groups.
func (c *Conn) Close() error {
	if c.ended.Swap(true) {
		return nil
	}
	close(c.closed)
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	return c.hub.detach(c)
}
