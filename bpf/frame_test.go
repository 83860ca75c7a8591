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
	flags    string // of TCP: any of S A F R P U
	ttl      uint8  // default 64
	payload  string
	noSum    bool // UDP without a checksum
	ip       func(*layers.IPv4)
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
	if err := gopacket.SerializeLayers(buffer, options, eth, ip, f.transport(tb, ip), gopacket.Payload(f.payload)); err != nil {
		tb.Fatal(err)
	}
	out := buffer.Bytes()
	if f.noSum {
		out[40], out[41] = 0, 0
	}
	return out
}

func (f frame) transport(tb testing.TB, ip *layers.IPv4) gopacket.SerializableLayer {
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
