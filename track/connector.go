package track

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// From linux/connector.h and linux/cn_proc.h. All is in the machine's byte
// order.
const (
	cnProc       = 1 // both CN_IDX_PROC and CN_VAL_PROC
	cnHeader     = 20
	mcastListen  = 1
	mcastIgnore  = 2
	eventAck     = 0x00000000
	eventFork    = 0x00000001
	eventExec    = 0x00000002
	eventComm    = 0x00000200
	eventExit    = 0x80000000
	eventHeader  = 16
	minEventSize = unix.SizeofNlMsghdr + cnHeader + eventHeader
)

const (
	// ackWait is how long the kernel may take to say yes. In another PID
	// namespace it says nothing.
	ackWait = time.Second
	// connectorBuffer is the receive buffer in bytes, against bursts of forks.
	connectorBuffer = 4 << 20
	// eventQueue bounds the events that wait for the tracker.
	eventQueue = 256
)

// Subscribe listens to the process connector.
func (k KernelProcesses) Subscribe(ctx context.Context) (<-chan ProcessEvent, error) {
	c, err := openConnector()
	if err != nil {
		return nil, fmt.Errorf("listen to process events: %w", err)
	}
	if err := c.listen(); err != nil {
		return nil, errors.Join(fmt.Errorf("listen to process events: %w", err), c.file.Close())
	}
	out := make(chan ProcessEvent, eventQueue)
	go c.forward(ctx, out)
	return out, nil
}

// connector is the socket of process events.
type connector struct {
	file *os.File
	buf  []byte
}

func openConnector() (*connector, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &connector{file: os.NewFile(uintptr(fd), "process connector"), buf: make([]byte, 4096)}
	// A small buffer leads to more counts, no worse.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, connectorBuffer)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: cnProc}); err != nil {
		return nil, errors.Join(os.NewSyscallError("bind", err), c.file.Close())
	}
	return c, nil
}

// listen asks for events and waits for the kernel's yes.
func (c *connector) listen() error {
	if err := c.send(mcastListen); err != nil {
		return err
	}
	if err := c.file.SetReadDeadline(time.Now().Add(ackWait)); err != nil {
		return err
	}
	for {
		what, data, err := c.receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errors.New("the kernel does not answer, as in a PID namespace of one's own")
		case errors.Is(err, unix.ENOBUFS):
			// So many events come only to who listens.
			return c.file.SetReadDeadline(time.Time{})
		case err != nil:
			return err
		case what != eventAck || len(data) < 4:
			continue
		}
		if code := binary.NativeEndian.Uint32(data); code != 0 {
			return os.NewSyscallError("listen", unix.Errno(code))
		}
		return c.file.SetReadDeadline(time.Time{})
	}
}

// send sends an operation to the kernel.
func (c *connector) send(op uint32) error {
	const size = unix.SizeofNlMsghdr + cnHeader + 4
	msg := make([]byte, 0, size)
	order := binary.NativeEndian
	msg = order.AppendUint32(msg, size)
	msg = order.AppendUint16(msg, unix.NLMSG_DONE)
	msg = order.AppendUint16(msg, 0) // flags
	msg = order.AppendUint32(msg, 0) // sequence
	msg = order.AppendUint32(msg, 0) // port, filled in by the kernel
	msg = order.AppendUint32(msg, cnProc)
	msg = order.AppendUint32(msg, cnProc)
	msg = order.AppendUint32(msg, 0) // sequence
	msg = order.AppendUint32(msg, 0) // acknowledgement
	msg = order.AppendUint16(msg, 4) // length of what follows
	msg = order.AppendUint16(msg, 0) // flags
	msg = order.AppendUint32(msg, op)
	conn, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = conn.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, os.NewSyscallError("send", sent))
}

// receive waits for one event of the kernel and returns its kind and data.
func (c *connector) receive() (what uint32, data []byte, err error) {
	conn, err := c.file.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	for {
		var n int
		var from unix.Sockaddr
		var failed error
		err := conn.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), c.buf, 0)
			return !errors.Is(failed, unix.EAGAIN)
		})
		switch {
		case err != nil:
			return 0, nil, err
		case errors.Is(failed, unix.EINTR):
			continue
		case failed != nil:
			return 0, nil, os.NewSyscallError("receive", failed)
		}
		// Other processes can send here too.
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue
		}
		if what, data, ok := parseConnector(c.buf[:n]); ok {
			return what, data, nil
		}
	}
}

// parseConnector returns kind and data of the event in a datagram.
func parseConnector(b []byte) (what uint32, data []byte, ok bool) {
	order := binary.NativeEndian
	if len(b) < minEventSize {
		return 0, nil, false
	}
	cn := b[unix.SizeofNlMsghdr:]
	length := int(order.Uint16(cn[16:]))
	if order.Uint32(cn) != cnProc || order.Uint32(cn[4:]) != cnProc || length < eventHeader || length > len(cn)-cnHeader {
		return 0, nil, false
	}
	event := cn[cnHeader:][:length]
	return order.Uint32(event), event[eventHeader:], true
}

// processEvent translates an event, unless it is about a thread or of no
// interest.
func processEvent(what uint32, data []byte) (ProcessEvent, bool) {
	field := func(i int) int {
		if len(data) < 4*i+4 {
			return -1
		}
		return int(int32(binary.NativeEndian.Uint32(data[4*i:])))
	}
	switch what {
	case eventFork:
		// Number and group of the parent, then of the child.
		return ProcessEvent{Forked, field(3), field(1)}, field(3) > 0 && field(2) == field(3)
	case eventExec, eventComm:
		return ProcessEvent{Kind: Renamed, PID: field(1)}, field(1) > 0 && field(0) == field(1)
	case eventExit:
		return ProcessEvent{Kind: Exited, PID: field(1)}, field(1) > 0 && field(0) == field(1)
	}
	return ProcessEvent{}, false
}

// forward sends events to out until ctx ends or the socket fails.
func (c *connector) forward(ctx context.Context, out chan<- ProcessEvent) {
	defer close(out)
	// Kernels before 6.6 do not notice the end of a listener by themselves.
	defer func() { _ = errors.Join(c.send(mcastIgnore), c.file.Close()) }()
	stop := context.AfterFunc(ctx, func() { _ = c.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		what, data, err := c.receive()
		event, ok := ProcessEvent{Kind: Lost}, true
		switch {
		case err == nil:
			event, ok = processEvent(what, data)
		case !errors.Is(err, unix.ENOBUFS):
			return
		}
		if !ok {
			continue
		}
		select {
		case out <- event:
		case <-ctx.Done():
			return
		}
	}
}
