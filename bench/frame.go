package bench

import (
	"encoding/binary"
	"net/netip"

	"github.com/evenkeel/evenkeel/model"
)

// The flags of a TCP segment.
const (
	flagSYN = 0x02
	flagACK = 0x10
)

// The sizes of frames without their check sequence: the smallest Ethernet
// frame, and that of a TCP segment by IPv6 without data.
const (
	frameSize  = 60
	frameSize6 = 74
)

// packet is what a frame holds.
type packet struct {
	protocol model.Protocol
	from, to netip.AddrPort
	flags    byte // of TCP
}

// frame returns an Ethernet frame to the director. Ports and addresses of the
// client are the driver's to write, and with them the checksum of the IPv4 header.
// That of TCP does not hold; the program changes it and never looks at whether it was
// right. That of UDP is 0, which by IPv4 means none.
func (p packet) frame() []byte {
	f := make([]byte, frameSize)
	if p.to.Addr().Is6() {
		f = make([]byte, frameSize6)
	}
	copy(f, ownMAC[:])
	copy(f[6:], clientMAC[:])
	if p.to.Addr().Is6() {
		binary.BigEndian.PutUint16(f[12:], 0x86dd)
		p.ipv6(f[14:])
	} else {
		binary.BigEndian.PutUint16(f[12:], 0x0800)
		p.ipv4(f[14:])
	}
	return f
}

func (p packet) ipv4(ip []byte) {
	ip[0], ip[8], ip[9] = 0x45, 64, byte(p.protocol)
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[12:], p.from.Addr().AsSlice())
	copy(ip[16:], p.to.Addr().AsSlice())
	p.transport(ip[20:])
}

func (p packet) ipv6(ip []byte) {
	ip[0], ip[6], ip[7] = 0x60, byte(p.protocol), 64
	binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-40))
	copy(ip[8:], p.from.Addr().AsSlice())
	copy(ip[24:], p.to.Addr().AsSlice())
	p.transport(ip[40:])
}

func (p packet) transport(b []byte) {
	binary.BigEndian.PutUint16(b, p.from.Port())
	binary.BigEndian.PutUint16(b[2:], p.to.Port())
	if p.protocol == model.UDP {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
		return
	}
	b[12], b[13] = 5<<4, p.flags
}
