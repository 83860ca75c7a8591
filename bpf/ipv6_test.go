//go:build bpf

package bpf

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/evenkeel/evenkeel/bpf/reasons"
)

const six = family(true)

// icmp6 checks an answer: to the sender, from the virtual address, quoting what
// was sent as far as the smallest MTU lets it.
func icmp6(t *testing.T, answer, sent []byte, typ, code uint8) {
	t.Helper()
	p := gopacket.NewPacket(answer, layers.LayerTypeEthernet, gopacket.Default)
	eth := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	if !bytes.Equal(eth.DstMAC, clientMAC[:]) || !bytes.Equal(eth.SrcMAC, ownMAC[:]) {
		t.Errorf("answer from %s to %s", eth.SrcMAC, eth.DstMAC)
	}
	ip := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	if ip.SrcIP.String() != six.of(vip).Addr().String() || ip.DstIP.String() != six.of(client).Addr().String() {
		t.Errorf("answer from %s to %s", ip.SrcIP, ip.DstIP)
	}
	if got := 14 + 40 + int(ip.Length); got != len(answer) || got > 14+1280 {
		t.Errorf("the header says %d bytes of %d", got, len(answer))
	}
	if sum := checksum6(answer[14:]); sum != 0 {
		t.Errorf("ICMPv6 checksum is off by %#x", sum)
	}
	if got := answer[54:56]; got[0] != typ || got[1] != code {
		t.Errorf("answer is type %d code %d", got[0], got[1])
	}
	quote, want := answer[62:], sent[14:min(len(sent), 14+1232)]
	if !bytes.Equal(quote, want) {
		t.Errorf("quotes\n% x of\n% x", quote, want)
	}
}

// checksum6 sums an IPv6 packet without extension headers up; 0 is right.
func checksum6(packet []byte) uint16 {
	pseudo := append([]byte{}, packet[8:40]...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(packet)-40))
	pseudo = append(pseudo, 0, 0, 0, packet[6])
	pseudo = append(pseudo, packet[40:]...)
	if len(pseudo)%2 == 1 {
		pseudo = append(pseudo, 0)
	}
	return checksum(pseudo)
}

func TestICMPv6Answers(t *testing.T) {
	r := newServiceOf(t, six, EkForwardFORWARD_NAT)
	for _, f := range []frame{
		six.syn(), six.datagram("odd"), six.datagram(strings.Repeat("x", 1232-48)),
		six.datagram(strings.Repeat("y", 1233-48)), six.datagram(strings.Repeat("z", 1400)),
	} {
		f.ttl = 1
		sent := f.bytes(t)
		icmp6(t, r.send(sent, xdpTX, reasons.TimeExceeded), sent, 3, 0)
	}
	r.wantConns(0, 1, 1) // as IPVS counts it
	r.order(0, nil, entry{0, 0})
	r.order(1, nil)
	for _, f := range []frame{six.syn().fromPort(1), six.datagram("").fromPort(1), six.datagram("abc").fromPort(1)} {
		sent := f.bytes(t)
		icmp6(t, r.send(sent, xdpTX, reasons.PortUnreachable), sent, 1, 4)
	}
	padded := append(six.syn().fromPort(1).bytes(t), 1, 2, 3, 4)
	icmp6(t, r.send(padded, xdpTX, reasons.PortUnreachable), padded[:len(padded)-4], 1, 4)
}

// hop is a hop-by-hop or destination options header of 8*n bytes before next.
func hop(next uint8, n int) []byte {
	h := make([]byte, 8*n)
	h[0], h[1], h[2], h[3] = next, uint8(n-1), 1, uint8(8*n-4) // PadN
	return h
}

// Extension headers for the ends are skipped, and what they carry is balanced.
func TestExtensionHeadersAreSkipped(t *testing.T) {
	r := newServiceOf(t, six, EkForwardFORWARD_NAT)
	tcp := six.syn().with(func(f *frame) { f.extType, f.ext = 0, hop(6, 1) })
	udp := six.datagram("x").with(func(f *frame) { f.extType, f.ext = 60, append(hop(60, 2), hop(17, 3)...) })
	longest := six.syn().with(func(f *frame) { f.extType, f.ext = 60, hop(6, 58) })
	for _, f := range []frame{tcp, udp, longest} {
		out := r.send(f.bytes(t), xdpTX, reasons.ForwardedNAT)
		wantFrame(t, out, toServer(f, six.of(real2)).bytes(t))
	}
}

