//go:build bpf

package bpf

import (
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var (
	client = netip.MustParseAddrPort("203.0.113.9:4242")
	vip    = netip.MustParseAddrPort("192.0.2.1:80")
	real1  = netip.MustParseAddrPort("10.1.0.1:80")
	real2  = netip.MustParseAddrPort("10.1.0.2:8080")
	real3  = netip.MustParseAddrPort("10.1.0.3:80")
)

// frame describes a test packet; its bytes are made by gopacket, which knows
// nothing of our program, checksums included.
type frame struct {
	from, to [6]byte
	src, dst netip.AddrPort
	proto    uint8
	flags    string // of TCP: any of S A F R P U; of SCTP the chunks (chunkTypes)
	ttl      uint8  // default 64
	payload  string
	noSum    bool // UDP without a checksum
	ip       func(*layers.IPv4)
	ip6      func(*layers.IPv6)
	ext      []byte // extension headers of IPv6, the first of type extType
	extType  uint8
}

// family says which addresses a test uses: false IPv4, true IPv6.
type family bool

func (six family) String() string {
	if six {
		return "IPv6"
	}
	return "IPv4"
}

// eachFamily runs a test with both.
func eachFamily(t *testing.T, test func(*testing.T, family)) {
	for _, six := range []family{false, true} {
		t.Run(six.String(), func(t *testing.T) { test(t, six) })
	}
}

// of is an IPv4 address of the tests in the family.
func (six family) of(a netip.AddrPort) netip.AddrPort {
	if !six {
		return a
	}
	b := a.Addr().As4()
	addr := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0, b[2], 0, b[3], 12: b[0], b[1], b[2], b[3]}
	return netip.AddrPortFrom(netip.AddrFrom16(addr), a.Port())
}

// frame is an IPv4 frame in the family.
func (six family) frame(f frame) frame {
	f.src, f.dst = six.of(f.src), six.of(f.dst)
	return f
}

func (six family) syn() frame                    { return six.frame(syn()) }
func (six family) datagram(payload string) frame { return six.frame(datagram(payload)) }

// header is the length of the IP header.
func (six family) header() int {
	if six {
		return 40
	}
	return 20
}

// syn is a client's first segment to the service.
func syn() frame {
	return frame{from: clientMAC, to: ownMAC, src: client, dst: vip, proto: 6, flags: "S"}
}

// datagram is a client's datagram to the service.
func datagram(payload string) frame {
	return frame{from: clientMAC, to: ownMAC, src: client, dst: vip, proto: 17, payload: payload}
}

func (f frame) with(change func(*frame)) frame {
	change(&f)
	return f
}

func (f frame) flag(flags string) frame {
	f.flags = flags
	return f
}

func (f frame) bytes(tb testing.TB) []byte {
	tb.Helper()
	if f.src.Addr().Is6() {
		return f.bytes6(tb)
	}
	ip := &layers.IPv4{
		Version: 4, IHL: 5, Id: 7, Flags: layers.IPv4DontFragment, TTL: 64, Protocol: layers.IPProtocol(f.proto),
		SrcIP: f.src.Addr().AsSlice(), DstIP: f.dst.Addr().AsSlice(),
	}
	if f.ttl != 0 {
		ip.TTL = f.ttl
	}
	if f.ip != nil {
		f.ip(ip)
	}
	eth := &layers.Ethernet{
		SrcMAC: net.HardwareAddr(f.from[:]), DstMAC: net.HardwareAddr(f.to[:]), EthernetType: layers.EthernetTypeIPv4,
	}
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, eth, ip, f.transport(tb, ip), f.content(tb)); err != nil {
		tb.Fatal(err)
	}
	out := buffer.Bytes()
	if f.noSum {
		out[40], out[41] = 0, 0
	}
	return out
}

func (f frame) bytes6(tb testing.TB) []byte {
	tb.Helper()
	ip := &layers.IPv6{
		Version: 6, HopLimit: 64, NextHeader: layers.IPProtocol(f.proto), TrafficClass: 0x28, FlowLabel: 0x12345,
		SrcIP: f.src.Addr().AsSlice(), DstIP: f.dst.Addr().AsSlice(),
	}
	if f.ttl != 0 {
		ip.HopLimit = f.ttl
	}
	if f.ip6 != nil {
		f.ip6(ip)
	}
	transport := f.transport(tb, ip) // its sum covers the transport's number
	if f.ext != nil {
		ip.NextHeader = layers.IPProtocol(f.extType)
	}
	eth := &layers.Ethernet{
		SrcMAC: net.HardwareAddr(f.from[:]), DstMAC: net.HardwareAddr(f.to[:]), EthernetType: layers.EthernetTypeIPv6,
	}
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	err := gopacket.SerializeLayers(buffer, options, eth, ip, gopacket.Payload(f.ext), transport, f.content(tb))
	if err != nil {
		tb.Fatal(err)
	}
	out := buffer.Bytes()
	if f.noSum {
		at := 14 + 40 + len(f.ext) + 6
		out[at], out[at+1] = 0, 0
	}
	return out
}

// content is what follows the transport's header.
func (f frame) content(tb testing.TB) gopacket.Payload {
	tb.Helper()
	if f.proto == 132 {
		return f.chunks(tb)
	}
	return gopacket.Payload(f.payload)
}

func (f frame) transport(tb testing.TB, ip gopacket.NetworkLayer) gopacket.SerializableLayer {
	tb.Helper()
	switch f.proto {
	case 6:
		tcp := &layers.TCP{
			SrcPort: layers.TCPPort(f.src.Port()), DstPort: layers.TCPPort(f.dst.Port()), Seq: 1000, Window: 4096,
		}
		for _, c := range f.flags {
			switch c {
			case 'S':
				tcp.SYN = true
			case 'A':
				tcp.ACK = true
			case 'F':
				tcp.FIN = true
			case 'R':
				tcp.RST = true
			case 'P':
				tcp.PSH = true
			case 'U':
				tcp.URG = true
			default:
				tb.Fatalf("no TCP flag %q", c)
			}
		}
		if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
			tb.Fatal(err)
		}
		return tcp
	case 17:
		udp := &layers.UDP{SrcPort: layers.UDPPort(f.src.Port()), DstPort: layers.UDPPort(f.dst.Port())}
		if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
			tb.Fatal(err)
		}
		return udp
	case 132:
		return &layers.SCTP{
			SrcPort: layers.SCTPPort(f.src.Port()), DstPort: layers.SCTPPort(f.dst.Port()), VerificationTag: 0x01020304,
		}
	}
	return gopacket.Payload("other")
}

// tuple is the flow key of a client's packet.
func (f frame) tuple() EkFlowKey {
	return EkFlowKey{
		Caddr: wire32(f.src.Addr()), Vaddr: wire32(f.dst.Addr()),
		Cport: wire16(f.src.Port()), Vport: wire16(f.dst.Port()), Proto: f.proto,
	}
}
