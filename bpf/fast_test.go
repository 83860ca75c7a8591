//go:build bpf

package bpf

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket/layers"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/sched"
)

// fullCopy is the least word of a copy (HOT_FULL).
const fullCopy = 4 << 56

// copies returns the words of the copies that flows have.
func (r *rig) copies() (words []uint64) {
	r.tb.Helper()
	keep := func(word uint64) {
		if word >= fullCopy {
			words = append(words, word)
		}
	}
	for i := range r.hot {
		for _, way := range r.hot[i].Way {
			keep(way.Head.Now.Word)
		}
	}
	for i := range r.hot6 {
		for _, way := range r.hot6[i].Way {
			keep(way.Head.Now.Word)
		}
	}
	return words
}

// forgetCopies takes away the copies that flows have.
func (r *rig) forgetCopies() {
	r.tb.Helper()
	clear(r.hot)
	clear(r.hot6)
}

// misdirect makes all copies of IPv4 name another server, so that it shows which
// packets go by them.
func (r *rig) misdirect(server uint32) {
	r.tb.Helper()
	misdirect := func(word *uint64) { *word = *word>>32<<32 | uint64(server) }
	for i := range r.hot {
		for n := range r.hot[i].Way {
			misdirect(&r.hot[i].Way[n].Head.Now.Word)
		}
	}
	for i := range r.hot6 {
		for n := range r.hot6[i].Way {
			misdirect(&r.hot6[i].Way[n].Head.Now.Word)
		}
	}
}

// copied opens a TCP flow and sends packets until it has a copy.
func copied(t *testing.T, r *rig, six family, sent reasons.Reason) {
	t.Helper()
	r.send(six.syn().bytes(t), xdpTX, sent)
	ack := six.syn().flag("A").bytes(t)
	r.send(ack, xdpTX, sent)
	r.advance(20 * time.Millisecond)
	r.send(ack, xdpTX, sent)
	if got := r.copies(); len(got) != 1 {
		t.Fatalf("copies %x, want one", got)
	}
}

func TestPlainPacketsGoByTheCopy(t *testing.T) { eachFamily(t, plainGoByTheCopy) }

func plainGoByTheCopy(t *testing.T, six family) {
	r := newServiceOf(t, six, EkForwardFORWARD_DR)
	r.server(5, 0, six.of(real3), EkForwardFORWARD_DR)
	copied(t, r, six, reasons.ForwardedDR)
	r.misdirect(5)
	r.vlans()
	before, ack := r.stats(r.o.EkServerStats, 5).InPkts, six.syn().flag("A")
	packets := func(want uint64, why string) {
		t.Helper()
		if got := r.stats(r.o.EkServerStats, 5).InPkts - before; got != want {
			t.Errorf("%d packets went by the copy, want %d: %s", got, want, why)
		}
	}
	r.send(ack.bytes(t), xdpTX, reasons.ForwardedDR)
	packets(1, "plain")
	r.send(withTag(ack.bytes(t), clientVLAN), xdpTX, reasons.ForwardedDR)
	packets(2, "with a tag")
	for range 15 {
		r.advance(1100 * time.Millisecond)
		r.send(ack.bytes(t), xdpTX, reasons.ForwardedDR)
	}
	packets(17, "plain, the time is moved on")
	r.advance(1100 * time.Millisecond)
	r.send(ack.bytes(t), xdpTX, reasons.ForwardedDR)
	packets(17, "it is to look at the flow")
	r.send(ack.bytes(t), xdpTX, reasons.ForwardedDR)
	packets(18, "plain")
	r.advance(4100 * time.Millisecond)
	r.send(ack.bytes(t), xdpTX, reasons.ForwardedDR)
	packets(18, "after a pause")
	r.send(six.syn().flag("").bytes(t), xdpTX, reasons.ForwardedDR)
	packets(18, "it changes the flow")
}

