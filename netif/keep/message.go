package keep

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// message is a request of the kernel's route netlink family.
type message struct {
	kind, flags uint16
	body        []byte
}

// attr appends a route attribute with its padding.
func attr(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return pad(append(b, value...))
}

func attr32(b []byte, kind uint16, value uint32) []byte {
	return attr(b, kind, binary.NativeEndian.AppendUint32(nil, value))
}

func attrText(b []byte, kind uint16, text string) []byte {
	return attr(b, kind, append([]byte(text), 0))
}

func attrAddr(b []byte, kind uint16, a netip.Addr) []byte {
	return attr(b, kind, a.AsSlice())
}

func pad(b []byte) []byte {
	for len(b)%unix.RTA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

// appendTo appends the message with its header to b. The kernel tells of an
// error unasked, and of success by NLM_F_ACK.
func (m message) appendTo(b []byte, seq uint32, flags uint16) []byte {
	native := binary.NativeEndian
	b = native.AppendUint32(b, uint32(unix.SizeofNlMsghdr+len(m.body)))
	b = native.AppendUint16(b, m.kind)
	b = native.AppendUint16(b, m.flags|flags|unix.NLM_F_REQUEST)
	b = native.AppendUint32(b, seq)
	b = native.AppendUint32(b, 0) // port of the sender: the kernel knows
	return pad(append(b, m.body...))
}

// attrs calls f for each attribute of b. Cut ones end it.
func attrs(b []byte, f func(kind uint16, value []byte)) {
	native := binary.NativeEndian
	for len(b) >= unix.SizeofRtAttr {
		length := int(native.Uint16(b))
		if length < unix.SizeofRtAttr || length > len(b) {
			return
		}
		f(native.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:length])
		b = b[min((length+3)&^3, len(b)):]
	}
}

func u32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}

func addrIn(value []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(value)
	return a
}

func family(ipv6 bool) uint8 {
	if ipv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// anyPrefix is the prefix that holds every address of the family.
func anyPrefix(ipv6 bool) netip.Prefix {
	if ipv6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}
