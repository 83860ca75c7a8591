package labtest

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// Wire is an interface of a node, to send frames on as they are and to listen
// to all that it receives and sends.
type Wire struct {
	t    testing.TB
	conn *os.File
}

// Frame is one frame that a Wire heard.
type Frame struct {
	// Sent is set for what the node itself sent.
	Sent bool
	// At is when the kernel had it.
	At   time.Time
	Data []byte
}

// longestFrame is more than any frame of a lab.
const longestFrame = 1 << 16

// OpenWire opens an interface of a lab. hear is called with each frame from now
// on, from one goroutine, until the test ends; it is optional.
func OpenWire(t testing.TB, i *lab.Iface, hear func(Frame)) *Wire {
	t.Helper()
	protocol := uint16(0) // hears nothing
	if hear != nil {
		protocol = 0x0300 // ETH_P_ALL in network order
	}
	w := &Wire{t: t}
	err := i.Node.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(protocol))
		if err != nil {
			return err
		}
		w.conn = os.NewFile(uintptr(fd), "packet socket on "+i.Name)
		return errors.Join(
			// What is heard waits for a busy machine.
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: i.Index}),
		)
	})
	if err != nil {
		t.Fatalf("open %s of %s: %v", i.Name, i.Node.Name(), err)
	}
	var listening sync.WaitGroup
	if hear != nil {
		listening.Go(func() { w.listen(hear) })
	}
	t.Cleanup(func() {
		w.conn.Close()
		listening.Wait()
	})
	return w
}

// Send sends a frame, at least 14 bytes: the kernel takes no less.
func (w *Wire) Send(frame []byte) {
	w.t.Helper()
	if _, err := w.conn.Write(frame); err != nil {
		w.t.Errorf("send a frame of %d bytes: %v", len(frame), err)
	}
}

// listen hears frames until the socket is closed.
func (w *Wire) listen(hear func(Frame)) {
	raw, err := w.conn.SyscallConn()
	if err != nil {
		w.t.Error(err)
		return
	}
	buf, control := make([]byte, longestFrame), make([]byte, unix.CmsgSpace(16))
	for {
		var n, c int
		var from unix.Sockaddr
		var readErr error
		err := raw.Read(func(fd uintptr) bool {
			n, c, _, from, readErr = unix.Recvmsg(int(fd), buf, control, 0)
			return !errors.Is(readErr, unix.EAGAIN)
		})
		if err != nil {
			return // closed
		}
		if readErr != nil {
			continue // the interface went down, or up again
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		hear(Frame{Sent: ok && link.Pkttype == unix.PACKET_OUTGOING, At: stamp(control[:c]), Data: append([]byte(nil), buf[:n]...)})
	}
}

// stamp returns the kernel's time of a frame, or without one that of now.
func stamp(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) != 1 || len(messages[0].Data) < 16 {
		return time.Now()
	}
	b := messages[0].Data
	return time.Unix(int64(binary.NativeEndian.Uint64(b)), int64(binary.NativeEndian.Uint64(b[8:])))
}