// Packets by the copy of a flow by NAT are rewritten as the flow's first was.
func TestTheCopyRewritesForNAT(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		for _, f := range []frame{
			six.syn().flag("A"), six.datagram("hello"), six.datagram("odd length!"),
			six.datagram("hello").with(func(f *frame) { f.noSum = true }),
		} {
			r := newServiceOf(t, six, EkForwardFORWARD_NAT)
			r.server(5, uint32(f.proto/17), six.of(real3), EkForwardFORWARD_NAT)
			if f.proto == 6 {
				r.send(six.syn().bytes(t), xdpTX, reasons.ForwardedNAT)
			}
			for range 3 {
				r.send(f.bytes(t), xdpTX, reasons.ForwardedNAT)
				r.advance(20 * time.Millisecond)
			}
			r.misdirect(5) // so that it shows
			wantFrame(t, r.send(f.bytes(t), xdpTX, reasons.ForwardedNAT), toServer(f, six.of(real3)).bytes(t))
		}
	})
}

// A copy is for whole and plain packets: others go up with their reason, as without one.
func TestACopyIsForPlainPackets(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_DR)
		copied(t, r, six, reasons.ForwardedDR)
		ack, udp := six.syn().flag("A"), six.datagram("abc")
		for range 3 {
			r.send(udp.bytes(t), xdpTX, reasons.ForwardedDR)
		}
		if got := r.copies(); len(got) != 2 {
			t.Fatalf("copies %x, want two", got)
		}
		length, less, l4 := 16, byte(20), 14+six.header()
		if six {
			length, less = 18, 0
		}
		for _, c := range []struct {
			name   string
			frame  []byte
			reason reasons.Reason
		}{
			{"flooded by a switch", patched(t, ack, 0, serverMAC[:]...), reasons.NotOurMAC},
			{"version 5", patched(t, ack, 14, 0x55), reasons.BadHeader},
			{"length without TCP", patched(t, ack, length, 0, less), reasons.BadHeader},
			{"length cuts TCP", patched(t, ack, length, 0, less+19), reasons.BadHeader},
			{"length without UDP", patched(t, udp, length, 0, less), reasons.BadHeader},
			{"length cuts UDP", patched(t, udp, length, 0, less+7), reasons.BadHeader},
			{"length beyond the frame", patched(t, ack, length, 0xff, 0xff), reasons.Truncated},
			{"half of TCP", ack.bytes(t)[:l4+10], reasons.Truncated},
			{"TCP header of 16 bytes", patched(t, ack, l4+12, 0x40), reasons.BadHeader},
			{"TCP header beyond the packet", patched(t, ack, l4+12, 0x60), reasons.BadHeader},
			{"UDP length below its header", patched(t, udp, l4+4, 0, 7), reasons.BadHeader},
			{"UDP length beyond the packet", patched(t, udp, l4+4, 0, 12), reasons.BadHeader},
		} {
			t.Run(c.name, func(t *testing.T) {
				r.tb = t
				r.goesUp(c.frame, c.reason)
			})
		}
		r.tb = t
		if !six {
			r.goesUp(patched(t, ack, 16, 0, 19), reasons.BadHeader)
			r.goesUp(patched(t, ack, 14, 0x46), reasons.IPOptions)
			r.goesUp(patched(t, udp, 20, 0x20, 0), reasons.Fragment)
			r.goesUp(patched(t, udp, 20, 0x00, 0x01), reasons.Fragment)
		}
	})
}

// Flows whose packets come every few seconds go by copies too, and are looked at before their
// time is thirty seconds old.
func TestSlowFlowsGoByTheCopy(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	r.server(5, 0, real3, EkForwardFORWARD_DR)
	r.send(syn().bytes(t), xdpTX, reasons.ForwardedDR)
	ack := syn().flag("A").bytes(t)
	for range 4 { // it is established, and pauses for too long
		if got := r.copies(); len(got) != 0 {
			t.Fatalf("copies %x, want none yet", got)
		}
		r.advance(4100 * time.Millisecond)
		r.send(ack, xdpTX, reasons.ForwardedDR)
	}
	r.advance(3 * time.Second)
	r.send(ack, xdpTX, reasons.ForwardedDR)
	if got := r.copies(); len(got) != 1 {
		t.Fatalf("copies %x, want one", got)
	}
	r.misdirect(5)
	for n, want := range []uint64{1, 2, 3, 4, 5, 6, 7, 7, 8} {
		r.advance(3 * time.Second)
		r.send(ack, xdpTX, reasons.ForwardedDR)
		if got := r.stats(r.o.EkServerStats, 5).InPkts; got != want {
			t.Errorf("of %d packets %d went by the copy, want %d", n+1, got, want)
		}
	}
}

