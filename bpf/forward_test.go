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
	"github.com/evenkeel/evenkeel/sched"
)

// newService is a rig with one IPv4 service, TCP and UDP, and one server.
func newService(tb testing.TB, forward EkForward, change ...func(*EkServer)) *rig {
	tb.Helper()
	return newServiceOf(tb, false, forward, change...)
}

// newServiceOf is newService in a family.
func newServiceOf(tb testing.TB, six family, forward EkForward, change ...func(*EkServer)) *rig {
	tb.Helper()
	r := newRig(tb, 1024, sched.Profile{})
	r.serve(six, forward, change...)
	return r
}

// serve makes what newServiceOf has.
func (r *rig) serve(six family, forward EkForward, change ...func(*EkServer)) {
	r.tb.Helper()
	r.service(0, 6, six.of(vip))
	r.service(1, 17, six.of(vip))
	addr := real1
	if forward == EkForwardFORWARD_NAT {
		addr = real2 // the port changes too
	}
	r.server(0, 0, six.of(addr), forward, change...)
	r.server(1, 1, six.of(addr), forward, change...)
	r.order(0, nil, entry{0, 1})
	r.order(1, nil, entry{1, 1})
}

func wantFrame(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("frame\n% x\nwant\n% x", got, want)
	}
}

// toServer is what a client's packet looks like behind the balancer.
func toServer(f frame, server netip.AddrPort) frame {
	f.from, f.to, f.dst, f.ttl = ownMAC, serverMAC, server, 63
	return f
}

func TestDRChangesFrameAndTTLOnly(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_DR)
		for _, f := range []frame{
			six.syn(), six.datagram("hello"), six.datagram("hello").with(func(f *frame) { f.noSum = true }),
		} {
			out := r.send(f.bytes(t), xdpTX, reasons.ForwardedDR)
			wantFrame(t, out, toServer(f, six.of(vip)).bytes(t))
		}
	})
}

func TestNATRewritesTheDestination(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		for _, f := range []frame{
			six.syn(), six.datagram("hello"), six.datagram("odd length!"), six.datagram(""),
			six.datagram("hello").with(func(f *frame) { f.noSum = true }),
		} {
			out := r.send(f.bytes(t), xdpTX, reasons.ForwardedNAT)
			wantFrame(t, out, toServer(f, six.of(real2)).bytes(t))
		}
	})
}

// A UDP checksum that comes out as 0 is sent as 0xffff, since 0 says that
// there is none (RFC 768).
func TestNATNeverMakesAUDPChecksumVanish(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		f, at := six.datagram("xx"), 14+six.header()+6
		for v := range 1 << 16 {
			f.payload = string([]byte{byte(v >> 8), byte(v)})
			want := toServer(f, six.of(real2)).bytes(t)
			if binary.BigEndian.Uint16(want[at:]) != 0xffff {
				continue
			}
			for range 4 { // the last by the copy
				wantFrame(t, r.send(f.bytes(t), xdpTX, reasons.ForwardedNAT), want)
				r.advance(20 * time.Millisecond)
			}
			if got := r.copies(); len(got) != 1 {
				t.Errorf("copies %x, want one", got)
			}
			return
		}
		t.Fatal("no payload has the checksum 0xffff behind NAT")
	})
}

func TestWrongChecksumsStayWrong(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		in, want := six.syn().bytes(t), toServer(six.syn(), six.of(real2)).bytes(t)
		at := 14 + six.header() + 17 // the low byte of the TCP checksum; the sums here leave room
		in[at]++
		want[at]++
		wantFrame(t, r.send(in, xdpTX, reasons.ForwardedNAT), want)
	})
}

func TestRepliesOfNATComeFromTheService(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		for _, f := range []frame{six.syn(), six.datagram("ping")} {
			r.send(f.bytes(t), xdpTX, reasons.ForwardedNAT)
			back := six.frame(frame{
				from: serverMAC, to: ownMAC, src: real2, dst: client, proto: f.proto, flags: "SA", payload: "pong",
			})
			out := r.send(back.bytes(t), xdpTX, reasons.ForwardedReply)
			back.from, back.to, back.src, back.ttl = ownMAC, clientMAC, six.of(vip), 63
			wantFrame(t, out, back.bytes(t))
		}
	})
}

func TestServerPacketWithoutFlowIsTheKernels(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	back := frame{from: serverMAC, to: ownMAC, src: real2, dst: client, proto: 6, flags: "SA"}
	wantFrame(t, r.send(back.bytes(t), xdpPass, reasons.NoService), back.bytes(t))
}

func TestOtherInterfaceIsARedirect(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR, func(s *EkServer) { s.Ifindex, s.Smac = outside, farMAC })
	out := r.send(syn().bytes(t), xdpRedirect, reasons.ForwardedDR)
	want := toServer(syn(), vip)
	want.from = farMAC
	wantFrame(t, out, want.bytes(t))
}

func TestPaddingAndPayloadStay(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	padded := append(syn().bytes(t), 0, 0, 0, 0, 0, 0)
	want := append(toServer(syn(), vip).bytes(t), 0, 0, 0, 0, 0, 0)
	wantFrame(t, r.send(padded, xdpTX, reasons.ForwardedDR), want)
	big := datagram(strings.Repeat("x", 1400))
	wantFrame(t, r.send(big.bytes(t), xdpTX, reasons.ForwardedDR), toServer(big, vip).bytes(t))
}

