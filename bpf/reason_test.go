//go:build bpf

package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/evenkeel/evenkeel/bpf/reasons"
)

// patched is the frame with bytes replaced from an offset on.
func patched(tb testing.TB, f frame, at int, b ...byte) []byte {
	out := f.bytes(tb)
	copy(out[at:], b)
	return out
}

// Everything that is not forwarded goes up unchanged, with its reason.
func TestWhatTheKernelGets(t *testing.T) {
	nat := newService(t, EkForwardFORWARD_NAT)
	elsewhere := netip.MustParseAddrPort("192.0.2.99:80")
	for _, c := range []struct {
		name   string
		frame  []byte
		reason reasons.Reason
	}{
		{"ARP", patched(t, syn(), 12, 0x08, 0x06), reasons.NotIP},
		{"length field instead of a type", patched(t, syn(), 12, 0x00, 0x28), reasons.NotIP},
		{"version 4 in a frame of IPv6", patched(t, syn(), 12, 0x86, 0xdd), reasons.BadHeader},
		{"VLAN tag", withTag(syn().bytes(t), 300), reasons.VLANTag},
		{"VLAN tag before another type", patched(t, syn(), 12, 0x81, 0x00), reasons.NotIP},
		{"service VLAN tag", patched(t, syn(), 12, 0x88, 0xa8), reasons.DoubleTag},
		{"broadcast", patched(t, syn(), 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), reasons.NotOurMAC},
		{"flooded by a switch", patched(t, syn(), 0, serverMAC[:]...), reasons.NotOurMAC},
		{"version 5", patched(t, syn(), 14, 0x55), reasons.BadHeader},
		{"header of 16 bytes", patched(t, syn(), 14, 0x44), reasons.BadHeader},
		{"total length below the header", patched(t, syn(), 16, 0, 19), reasons.BadHeader},
		{"total length without TCP", patched(t, syn(), 16, 0, 20), reasons.BadHeader},
		{"total length cuts TCP", patched(t, syn(), 16, 0, 39), reasons.BadHeader},
		{"total length beyond the frame", patched(t, syn(), 16, 0xff, 0xff), reasons.Truncated},
		{"TCP header of 16 bytes", patched(t, syn(), 46, 0x40), reasons.BadHeader},
		{"TCP header beyond the packet", patched(t, syn(), 46, 0x60), reasons.BadHeader},
		{"total length cuts UDP", patched(t, datagram("abc"), 16, 0, 27), reasons.BadHeader},
		{"total length without UDP", patched(t, datagram("abc"), 16, 0, 20), reasons.BadHeader},
		{"UDP length below its header", patched(t, datagram("abc"), 38, 0, 7), reasons.BadHeader},
		{"UDP length beyond the packet", patched(t, datagram("abc"), 38, 0, 12), reasons.BadHeader},
		{"options", syn().with(func(f *frame) {
			f.ip = func(ip *layers.IPv4) { ip.Options = []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}} }
		}).bytes(t), reasons.IPOptions},
		{"first fragment", patched(t, datagram("abc"), 20, 0x20, 0), reasons.Fragment},
		{"later fragment", patched(t, datagram("abc"), 20, 0x00, 0x01), reasons.Fragment},
		{"ICMP", syn().with(func(f *frame) { f.proto = 1 }).bytes(t), reasons.OtherProtocol},
		{"other address", syn().with(func(f *frame) { f.dst = elsewhere }).bytes(t), reasons.NoService},
		{"other port", syn().with(func(f *frame) { f.dst = netip.AddrPortFrom(vip.Addr(), 81) }).bytes(t), reasons.NoService},
		{"segment without a flow", syn().flag("A").bytes(t), reasons.NoFlow},
		{"reset with SYN", syn().flag("SR").bytes(t), reasons.NoFlow},
		{"segment without flags", syn().flag("").bytes(t), reasons.NoFlow},
		{"from port 20", syn().with(func(f *frame) { f.src = netip.AddrPortFrom(client.Addr(), 20) }).bytes(t), reasons.SourcePort20},
	} {
		t.Run(c.name, func(t *testing.T) {
			nat.tb = t
			nat.goesUp(c.frame, c.reason)
		})
	}
	nat.tb = t
	nat.wantConns(0, 0, 0)
	nat.wantConns(1, 0, 0)
}