// copiesOf counts the copies of IPv4's flows whose clients have this port or one of the next
// hundred.
func (r *rig) copiesOf(first uint16) (n int) {
	r.tb.Helper()
	for i := range r.hot {
		for _, way := range r.hot[i].Way {
			if port := wire16(way.Head.Cport); way.Head.Now.Word >= fullCopy && port-first < 100 {
				n++
			}
		}
	}
	return n
}

// Where all places are taken, a flow that sends seldom gets that of one that is idle, and
// only one that sends often that of one that does not.
func TestWhoGetsACopysPlace(t *testing.T) {
	const places = 16
	r := newService(t, EkForwardFORWARD_DR)
	each := func(first uint16, packet func(f frame) frame) {
		t.Helper()
		for n := range uint16(64) {
			r.send(packet(syn().fromPort(first+n)).bytes(t), xdpTX, reasons.ForwardedDR)
		}
	}
	open := func(first uint16) {
		t.Helper()
		each(first, func(f frame) frame { return f })
		each(first, func(f frame) frame { return f.flag("A") })
	}
	again := func(first uint16, want int, why string) {
		t.Helper()
		each(first, func(f frame) frame { return f.flag("A") })
		if got := r.copiesOf(first); got != want {
			t.Errorf("%d copies, want %d: %s", got, want, why)
		}
	}
	open(1000)
	again(1000, places, "all are empty")
	r.advance(time.Second)
	open(2000)
	r.advance(900 * time.Millisecond)
	again(2000, 0, "the others sent not long ago")
	again(2000, 0, "neither may one that sends often have their places")
	r.advance(700 * time.Millisecond)
	again(2000, 0, "it sends seldom, and the others are not idle")
	again(2000, places, "it sends often, and the others do not")
	open(3000)
	r.advance(3900 * time.Millisecond)
	again(3000, 0, "they are not idle yet")
	r.advance(200 * time.Millisecond)
	open(4000)
	r.advance(2 * time.Second)
	again(4000, places, "it sends seldom, and the others are idle")
}

// What ends a flow, or takes it out of a state that packets leave as it is, leaves no copy.
func TestACopyEndsWithItsFlow(t *testing.T) {
	for _, six := range []family{false, true} {
		for name, end := range map[string]func(r *rig){
			"FIN": func(r *rig) { r.send(six.syn().flag("FA").bytes(t), xdpTX, reasons.ForwardedNAT) },
			"RST": func(r *rig) { r.send(six.syn().flag("R").bytes(t), xdpTX, reasons.ForwardedNAT) },
			"time": func(r *rig) {
				r.advance(901 * time.Second)
				r.sweep()
				r.wantConns(0, 0, 0)
			},
		} {
			t.Run(name+"/"+six.String(), func(t *testing.T) {
				r := newServiceOf(t, six, EkForwardFORWARD_NAT)
				copied(t, r, six, reasons.ForwardedNAT)
				end(r)
				if got := r.copies(); len(got) != 0 {
					t.Errorf("copies %x are left", got)
				}
			})
		}
	}
}

// A server that is changed or removed is looked at with each packet.
func TestACopyFollowsItsServer(t *testing.T) {
	r := newService(t, EkForwardFORWARD_DR)
	copied(t, r, false, reasons.ForwardedDR)
	ack := syn().flag("A").bytes(t)
	r.server(0, 0, real1, EkForwardFORWARD_DR, func(s *EkServer) { s.Flags = 0 })
	r.send(ack, xdpDrop, reasons.NoNextHop)
	r.server(0, 0, real1, EkForwardFORWARD_DR, func(s *EkServer) { s.Flags |= serverDeleted })
	r.send(ack, xdpDrop, reasons.ServerDeleted)
	r.server(0, 0, real1, EkForwardFORWARD_DR)
	r.send(ack, xdpTX, reasons.ForwardedDR)
}

