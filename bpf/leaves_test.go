//go:build bpf

package bpf

import (
	"encoding/binary"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/model"
)

// leaves is the whole frame that goes out for a packet, made anew by gopacket with
// all sums; nil where nothing does.
func (w *world) leaves(f frame, in []byte, what fate) []byte {
	w.tb.Helper()
	out := f
	out.from, out.to, out.ttl = ownMAC, slotMAC(what.slot), f.hops()-1
	switch what.reason {
	case reasons.ForwardedDR:
	case reasons.ForwardedTUN:
		// What pads the frame stays behind the end of the packet.
		return append(encapsulated(w.tb, out, w.ipvs.dests[what.slot].Server), in[14+ipSize(in):]...)
	case reasons.ForwardedNAT:
		out.dst = w.ipvs.dests[what.slot].Server.Addr
	case reasons.ForwardedReply:
		out.to, out.src = what.flow.from, what.flow.tuple.dst
	case reasons.PortUnreachable:
		return icmpAnswer(w.tb, f, in, layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4CodePort,
			layers.ICMPv6TypeDestinationUnreachable, layers.ICMPv6CodePortUnreachable)
	case reasons.TimeExceeded:
		return icmpAnswer(w.tb, f, in, layers.ICMPv4TypeTimeExceeded, layers.ICMPv4CodeTTLExceeded,
			layers.ICMPv6TypeTimeExceeded, layers.ICMPv6CodeHopLimitExceeded)
	default:
		if what.reason.Verdict() == reasons.Pass {
			return in
		}
		return nil
	}
	return out.bytes(w.tb)
}

// encapsulated is a frame whose packet is inside another one to a server.
func encapsulated(tb testing.TB, f frame, to model.Server) []byte {
	tb.Helper()
	server := to.Addr.Addr()
	inner := f.bytes(tb)[14:]
	inner = inner[:ipSize(f.bytes(tb))]
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr(f.from[:]), DstMAC: net.HardwareAddr(f.to[:])}
	class, proto, id, df := inner[1], layers.IPProtocolIPv4, binary.BigEndian.Uint16(inner[4:]), layers.IPv4Flag(0)
	switch {
	case f.src.Addr().Is6():
		class, proto, id = inner[0]<<4|inner[1]>>4, layers.IPProtocolIPv6, 0
	case inner[6]&0x40 != 0:
		id, df = 0, layers.IPv4DontFragment
	}
	if class&3 == 3 { // congestion experienced is not the tunnel's
		class &^= 1
	}
	proto, inner = between(proto, f, to.Tunnel, inner)
	src := family(server.Is6()).of(outerSource).Addr().AsSlice()
	var outer gopacket.SerializableLayer
	if server.Is6() {
		eth.EthernetType = layers.EthernetTypeIPv6
		outer = &layers.IPv6{Version: 6, TrafficClass: class, HopLimit: f.ttl, NextHeader: proto, SrcIP: src, DstIP: server.AsSlice()}
	} else {
		eth.EthernetType = layers.EthernetTypeIPv4
		outer = &layers.IPv4{
			Version: 4, IHL: 5, TOS: class, TTL: f.ttl, Id: id, Flags: df, Protocol: proto, SrcIP: src, DstIP: server.AsSlice(),
		}
	}
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, eth, outer, gopacket.Payload(inner)); err != nil {
		tb.Fatal(err)
	}
	return buffer.Bytes()
}

// between puts what a tunnel has behind the outer header before the inner packet.
func between(proto layers.IPProtocol, f frame, by model.Tunnel, inner []byte) (layers.IPProtocol, []byte) {
	switch by.Type {
	case model.IPIP:
	case model.GRE:
		ethertype := layers.EthernetTypeIPv4
		if proto == layers.IPProtocolIPv6 {
			ethertype = layers.EthernetTypeIPv6
		}
		return layers.IPProtocolGRE, append(binary.BigEndian.AppendUint32(nil, uint32(ethertype)), inner...)
	case model.GUE:
		head := binary.BigEndian.AppendUint16(nil, guePortOf(f))
		head = binary.BigEndian.AppendUint16(head, by.Port)
		head = binary.BigEndian.AppendUint32(head, uint32(len(inner)+12)<<16) // and no sum
		head = append(head, 0, byte(proto), 0, 0)
		return layers.IPProtocolUDP, append(head, inner...)
	}
	return proto, inner
}

// guePortOf is the source port of a flow in GUE: 14 bits of the client's address and
// the ports by Knuth's multiplier.
func guePortOf(f frame) uint16 {
	mix := uint32(f.src.Port())<<16 | uint32(f.dst.Port())
	for addr := f.src.Addr().AsSlice(); len(addr) > 0; addr = addr[4:] {
		mix ^= binary.BigEndian.Uint32(addr)
	}
	return 0xc000 + uint16(mix*0x9e3779b1>>18)
}

// hops is the time to live that the frame is sent with.
func (f frame) hops() uint8 {
	if f.ttl == 0 {
		return 64
	}
	return f.ttl
}

// ipSize is the length of a frame's IP packet by its header.
func ipSize(frame []byte) int {
	if frame[14]>>4 == 6 {
		return 40 + int(binary.BigEndian.Uint16(frame[18:]))
	}
	return int(binary.BigEndian.Uint16(frame[16:]))
}

// icmpAnswer is an error from the virtual address about a frame.
func icmpAnswer(tb testing.TB, f frame, in []byte, type4, code4, type6, code6 uint8) []byte {
	tb.Helper()
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr(f.to[:]), DstMAC: net.HardwareAddr(f.from[:])}
	src, dst := f.dst.Addr().AsSlice(), f.src.Addr().AsSlice()
	var stack []gopacket.SerializableLayer
	if f.src.Addr().Is4() {
		eth.EthernetType = layers.EthernetTypeIPv4
		ip := &layers.IPv4{Version: 4, IHL: 5, TOS: in[15]&0x1e | 0xc0, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: src, DstIP: dst}
		icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(type4, code4)}
		stack = []gopacket.SerializableLayer{eth, ip, icmp, gopacket.Payload(in[14 : 14+28])}
	} else {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolICMPv6, SrcIP: src, DstIP: dst}
		icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(type6, code6)}
		if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
			tb.Fatal(err)
		}
		quote := append(make([]byte, 4), in[14:min(len(in), 14+1232)]...)
		stack = []gopacket.SerializableLayer{eth, ip, icmp, gopacket.Payload(quote)}
	}
	buffer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
		tb.Fatal(err)
	}
	return buffer.Bytes()
}
