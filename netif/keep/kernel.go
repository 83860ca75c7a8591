package keep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/netif"
)

// surface is what a Keeper needs of the kernel.
type surface interface {
	links() (links, error)
	// dump returns the objects of a kind. Of routes it may leave out those
	// that are not ours.
	dump(kind) ([]object, error)
	// apply carries out the messages in order, all of them, and returns one
	// result for each.
	apply([]message) []error
	subscribe() (subscription, error)
	// who names the process behind a change, or returns "".
	who(change) string
}

// subscription delivers changes. After an error some were lost, and it is of
// no more use.
type subscription interface {
	next() ([]change, error)
	close()
}

// change says that the kernel added or removed something.
type change struct {
	// link says that a link changed; the other fields are zero.
	link bool
	id   id
	gone bool
	port uint32 // of the netlink socket that asked for it, 0 for the kernel
}

// Kernel is the kernel's side of a Keeper.
type Kernel struct {
	from    *netif.Kernel
	socket  *nl.NetlinkSocket
	sockets map[int]*nl.SocketHandle // of dumps
	seq     uint32
	buf     []byte // of answers
}

// requestTimeout bounds one question to the kernel.
const requestTimeout = 5 * time.Second

// Open returns the Kernel for the namespace of k, which stays the caller's to
// close.
func Open(k *netif.Kernel) (*Kernel, error) {
	out := &Kernel{from: k, sockets: make(map[int]*nl.SocketHandle), buf: make([]byte, bufferSize)}
	err := k.Do(func() (err error) {
		if out.socket, err = openSocket(); err != nil {
			return err
		}
		dumps, err := openSocket()
		if err != nil {
			return err
		}
		out.sockets[unix.NETLINK_ROUTE] = &nl.SocketHandle{Socket: dumps}
		// Without it the kernel takes no filter of dumps.
		return unix.SetsockoptInt(dumps.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink: %w", err), out.Close())
	}
	return out, nil
}

func openSocket() (*nl.NetlinkSocket, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	timeout := unix.NsecToTimeval(requestTimeout.Nanoseconds())
	err = errors.Join(s.SetSendTimeout(&timeout), s.SetReceiveTimeout(&timeout), s.SetExtAck(true),
		s.SetReceiveBufferSize(1<<20, false))
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close closes the sockets.
func (k *Kernel) Close() error {
	var errs []error
	if k.socket != nil {
		errs = append(errs, k.socket.Close())
	}
	for _, s := range k.sockets {
		errs = append(errs, s.Socket.Close())
	}
	return errors.Join(errs...)
}

func (k *Kernel) links() (links, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddRawData(make([]byte, unix.SizeofIfInfomsg))
	req.Sockets, req.RetryInterrupted = k.sockets, true
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	out := make(links, len(msgs))
	for _, m := range msgs {
		if l, ok := parseLink(m); ok {
			out[l.name] = l
		}
	}
	return out, nil
}

func parseLink(b []byte) (l link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return link{}, false
	}
	l.index, l.up = int(u32(b[4:])), u32(b[8:])&unix.IFF_UP != 0
	attrs(b[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
		if kind == unix.IFLA_IFNAME {
			l.name = unix.ByteSliceToString(value)
		}
	})
	return l, l.name != ""
}

func (k *Kernel) dump(kd kind) ([]object, error) {
	var list []object
	for _, fam := range []uint8{unix.AF_INET, unix.AF_INET6} {
		req := k.dumpRequest(kd, fam)
		msgs, err := req.Execute(unix.NETLINK_ROUTE, 0)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", kd, err)
		}
		for _, m := range msgs {
			if o, ok := parse(kd, m); ok {
				list = append(list, o)
			}
		}
	}
	return list, nil
}

// dumpRequest asks for routes of our protocol only: others may be a million.
func (k *Kernel) dumpRequest(kd kind, fam uint8) *nl.NetlinkRequest {
	var req *nl.NetlinkRequest
	switch kd {
	case kindRoute:
		req = nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
		req.AddRawData([]byte{fam, 0, 0, 0, 0, Protocol, 0, 0, 0, 0, 0, 0})
	case kindRule:
		req = nl.NewNetlinkRequest(unix.RTM_GETRULE, unix.NLM_F_DUMP)
		req.AddRawData(append([]byte{fam}, make([]byte, ruleHeaderLen-1)...))
	default:
		req = nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
		req.AddRawData([]byte{fam, 0, 0, 0, 0, 0, 0, 0})
	}
	req.Sockets = k.sockets
	req.RetryInterrupted = true
	return req
}

func parse(kd kind, m []byte) (object, bool) {
	switch kd {
	case kindRoute:
		o, ok := parseRoute(m)
		return o, ok && o.ours()
	case kindRule:
		o, ok := parseRule(m)
		return o, ok
	case kindAddress, kinds:
	}
	o, ok := parseAddress(m)
	return o, ok
}

// String names the kind in the plural.
func (k kind) String() string { return [...]string{"addresses", "routes", "rules", "kinds"}[k] }

// apply sends all messages in one go: the kernel deals with them before the
// system call returns. It is asked to confirm the last one only, so that 1000
// addresses are not 1000 answers to read.
func (k *Kernel) apply(list []message) []error {
	results := make([]error, len(list))
	if len(list) == 0 {
		return results
	}
	first := k.seq + 1
	var b []byte
	for n, m := range list {
		k.seq++
		flags := uint16(0)
		if n == len(list)-1 {
			flags = unix.NLM_F_ACK
		}
		b = m.appendTo(b, k.seq, flags)
	}
	err := unix.Sendto(k.socket.GetFd(), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for last := false; !last && err == nil; {
		var msgs []syscall.NetlinkMessage
		msgs, err = k.answers()
		for _, m := range msgs {
			at := int(m.Header.Seq - first)
			if m.Header.Type == unix.NLMSG_ERROR && at >= 0 && at < len(results) {
				results[at] = ackError(m.Header.Flags, m.Data)
				last = last || at == len(results)-1
			}
		}
	}
	if err != nil {
		for i := range results {
			results[i] = fmt.Errorf("ask the kernel: %w", err)
		}
	}
	return results
}

// answers waits for the kernel's next answers.
func (k *Kernel) answers() ([]syscall.NetlinkMessage, error) {
	msgs, err := receive(k.socket.GetFd(), k.buf)
	if !errors.Is(err, unix.EAGAIN) {
		return msgs, err
	}
	msgs, from, err := k.socket.Receive()
	if err != nil || from.Pid != nl.PidKernel {
		return nil, err // anyone may send to a netlink socket
	}
	return msgs, nil
}

// bufferSize is that of one reading from netlink.
const bufferSize = 64 << 10

// receive reads what waits in a netlink socket, or returns EAGAIN. The result
// shares the memory of buf. What does not come from the kernel is left out.
func receive(fd int, buf []byte) ([]syscall.NetlinkMessage, error) {
	n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
	if err != nil {
		return nil, err
	}
	if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != nl.PidKernel {
		return nil, nil
	}
	return syscall.ParseNetlinkMessage(buf[:n])
}

// ackError reads an answer: nil, or the errno with the kernel's sentence.
func ackError(flags uint16, b []byte) error {
	if len(b) < 4 {
		return errors.New("answer cut short")
	}
	code := int32(binary.NativeEndian.Uint32(b))
	if code == 0 {
		return nil
	}
	err := error(unix.Errno(-code))
	// The request follows, or its header only.
	at := 4 + unix.SizeofNlMsghdr
	if flags&unix.NLM_F_CAPPED == 0 && len(b) >= 8 {
		at = 4 + (int(binary.NativeEndian.Uint32(b[4:]))+3)&^3
	}
	if flags&unix.NLM_F_ACK_TLVS != 0 && at < len(b) {
		attrs(b[at:], func(kind uint16, value []byte) {
			if kind == unix.NLMSGERR_ATTR_MSG {
				err = fmt.Errorf("%w: %s", err, unix.ByteSliceToString(value))
			}
		})
	}
	return err
}