func TestWhatTheKernelGetsOfIPv6(t *testing.T) {
	r := newServiceOf(t, six, EkForwardFORWARD_NAT)
	ext := func(kind uint8, b []byte) []byte {
		return six.syn().with(func(f *frame) { f.extType, f.ext = kind, b }).bytes(t)
	}
	whole := six.syn().bytes(t)
	for _, c := range []struct {
		name   string
		frame  []byte
		reason reasons.Reason
	}{
		{"version 4", patched(t, six.syn(), 14, 0x40), reasons.BadHeader},
		{"payload without TCP", patched(t, six.syn(), 18, 0, 19), reasons.BadHeader},
		{"payload beyond the frame", patched(t, six.syn(), 18, 0xff, 0xff), reasons.Truncated},
		{"half a header", whole[:40], reasons.Truncated},
		{"fragment", ext(44, []byte{6, 0, 0, 1, 0, 0, 0, 9}), reasons.Fragment},
		{"fragment behind options", ext(60, append(hop(44, 1), 6, 0, 0, 1, 0, 0, 0, 9)), reasons.Fragment},
		{"routing header", ext(43, hop(6, 1)), reasons.IPOptions},
		{"authentication header", ext(51, hop(6, 2)), reasons.IPOptions},
		{"five extension headers", ext(60, bytes.Join([][]byte{hop(60, 1), hop(60, 1), hop(60, 1), hop(60, 1), hop(6, 1)}, nil)), reasons.IPOptions},
		{"too many options", ext(60, hop(6, 59)), reasons.IPOptions},
		{"options beyond the packet", ext(60, []byte{6, 200, 1, 4, 0, 0, 0, 0}), reasons.IPOptions},
		{"ICMPv6 without sense", six.syn().with(func(f *frame) { f.proto = 58 }).bytes(t), reasons.ICMPUnrelated},
		{"no next header", six.syn().with(func(f *frame) { f.proto = 59 }).bytes(t), reasons.OtherProtocol},
		{"other address", six.syn().with(func(f *frame) { f.dst = six.of(real3) }).bytes(t), reasons.NoService},
		{"segment without a flow", six.syn().flag("A").bytes(t), reasons.NoFlow},
		{"flooded by a switch", patched(t, six.syn(), 0, serverMAC[:]...), reasons.NotOurMAC},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.tb = t
			r.goesUp(c.frame, c.reason)
		})
	}
	r.tb = t
	r.wantConns(0, 0, 0)
}

// The families have services, flows and templates of their own: a v4-mapped
// address on the wire is no IPv4 address.
func TestFamiliesDoNotMix(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	mappedFrame := six.syn()
	mappedFrame.src = netip.AddrPortFrom(netip.MustParseAddr("::ffff:203.0.113.9"), client.Port())
	r.send(mappedFrame.bytes(t), xdpPass, reasons.NoService)
	mappedFrame.dst = netip.AddrPortFrom(netip.AddrFrom16(mapped(vip.Addr())), vip.Port())
	r.send(mappedFrame.bytes(t), xdpPass, reasons.NoService)
	r.wantConns(0, 0, 0)
}

// A template holds the clients of a prefix together, down to the bit.
func TestPersistenceGranularityOfIPv6(t *testing.T) {
	for _, prefix := range []uint8{128, 127, 97, 96, 64, 56, 33, 32, 1} {
		r := newServiceOf(t, six, EkForwardFORWARD_DR)
		r.server(2, 0, six.of(real3), EkForwardFORWARD_DR)
		r.order(0, nil, entry{0, 1}, entry{2, 1})
		r.persistent(6, six.of(vip), 100*time.Second, prefix)
		at := func(bit uint8) frame {
			b := six.of(client).Addr().As16()
			if bit > 0 {
				b[(bit-1)/8] ^= 0x80 >> ((bit - 1) % 8)
			}
			return six.syn().fromAddr(netip.AddrFrom16(b).String())
		}
		first := r.openAnywhere(at(0), 0, 2)
		if prefix < 128 {
			if got := r.openAnywhere(at(prefix+1), 0, 2); got != first {
				t.Errorf("/%d: the neighbour went to slot %d, want %d", prefix, got, first)
			}
		}
		if got := r.openAnywhere(at(prefix), 0, 2); got != 2-first {
			t.Errorf("/%d: the stranger went to slot %d, want %d", prefix, got, 2-first)
		}
		r.release()
	}
}