// A flow that only its copy knows to be in use lives on, and dies when it should.
func TestACopyKeepsItsFlow(t *testing.T) {
	for name, look := range map[string]func(r *rig, ack []byte, alive bool){
		"packet": func(r *rig, ack []byte, alive bool) {
			if alive {
				r.send(ack, xdpTX, reasons.ForwardedDR)
			} else {
				r.send(ack, xdpPass, reasons.NoFlow)
			}
		},
		"sweep": func(r *rig, _ []byte, alive bool) {
			if got := r.sweep(); got.Seen != uint32(flag(alive)) {
				t.Errorf("the sweep saw %+v, alive is %t", got, alive)
			}
		},
	} {
		for _, six := range []family{false, true} {
			for _, alive := range []bool{true, false} {
				for _, pause := range []time.Duration{1500 * time.Millisecond, 3900 * time.Millisecond} {
					t.Run(fmt.Sprintf("%s/%s/%t/%s", name, six, alive, pause), func(t *testing.T) {
						r := newServiceOf(t, six, EkForwardFORWARD_DR)
						copied(t, r, six, reasons.ForwardedDR)
						ack := six.syn().flag("A").bytes(t)
						for range 10 {
							r.advance(pause)
							r.send(ack, xdpTX, reasons.ForwardedDR)
						}
						r.advance(899 * time.Second)
						if !alive {
							r.advance(2 * time.Second)
						}
						look(r, ack, alive)
					})
				}
			}
		}
	}
}

// A copy whose place is given to another flow leaves its time with its own, if that does not
// have it yet.
func TestACopyLeavesItsTime(t *testing.T) {
	for _, six := range []family{false, true} {
		for _, moved := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%t", six, moved), func(t *testing.T) {
				const flows = 16 // as many as there are places
				r := newServiceOf(t, six, EkForwardFORWARD_DR)
				copied(t, r, six, reasons.ForwardedDR)
				first := six.syn().flag("A").bytes(t)
				if moved {
					r.advance(1500 * time.Millisecond)
					r.send(first, xdpTX, reasons.ForwardedDR)
				}
				r.advance(5 * time.Second)
				for n := range 8 * flows {
					f := six.syn().fromPort(uint16(2000 + n))
					r.send(f.bytes(t), xdpTX, reasons.ForwardedDR)
					r.send(f.flag("A").bytes(t), xdpTX, reasons.ForwardedDR)
					r.send(f.flag("A").bytes(t), xdpTX, reasons.ForwardedDR)
				}
				if got := r.copies(); len(got) != flows {
					t.Errorf("%d copies, want %d", len(got), flows)
				}
				r.advance(894 * time.Second) // the first flow is as old as it may be
				r.send(first, xdpTX, reasons.ForwardedDR)
			})
		}
	}
}

// What goes by the copy gets the same tunnel, whatever the packet says of itself.
func TestTheCopyWrapsForTUN(t *testing.T) {
	eachPair(t, func(t *testing.T, inner, outer family) {
		r := newTunnel(t, inner, outer)
		copied(t, r, inner, reasons.ForwardedTUN)
		for _, ip := range []func(*layers.IPv4){
			func(ip *layers.IPv4) { ip.Flags, ip.Id = 0, 0xfedc },
			func(ip *layers.IPv4) { ip.Flags, ip.Id = layers.IPv4DontFragment, 0xfedc },
		} {
			for class, want := range map[uint8]uint8{0: 0, 0x2d: 0x2d, 0xb8: 0xb8, 0xff: 0xfe} {
				for _, payload := range []string{"", "x", "odd", strings.Repeat("long", 300)} {
					f := inner.syn().flag("A").with(func(f *frame) {
						f.payload = payload
						f.ip = func(h *layers.IPv4) { ip(h); h.TOS = class }
						f.ip6 = func(h *layers.IPv6) { h.TrafficClass = class }
					})
					got := r.send(f.bytes(t), xdpTX, reasons.ForwardedTUN)
					got = got[:14+ipLength(got[14:])] // without the padding of a short frame
					wantFrame(t, got, tunnelled(t, f, outer, outer.of(real1), want))
				}
			}
		}
		if got := r.copies(); len(got) != 1 {
			t.Errorf("copies %x, want one", got)
		}
	})
}

