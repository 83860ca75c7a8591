//go:build bpf

package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/evenkeel/evenkeel/bpf/reasons"
)

// router stands between the client and us, or between us and the servers.
var router = netip.MustParseAddrPort("198.51.100.7:0")

// notice is an ICMP or ICMPv6 error in a test frame.
type notice struct {
	from, to  [6]byte
	src, dst  netip.Addr
	typ, code uint8
	rest      uint32
	ttl       uint8  // default 64
	quote     []byte // the IP packet, cut where the router cut it
}

func (n notice) bytes(tb testing.TB) []byte {
	tb.Helper()
	if n.ttl == 0 {
		n.ttl = 64
	}
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr(n.from[:]), DstMAC: net.HardwareAddr(n.to[:]), EthernetType: layers.EthernetTypeIPv4}
	rest := binary.BigEndian.AppendUint32(nil, n.rest)
	var list []gopacket.SerializableLayer
	if n.src.Is4() {
		list = []gopacket.SerializableLayer{
			eth,
			&layers.IPv4{Version: 4, IHL: 5, Id: 9, TTL: n.ttl, Protocol: 1, SrcIP: n.src.AsSlice(), DstIP: n.dst.AsSlice()},
			&layers.ICMPv4{
				TypeCode: layers.CreateICMPv4TypeCode(n.typ, n.code),
				Id:       binary.BigEndian.Uint16(rest), Seq: binary.BigEndian.Uint16(rest[2:]),
			},
			gopacket.Payload(n.quote),
		}
	} else {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: n.ttl, NextHeader: 58, SrcIP: n.src.AsSlice(), DstIP: n.dst.AsSlice()}
		message := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(n.typ, n.code)}
		if err := message.SetNetworkLayerForChecksum(ip); err != nil {
			tb.Fatal(err)
		}
		list = []gopacket.SerializableLayer{eth, ip, message, gopacket.Payload(append(rest, n.quote...))}
	}
	buffer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, list...); err != nil {
		tb.Fatal(err)
	}
	return buffer.Bytes()
}

func (n notice) with(change func(*notice)) notice {
	change(&n)
	return n
}

// quoteOf is what an error quotes of a packet: its header and n bytes of what
// follows, all with a negative n.
func quoteOf(tb testing.TB, f frame, n int) []byte {
	tb.Helper()
	whole := f.bytes(tb)[14:]
	header := 40 + len(f.ext)
	if f.src.Addr().Is4() {
		header = int(whole[0]&15) * 4
		whole = whole[:binary.BigEndian.Uint16(whole[2:])] // without Ethernet's padding
	}
	if n < 0 || header+n > len(whole) {
		return whole
	}
	return whole[:header+n]
}

// translated is a quote with other addresses and ports, and still the sum of TCP
// or UDP as it was.
func translated(tb testing.TB, quote []byte, f frame) []byte {
	tb.Helper()
	out := quoteOf(tb, f, -1)[:len(quote)]
	header := 40 + len(f.ext)
	if f.src.Addr().Is4() {
		header = int(out[0]&15) * 4
	}
	ports := bytes.Clone(out[header : header+4])
	copy(out[header:], quote[header:])
	copy(out[header:], ports)
	return out
}

// errorKinds are all the errors there are: types and codes, and the second word.
func errorKinds(six family) []notice {
	if six {
		return []notice{
			{typ: 1, code: 0}, {typ: 1, code: 4}, {typ: 2, rest: 1280}, {typ: 3, code: 0}, {typ: 4, code: 1, rest: 6}, {typ: 127},
		}
	}
	return []notice{{typ: 3, code: 1}, {typ: 3, code: 3}, {typ: 3, code: 4, rest: 1400}, {typ: 4}, {typ: 11, code: 0}, {typ: 11, code: 1}}
}

// opened is a service whose client has a TCP and a UDP flow, and their packets.
func opened(t *testing.T, r *rig, six family) []frame {
	t.Helper()
	flows := []frame{six.syn(), six.datagram("question")}
	for _, f := range flows {
		if got := r.sendAny(f); got.Verdict() != reasons.Forward {
			t.Fatal(got)
		}
	}
	return flows
}

// answerOf is the server's answer as the client gets it, on which a router comments.
func answerOf(f frame) frame {
	f.from, f.to, f.src, f.dst = ownMAC, clientMAC, f.dst, f.src
	f.flags, f.payload, f.ttl = "A", strings.Repeat("answer", 20), 61
	return f
}

