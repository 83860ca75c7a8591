//go:build netns

package acceptance

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Offsets and lengths in a frame, of IPv4 without options.
const (
	etherLen = 14
	ipLen    = 20
	tcpLen   = 20
	udpLen   = 8
	ipAt     = etherLen
	l4At     = ipAt + ipLen
)

// payload is of odd length, so that checksums have a last byte alone.
const payload = "what the stranger says."

// Lengths of the stranger's whole packets.
const (
	tcpPacket = ipLen + tcpLen + len(payload)
	udpPacket = ipLen + udpLen + len(payload)
)

// badCase is some frames that all end in one reason.
type badCase struct {
	name   string
	reason string
	frames [][]byte
	// arrives is set for those that a server must get as bad as they are,
	// and not answer.
	arrives bool
}

// forger makes frames of the stranger to the services, each from a port of its
// own.
type forger struct {
	eth       layers.Ethernet
	ip        layers.IPv4
	port      uint16
	forwarded string // the reason of what a server gets
}

func newForger(s *site, kind string) *forger {
	return &forger{
		eth: layers.Ethernet{SrcMAC: s.top.ClientIf.MAC, DstMAC: s.top.ClientSide.MAC, EthernetType: layers.EthernetTypeIPv4},
		ip: layers.IPv4{
			Version: 4, TTL: 64, SrcIP: stranger().AsSlice(), DstIP: s.top.VIP.AsSlice(),
		},
		port:      30000,
		forwarded: "forwarded_" + strings.ToLower(kind),
	}
}

func (g *forger) cases() []badCase {
	return []badCase{
		{"frames cut at every length", "truncated", append(everyLength(g.tcp(64)), everyLength(g.udp(64))...), false},
		{"packets that say they are longer", "truncated", [][]byte{
			ipLength(g.tcp(64), tcpPacket+1), ipLength(g.tcp(64), 0xffff), ipLength(g.udp(64), 1500),
		}, false},
		{"impossible IP headers", "bad_header", [][]byte{
			set(g.tcp(64), ipAt, 0x44), set(g.tcp(64), ipAt, 0x40), set(g.tcp(64), ipAt, 0x65), set(g.udp(64), ipAt, 0x05),
			ipLength(g.tcp(64), 0), ipLength(g.tcp(64), ipLen-1), set(ipLength(g.tcp(64), 59), ipAt, 0x4f),
		}, false},
		{"impossible TCP headers", "bad_header", [][]byte{
			set(g.tcp(64), l4At+12, 0x40), set(g.tcp(64), l4At+12, 0), set(g.tcp(64), l4At+12, 0xf0),
			ipLength(g.tcp(64), ipLen+tcpLen-1), ipLength(g.tcp(64), ipLen),
		}, false},
		{"impossible UDP headers", "bad_header", [][]byte{
			set(g.udp(64), l4At+4, 0, udpLen-1), set(g.udp(64), l4At+4, 0xff, 0xff), ipLength(g.udp(64), ipLen+udpLen-1),
		}, false},
		{"IP options", "ip_options", [][]byte{options(g.tcp(64), 4), options(g.tcp(64), 40), options(g.udp(64), 20)}, false},
		{"fragments", "fragment", [][]byte{
			set(g.tcp(64), ipAt+6, 0x20, 0), set(g.tcp(64), ipAt+6, 0x20, 1), set(g.tcp(64), ipAt+6, 0, 1), set(g.udp(64), ipAt+6, 0x1f, 0xff),
		}, false},
		{"VLAN tags", "vlan_tag", [][]byte{
			tagged(g.tcp(64), 0x8100), tagged(g.udp(64), 0x8100),
		}, false},
		// An outer tag of 802.1ad would be taken off by the lab's bridge and travel beside the frame.
		{"two VLAN tags", "double_tag", [][]byte{
			tagged(tagged(g.tcp(64), 0x8100), 0x8100), tagged(tagged(g.udp(64), 0x8100), 0x8100),
		}, false},
		{"other protocols", "other_protocol", [][]byte{set(g.tcp(64), ipAt+9, 47), set(g.tcp(64), ipAt+9, 50), set(g.udp(64), ipAt+9, 0)}, false},
		{"IPv4 headers in a frame of IPv6", "bad_header", [][]byte{set(g.tcp(64), 12, 0x86, 0xdd)}, false},
		{"segments of no connection", "no_flow", [][]byte{
			flags(g.tcp(64), "A"), flags(g.tcp(64), ""), flags(g.tcp(64), "FPU"), flags(g.tcp(64), "SR"), flags(g.tcp(64), "FA"),
		}, false},
		{"client port 20", "source_port_20", [][]byte{set(g.tcp(64), l4At, 0, 20)}, false},
		{"a port without service", "no_service", [][]byte{set(g.tcp(64), l4At+2, 0, 81)}, false},
		{"used up times to live", "time_exceeded", [][]byte{g.tcp(1), g.tcp(0), g.udp(1)}, false},
		// A checksum is for the server to judge: a bad one stays bad.
		{"bad checksums", g.forwarded, [][]byte{
			flip(g.tcp(64), ipAt+10), flip(g.tcp(64), ipAt+11), flip(g.tcp(64), l4At+16), flip(g.tcp(64), l4At+17), flip(g.udp(64), l4At+6),
		}, true},
	}
}