func TestStatistics(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		r.send(six.syn().bytes(t), xdpTX, reasons.ForwardedNAT)
		r.send(six.syn().flag("A").bytes(t), xdpTX, reasons.ForwardedNAT)
		back := frame{from: serverMAC, to: ownMAC, src: real2, dst: client, proto: 6, flags: "A", payload: "1234"}
		r.send(six.frame(back).bytes(t), xdpTX, reasons.ForwardedReply)
		header := uint64(six.header())
		want := EkStats{Conns: 1, InPkts: 2, InBytes: 2 * (header + 20), OutPkts: 1, OutBytes: header + 24}
		if got := r.stats(r.o.EkServerStats, 0); got != want {
			t.Errorf("server: %+v, want %+v", got, want)
		}
		if got := r.stats(r.o.EkServiceStat, 0); got != want {
			t.Errorf("service: %+v, want %+v", got, want)
		}
	})
}

func TestNoWayToTheServer(t *testing.T) {
	unresolved := newService(t, EkForwardFORWARD_DR, func(s *EkServer) { s.Flags = 0 })
	unresolved.send(syn().bytes(t), xdpDrop, reasons.NoNextHop)
	unresolved.wantConns(0, 1, 1) // as IPVS: the flow is bound before it is sent
}

func TestDeletedServerDropsItsFlowsSilently(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedDR)
	r.order(0, nil)
	r.server(0, 0, real1, EkForwardFORWARD_DR, func(s *EkServer) { s.Flags |= serverDeleted })
	r.send(syn().flag("A").bytes(t), xdpDrop, reasons.ServerDeleted)
	r.wantConns(0, 1, 1)
	r.server(0, 0, real1, EkForwardFORWARD_DR)
	r.send(syn().flag("A").bytes(t), xdpTX, reasons.ForwardedDR)
}

// icmp checks an answer: to the sender, from the virtual address, quoting what
// was sent.
func icmp(t *testing.T, answer, sent []byte, typ, code uint8) {
	t.Helper()
	p := gopacket.NewPacket(answer, layers.LayerTypeEthernet, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatal(e.Error())
	}
	eth := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	if !bytes.Equal(eth.DstMAC, clientMAC[:]) || !bytes.Equal(eth.SrcMAC, ownMAC[:]) {
		t.Errorf("answer from %s to %s", eth.SrcMAC, eth.DstMAC)
	}
	ip := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	if ip.SrcIP.String() != vip.Addr().String() || ip.DstIP.String() != client.Addr().String() {
		t.Errorf("answer from %s to %s", ip.SrcIP, ip.DstIP)
	}
	if got := 14 + int(ip.Length); got != len(answer) {
		t.Errorf("the header says %d bytes of %d", got, len(answer))
	}
	if sum := checksum(answer[14:34]); sum != 0 {
		t.Errorf("IP checksum is off by %#x", sum)
	}
	if sum := checksum(answer[34 : 14+ip.Length]); sum != 0 {
		t.Errorf("ICMP checksum is off by %#x", sum)
	}
	message := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	if message.TypeCode != layers.CreateICMPv4TypeCode(typ, code) {
		t.Errorf("answer is %s", message.TypeCode)
	}
	if quote := message.Payload; !bytes.Equal(quote, sent[14:14+len(quote)]) || len(quote) < 28 {
		t.Errorf("quotes % x of % x", quote, sent[14:])
	}
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func TestNoServerIsPortUnreachable(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	r.order(0, nil, entry{0, 0})
	r.order(1, nil)
	for _, f := range []frame{syn(), datagram(""), datagram(strings.Repeat("x", 1000))} {
		sent := f.bytes(t)
		icmp(t, r.send(sent, xdpTX, reasons.PortUnreachable), sent, 3, 3)
	}
	r.wantConns(0, 0, 0)
}

func TestTTLIsAnsweredNotForwarded(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	for _, ttl := range []uint8{1} {
		sent := syn().with(func(f *frame) { f.ttl = ttl }).bytes(t)
		icmp(t, r.send(sent, xdpTX, reasons.TimeExceeded), sent, 11, 0)
	}
	r.wantConns(0, 1, 1) // as IPVS counts it
	r.send(syn().flag("A").with(func(f *frame) { f.ttl = 2 }).bytes(t), xdpTX, reasons.ForwardedNAT)
	back := frame{from: serverMAC, to: ownMAC, src: real2, dst: client, proto: 6, flags: "A", ttl: 1}
	r.send(back.bytes(t), xdpDrop, reasons.TTLExceeded)
}

func TestAnswersAreLimitedPerSecond(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	settings := EkSettings{LayoutVersion: layoutVersion, IcmpPerSecond: 2}
	copy(settings.Timeout[:], timeouts[:])
	r.put(r.o.EkSettings, uint32(0), settings)
	r.order(0, nil)
	sent := syn().bytes(t)
	r.advance(time.Second)
	onOneCPU(t, func() {
		r.send(sent, xdpTX, reasons.PortUnreachable)
		r.send(sent, xdpTX, reasons.PortUnreachable)
		r.send(sent, xdpDrop, reasons.NoServer)
		r.advance(time.Second)
		r.send(sent, xdpTX, reasons.PortUnreachable)
	})
}
