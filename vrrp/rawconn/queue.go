package rawconn

import (
	"sync"

	"github.com/evenkeel/evenkeel/vrrp"
)

// queue holds the packets of one instance until it takes them. When it is full
// the oldest goes: who comes late wants to know whether there is a master now.
type queue struct {
	mu      sync.Mutex // guards the fields up to arrived
	packets []vrrp.Packet
	// memory holds the bytes of each packet, and given those of the one that
	// was taken last: none is made anew for each advert.
	memory [][]byte
	given  []byte
	first  int // index of the oldest
	count  int
	lost   uint64

	// arrived holds a token while a packet may wait.
	arrived chan struct{}
}

func newQueue(size int) *queue {
	return &queue{packets: make([]vrrp.Packet, size), memory: make([][]byte, size), arrived: make(chan struct{}, 1)}
}

// put never waits. It copies the bytes.
func (q *queue) put(p vrrp.Packet) {
	q.mu.Lock()
	if q.count == len(q.packets) {
		q.first = (q.first + 1) % len(q.packets)
		q.count--
		q.lost++
	}
	at := (q.first + q.count) % len(q.packets)
	b := append(append(q.memory[at][:0], p.Header...), p.Payload...)
	q.memory[at] = b
	n := len(p.Header)
	if n > 0 {
		p.Header = b[:n:n]
	}
	p.Payload = b[n:]
	q.packets[at] = p
	q.count++
	q.mu.Unlock()
	select {
	case q.arrived <- struct{}{}:
	default: // one token is enough
	}
}

// take returns the oldest packet, whose bytes are the caller's until it takes the
// next one.
func (q *queue) take() (p vrrp.Packet, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 {
		return vrrp.Packet{}, false
	}
	p, q.packets[q.first] = q.packets[q.first], vrrp.Packet{}
	q.given, q.memory[q.first] = q.memory[q.first], q.given
	q.first = (q.first + 1) % len(q.packets)
	q.count--
	return p, true
}

func (q *queue) overflowed() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}
