package announce

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// Packets opens real links. It is the Links of an Announcer outside tests.
type Packets struct {
	// Enter runs a function on a thread in the network namespace of the links.
	// Default: the caller's thread, for a process that never leaves its
	// namespace.
	Enter func(func() error) error
}

// Open opens a packet socket on the link.
func (p Packets) Open(name string) (Link, error) {
	enter := p.Enter
	if enter == nil {
		enter = func(f func() error) error { return f() }
	}
	l := new(packetLink)
	err := enter(func() error {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		if len(ifi.HardwareAddr) != len(l.mac) || ifi.Flags&net.FlagLoopback != 0 {
			return ErrNotEthernet
		}
		l.index = ifi.Index
		copy(l.mac[:], ifi.HardwareAddr)
		// Protocol 0: nothing is received.
		l.conn, err = packet.Listen(ifi, packet.Raw, 0, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	if l.rc, err = l.conn.SyscallConn(); err != nil {
		return nil, errors.Join(err, l.conn.Close())
	}
	return l, nil
}

type packetLink struct {
	conn  *packet.Conn
	rc    syscall.RawConn
	index int
	mac   MAC
}

func (l *packetLink) MAC() MAC { return l.mac }

// Send does not wait for room in the queue of the link, as the Conn's own
// WriteTo would: other links have frames too.
func (l *packetLink) Send(frame []byte) error {
	to := &unix.SockaddrLinklayer{Ifindex: l.index, Halen: 6, Protocol: binary.NativeEndian.Uint16(frame[12:])}
	copy(to.Addr[:], frame[:6])
	var sent error
	err := l.rc.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), frame, unix.MSG_DONTWAIT, to)
		return true
	})
	return errors.Join(err, sent)
}

func (l *packetLink) Close() error { return l.conn.Close() }
