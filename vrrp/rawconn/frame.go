package rawconn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// frameSocket sends raw frames on one link. All but send is called under
// Hub.mu.
type frameSocket struct {
	hub   *Hub
	link  string
	users int
	live  atomic.Pointer[liveFrames] // nil while there is no link
}

type liveFrames struct {
	conn  *packet.Conn
	rc    syscall.RawConn
	index int
}

// refresh follows the link.
func (f *frameSocket) refresh() error {
	ifi, err := findLink(f.hub, f.link)
	if err != nil {
		return err
	}
	if l := f.live.Load(); l != nil {
		if ifi != nil && ifi.Index == l.index {
			return nil
		}
		f.close()
	}
	if ifi == nil {
		return nil
	}
	l, err := f.open(ifi)
	if err != nil {
		return fmt.Errorf("open packet socket on %s: %w", f.link, err)
	}
	f.live.Store(l)
	return nil
}

func (f *frameSocket) open(ifi *net.Interface) (*liveFrames, error) {
	l := &liveFrames{index: ifi.Index}
	err := f.hub.opt.Enter(func() (err error) {
		// Protocol 0: nothing is received.
		l.conn, err = packet.Listen(ifi, packet.Raw, 0, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	if l.rc, err = l.conn.SyscallConn(); err != nil {
		return nil, errors.Join(err, l.conn.Close())
	}
	var set error
	err = l.rc.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PRIORITY, priorityControl)
	})
	if err := errors.Join(err, set); err != nil {
		return nil, errors.Join(fmt.Errorf("set SO_PRIORITY: %w", err), l.conn.Close())
	}
	return l, nil
}

func (f *frameSocket) close() error {
	l := f.live.Swap(nil)
	if l == nil {
		return nil
	}
	return l.conn.Close()
}

// send sends a frame without waiting. The Conn's own WriteTo would wait for
// room in the queue of the link.
func (f *frameSocket) send(frame []byte) error {
	l := f.live.Load()
	if l == nil {
		return fmt.Errorf("%s: %w", f.link, errNoLink)
	}
	to := &unix.SockaddrLinklayer{Ifindex: l.index, Halen: 6, Protocol: binary.NativeEndian.Uint16(frame[12:])}
	copy(to.Addr[:], frame[:6])
	var sent error
	err := l.rc.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), frame, unix.MSG_DONTWAIT, to)
		return true
	})
	return errors.Join(err, sent)
}
