//go:build bpf

package bpf

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/evenkeel/evenkeel/bpf/reasons"
)

// outerSource is where tunnels begin.
var outerSource = netip.MustParseAddrPort("10.1.255.254:0")

// tunnelled is a client's frame behind the balancer, in a tunnel to a server.
func tunnelled(tb testing.TB, f frame, six family, server netip.AddrPort, class uint8) []byte {
	tb.Helper()
	return tunnelledBy(tb, f, six, server, class, EkTunnelTypeTUNNEL_IPIP, 0)
}

// tunnelledBy is one of any type; source is GUE's port.
func tunnelledBy(tb testing.TB, f frame, six family, server netip.AddrPort, class uint8, by EkTunnelType, source uint16) []byte {
	tb.Helper()
	inner := toServer(f, f.dst).bytes(tb)[14:]
	inner = inner[:ipLength(inner)]
	proto := layers.IPProtocolIPv4
	df := layers.IPv4DontFragment
	id := uint16(0)
	if inner[0]>>4 == 6 {
		proto, df = layers.IPProtocolIPv6, 0
	} else if binary.BigEndian.Uint16(inner[6:])&0x4000 == 0 {
		df, id = 0, binary.BigEndian.Uint16(inner[4:])
	}
	var between []byte
	switch number := byte(proto); by {
	case EkTunnelTypeTUNNEL_IPIP:
	case EkTunnelTypeTUNNEL_GUE:
		between = binary.BigEndian.AppendUint16(nil, source)
		between = binary.BigEndian.AppendUint16(between, guePort)
		between = binary.BigEndian.AppendUint16(between, uint16(len(inner)+12))
		between = append(between, 0, 0, 0, number, 0, 0)
		proto = layers.IPProtocolUDP
	case EkTunnelTypeTUNNEL_GRE:
		between = []byte{0, 0, 0x08, 0}
		if number == 41 {
			between = []byte{0, 0, 0x86, 0xdd}
		}
		proto = layers.IPProtocolGRE
	}
	inner = append(between, inner...)
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr(ownMAC[:]), DstMAC: net.HardwareAddr(serverMAC[:])}
	var outer gopacket.SerializableLayer
	if six {
		eth.EthernetType = layers.EthernetTypeIPv6
		outer = &layers.IPv6{
			Version: 6, TrafficClass: class, HopLimit: 63, NextHeader: proto,
			SrcIP: six.of(outerSource).Addr().AsSlice(), DstIP: server.Addr().AsSlice(),
		}
	} else {
		eth.EthernetType = layers.EthernetTypeIPv4
		outer = &layers.IPv4{
			Version: 4, IHL: 5, TOS: class, TTL: 63, Flags: df, Id: id, Protocol: proto,
			SrcIP: outerSource.Addr().AsSlice(), DstIP: server.Addr().AsSlice(),
		}
	}
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, eth, outer, gopacket.Payload(inner)); err != nil {
		tb.Fatal(err)
	}
	return buffer.Bytes()
}

// ipLength is the length of an IP packet by its header.
func ipLength(packet []byte) int {
	if packet[0]>>4 == 6 {
		return 40 + int(binary.BigEndian.Uint16(packet[4:]))
	}
	return int(binary.BigEndian.Uint16(packet[2:]))
}

// newTunnel is a rig whose servers are reached by TUN, in a family of their own.
func newTunnel(tb testing.TB, service, server family, change ...func(*EkServer)) *rig {
	tb.Helper()
	r := newServiceOf(tb, service, EkForwardFORWARD_TUN, change...)
	for slot := range uint32(2) {
		r.server(slot, slot, server.of(real1), EkForwardFORWARD_TUN, change...)
		r.tunnel(slot, server)
	}
	return r
}

// tunnel gives a slot its outer source address.
func (r *rig) tunnel(slot uint32, six family) {
	r.tb.Helper()
	r.tunnelBy(slot, six, EkTunnelTypeTUNNEL_IPIP, 0)
}

// tunnelBy is tunnel for any type, to a server of a family.
func (r *rig) tunnelBy(slot uint32, six family, by EkTunnelType, port uint16) {
	r.tb.Helper()
	r.put(r.o.EkTunnels, slot, EkTunnel{Saddr: mapped(six.of(outerSource).Addr()), Type: by, Port: wire16(port)})
	var s EkServer
	if err := r.o.EkServers.Lookup(slot, &s); err != nil {
		r.tb.Fatal(err)
	}
	s.Outer = 0
	if s.Forward == EkForwardFORWARD_TUN && by == EkTunnelTypeTUNNEL_IPIP && !six {
		source := outerSource.Addr().As4()
		s.Outer = binary.NativeEndian.Uint32(source[:])
	}
	r.put(r.o.EkServers, slot, s)
}

