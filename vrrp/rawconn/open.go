package rawconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// priorityControl is TC_PRIO_CONTROL: adverts leave before other traffic.
const priorityControl = 7

// open opens a socket bound to the link, or to none. It has no groups and no
// filter yet, and is not read.
func (s *socket) open(ifi *net.Interface) (l *live, err error) {
	err = s.hub.opt.Enter(func() error {
		l, err = s.openHere(ifi)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open socket for protocol %d on %s: %w", s.key.protocol, s.key.device, err)
	}
	return l, nil
}

func (s *socket) openHere(ifi *net.Interface) (*live, error) {
	network, address := fmt.Sprintf("ip4:%d", s.key.protocol), "0.0.0.0"
	if s.key.ipv6 {
		network, address = fmt.Sprintf("ip6:%d", s.key.protocol), "::"
	}
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var set error
		err := rc.Control(func(fd uintptr) { set = s.options(int(fd)) })
		return errors.Join(err, set)
	}}
	conn, err := lc.ListenPacket(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	l := &live{ifi: ifi, in: &inbox{}}
	l.raw, err = conn.(*net.IPConn).SyscallConn()
	if err == nil && s.key.ipv6 {
		l.wire, err = newWire6(conn)
	} else if err == nil {
		l.wire, err = newWire4(conn, l.raw)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return l, nil
}

// options are set before the socket can receive.
func (s *socket) options(fd int) error {
	set := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("set %s: %w", what, err)
		}
		return nil
	}
	errs := []error{
		set("SO_PRIORITY", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, priorityControl)),
		set("SO_RCVBUF", s.receiveBuffer(fd)),
		set("SO_TIMESTAMPNS", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)),
	}
	if s.key.device != "" {
		errs = append(errs, set("SO_BINDTODEVICE", unix.BindToDevice(fd, s.key.device)))
	}
	// Otherwise the socket gets the groups that others on this host have
	// joined.
	if s.key.ipv6 {
		errs = append(errs, set("IPV6_MULTICAST_ALL", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0)))
	} else {
		errs = append(errs, set("IP_MULTICAST_ALL", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)))
	}
	return errors.Join(errs...)
}

// receiveBuffer goes beyond the system's limit with privilege, up to it
// without.
func (s *socket) receiveBuffer(fd int) error {
	size := s.hub.opt.ReceiveBuffer
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
}