// aboutAnswer is an error about the answer to a client's packet.
func aboutAnswer(tb testing.TB, six family, f frame, kind notice, n int) notice {
	kind.from, kind.to = clientMAC, ownMAC
	kind.src, kind.dst = six.of(router).Addr(), six.of(vip).Addr()
	kind.quote = quoteOf(tb, answerOf(f), n)
	return kind
}

// Errors about answers go to the flow's server, with what they quote translated for
// NAT and untouched for DR (ipvs.md 6, sequence 20: need-frag).
func TestErrorsAboutAnswersGoToTheServer(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		for _, forward := range []EkForward{EkForwardFORWARD_NAT, EkForwardFORWARD_DR} {
			r := newServiceOf(t, six, forward)
			for _, f := range opened(t, r, six) {
				for _, kind := range errorKinds(six) {
					for _, n := range []int{8, 9, 33, -1} {
						about := aboutAnswer(t, six, f, kind, n)
						out := r.send(about.bytes(t), xdpTX, reasons.ForwardedICMP)
						want := about
						want.from, want.to, want.ttl = ownMAC, serverMAC, 63
						if forward == EkForwardFORWARD_NAT {
							want.dst = six.of(real2).Addr()
							answer := answerOf(f)
							answer.src = six.of(real2)
							want.quote = translated(t, about.quote, answer)
						}
						wantFrame(t, out, want.bytes(t))
					}
				}
			}
		}
	})
}

// By TUN the error is wrapped as a packet of the client would be.
func TestErrorsAboutAnswersGoThroughTheTunnel(t *testing.T) {
	eachPair(t, func(t *testing.T, inner, outer family) {
		r := newTunnel(t, inner, outer)
		for _, f := range opened(t, r, inner) {
			about := aboutAnswer(t, inner, f, errorKinds(inner)[2], 100)
			out := r.send(about.bytes(t), xdpTX, reasons.ForwardedICMP)
			want := about.with(func(n *notice) { n.ttl = 63 }).bytes(t)[14:]
			header := 20
			if outer {
				header = 40
			}
			if !bytes.Equal(out[14+header:], want) {
				t.Errorf("the tunnel carries\n% x\nwant\n% x", out[14+header:], want)
			}
			if next := out[14+9]; !bool(outer) && !bool(inner) && next != 4 {
				t.Errorf("outer protocol %d", next)
			}
			if !bool(outer) && checksum(out[14:34]) != 0 {
				t.Error("the outer checksum is wrong")
			}
			if to := slicedAddr(t, out, outer, true); to != outer.of(real1).Addr() {
				t.Errorf("to %s", to)
			}
		}
	})
}

// slicedAddr is the source or destination in a frame.
func slicedAddr(tb testing.TB, b []byte, six family, destination bool) netip.Addr {
	tb.Helper()
	at, size := 26, 4
	if six {
		at, size = 22, 16
	}
	if destination {
		at += size
	}
	addr, _ := netip.AddrFromSlice(b[at : at+size])
	return addr
}

// aboutRequest is an error of the server itself, or of a router in front of it, about
// what NAT sent it.
func aboutRequest(tb testing.TB, six family, f frame, from netip.AddrPort, kind notice, n int) notice {
	sent := toServer(f, six.of(real2))
	kind.from, kind.to = serverMAC, ownMAC
	kind.src, kind.dst = six.of(from).Addr(), six.of(client).Addr()
	kind.quote = quoteOf(tb, sent, n)
	return kind
}

// Errors about what NAT sent to a server, from the server or a router in front of it,
// reach the client in the service's name.
func TestErrorsOfNATServersGoToTheClient(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		for _, f := range opened(t, r, six) {
			for _, kind := range errorKinds(six) {
				for _, n := range []int{8, 11, -1} {
					for _, from := range []netip.AddrPort{real2, router} {
						about := aboutRequest(t, six, f, from, kind, n)
						out := r.send(about.bytes(t), xdpTX, reasons.ForwardedICMPReply)
						want := about
						want.from, want.to, want.ttl, want.src = ownMAC, clientMAC, 63, six.of(vip).Addr()
						want.quote = translated(t, about.quote, f.with(func(f *frame) { f.ttl = 63 }))
						wantFrame(t, out, want.bytes(t))
					}
				}
			}
		}
	})
}