func eachPair(t *testing.T, test func(t *testing.T, inner, outer family)) {
	for _, inner := range []family{false, true} {
		for _, outer := range []family{false, true} {
			t.Run(inner.String()+" in "+outer.String(), func(t *testing.T) { test(t, inner, outer) })
		}
	}
}

func TestTUNWrapsThePacket(t *testing.T) {
	eachPair(t, func(t *testing.T, inner, outer family) {
		r := newTunnel(t, inner, outer)
		class := uint8(0) // of the test's frames
		if inner {
			class = 0x28
		}
		for _, f := range []frame{inner.syn(), inner.syn().flag("A"), inner.datagram("hello"), inner.datagram("")} {
			out := r.send(f.bytes(t), xdpTX, reasons.ForwardedTUN)
			wantFrame(t, out[:14+ipLength(out[14:])], tunnelled(t, f, outer, outer.of(real1), class))
		}
		// Ethernet's padding is not taken along as if it were the packet's.
		out := r.send(append(inner.syn().bytes(t), 0, 0, 0), xdpTX, reasons.ForwardedTUN)
		wantFrame(t, out[:14+ipLength(out[14:])], tunnelled(t, inner.syn(), outer, outer.of(real1), class))
		r.wantConns(0, 1, 1)
	})
}

// The class goes to the outer header; congestion met before the tunnel does not
// (RFC 3168, full functionality).
func TestTUNCopiesTheClass(t *testing.T) {
	eachPair(t, func(t *testing.T, inner, outer family) {
		r := newTunnel(t, inner, outer)
		for in, want := range map[uint8]uint8{0xb8: 0xb8, 0x01: 0x01, 0x02: 0x02, 0x03: 0x02, 0xff: 0xfe} {
			f := inner.datagram("long enough for no padding").with(func(f *frame) {
				f.ip = func(ip *layers.IPv4) { ip.TOS, ip.Flags = in, 0 }
				f.ip6 = func(ip *layers.IPv6) { ip.TrafficClass = in }
			})
			wantFrame(t, r.send(f.bytes(t), xdpTX, reasons.ForwardedTUN), tunnelled(t, f, outer, outer.of(real1), want))
		}
	})
}

const guePort = 6080

// The header between is that of RFC 2784, or UDP and that of GUE, variant 0.
func TestTUNByOtherTypes(t *testing.T) {
	for _, by := range []EkTunnelType{EkTunnelTypeTUNNEL_GUE, EkTunnelTypeTUNNEL_GRE} {
		t.Run(map[EkTunnelType]string{EkTunnelTypeTUNNEL_GUE: "GUE", EkTunnelTypeTUNNEL_GRE: "GRE"}[by], func(t *testing.T) {
			eachPair(t, func(t *testing.T, inner, outer family) { tunnelsBy(t, by, inner, outer) })
		})
	}
}

func tunnelsBy(t *testing.T, by EkTunnelType, inner, outer family) {
	added := map[EkTunnelType]int{EkTunnelTypeTUNNEL_GUE: 12, EkTunnelTypeTUNNEL_GRE: 4}[by]
	r := newTunnel(t, inner, outer, func(s *EkServer) { s.Mtu = uint16(100 + outer.header() + added) })
	for slot := range uint32(2) {
		r.tunnelBy(slot, outer, by, guePort)
	}
	class := uint8(0)
	if inner {
		class = 0x28
	}
	sources := map[uint16]int{} // of UDP, of three flows
	long := inner.datagram(strings.Repeat("x", 100-inner.header()-8))
	other := inner.datagram("long enough for no padding")
	other.src = netip.AddrPortFrom(other.src.Addr(), other.src.Port()+1)
	for _, f := range []frame{inner.syn(), inner.datagram("long enough for no padding"), long, other} {
		out := r.send(f.bytes(t), xdpTX, reasons.ForwardedTUN)
		source := binary.BigEndian.Uint16(out[14+outer.header():])
		if by == EkTunnelTypeTUNNEL_GUE && source < 0xc000 {
			t.Errorf("source port %d", source)
		}
		sources[source]++
		wantFrame(t, out[:14+ipLength(out[14:])], tunnelledBy(t, f, outer, outer.of(real1), class, by, source))
	}
	if by == EkTunnelTypeTUNNEL_GUE && len(sources) < 2 {
		t.Errorf("all flows have one source port: %v", sources)
	}
	r.send(inner.datagram(strings.Repeat("x", 101-inner.header()-8)).bytes(t), xdpTX, reasons.FragNeeded)
}

func TestTUNFlowKeepsItsMethod(t *testing.T) {
	r := newTunnel(t, false, false)
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedTUN)
	r.server(0, 0, real1, EkForwardFORWARD_DR)
	r.send(syn().flag("A").bytes(t), xdpTX, reasons.ForwardedTUN)
	r.send(syn().fromPort(1).bytes(t), xdpTX, reasons.ForwardedDR)
}

