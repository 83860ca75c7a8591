package rawconn

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/vrrp"
)

// outbox is the memory that one instance sends from, used again for each
// advert: the path of an advert should not wait for the collector.
type outbox struct {
	ms      []ipv4.Message
	dst     map[netip.Addr]*net.IPAddr
	control control
	oob     []byte
	buf     []byte

	// to, errno and call are those of send4.
	to    unix.RawSockaddrInet4
	errno unix.Errno
	call  func(fd uintptr)
}

// send4 sends an IPv4 datagram. The call is raw, since it returns at once and
// so need not tell the runtime, which would wake a thread to look after it.
func (o *outbox) send4(raw syscall.RawConn, p vrrp.Packet) error {
	if o.call == nil {
		o.call = func(fd uintptr) {
			_, _, o.errno = unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&o.buf[0])), uintptr(len(o.buf)),
				unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&o.to)), unix.SizeofSockaddrInet4)
		}
	}
	o.buf = p.AppendDatagram(o.buf[:0])
	if len(o.buf) == 0 {
		return unix.EINVAL
	}
	o.to = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: p.Dst.As4()}
	if err := raw.Control(o.call); err != nil {
		return err
	}
	if o.errno != 0 {
		return o.errno
	}
	return nil
}

// control is what the control data of an IPv6 packet says.
type control struct {
	src     netip.Addr
	ttl     uint8
	ifindex int
}

// message returns p as the one message of a batch.
func (o *outbox) message(p vrrp.Packet, oob []byte) []ipv4.Message {
	if o.ms == nil {
		o.ms = []ipv4.Message{{Buffers: make([][]byte, 1)}}
		o.dst = make(map[netip.Addr]*net.IPAddr)
	}
	to, ok := o.dst[p.Dst]
	if !ok {
		to = ipAddr(p.Dst)
		o.dst[p.Dst] = to
	}
	o.buf = p.AppendDatagram(o.buf[:0])
	m := &o.ms[0]
	m.Buffers[0], m.OOB, m.Addr = o.buf, oob, to
	return o.ms
}

const (
	etherTypeIPv4 = 0x0800
	etherTypeIPv6 = 0x86dd
)

// frame returns p as an Ethernet frame from the virtual MAC.
func (o *outbox) frame(from MAC, p vrrp.Packet) []byte {
	to := groupMAC(p.Dst)
	b := append(append(o.buf[:0], to[:]...), from[:]...)
	if p.Dst.Is4() {
		b = binary.BigEndian.AppendUint16(b, etherTypeIPv4)
	} else {
		b = binary.BigEndian.AppendUint16(b, etherTypeIPv6)
		b = appendIPv6Header(b, p)
	}
	o.buf = p.AppendDatagram(b)
	return o.buf
}

// appendIPv6Header appends the fixed header (RFC 8200 section 3).
func appendIPv6Header(b []byte, p vrrp.Packet) []byte {
	b = binary.BigEndian.AppendUint32(b, 6<<28|trafficClass<<20)
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Payload)))
	b = append(b, p.Protocol, p.TTL)
	src, dst := p.Src.As16(), p.Dst.As16()
	return append(append(b, src[:]...), dst[:]...)
}

// groupMAC returns the Ethernet address of a multicast group (RFC 1112 section
// 6.4, RFC 2464 section 7).
func groupMAC(group netip.Addr) MAC {
	octets := group.As16()
	if group.Is4() {
		return MAC{0x01, 0x00, 0x5e, octets[13] & 0x7f, octets[14], octets[15]}
	}
	return MAC{0x33, 0x33, octets[12], octets[13], octets[14], octets[15]}
}
