package vrrp

import (
	"encoding/binary"
	"net/netip"
)

// PseudoHeader is what a checksum covers besides the message: source and
// destination of the packet. The zero value covers nothing more, as version 2
// and RFC 9568's reading of version 3 over IPv4 want it.
type PseudoHeader struct {
	Src, Dst netip.Addr
}

// VerifyChecksum says whether the checksum of msg is right under ph.
func VerifyChecksum(msg []byte, ph PseudoHeader) bool {
	return ph.sum(msg) == 0xffff
}

// sum returns the one's complement sum of msg and the pseudo header. The two
// families add the same words: addresses, length and protocol.
func (ph PseudoHeader) sum(msg []byte) uint16 {
	var sum uint64
	if ph.Src.IsValid() {
		sum = addrSum(ph.Src) + addrSum(ph.Dst) + uint64(len(msg)) + ProtocolVRRP
	}
	return fold(sum + byteSum(msg))
}

func addrSum(addr netip.Addr) uint64 {
	if addr.Is4() {
		octets := addr.As4()
		return byteSum(octets[:])
	}
	octets := addr.As16()
	return byteSum(octets[:])
}

// byteSum adds b as big-endian 16-bit words, the last one filled up with zero.
func byteSum(b []byte) uint64 {
	var sum uint64
	for len(b) >= 2 {
		sum += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}

func fold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
