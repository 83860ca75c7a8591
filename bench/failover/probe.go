package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// client asks a virtual address by ICMP echo, and notes which request was
// answered, when, and from which Ethernet address. The kernel of the director
// that holds the address answers, so what is lost was lost on the way.
type client struct {
	send  int // raw ICMP socket
	hear  *os.File
	dst   unix.SockaddrInet4
	id    uint16
	stop  context.CancelFunc
	sends sync.WaitGroup
	hears sync.WaitGroup

	mu     sync.Mutex // guards probes
	probes []probe
}

// probe is one request. answered is zero without an answer.
type probe struct {
	sent, answered time.Time
	mac            [6]byte
}

// probeInterval is the pause between two requests.
const probeInterval = time.Millisecond

// patience is when an answer comes too late to count.
const patience = 250 * time.Millisecond

// ask starts asking an address through an interface of the client.
func ask(i *lab.Iface, dst netip.Addr) (*client, error) {
	c := &client{send: -1, dst: unix.SockaddrInet4{Addr: dst.As4()}, id: uint16(time.Now().UnixNano())}
	err := i.Node.Do(func() (err error) {
		if c.send, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMP); err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		c.hear = os.NewFile(uintptr(fd), "client")
		return errors.Join(
			// The raw socket would queue the answers.
			attachFilter(c.send, []bpf.Instruction{bpf.RetConstant{Val: 0}}),
			attachFilter(fd, echoReplies()),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: etherIP, Ifindex: i.Index}),
		)
	})
	if err != nil {
		c.closeSockets()
		return nil, fmt.Errorf("ask %s: %w", dst, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.hears.Go(c.listen)
	c.sends.Go(func() { c.run(ctx) })
	return c, nil
}

// etherIP is IPv4 in network order.
const etherIP = 0x0008

func echoReplies() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: etherLen + 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMP, SkipTrue: 3},
		bpf.LoadAbsolute{Off: vrrpStart, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	}
}

func (c *client) closeSockets() {
	if c.send >= 0 {
		unix.Close(c.send)
	}
	if c.hear != nil {
		c.hear.Close()
	}
}

// close stops asking.
func (c *client) close() {
	c.stop()
	c.sends.Wait()
	c.closeSockets()
	c.hears.Wait()
}

// run sends at a fixed cadence from a thread of its own. After a pause of the
// machine it goes on from there: a burst would say nothing.
func (c *client) run(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	next := monotonic()
	for ctx.Err() == nil {
		c.request()
		next += int64(probeInterval)
		if now := monotonic(); next < now {
			next = now
		}
		sleepUntil(next)
	}
}

// monotonic returns CLOCK_MONOTONIC in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail
	return ts.Nano()
}

// sleepUntil is more exact than the runtime's timers.
func sleepUntil(at int64) {
	ts := unix.NsecToTimespec(at)
	for errors.Is(unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil), unix.EINTR) {
	}
}

// request sends one request. What the kernel refuses is lost too: it believes
// that nobody has the address.
func (c *client) request() {
	c.mu.Lock()
	number := uint32(len(c.probes))
	c.probes = append(c.probes, probe{sent: time.Now().Round(0)})
	c.mu.Unlock()
	b := [12]byte{0: 8}
	binary.BigEndian.PutUint16(b[4:], c.id)
	binary.BigEndian.PutUint32(b[8:], number)
	binary.BigEndian.PutUint16(b[2:], checksum(b[:]))
	_ = unix.Sendto(c.send, b[:], 0, &c.dst) // see above
}

// checksum is that of RFC 1071, over an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for at := 0; at < len(b); at += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[at:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func (c *client) listen() {
	readFrames(c.hear, func(b []byte, at time.Time, _ *unix.SockaddrLinklayer) {
		if len(b) < vrrpStart+12 || binary.BigEndian.Uint16(b[vrrpStart+4:]) != c.id {
			return
		}
		number := binary.BigEndian.Uint32(b[vrrpStart+8:])
		c.mu.Lock()
		defer c.mu.Unlock()
		if int(number) < len(c.probes) && c.probes[number].answered.IsZero() {
			c.probes[number].answered, c.probes[number].mac = at, [6]byte(b[6:])
		}
	})
}

// steady says whether all requests of the last while were answered by one
// director.
func (c *client) steady(while time.Duration, mac [6]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The youngest may be on their way.
	end := time.Now().Add(-20 * time.Millisecond)
	begin := end.Add(-while)
	n := 0
	for at := len(c.probes) - 1; at >= 0; at-- {
		p := c.probes[at]
		switch {
		case p.sent.After(end):
		case p.sent.Before(begin):
			return n > 0
		case p.answered.IsZero() || p.mac != mac:
			return false
		default:
			n++
		}
	}
	return false // not asked for so long yet
}

// outage is what a client lost.
type outage struct {
	lost int
	// longest is from the first request that was lost in a row to the next
	// that was answered.
	longest time.Duration
	// gap is the longest time between two answers.
	gap time.Duration
	// pause is the longest time between two requests: how exact the rest is.
	pause time.Duration
}

// outage looks at the requests between two times.
func (c *client) outage(from, to time.Time) outage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return lossIn(c.probes, from, to)
}

func lossIn(probes []probe, from, to time.Time) (o outage) {
	var begin, last, sent time.Time
	for _, p := range probes {
		if p.sent.Before(from) || p.sent.After(to) {
			continue
		}
		if !sent.IsZero() {
			o.pause = max(o.pause, p.sent.Sub(sent))
		}
		sent = p.sent
		if p.answered.IsZero() || p.answered.Sub(p.sent) > patience {
			o.lost++
			if begin.IsZero() {
				begin = p.sent
			}
			continue
		}
		if !begin.IsZero() {
			o.longest = max(o.longest, p.sent.Sub(begin))
			begin = time.Time{}
		}
		if !last.IsZero() {
			o.gap = max(o.gap, p.answered.Sub(last))
		}
		last = p.answered
	}
	if !begin.IsZero() {
		o.longest = max(o.longest, to.Sub(begin))
	}
	return o
}
