package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// GUEPort is where Decapsulate takes GUE, by UDP.
const GUEPort = 6080

// Decapsulate makes the node the far end of tunnels by IPIP, GRE and GUE, of any
// pair of families and from anywhere, as the devices tunl0, ip6tnl0, sit0 and
// gre0 do: what comes in one goes to the node's own address that it is for. It works on kernels without these
// devices, too. The Server has no Addr.
func (n *Node) Decapsulate() (*Server, error) {
	d := &decapsulator{}
	err := n.Do(func() (err error) {
		if d.out4, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			return err
		}
		if d.out6, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			return errors.Join(err, unix.Close(d.out4))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open raw sockets on %s: %w", n.name, err)
	}
	for _, network := range []string{"ip4:4", "ip4:41", "ip6:4", "ip6:41", "ip4:47", "ip6:47"} {
		if err := d.listen(n, network, ""); err != nil {
			return nil, errors.Join(err, d.stop(), d.closeOut())
		}
	}
	for network, at := range map[string]string{"udp4": "0.0.0.0", "udp6": "::"} {
		if err := d.listen(n, network, net.JoinHostPort(at, strconv.Itoa(GUEPort))); err != nil {
			return nil, errors.Join(err, d.stop(), d.closeOut())
		}
	}
	return n.start(netip.AddrPort{}, d.run, d.stop), nil
}

// decapsulator reads outer packets and sends what is in them.
type decapsulator struct {
	conns      []net.PacketConn
	out4, out6 int // sockets that send packets with their headers
}

func (d *decapsulator) listen(n *Node, network, at string) error {
	c, err := n.ListenPacket(network, at)
	if err != nil {
		return err
	}
	d.conns = append(d.conns, c)
	if network != "udp6" {
		return nil
	}
	// As the kernel's own receivers: GUE needs no checksum in IPv6 either.
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, udpNoCheck6, 1) })
	return errors.Join(err, failed)
}

// udpNoCheck6 is UDP_NO_CHECK6_RX of linux/udp.h.
const udpNoCheck6 = 102

func (d *decapsulator) run() {
	var work sync.WaitGroup
	for _, c := range d.conns {
		work.Go(func() { d.serve(c) })
	}
	work.Wait()
	// Not in stop: the numbers may be another's by the time of the last packet.
	_ = d.closeOut()
}

func (d *decapsulator) serve(c net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		size, _, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		d.deliver(unwrapped(buf[:size]))
	}
}

// unwrapped leaves out the header of GRE or GUE, four bytes that begin with what no
// IP packet does.
func unwrapped(packet []byte) []byte {
	if len(packet) > 4 && packet[0] == 0 {
		return packet[4:]
	}
	return packet
}

// deliver sends a packet to the address in its header, which is the node's own. One
// that cannot be is lost, as on any link.
func (d *decapsulator) deliver(packet []byte) {
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4:
		_ = unix.Sendto(d.out4, packet, 0, &unix.SockaddrInet4{Addr: [4]byte(packet[16:])})
	case len(packet) >= 40 && packet[0]>>4 == 6:
		_ = unix.Sendto(d.out6, packet, 0, &unix.SockaddrInet6{Addr: [16]byte(packet[24:])})
	}
}

func (d *decapsulator) stop() error {
	var errs []error
	for _, c := range d.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (d *decapsulator) closeOut() error {
	return errors.Join(unix.Close(d.out4), unix.Close(d.out6))
}
