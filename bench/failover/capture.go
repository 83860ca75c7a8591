package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sort"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// kind says what an event is.
type kind uint8

const (
	advert   kind = iota // of VRRP
	announce             // a gratuitous ARP
)

// event is one frame that passed the switch port of a director.
type event struct {
	at time.Time // when the kernel saw it
	// port is the director, 0 or 1. toward says that the frame went to it, not
	// from it.
	port   int
	toward bool
	kind   kind
	// Of an advert.
	router, priority uint8
	source           netip.Addr
	// addr is announced.
	addr netip.Addr
}

// capture listens on the switch ports of the directors.
type capture struct {
	conn  *os.File
	ports map[int]int // index of the interface to director
	ends  sync.WaitGroup

	mu     sync.Mutex // guards events
	events []event
}

// captureBuffer is the size in bytes of the queue in the kernel.
const captureBuffer = 64 << 20

// etherAll hears all protocols, and what leaves too; in network order.
const etherAll = 0x0300

// listen starts a capture in the namespace of the switch, on the interfaces of
// the given indexes.
func listen(n *lab.Node, ports []int) (*capture, error) {
	c := &capture{ports: make(map[int]int)}
	for director, index := range ports {
		c.ports[index] = director
	}
	err := n.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		c.conn = os.NewFile(uintptr(fd), "capture")
		return errors.Join(
			attachFilter(fd, vrrpAndARP(ports)),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: etherAll}),
		)
	})
	if err != nil {
		return nil, fmt.Errorf("capture on the switch: %w", err)
	}
	c.ends.Go(c.read)
	return c, nil
}

// vrrpAndARP passes adverts and ARP on some interfaces.
func vrrpAndARP(ports []int) []bpf.Instruction {
	prog := []bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtInterfaceIndex}}
	for n, index := range ports {
		// To the instruction behind the refusal.
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(index), SkipTrue: uint8(len(ports) - n)})
	}
	return append(prog,
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: 3},
		bpf.LoadAbsolute{Off: 23, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolVRRP, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	)
}

const protocolVRRP = 112

func attachFilter(fd int, prog []bpf.Instruction) error {
	raw, err := bpf.Assemble(prog)
	if err != nil {
		return err
	}
	list := make([]unix.SockFilter, len(raw))
	for n, i := range raw {
		list[n] = unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(list)), Filter: &list[0]})
}

func (c *capture) close() {
	c.conn.Close()
	c.ends.Wait()
}

func (c *capture) read() {
	readFrames(c.conn, func(frame []byte, at time.Time, from *unix.SockaddrLinklayer) {
		director, ours := c.ports[from.Ifindex]
		e, ok := decode(frame)
		if !ok || !ours {
			return
		}
		e.at, e.port = at, director
		e.toward = from.Pkttype == unix.PACKET_OUTGOING
		if e.toward && director == first {
			return // nobody asks what the better director heard
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.events = append(c.events, e)
	})
}

// readFrames hands over the frames of a packet socket with their time stamps,
// until it is closed.
func readFrames(conn *os.File, hear func([]byte, time.Time, *unix.SockaddrLinklayer)) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	buf, oob := make([]byte, 1<<16), make([]byte, 256)
	for {
		var n, oobn int
		var from unix.Sockaddr
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, oobn, _, from, failed = unix.Recvmsg(int(fd), buf, oob, 0)
			return !errors.Is(failed, unix.EAGAIN)
		})
		if err != nil {
			return // closed
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if failed != nil || !ok {
			continue // an interface went down
		}
		hear(buf[:n], stamp(oob[:oobn]), link)
	}
}

// stamp returns the kernel's time stamp, or the present time without one.
func stamp(oob []byte) time.Time {
	list, err := unix.ParseSocketControlMessage(oob)
	for _, m := range list {
		if err == nil && m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			sec := binary.NativeEndian.Uint64(m.Data)
			nsec := binary.NativeEndian.Uint64(m.Data[8:])
			return time.Unix(int64(sec), int64(nsec))
		}
	}
	return time.Now().Round(0)
}

// Where the fields of frames are.
const (
	etherLen  = 14
	ipv4Len   = 20
	arpLen    = 28
	vrrpStart = etherLen + ipv4Len
)

// decode reads a frame; false for what is neither an advert nor a gratuitous
// ARP.
func decode(b []byte) (event, bool) {
	if len(b) < etherLen {
		return event{}, false
	}
	switch binary.BigEndian.Uint16(b[12:]) {
	case unix.ETH_P_ARP:
		return decodeARP(b[etherLen:])
	case unix.ETH_P_IP:
		// Neither program sends IP options.
		if len(b) < vrrpStart+8 || b[etherLen] != 0x45 || b[etherLen+9] != protocolVRRP {
			return event{}, false
		}
		return event{
			kind: advert, router: b[vrrpStart+1], priority: b[vrrpStart+2],
			source: netip.AddrFrom4([4]byte(b[etherLen+12:])),
		}, true
	}
	return event{}, false
}

// decodeARP takes an ARP whose sender and target are one address.
func decodeARP(b []byte) (event, bool) {
	if len(b) < arpLen {
		return event{}, false
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))
	return event{kind: announce, addr: sender}, sender == target
}

// forget drops what was captured so far.
func (c *capture) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = nil
}

// since returns the events from a time on that ok accepts, in their order.
func (c *capture) since(from time.Time, ok func(event) bool) (list []event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Two CPUs may hand over two frames in the wrong order.
	begin := from.Add(-time.Second)
	at := sort.Search(len(c.events), func(n int) bool { return !c.events[n].at.Before(begin) })
	for _, e := range c.events[at:] {
		if !e.at.Before(from) && ok(e) {
			list = append(list, e)
		}
	}
	return list
}

// from accepts what a director sends of a kind.
func from(director int, k kind) func(event) bool {
	return func(e event) bool { return e.port == director && !e.toward && e.kind == k }
}
