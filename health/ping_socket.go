package health

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// pingBuffer is the receive buffer asked for: thousands of replies can come at
// once.
const pingBuffer = 1 << 20

// openPing opens a socket for echo requests: the unprivileged kind if this
// process's group may (net.ipv4.ping_group_range, which keepalived changes and
// we do not), else a raw one, which needs CAP_NET_RAW.
func openPing(c model.Check) (net.PacketConn, error) {
	conn, err := openPingDatagram(c)
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EPROTONOSUPPORT) {
		conn, err = openPingRaw(c)
	}
	if err != nil {
		return nil, err
	}
	if sized, ok := conn.(interface{ SetReadBuffer(int) error }); ok {
		// A smaller one loses replies only when very many come at once.
		_ = sized.SetReadBuffer(pingBuffer)
	}
	return conn, nil
}

func openPingDatagram(c model.Check) (net.PacketConn, error) {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if keyOf(c).six {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "ping")
	defer file.Close()
	// An echo has no port to bind.
	c.BindTo = netip.AddrPortFrom(c.BindTo.Addr(), 0)
	if err := prepareDescriptor(fd, c, false); err != nil {
		return nil, err
	}
	if err := bindDescriptor(fd, c.BindTo.Addr()); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	return net.FilePacketConn(file)
}

func bindDescriptor(fd int, addr netip.Addr) error {
	switch {
	case !addr.IsValid():
		return nil
	case addr.Unmap().Is4():
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.Unmap().As4()})
	}
	return unix.Bind(fd, &unix.SockaddrInet6{Addr: addr.As16()})
}

func openPingRaw(c model.Check) (net.PacketConn, error) {
	network := "ip4:icmp"
	if keyOf(c).six {
		network = "ip6:ipv6-icmp"
	}
	from := ""
	if c.BindTo.Addr().IsValid() {
		from = c.BindTo.Addr().String()
	}
	c.BindTo = netip.AddrPortFrom(c.BindTo.Addr(), 0)
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return prepareSocket(raw, c, false)
	}}
	// Only opens a socket; there is nothing to wait for.
	conn, err := config.ListenPacket(context.Background(), network, from)
	if err != nil {
		return nil, err
	}
	if err := onlyEchoReplies(conn, keyOf(c).six); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// onlyEchoReplies keeps all other ICMP of the host from a raw socket.
func onlyEchoReplies(conn net.PacketConn, six bool) error {
	if six {
		var f ipv6.ICMPFilter
		f.SetAll(true)
		f.Accept(ipv6.ICMPTypeEchoReply)
		return ipv6.NewPacketConn(conn).SetICMPFilter(&f)
	}
	var f ipv4.ICMPFilter
	f.SetAll(true)
	f.Accept(ipv4.ICMPTypeEchoReply)
	return ipv4.NewPacketConn(conn).SetICMPFilter(&f)
}

// pingAddr returns an address in the form that conn wants.
func pingAddr(conn net.PacketConn, addr netip.Addr) net.Addr {
	addr = addr.Unmap()
	if _, raw := conn.(*net.IPConn); raw {
		return &net.IPAddr{IP: addr.AsSlice(), Zone: addr.Zone()}
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0))
}
