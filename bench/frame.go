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

// frameSize is that of the smallest Ethernet frame, without its check sequence.
const frameSize = 60

// packet is what a frame holds.
type packet struct {
	protocol model.Protocol
	from, to netip.AddrPort
	flags    byte // of TCP
}

// frame returns an Ethernet frame to the director. Ports and addresses of the
// client are the driver's to write, so no checksum holds; the program changes
// checksums and never looks at whether they were right.
func (p packet) frame() []byte {
	f := make([]byte, frameSize)
	copy(f, ownMAC[:])
	copy(f[6:], clientMAC[:])
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	ip := f[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, byte(p.protocol)
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[12:], p.from.Addr().AsSlice())
	copy(ip[16:], p.to.Addr().AsSlice())
	binary.BigEndian.PutUint16(ip[20:], p.from.Port())
	binary.BigEndian.PutUint16(ip[22:], p.to.Port())
	switch p.protocol {
	case model.UDP:
		binary.BigEndian.PutUint16(ip[24:], uint16(len(ip)-20))
	default:
		ip[32], ip[33] = 5<<4, p.flags
	}
	return f
}