// An error moves no state, no time of death and no counter but the totals.
func TestErrorsKeepNoFlowAlive(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedNAT)
	before, _, err := r.flow(syn().tuple())
	if err != nil {
		t.Fatal(err)
	}
	r.advance(30 * time.Second)
	in := aboutAnswer(t, false, syn(), notice{typ: 3, code: 1}, 8).bytes(t)
	out := aboutRequest(t, false, syn(), real2, notice{typ: 3, code: 1}, 8).bytes(t)
	r.send(in, xdpTX, reasons.ForwardedICMP)
	r.send(out, xdpTX, reasons.ForwardedICMPReply)
	after, _, err := r.flow(syn().tuple())
	if err != nil {
		t.Fatal(err)
	}
	if after.Now != before.Now || after.Expires != before.Expires {
		t.Errorf("flow %+v, was %+v", after, before)
	}
	r.wantConns(0, 1, 1)
	want := EkStats{Conns: 1, InPkts: 2, InBytes: 40 + 56, OutPkts: 1, OutBytes: 56}
	if got := r.stats(r.o.EkServerStats, 0); got != want {
		t.Errorf("server: %+v, want %+v", got, want)
	}
	if got := r.stats(r.o.EkServiceStat, 0); got != want {
		t.Errorf("service: %+v, want %+v", got, want)
	}
	r.advance(31 * time.Second)
	r.send(in, xdpPass, reasons.ICMPUnrelated)
	r.send(out, xdpPass, reasons.ICMPUnrelated)
}

// As IPVS: a server that was removed gets the errors of its flows, which count for
// nobody.
func TestErrorsOfADeletedServersFlows(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedNAT)
	r.order(0, nil)
	r.server(0, 0, real2, EkForwardFORWARD_NAT, func(s *EkServer) { s.Flags |= serverDeleted })
	r.send(aboutAnswer(t, false, syn(), notice{typ: 3, code: 1}, 8).bytes(t), xdpTX, reasons.ForwardedICMP)
	r.send(aboutRequest(t, false, syn(), real2, notice{typ: 3, code: 1}, 8).bytes(t), xdpTX, reasons.ForwardedICMPReply)
	if got := r.stats(r.o.EkServerStats, 0); got.InPkts != 1 || got.OutPkts != 0 {
		t.Errorf("counted %+v", got)
	}
}

// No error answers an error (RFC 1122, 3.2.2): what cannot go on ends here.
func TestErrorsAreNeverAnswered(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		flows := opened(t, r, six)
		kind := errorKinds(six)[0]
		old := func(n *notice) { n.ttl = 1 }
		r.send(aboutAnswer(t, six, flows[0], kind, 8).with(old).bytes(t), xdpDrop, reasons.TTLExceeded)
		r.send(aboutRequest(t, six, flows[0], real2, kind, 8).with(old).bytes(t), xdpDrop, reasons.TTLExceeded)
		r.server(0, 0, six.of(real2), EkForwardFORWARD_NAT, func(s *EkServer) { s.Mtu = 60 })
		r.send(aboutAnswer(t, six, flows[0], kind, -1).bytes(t), xdpDrop, reasons.TooBig)
		r.server(0, 0, six.of(real2), EkForwardFORWARD_NAT, func(s *EkServer) { s.Flags = 0 })
		r.send(aboutAnswer(t, six, flows[0], kind, 8).bytes(t), xdpDrop, reasons.NoNextHop)
		r.server(0, 0, six.of(real2), EkForwardFORWARD_NAT, func(s *EkServer) { s.Flags = serverLocal })
		r.send(aboutAnswer(t, six, flows[0], kind, 8).bytes(t), xdpPass, reasons.LocalServer)
	})
}