// A client's packet with IPv4 options goes up unchanged also when it is of a flow, which
// does not see it: neither its state nor a counter changes.
func TestOptionsOfAFlow(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	slot := r.openAnywhere(syn(), 0, 1)
	if slot < 0 {
		t.Fatal("no flow is opened")
	}
	conns, stats := r.conns(uint32(slot)), r.stats(r.o.EkServerStats, uint32(slot))
	var flows []EkFlow
	r.entries(func(f EkFlow) { flows = append(flows, f) })
	frame := syn().flag("R").with(func(f *frame) {
		f.ip = func(ip *layers.IPv4) { ip.Options = []layers.IPv4Option{{OptionType: 1}} }
	}).bytes(t)
	r.goesUp(frame, reasons.IPOptions)
	if got := r.conns(uint32(slot)); got != conns {
		t.Errorf("the server counts %+v, before %+v", got, conns)
	}
	if got := r.stats(r.o.EkServerStats, uint32(slot)); got != stats {
		t.Errorf("the server's counters are %+v, before %+v", got, stats)
	}
	var after []EkFlow
	r.entries(func(f EkFlow) { after = append(after, f) })
	if len(flows) != 1 || !slices.Equal(after, flows) {
		t.Errorf("flows are %+v, before %+v", after, flows)
	}
}

// A frame cut at any length is never forwarded, whatever its lengths say.
func TestTruncatedAtEveryLength(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	for _, f := range []frame{syn(), datagram("payload")} {
		whole := f.bytes(t)
		whole = whole[:14+binary.BigEndian.Uint16(whole[16:])] // without Ethernet's padding
		for n := 14; n < len(whole); n++ {                     // the kernel runs no shorter frame
			r.goesUp(whole[:n], reasons.Truncated)
		}
	}
	r.wantConns(0, 0, 0)
}

func TestSYNWithOtherFlagsOpensAFlow(t *testing.T) {
	for _, flags := range []string{"SA", "SF", "SPU"} {
		r := newService(t, EkForwardFORWARD_DR)
		r.send(syn().flag(flags).bytes(t), xdpTX, reasons.ForwardedDR)
		r.wantConns(0, 1, 1)
	}
}

func TestDisabledPortPassesEverything(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	copied(t, r, false, reasons.ForwardedDR)
	r.put(r.o.EkPorts, uint32(inside), EkPort{Mac: ownMAC})
	r.send(syn().bytes(t), xdpPass, reasons.NotOurMAC)
	r.send(syn().flag("A").bytes(t), xdpPass, reasons.NotOurMAC)
}

// All of the address that a frame is to counts, and nothing of the one that it is from.
func TestOneBitMakesAnotherAddress(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	copied(t, r, false, reasons.ForwardedDR)
	for _, f := range []frame{syn(), syn().flag("A")} {
		for bit := range 2 * 48 {
			frame := f.bytes(t)
			frame[bit/8] ^= 1 << (bit % 8)
			if bit < 48 {
				r.goesUp(frame, reasons.NotOurMAC)
			} else {
				r.send(frame, xdpTX, reasons.ForwardedDR)
			}
		}
	}
}

// FuzzPacket sends whatever it likes. The program must end every packet in one
// reason, must not change what it passes, and must send only frames whose
// lengths hold together.
func FuzzPacket(f *testing.F) {
	r := newService(f, EkForwardFORWARD_NAT)
	for _, seed := range []frame{syn(), syn().flag("A"), syn().flag("R"), datagram(""), datagram("hello")} {
		b := seed.bytes(f)
		f.Add(b, uint8(0))
		f.Add(b[:len(b)-3], uint8(1))
		f.Add(append(b, make([]byte, 20)...), uint8(60))
	}
	back := frame{from: serverMAC, to: ownMAC, src: real2, dst: client, proto: 6, flags: "SA"}
	f.Add(back.bytes(f), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, seconds uint8) {
		if len(data) < 14 || len(data) > 3000 {
			return // the kernel refuses to run them
		}
		r.tb = t
		copy(data, ownMAC[:])
		r.advance(time.Duration(seconds) * time.Second)
		verdict, out := r.run(data)
		why := r.reason()
		if err := plausible(verdict, why, data, out); err != nil {
			t.Fatalf("%s: %v\nin  % x\nout % x", why, err, data, out)
		}
	})
}

// plausible says what is wrong with a verdict on a frame.
func plausible(verdict uint32, why reasons.Reason, in, out []byte) error {
	switch why.Verdict() {
	case reasons.Pass:
		if verdict != xdpPass || !bytes.Equal(in, out) {
			return fmt.Errorf("verdict %d, changed %v", verdict, !bytes.Equal(in, out))
		}
	case reasons.Drop:
		if verdict != xdpDrop {
			return fmt.Errorf("verdict %d", verdict)
		}
	case reasons.Answer, reasons.Forward:
		if verdict != xdpTX && verdict != xdpRedirect {
			return fmt.Errorf("verdict %d", verdict)
		}
		if len(out) < 34 || out[14] != 0x45 {
			return fmt.Errorf("no IPv4 header")
		}
		if length := int(binary.BigEndian.Uint16(out[16:])); length+14 > len(out) {
			return fmt.Errorf("total length %d in a frame of %d bytes", length, len(out))
		}
		if why.Verdict() == reasons.Answer && checksum(out[14:34]) != 0 {
			return fmt.Errorf("bad IP checksum in the answer")
		}
	}
	return nil
}
