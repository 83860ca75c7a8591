package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// TCP is the Prober of TCP_CHECK: it connects and closes, nothing more. The
// zero value is ready.
type TCP struct{}

// Probe implements Prober. The connection is closed as any client closes it,
// with a FIN, so that the server's logs show nothing odd.
func (TCP) Probe(ctx context.Context, c model.Check) error {
	if c.Kind != model.TCPCheck {
		return notTried("%s is not a check that runs", c.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	d := net.Dialer{
		KeepAlive: -1,
		Control: func(_, _ string, raw syscall.RawConn) error {
			return prepareSocket(raw, c)
		},
	}
	if c.BindTo.Addr().IsValid() || c.BindTo.Port() != 0 {
		d.LocalAddr = net.TCPAddrFromAddrPort(bindAddress(c))
	}
	conn, err := d.DialContext(ctx, "tcp", c.ConnectTo.String())
	if err != nil {
		return explain(err, c)
	}
	// The verdict stands: the server accepted.
	_ = conn.Close()
	return nil
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
func prepareSocket(raw syscall.RawConn, c model.Check) error {
	var err error
	set := func(option string, apply func() error) {
		if err != nil {
			return
		}
		if e := apply(); e != nil {
			err = &setupError{option, e}
		}
	}
	controlErr := raw.Control(func(fd uintptr) {
		s := int(fd)
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
	})
	return errors.Join(controlErr, err)
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