// The outer sum is right whatever it carries: the identification takes it once round, and past zero.
func TestTheCopySumsTheOuterHeader(t *testing.T) {
	r := newTunnel(t, false, false)
	copied(t, r, false, reasons.ForwardedTUN)
	in := syn().flag("A").with(func(f *frame) { f.ip = func(h *layers.IPv4) { h.Flags = 0 } }).bytes(t)
	outer := func(id uint16) uint16 {
		binary.BigEndian.PutUint16(in[14+4:], id)
		out := r.send(in, xdpTX, reasons.ForwardedTUN)[14:34]
		sum := uint32(0)
		for i := 0; i < len(out); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(out[i:]))
		}
		if sum&0xffff+sum>>16 != 0xffff {
			t.Fatalf("identification %#04x: the outer header % x adds up to %#x", id, out, sum)
		}
		return binary.BigEndian.Uint16(out[10:])
	}
	zero := outer(0) // this much more, and the sum is zero
	for id := 0; id < 1<<16; id += 97 {
		outer(uint16(id))
	}
	for by := -8; by <= 8; by++ {
		outer(zero + uint16(by))
		outer(uint16(by))
	}
	if got := outer(zero); got != 0 {
		t.Errorf("sum %#04x, want 0", got)
	}
}

// A sum changes by the time to live, and by NAT's address, as RFC 1624 has it, at both of its zeros too.
func TestTheCopyKeepsSums(t *testing.T) {
	dr, nat := newService(t, EkForwardFORWARD_DR), newService(t, EkForwardFORWARD_NAT)
	copied(t, dr, false, reasons.ForwardedDR)
	ack, back := syn().flag("A"), family(false).answer(syn())
	answered(t, nat, syn(), back.bytes(t))
	for name, c := range map[string]struct {
		r      *rig
		in     []byte
		reason reasons.Reason
		from   int // where the address that changes lies
	}{
		"DR": {dr, ack.bytes(t), reasons.ForwardedDR, 16}, "NAT": {nat, ack.bytes(t), reasons.ForwardedNAT, 16},
		"an answer": {nat, back.bytes(t), reasons.ForwardedReply, 12},
	} {
		out := c.r.send(c.in, xdpTX, c.reason)
		diff := uint32(0xfeff)
		for at := 14 + c.from; at < 14+c.from+4; at += 2 {
			diff += uint32(^binary.BigEndian.Uint16(c.in[at:])) + uint32(binary.BigEndian.Uint16(out[at:]))
		}
		zero := uint16(diff>>16 + diff) // what becomes 0, but for a carry
		for _, sum := range []uint16{
			0, 1, 0xff, 0x100, 0x101, 0xfefe, 0xfeff, 0xff00, 0xff01, 0xfffe, 0xffff, zero - 2, zero - 1, zero, zero + 1, zero + 2,
		} {
			binary.BigEndian.PutUint16(c.in[14+10:], sum)
			want := uint32(^sum) + diff
			want = want&0xffff + want>>16
			want = ^(want&0xffff + want>>16) & 0xffff
			out := c.r.send(c.in, xdpTX, c.reason)
			if got := binary.BigEndian.Uint16(out[14+10:]); uint32(got) != want {
				t.Errorf("%s: sum %#04x became %#04x, want %#04x", name, sum, got, want)
			}
		}
	}
}