// Packets that do not fit are answered with the largest that would, by the virtual
// address; the flow counts, as in IPVS.
func TestTooBigIsAnsweredWithTheMTU(t *testing.T) {
	mtu := func(s *EkServer) { s.Mtu = 1400 }
	for _, c := range []struct {
		name    string
		forward EkForward
		outer   family
		fits    int
	}{
		{"DR", EkForwardFORWARD_DR, false, 1400},
		{"NAT", EkForwardFORWARD_NAT, false, 1400},
		{"TUN by IPv4", EkForwardFORWARD_TUN, false, 1380},
		{"TUN by IPv6", EkForwardFORWARD_TUN, true, 1360},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachFamily(t, func(t *testing.T, six family) {
				r := newServiceOf(t, six, c.forward, mtu)
				if c.forward == EkForwardFORWARD_TUN {
					r = newTunnel(t, six, c.outer, mtu)
				}
				payload := c.fits - six.header() - 8
				if got := r.sendAny(six.datagram(strings.Repeat("x", payload))); got.Verdict() != reasons.Forward {
					t.Fatalf("%d bytes: %s", c.fits, got)
				}
				sent := six.datagram(strings.Repeat("x", payload+1)).bytes(t)
				answer := r.send(sent, xdpTX, reasons.FragNeeded)
				if six {
					icmp6(t, answer, sent, 2, 0)
					if got := binary.BigEndian.Uint32(answer[58:]); got != uint32(c.fits) {
						t.Errorf("the answer says %d, want %d", got, c.fits)
					}
				} else {
					icmp(t, answer, sent, 3, 4)
					if got := binary.BigEndian.Uint32(answer[38:]); got != uint32(c.fits) {
						t.Errorf("the answer says %d, want %d", got, c.fits)
					}
					loose := datagram(strings.Repeat("x", payload+1)).with(func(f *frame) { f.ip = func(ip *layers.IPv4) { ip.Flags = 0 } })
					r.send(loose.bytes(t), xdpDrop, reasons.TooBig)
				}
				r.wantConns(1, 0, 1)
			})
		})
	}
}

// sendAny runs a frame and returns its reason.
func (r *rig) sendAny(f frame) reasons.Reason {
	r.tb.Helper()
	r.run(f.bytes(r.tb))
	return r.reason()
}

// A reply that does not fit on its way is the virtual address's to answer.
func TestTooBigReplyIsAnswered(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		r.send(six.syn().bytes(t), xdpTX, reasons.ForwardedNAT)
		back := six.frame(frame{
			from: serverMAC, to: ownMAC, src: real2, dst: client, proto: 6, flags: "A", payload: strings.Repeat("x", 1000),
		})
		r.send(back.bytes(t), xdpTX, reasons.ForwardedReply) // the route is looked up
		r.setReplyMTU(six, 900)
		sent := back.bytes(t)
		answer := r.send(sent, xdpTX, reasons.FragNeeded)
		at, size := 26, 4
		if six {
			at, size = 22, 16
		}
		from, _ := netip.AddrFromSlice(answer[at : at+size])
		to, _ := netip.AddrFromSlice(answer[at+size : at+2*size])
		if from != six.of(vip).Addr() || to != six.of(real2).Addr() {
			t.Errorf("answer from %s to %s", from, to)
		}
		if bool(six) && checksum6(answer[14:]) != 0 || !bool(six) && checksum(answer[34:]) != 0 {
			t.Errorf("the checksum is wrong: % x", answer)
		}
	})
}

// setReplyMTU writes the MTU of the replies' way into the flow of syn.
func (r *rig) setReplyMTU(six family, mtu uint16) {
	r.tb.Helper()
	var f EkFlow
	if !six {
		f, shard, err := r.flow(syn().tuple())
		if err != nil {
			r.tb.Fatal(err)
		}
		f.ReplyMtu = mtu
		r.put(shard, syn().tuple(), f)
		return
	}
	var key EkFlow6Key
	r.shards(r.o.EkFlows6, func(m *ebpf.Map) {
		var k EkFlow6Key
		var v EkFlow
		for it := m.Iterate(); it.Next(&k, &v); {
			key, f = k, v
			f.ReplyMtu = mtu
			r.put(m, key, f)
		}
	})
}

// A server that is this machine gets the packet as it came, and counts.
func TestLocalServerGetsThePacket(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_DR, func(s *EkServer) { s.Flags = serverLocal })
		for _, f := range []frame{six.syn(), six.syn().flag("A"), six.datagram("x")} {
			f.ttl = 1
			wantFrame(t, r.send(f.bytes(t), xdpPass, reasons.LocalServer), f.bytes(t))
		}
		r.wantConns(0, 1, 1)
		r.wantConns(1, 0, 1)
	})
}