// Errors that are nobody's here go up unchanged.
func TestUnrelatedErrorsAreTheKernels(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		nat, dr := newServiceOf(t, six, EkForwardFORWARD_NAT), newServiceOf(t, six, EkForwardFORWARD_DR)
		f := opened(t, nat, six)[0]
		opened(t, dr, six)
		kind := errorKinds(six)[0]
		answer, request := aboutAnswer(t, six, f, kind, 8), aboutRequest(t, six, f, real2, kind, 8)
		requestByDR := request.with(func(n *notice) { n.quote = quoteOf(t, f, 8) })
		echo := uint8(8)
		if six {
			echo = 128
		}
		for _, c := range []struct {
			name   string
			r      *rig
			about  notice
			reason reasons.Reason
		}{
			{"echo request", nat, notice{from: clientMAC, to: ownMAC, src: answer.src, dst: answer.dst, typ: echo, quote: answer.quote}, reasons.OtherProtocol},
			{"other port", nat, aboutAnswer(t, six, f.fromPort(1), kind, 8), reasons.ICMPUnrelated},
			{"other server", nat, aboutRequest(t, six, f.fromPort(1), real2, kind, 8), reasons.ICMPUnrelated},
			{"about a request by DR", dr, requestByDR, reasons.ICMPUnrelated},
			{"seven bytes of TCP", nat, aboutAnswer(t, six, f, kind, 7), reasons.ICMPUnrelated},
			{"header alone", nat, aboutAnswer(t, six, f, kind, 0), reasons.ICMPUnrelated},
			{"half a header", nat, answer.with(func(n *notice) { n.quote = n.quote[:10] }), reasons.ICMPUnrelated},
			{"nothing quoted", nat, answer.with(func(n *notice) { n.quote = nil }), reasons.ICMPUnrelated},
			{"for another address than the quoted", nat, answer.with(func(n *notice) { n.dst = six.of(real3).Addr() }), reasons.ICMPUnrelated},
			{"quoted version", nat, answer.with(func(n *notice) { n.quote = append([]byte{n.quote[0] ^ 0x30}, n.quote[1:]...) }), reasons.ICMPUnrelated},
			{"broadcast", nat, answer.with(func(n *notice) { n.to = [6]byte{255, 255, 255, 255, 255, 255} }), reasons.NotOurMAC},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.r.tb = t
				in := c.about.bytes(t)
				wantFrame(t, c.r.send(in, xdpPass, c.reason), in)
			})
		}
	})
}

// A quoted IPv4 packet may have options, and be the first fragment but no later one.
func TestQuotedIPv4(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	f := opened(t, r, false)[0]
	for _, c := range []struct {
		name   string
		change func(*layers.IPv4)
		reason reasons.Reason
	}{
		{"options", func(ip *layers.IPv4) { ip.Options = []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}} }, reasons.ForwardedICMP},
		{"longest options", func(ip *layers.IPv4) {
			for range 40 {
				ip.Options = append(ip.Options, layers.IPv4Option{OptionType: 1})
			}
		}, reasons.ForwardedICMP},
		{"first fragment", func(ip *layers.IPv4) { ip.Flags = layers.IPv4MoreFragments }, reasons.ForwardedICMP},
		{"later fragment", func(ip *layers.IPv4) { ip.FragOffset = 1 }, reasons.ICMPUnrelated},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.tb = t
			answer := answerOf(f).with(func(f *frame) { f.ip = c.change })
			about := aboutAnswer(t, false, f, notice{typ: 3, code: 4, rest: 1000}, 8)
			about.quote = quoteOf(t, answer, 8)
			want := about
			if c.reason == reasons.ICMPUnrelated {
				wantFrame(t, r.send(about.bytes(t), xdpPass, c.reason), want.bytes(t))
				return
			}
			want.from, want.to, want.ttl, want.dst = ownMAC, serverMAC, 63, real2.Addr()
			answer.src = real2
			want.quote = translated(t, about.quote, answer)
			wantFrame(t, r.send(about.bytes(t), xdpTX, c.reason), want.bytes(t))
		})
	}
}

// The same for IPv6, whose fragments have a header for it.
func TestQuotedIPv6(t *testing.T) {
	r := newServiceOf(t, six, EkForwardFORWARD_NAT)
	f := opened(t, r, six)[0]
	for _, c := range []struct {
		name   string
		typ    uint8
		ext    []byte
		reason reasons.Reason
	}{
		{"options", 60, hop(6, 2), reasons.ForwardedICMP},
		{"first fragment", 44, []byte{6, 0, 0, 1, 0, 0, 0, 9}, reasons.ForwardedICMP},
		{"first fragment with options", 44, append([]byte{60, 0, 0, 1, 0, 0, 0, 9}, hop(6, 1)...), reasons.ForwardedICMP},
		{"later fragment", 44, []byte{6, 0, 0, 9, 0, 0, 0, 9}, reasons.ICMPUnrelated},
		{"routing header", 43, hop(6, 1), reasons.ICMPUnrelated},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.tb = t
			answer := answerOf(f).with(func(f *frame) { f.extType, f.ext = c.typ, c.ext })
			about := aboutAnswer(t, six, f, notice{typ: 2, rest: 1280}, 8)
			about.quote = quoteOf(t, answer, 8)
			want := about
			if c.reason == reasons.ICMPUnrelated {
				wantFrame(t, r.send(about.bytes(t), xdpPass, c.reason), want.bytes(t))
				return
			}
			want.from, want.to, want.ttl, want.dst = ownMAC, serverMAC, 63, six.of(real2).Addr()
			answer.src = six.of(real2)
			want.quote = translated(t, about.quote, answer)
			wantFrame(t, r.send(about.bytes(t), xdpTX, c.reason), want.bytes(t))
		})
	}
}

