package keep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
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
}

// requestTimeout bounds one question to the kernel.
const requestTimeout = 5 * time.Second

// Open returns the Kernel for the namespace of k, which stays the caller's to
// close.
func Open(k *netif.Kernel) (*Kernel, error) {
	out := &Kernel{from: k, sockets: make(map[int]*nl.SocketHandle)}
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
// system call returns.
func (k *Kernel) apply(list []message) []error {
	results := make([]error, len(list))
	first := k.seq + 1
	var b []byte
	for _, m := range list {
		k.seq++
		b = m.appendTo(b, k.seq)
	}
	err := unix.Sendto(k.socket.GetFd(), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for left := len(list); left > 0 && err == nil; {
		msgs, from, receive := k.socket.Receive()
		if err = receive; err != nil {
			break
		}
		if from.Pid != nl.PidKernel {
			continue
		}
		for _, m := range msgs {
			at := int(m.Header.Seq - first)
			if m.Header.Type == unix.NLMSG_ERROR && at >= 0 && at < len(results) {
				results[at] = ackError(m.Header.Flags, m.Data)
				left--
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

// eventBuffer is the size in bytes asked for the queue of a subscription.
const eventBuffer = 4 << 20

func (k *Kernel) subscribe() (subscription, error) {
	var s *nl.NetlinkSocket
	err := k.from.Do(func() (err error) {
		s, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK,
			unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
			unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to netlink: %w", err)
	}
	// Beyond the system's limit with privilege, up to it without.
	if err := s.SetReceiveBufferSize(eventBuffer, true); err != nil {
		if err := s.SetReceiveBufferSize(eventBuffer, false); err != nil {
			return nil, errors.Join(fmt.Errorf("set netlink buffer: %w", err), s.Close())
		}
	}
	return &kernelEvents{s}, nil
}

type kernelEvents struct{ socket *nl.NetlinkSocket }

func (e *kernelEvents) close() { e.socket.Close() }

func (e *kernelEvents) next() ([]change, error) {
	msgs, from, err := e.socket.Receive()
	if err != nil {
		return nil, fmt.Errorf("receive from netlink: %w", err)
	}
	if from.Pid != nl.PidKernel {
		return nil, nil // anyone may send to a netlink socket
	}
	var list []change
	for _, m := range msgs {
		if c, ok := changeFrom(m.Header.Type, m.Data); ok {
			c.port = m.Header.Pid
			list = append(list, c)
		}
	}
	return list, nil
}

func changeFrom(kind uint16, b []byte) (change, bool) {
	var o object
	var ok bool
	switch kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return change{link: true}, true
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		o, ok = parse(kindAddress, b)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		o, ok = parse(kindRoute, b)
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		o, ok = parse(kindRule, b)
	}
	if !ok {
		return change{}, false
	}
	gone := kind == unix.RTM_DELADDR || kind == unix.RTM_DELROUTE || kind == unix.RTM_DELRULE
	return change{id: o.id(), gone: gone}, true
}

// who relies on the custom that the port of a process's first socket is its
// process id. Short-lived programs are gone by now.
func (k *Kernel) who(c change) string {
	if c.port == 0 {
		return "the kernel"
	}
	name, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(c.port), 10) + "/comm")
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(name)), c.port)
}