// Where hardly a packet has a copy, few look for one, until that pays again.
func TestFewLookWhereNoneHasACopy(t *testing.T) {
	onOneCPU(t, func() { fewLook(t) })
}

func fewLook(t *testing.T) {
	r := newRig(t, 1024, sched.Profile{}, small, func(spec *ebpf.CollectionSpec) {
		if err := spec.Variables["hot_patience"].Set(uint32(16)); err != nil {
			t.Fatal(err)
		}
	})
	r.serve(false, EkForwardFORWARD_DR)
	r.server(5, 0, real3, EkForwardFORWARD_DR)
	stray, ack := syn().flag("A").fromPort(9).bytes(t), syn().flag("A").bytes(t)
	strays := func(n int, inDoubt uint32) {
		t.Helper()
		for range n {
			r.send(stray, xdpPass, reasons.NoFlow)
		}
		r.wantDoubt(inDoubt)
	}
	copied(t, r, false, reasons.ForwardedDR)
	for range 16 {
		r.send(ack, xdpTX, reasons.ForwardedDR)
	}
	r.wantDoubt(0)
	r.misdirect(5)
	acks := func(n int, byCopy uint64, inDoubt uint32) {
		t.Helper()
		before := r.stats(r.o.EkServerStats, 5).InPkts
		for range n {
			r.send(ack, xdpTX, reasons.ForwardedDR)
		}
		if got := r.stats(r.o.EkServerStats, 5).InPkts - before; got != byCopy {
			t.Errorf("of %d packets %d went by the copy, want %d", n, got, byCopy)
		}
		r.wantDoubt(inDoubt)
	}
	strays(5, 0) // two packets before had no copy
	acks(8, 8, 0)
	strays(1, 1)
	acks(1, 1, 1)
	acks(1, 1, 0)
	strays(7, 0)
	strays(9, 1)
	acks(31, 0, 1)
	acks(1, 1, 1)
	acks(2, 2, 1)
	acks(1, 1, 0)
}

// On a CPU in doubt few answers look for a copy, and those make one.
func TestFewAnswersLookWhereNoneHasACopy(t *testing.T) {
	onOneCPU(t, func() { fewAnswersLook(t) })
}

func fewAnswersLook(t *testing.T) {
	r := newRig(t, 1024, sched.Profile{}, small, func(spec *ebpf.CollectionSpec) {
		if err := spec.Variables["hot_patience"].Set(uint32(16)); err != nil {
			t.Fatal(err)
		}
	})
	r.serve(false, EkForwardFORWARD_NAT)
	f := syn()
	back := family(false).answer(f).bytes(t)
	r.send(f.bytes(t), xdpTX, reasons.ForwardedNAT)
	r.send(f.flag("A").bytes(t), xdpTX, reasons.ForwardedNAT)
	r.send(back, xdpTX, reasons.ForwardedReply) // the route is asked for
	for range 30 {
		r.send(f.flag("A").fromPort(9).bytes(t), xdpPass, reasons.NoFlow)
	}
	r.wantDoubt(1)
	copies := func(answers, want int) {
		t.Helper()
		for range answers {
			r.send(back, xdpTX, reasons.ForwardedReply)
		}
		if got := r.hops(0); got != want {
			t.Errorf("%d copies for answers, want %d", got, want)
		}
	}
	copies(15, 0) // 16 strays did not look before
	copies(1, 1)
	r.markHops()
	for range 32 * 4 {
		r.send(back, xdpTX, reasons.ForwardedReply)
	}
	r.wantDoubt(0)
	r.wantWay(r.send(back, xdpTX, reasons.ForwardedReply), true, "no CPU is in doubt")
}

// wantDoubt checks how many CPUs are in doubt whether a look for a copy pays.
func (r *rig) wantDoubt(want uint32) {
	r.tb.Helper()
	var doubt [16]uint32 // of a cache line, the first
	if err := r.o.HotDoubt.Get(&doubt); err != nil {
		r.tb.Fatal(err)
	}
	if doubt[0] != want {
		r.tb.Errorf("%d CPUs are in doubt, want %d", doubt[0], want)
	}
}
