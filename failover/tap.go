package failover

import (
	"context"
	"sync"

	"github.com/evenkeel/evenkeel/vrrp"
	"github.com/evenkeel/evenkeel/vrrp/rawconn"
)

// advertising is the Conn of an instance with two ears: it notes in memory that
// the instance advertises as master, and tells who wants to know that another
// router does.
type advertising struct {
	*rawconn.Conn
	note slot

	mu      sync.Mutex // guards onRival
	onRival func()     // called once, or nil
}

// Send notes what kind of advert left.
func (c *advertising) Send(p vrrp.Packet) error {
	err := c.Conn.Send(p)
	if priority, ok := priorityOf(p); ok && priority != vrrp.PriorityStop {
		c.note.stamp()
	} else {
		c.note.clear()
	}
	return err
}

// Take listens.
func (c *advertising) Take() (vrrp.Packet, bool) {
	p, ok := c.Conn.Take()
	if ok {
		c.heard(p)
	}
	return p, ok
}

// Recv listens.
func (c *advertising) Recv(ctx context.Context) (vrrp.Packet, error) {
	p, err := c.Conn.Recv(ctx)
	if err == nil {
		c.heard(p)
	}
	return p, err
}

// Pending listens.
func (c *advertising) Pending() (vrrp.Packet, bool) {
	p, ok := c.Conn.Pending()
	if ok {
		c.heard(p)
	}
	return p, ok
}

// heard does not check the packet as the codec does: who is not fooled loses
// nothing but the patience of a router that has stopped.
func (c *advertising) heard(p vrrp.Packet) {
	priority, ok := priorityOf(p)
	if !ok || priority == vrrp.PriorityStop {
		return
	}
	c.mu.Lock()
	f := c.onRival
	c.onRival = nil
	c.mu.Unlock()
	if f != nil {
		f()
	}
}

// await calls f once when another router advertises; nil ends that.
func (c *advertising) await(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onRival = f
}

// priorityOf reads the priority of an advert.
func priorityOf(p vrrp.Packet) (uint8, bool) {
	at := 2
	if p.Protocol == vrrp.ProtocolAH {
		at += 24
	}
	if len(p.Payload) <= at {
		return 0, false
	}
	return p.Payload[at], true
}