// An error cut at any length goes up, whatever its lengths say.
func TestErrorsCutAtEveryLength(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		whole := aboutAnswer(t, six, opened(t, r, six)[0], errorKinds(six)[0], 8).bytes(t)
		for n := 14; n < len(whole); n++ {
			wantFrame(t, r.send(whole[:n], xdpPass, reasons.Truncated), whole[:n])
			short := bytes.Clone(whole[:n]) // its length says the truth
			switch {
			case bool(six) && n >= 54:
				binary.BigEndian.PutUint16(short[18:], uint16(n-54))
			case !bool(six) && n >= 34:
				binary.BigEndian.PutUint16(short[16:], uint16(n-14))
			default:
				continue
			}
			wantFrame(t, r.send(short, xdpPass, reasons.ICMPUnrelated), short)
		}
	})
}

// A router on the way of the tunnel tells us, and we tell the client, in the service's
// name and with the MTU that is left inside (ipvs.md 2.8).
func TestErrorsAboutTheTunnelGoToTheClient(t *testing.T) {
	for by, between := range map[EkTunnelType]int{EkTunnelTypeTUNNEL_IPIP: 0, EkTunnelTypeTUNNEL_GRE: 4, EkTunnelTypeTUNNEL_GUE: 12} {
		t.Run(fmt.Sprintf("%d bytes between", between), func(t *testing.T) { errorsAboutTheTunnel(t, by, between) })
	}
}

func errorsAboutTheTunnel(t *testing.T, by EkTunnelType, between int) {
	r := newTunnel(t, false, false)
	for slot := range uint32(2) {
		r.tunnelBy(slot, false, by, guePort)
	}
	wrap := func(f frame) []byte { return tunnelledBy(t, f, false, real1, 0, by, 0xc001)[14:] }
	for _, f := range opened(t, r, false) {
		inner := toServer(f, vip)
		wrapped := wrap(inner)
		about := notice{
			from: serverMAC, to: ownMAC, src: router.Addr(), dst: outerSource.Addr(),
			typ: 3, code: 4, rest: 1400, quote: wrapped,
		}
		for _, c := range []struct {
			typ, code uint8
			rest      uint32
			want      uint32
		}{{3, 4, 1400, uint32(1380 - between)}, {3, 4, 80, 80}, {3, 1, 0, 0}, {11, 0, 0, 0}} {
			about.typ, about.code, about.rest = c.typ, c.code, c.rest
			for _, quote := range [][]byte{wrapped, wrapped[:48+between]} {
				about.quote = quote
				answer := r.send(about.bytes(t), xdpTX, reasons.ForwardedICMPReply)
				icmp(t, answer, append(make([]byte, 14), wrapped[20+between:]...), c.typ, c.code)
				if got := binary.BigEndian.Uint32(answer[38:]); got != c.want {
					t.Errorf("type %d code %d says %d, want %d", c.typ, c.code, got, c.want)
				}
			}
		}
		about.quote = wrapped[:47+between]
		r.send(about.bytes(t), xdpPass, reasons.ICMPUnrelated)
		about.quote = wrap(toServer(f.fromPort(1), vip))
		r.send(about.bytes(t), xdpPass, reasons.ICMPUnrelated)
		if between > 0 { // with flags that we never set
			about.quote = slices.Clone(wrapped)
			about.quote[20+between-4] = 0x80
			r.send(about.bytes(t), xdpPass, reasons.ICMPUnrelated)
		}
		loose := inner.with(func(f *frame) { f.ip = func(ip *layers.IPv4) { ip.Flags = 0 } })
		about.typ, about.code, about.quote = 3, 4, wrap(loose)
		r.send(about.bytes(t), xdpDrop, reasons.TooBig)
	}
	r.wantConns(0, 1, 1)
}
