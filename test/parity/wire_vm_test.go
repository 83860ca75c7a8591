//go:build vm

package parity

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// tun is one side of the director.
type tun struct {
	fd   int
	name string
}

// newTun makes a TUN device with an address and brings it up.
func newTun(t *testing.T, name, addr string) tun {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		loader, readErr := os.ReadFile("/proc/sys/kernel/modprobe")
		if readErr != nil {
			t.Fatal(readErr)
		}
		if out, err := exec.Command(strings.TrimSpace(string(loader)), "tun").CombinedOutput(); err != nil {
			t.Fatalf("load tun: %v: %s", err, out)
		}
		fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) }) // and the device goes
	request, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		t.Fatalf("make %s: %v", name, err)
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	set(t, "net/ipv6/conf/"+name+"/disable_ipv6", "1")
	set(t, "net/ipv4/conf/"+name+"/rp_filter", "0")
	addAddress(t, link, addr)
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	return tun{fd, name}
}

func addAddress(t *testing.T, link netlink.Link, addr string) {
	t.Helper()
	a, err := netlink.ParseAddr(addr)
	if err == nil {
		err = netlink.AddrAdd(link, a)
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		t.Fatalf("add %s: %v", addr, err)
	}
}

// set writes a sysctl.
func set(t *testing.T, name, value string) {
	t.Helper()
	err := os.WriteFile("/proc/sys/"+name, []byte(value), 0)
	if errors.Is(err, os.ErrNotExist) && strings.Contains(name, "ipv6") {
		return // a kernel without IPv6
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (d tun) send(t *testing.T, packet []byte) {
	t.Helper()
	if _, err := unix.Write(d.fd, packet); err != nil {
		t.Fatalf("send by %s: %v", d.name, err)
	}
}

// read returns a packet that waits, or nil.
func (d tun) read(t *testing.T) []byte {
	t.Helper()
	buf := make([]byte, 2048)
	n, err := unix.Read(d.fd, buf)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil
	case err != nil:
		t.Fatalf("read from %s: %v", d.name, err)
	}
	return buf[:n]
}

// either waits for the packet that one of two devices sends, and says which.
func either(t *testing.T, a, b tun) (tun, []byte) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		for _, d := range []tun{a, b} {
			if p := d.read(t); p != nil {
				return d, p
			}
		}
		fds := []unix.PollFd{{Fd: int32(a.fd), Events: unix.POLLIN}, {Fd: int32(b.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, 1000); err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
	t.Fatal("no packet comes out")
	return tun{}, nil
}

// drain throws away what waits.
func (d tun) drain(t *testing.T) {
	t.Helper()
	for d.read(t) != nil {
	}
}

// packet is what the tests send and compare. Its flags are letters of S, A, F
// and R; a datagram has none.
type packet struct {
	proto    model.Protocol
	src, dst netip.AddrPort
	flags    string
	ttl      uint8
}

func (p packet) bytes(t *testing.T) []byte {
	t.Helper()
	ip := &layers.IPv4{
		Version: 4, TTL: p.ttl, Protocol: layers.IPProtocol(p.proto), Id: 1,
		SrcIP: net.IP(p.src.Addr().AsSlice()), DstIP: net.IP(p.dst.Addr().AsSlice()),
	}
	buf := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	payload := gopacket.Payload("evenkeel")
	var err error
	if p.proto == model.UDP {
		udp := &layers.UDP{SrcPort: layers.UDPPort(p.src.Port()), DstPort: layers.UDPPort(p.dst.Port())}
		err = errors.Join(udp.SetNetworkLayerForChecksum(ip), gopacket.SerializeLayers(buf, options, ip, udp, payload))
	} else {
		tcp := &layers.TCP{
			SrcPort: layers.TCPPort(p.src.Port()), DstPort: layers.TCPPort(p.dst.Port()), Seq: 1, Window: 1000,
			SYN: strings.Contains(p.flags, "S"), ACK: strings.Contains(p.flags, "A"),
			FIN: strings.Contains(p.flags, "F"), RST: strings.Contains(p.flags, "R"),
		}
		err = errors.Join(tcp.SetNetworkLayerForChecksum(ip), gopacket.SerializeLayers(buf, options, ip, tcp, payload))
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// outerHeader splits an IPIP packet into the server that it is for and what it
// carries.
func outerHeader(b []byte) (netip.Addr, []byte, error) {
	const header, ipip = 20, 4
	if len(b) < 2*header || b[0] != 0x45 || b[9] != ipip {
		return netip.Addr{}, nil, fmt.Errorf("no IPIP packet: % x", b)
	}
	server, _ := netip.AddrFromSlice(b[16:20])
	return server, b[header:], nil
}
