package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// dial connects as the check asks to, within its connect_timeout. network is
// tcp or udp. An error is in plain words already.
func dial(ctx context.Context, network string, c model.Check) (net.Conn, error) {
	if !c.ConnectTo.IsValid() {
		return nil, notTried("no address to connect to")
	}
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	d := net.Dialer{
		KeepAlive: -1,
		Control: func(_, _ string, raw syscall.RawConn) error {
			return prepareSocket(raw, c, network == "udp")
		},
	}
	if c.BindTo.Addr().IsValid() || c.BindTo.Port() != 0 {
		d.LocalAddr = net.TCPAddrFromAddrPort(bindAddress(c))
		if network == "udp" {
			d.LocalAddr = net.UDPAddrFromAddrPort(bindAddress(c))
		}
	}
	conn, err := d.DialContext(ctx, network, c.ConnectTo.String())
	if err != nil {
		return nil, explain(err, c)
	}
	return conn, nil
}

// closeAt closes conn when ctx ends, which ends its reads and writes, until
// release is called.
func closeAt(ctx context.Context, conn net.Conn) (release func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.Close() })
}

// timedConn bounds each wait for the server, and all of them together. It
// belongs to one goroutine.
type timedConn struct {
	net.Conn
	// each bounds one read or write.
	each time.Duration
	// end bounds all; the zero time does not.
	end time.Time
	// endEarly moves end to one wait after the first byte that comes.
	endEarly bool
}

func (c *timedConn) deadline() time.Time {
	at := time.Now().Add(c.each)
	if !c.end.IsZero() && c.end.Before(at) {
		return c.end
	}
	return at
}

// Read implements net.Conn.
func (c *timedConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(c.deadline()); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if n > 0 && c.endEarly {
		c.endEarly = false
		c.end = c.deadline()
	}
	return n, err
}

// Write implements net.Conn.
func (c *timedConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(c.deadline()); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// bindAddress returns where to bind; bind_port alone takes any address.
func bindAddress(c model.Check) netip.AddrPort {
	if c.BindTo.Addr().IsValid() {
		return c.BindTo
	}
	wildcard := netip.IPv6Unspecified()
	if c.ConnectTo.Addr().Unmap().Is4() {
		wildcard = netip.IPv4Unspecified()
	}
	return netip.AddrPortFrom(wildcard, c.BindTo.Port())
}

// setupError is a socket that could not be prepared.
type setupError struct {
	option string
	err    error
}

func (e *setupError) Error() string { return fmt.Sprintf("%s: %v", e.option, e.err) }
func (e *setupError) Unwrap() error { return e.err }

// prepareSocket sets what the check asks for before the socket is bound.
func prepareSocket(raw syscall.RawConn, c model.Check, datagrams bool) error {
	var err error
	controlErr := raw.Control(func(fd uintptr) { err = prepareDescriptor(int(fd), c, datagrams) })
	return errors.Join(controlErr, err)
}

func prepareDescriptor(s int, c model.Check, datagrams bool) error {
	var err error
	set := func(option string, apply func() error) {
		if err != nil {
			return
		}
		if e := apply(); e != nil {
			err = &setupError{option, e}
		}
	}
	if c.BindInterface != "" {
		set("bind_if "+c.BindInterface, func() error { return unix.BindToDevice(s, c.BindInterface) })
	}
	if c.FWMark != 0 {
		set(fmt.Sprintf("fwmark %d", c.FWMark), func() error {
			return unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_MARK, int(c.FWMark))
		})
	}
	if c.BindTo.Port() != 0 {
		// The port is in TIME_WAIT from the last try.
		set("bind_port", func() error { return unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	}
	if datagrams {
		// Without it only a refused port is reported, not an unreachable host.
		level, option := unix.IPPROTO_IPV6, unix.IPV6_RECVERR
		if c.ConnectTo.Addr().Unmap().Is4() {
			level, option = unix.IPPROTO_IP, unix.IP_RECVERR
		}
		set("report ICMP errors", func() error { return unix.SetsockoptInt(s, level, option, 1) })
	}
	return err
}

// explain turns a dialer's error into plain words. What is not the server's
// doing wraps ErrNotTried.
func explain(err error, c model.Check) error {
	if setup, ok := errors.AsType[*setupError](err); ok {
		return notTried("%s: %s", setup.option, setupText(setup.err))
	}
	call := ""
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		call = e.Syscall
	}
	switch {
	case call == "bind", errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EADDRINUSE):
		return notTried("bind to %s: %s", bindText(c), cause(err))
	case call != "" && call != "connect":
		return notTried("open a socket: %s", cause(err))
	case os.IsTimeout(err):
		return fmt.Errorf("no answer in %s", c.ConnectTimeout)
	}
	return errors.New(cause(err))
}

func bindText(c model.Check) string {
	if from := sourceOf(c); from != "" {
		return from
	}
	return "a local port"
}

func setupText(err error) string {
	switch {
	case errors.Is(err, syscall.ENODEV):
		return "no such interface"
	case errors.Is(err, syscall.EPERM):
		return "not permitted (needs CAP_NET_RAW for bind_if, CAP_NET_ADMIN for fwmark)"
	}
	return cause(err)
}

// cause returns the innermost error in the words of the system, without the
// addresses that a dialer adds.
func cause(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}
