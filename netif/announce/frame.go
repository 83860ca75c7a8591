package announce

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
)

// MAC is an Ethernet address.
type MAC = [6]byte

const (
	etherTypeARP  = 0x0806
	etherTypeIPv6 = 0x86dd
)

func broadcast() MAC { return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// appendARP appends a frame with a gratuitous ARP for addr: a request that asks
// for the address that it comes from, or the reply to that.
func appendARP(b []byte, addr netip.Addr, mac MAC, reply bool) ([]byte, error) {
	op, target := arp.OperationRequest, broadcast()
	if reply {
		op, target = arp.OperationReply, mac
	}
	p, err := arp.NewPacket(op, net.HardwareAddr(mac[:]), addr, net.HardwareAddr(target[:]), addr)
	if err != nil {
		return b, err
	}
	body, err := p.MarshalBinary()
	if err != nil {
		return b, err
	}
	return append(appendEthernet(b, broadcast(), mac, etherTypeARP), body...), nil
}

func appendEthernet(b []byte, to, from MAC, kind uint16) []byte {
	b = append(append(b, to[:]...), from[:]...)
	return binary.BigEndian.AppendUint16(b, kind)
}

const (
	icmpv6          = 58
	neighbourAdvert = 136
	targetLinkLayer = 2 // option
	// naLen is the message with one option of eight bytes.
	naLen = 24 + 8
	// A router (R), nobody asked (no S), and what neighbours know is to be
	// replaced (O): RFC 4861 section 4.4, RFC 9568 section 6.4.2.
	flagRouter, flagOverride = 0x80, 0x20
)

// appendNA appends a frame with an unsolicited neighbour advertisement for
// addr, to all nodes of the link.
func appendNA(b []byte, addr netip.Addr, mac MAC) []byte {
	allNodes := netip.IPv6LinkLocalAllNodes().As16()
	target := addr.As16()
	b = appendEthernet(b, MAC{0x33, 0x33, 0, 0, 0, 1}, mac, etherTypeIPv6)
	b = append(b, 0x60, 0, 0, 0, 0, naLen, icmpv6, 255)
	b = append(append(b, target[:]...), allNodes[:]...)
	at := len(b)
	b = append(b, neighbourAdvert, 0, 0, 0, flagRouter|flagOverride, 0, 0, 0)
	b = append(b, target[:]...)
	b = append(append(b, targetLinkLayer, 1), mac[:]...)
	sum := checksum(target[:], allNodes[:], []byte{0, 0, 0, naLen, 0, 0, 0, icmpv6}, b[at:])
	binary.BigEndian.PutUint16(b[at+2:], sum)
	return b
}

// checksum returns the Internet checksum over parts of even length.
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, p := range parts {
		for ; len(p) > 1; p = p[2:] {
			sum += uint32(binary.BigEndian.Uint16(p))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