// tcp returns a frame that opens a connection.
func (g *forger) tcp(ttl uint8) []byte {
	g.port++
	return g.frame(ttl, layers.IPProtocolTCP, &layers.TCP{SrcPort: layers.TCPPort(g.port), DstPort: 80, SYN: true, Window: 1000, Seq: 7})
}

// udp returns a frame that opens a flow.
func (g *forger) udp(ttl uint8) []byte {
	g.port++
	return g.frame(ttl, layers.IPProtocolUDP, &layers.UDP{SrcPort: layers.UDPPort(g.port), DstPort: 53})
}

func (g *forger) frame(ttl uint8, proto layers.IPProtocol, l4 interface {
	gopacket.SerializableLayer
	SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
}) []byte {
	ip := g.ip
	ip.TTL, ip.Protocol = ttl, proto
	buf := gopacket.NewSerializeBuffer()
	err := l4.SetNetworkLayerForChecksum(&ip)
	if err == nil {
		err = gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
			&g.eth, &ip, l4, gopacket.Payload(payload))
	}
	if err != nil {
		panic(err) // of constant input
	}
	return bytes.Clone(buf.Bytes())
}

// everyLength returns the frame cut at each length from the bare Ethernet
// header to one byte less than all.
func everyLength(frame []byte) [][]byte {
	var cut [][]byte
	for n := etherLen; n < len(frame); n++ {
		cut = append(cut, frame[:n])
	}
	return cut
}

// set replaces bytes.
func set(frame []byte, at int, with ...byte) []byte {
	copy(frame[at:], with)
	return frame
}

// flip makes a checksum wrong.
func flip(frame []byte, at int) []byte {
	frame[at] ^= 0x55
	return frame
}

// ipLength writes another total length.
func ipLength(frame []byte, n int) []byte {
	binary.BigEndian.PutUint16(frame[ipAt+2:], uint16(n))
	return frame
}

// options puts so many bytes of options that say nothing into the IP header.
func options(frame []byte, n int) []byte {
	nops := bytes.Repeat([]byte{1}, n)
	long := append(append(bytes.Clone(frame[:l4At]), nops...), frame[l4At:]...)
	long[ipAt] += byte(n / 4)
	return ipLength(long, len(long)-etherLen)
}

// tagged puts a VLAN tag before the frame's type.
func tagged(frame []byte, tag uint16) []byte {
	long := binary.BigEndian.AppendUint16(bytes.Clone(frame[:12]), tag)
	return append(append(long, 0, 100), frame[12:]...)
}

// flags replaces TCP's flags by those of these letters.
func flags(frame []byte, letters string) []byte {
	var b byte
	for _, l := range letters {
		b |= 1 << strings.IndexRune("FSRPAU", l)
	}
	return set(frame, l4At+13, b)
}
