package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

const (
	ipv4HeaderLen = 20
	// trafficClass is internetwork control, as keepalived and FRR mark adverts.
	trafficClass = 0xc0
	// hopLimit is the TTL or hop limit that proves a sender on the link.
	hopLimit = 255
)

// Packet is one IP packet as a Conn carries it. Addresses have no zone.
type Packet struct {
	Src, Dst netip.Addr
	// TTL is the TTL or hop limit.
	TTL uint8
	// Protocol is ProtocolVRRP, or ProtocolAH.
	Protocol uint8
	// Header is the IPv4 header with its options, which an authentication
	// header covers. IPv6 has none here; its traffic class is that of IPv4.
	Header []byte
	// Payload is what follows the IP header: the message, behind the
	// authentication header if there is one. The Codec fills the checksum for
	// IPv6 too.
	Payload []byte
	// Arrived is when a received packet reached this host, which may be well
	// before it is read. Zero: not known.
	Arrived time.Time
}

// AppendDatagram appends header and payload: for IPv4 the whole datagram as
// a socket with IP_HDRINCL sends it, for IPv6 the message.
func (p Packet) AppendDatagram(b []byte) []byte {
	return append(append(b, p.Header...), p.Payload...)
}

// VRID returns the virtual router that the packet is for, so that a socket
// shared by many instances can find the one. The false result says that the
// packet is too short to tell; it counts as DropLength.
func (p Packet) VRID() (uint8, bool) {
	at := 1
	if p.Protocol == ProtocolAH {
		at += ahLen
	}
	if len(p.Payload) <= at {
		return 0, false
	}
	return p.Payload[at], true
}

// ParseIPv4 takes a received datagram apart. The slices of the result are
// parts of b. Bytes beyond the total length, such as the padding of a short
// Ethernet frame, are left out. The error is a *DropError.
func ParseIPv4(b []byte) (Packet, error) {
	if len(b) < ipv4HeaderLen || b[0]>>4 != 4 {
		return Packet{}, &DropError{Drop: DropLength, Got: len(b), Want: ipv4HeaderLen}
	}
	ihl := int(b[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if ihl < ipv4HeaderLen || total < ihl || len(b) < total {
		return Packet{}, &DropError{Drop: DropLength, Got: len(b), Want: max(total, ihl, ipv4HeaderLen)}
	}
	const moreFragments, offset = 0x2000, 0x1fff
	if binary.BigEndian.Uint16(b[6:])&(moreFragments|offset) != 0 {
		return Packet{}, &DropError{Drop: DropFragment}
	}
	if b[9] != ProtocolVRRP && b[9] != ProtocolAH {
		return Packet{}, &DropError{Drop: DropProtocol, Got: int(b[9]), Want: ProtocolVRRP}
	}
	return Packet{
		Src:      netip.AddrFrom4([4]byte(b[12:16])),
		Dst:      netip.AddrFrom4([4]byte(b[16:20])),
		TTL:      b[8],
		Protocol: b[9],
		Header:   b[:ihl],
		Payload:  b[ihl:total],
	}, nil
}

// appendIPv4Header appends a header without options in front of payloadLen
// bytes, as keepalived writes it: fragments allowed, identification counted by
// the sender.
func appendIPv4Header(b []byte, p Packet, id uint16, payloadLen int) []byte {
	start := len(b)
	b = append(b, 0x45, trafficClass)
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4HeaderLen+payloadLen))
	b = binary.BigEndian.AppendUint16(b, id)
	b = append(b, 0, 0, p.TTL, p.Protocol, 0, 0)
	src, dst := p.Src.As4(), p.Dst.As4()
	b = append(append(b, src[:]...), dst[:]...)
	header := b[start:]
	binary.BigEndian.PutUint16(header[10:], ^fold(byteSum(header)))
	return b
}
