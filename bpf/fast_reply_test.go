//go:build bpf

package bpf

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket/layers"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/sched"
)

// vip2 is another service's address.
var vip2 = netip.MustParseAddrPort("192.0.2.2:80")

// markMAC is no next hop's address.
var markMAC = [6]byte{2, 0, 0, 0, 0, 0xee}

// answer is a packet of the NAT server to a client's frame.
func (six family) answer(f frame) frame {
	return frame{from: serverMAC, to: ownMAC, src: six.of(real2), dst: f.src, proto: f.proto, flags: "A", payload: "pong"}
}

// fromService is what the client gets of an answer.
func fromService(back frame, service netip.AddrPort) frame {
	back.from, back.to, back.src, back.ttl = ownMAC, clientMAC, service, 63
	return back
}

// hops returns how many copies of a server's flows are for answers, which alone have a next hop.
func (r *rig) hops(slot uint32) (n int) {
	r.tb.Helper()
	for _, word := range r.copies() {
		if uint32(word) == slot && uint16(word>>32) != 0 {
			n++
		}
	}
	return n
}

// allHops returns the places of next hops.
func (r *rig) allHops() (places []uint32, hops []EkHop) {
	r.tb.Helper()
	n := int(r.o.EkHops.MaxEntries())
	places, hops = make([]uint32, n), make([]EkHop, n)
	var cursor ebpf.MapBatchCursor
	if got, err := r.o.EkHops.BatchLookup(&cursor, places, hops, nil); got != n {
		r.tb.Fatalf("read %d of %d next hops: %v", got, n, err)
	}
	return places, hops
}

// changeHops changes those that were used.
func (r *rig) changeHops(change func(*EkHop)) {
	r.tb.Helper()
	places, hops := r.allHops()
	for i := range hops {
		if hops[i].Used != 0 {
			change(&hops[i])
			r.put(r.o.EkHops, places[i], hops[i])
		}
	}
}

// markHops makes all next hops of copies lead elsewhere, so that it shows which answers
// go by them.
func (r *rig) markHops() {
	r.tb.Helper()
	r.changeHops(func(hop *EkHop) { hop.Link.Dmac = markMAC })
}

// wantWay checks whether an answer went by the copy, after markHops.
func (r *rig) wantWay(out []byte, byCopy bool, why string) {
	r.tb.Helper()
	if got := [6]byte(out[:6]) == markMAC; got != byCopy {
		r.tb.Errorf("an answer went by the copy: %t, want %t: %s", got, byCopy, why)
	}
}

// answered opens a flow by NAT and sends packets until answers go by its copy.
func answered(t *testing.T, r *rig, f frame, back []byte) {
	t.Helper()
	slot := uint32(f.proto / 17)
	r.send(f.bytes(t), xdpTX, reasons.ForwardedNAT)
	r.send(f.flag("A").bytes(t), xdpTX, reasons.ForwardedNAT)
	r.advance(20 * time.Millisecond)
	r.send(f.flag("A").bytes(t), xdpTX, reasons.ForwardedNAT)
	hops := r.hops(slot)
	r.send(back, xdpTX, reasons.ForwardedReply) // the route is asked for
	r.send(back, xdpTX, reasons.ForwardedReply)
	if got := r.hops(slot); got != hops+1 {
		t.Fatalf("of copies %x %d are for answers, want %d", r.copies(), got, hops+1)
	}
}

// An answer's UDP checksum does not vanish either (RFC 768), with a copy and without.
func TestAnswersKeepAUDPChecksum(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		f, at := six.datagram("xx"), 14+six.header()+6
		back := six.answer(f)
		for v := range 1 << 16 {
			back.payload = string([]byte{byte(v >> 8), byte(v)})
			want := fromService(back, six.of(vip)).bytes(t)
			if binary.BigEndian.Uint16(want[at:]) != 0xffff {
				continue
			}
			r.send(f.bytes(t), xdpTX, reasons.ForwardedNAT)
			wantFrame(t, r.send(back.bytes(t), xdpTX, reasons.ForwardedReply), want)
			answered(t, r, f, back.bytes(t))
			wantFrame(t, r.send(back.bytes(t), xdpTX, reasons.ForwardedReply), want)
			return
		}
		t.Fatal("no payload has the checksum 0xffff behind NAT")
	})
}

func TestAnswersGoByTheCopy(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		for _, f := range []frame{
			six.syn(), six.datagram("ping"), six.datagram("ping").with(func(f *frame) { f.noSum = true }),
		} {
			r := newServiceOf(t, six, EkForwardFORWARD_NAT)
			back := six.answer(f)
			back.noSum = f.noSum
			in, want := back.bytes(t), fromService(back, six.of(vip)).bytes(t)
			answered(t, r, f, in)
			wantFrame(t, r.send(in, xdpTX, reasons.ForwardedReply), want)
			r.markHops()
			out := r.send(in, xdpTX, reasons.ForwardedReply)
			r.wantWay(out, true, "plain")
			wantFrame(t, out[6:], want[6:])
			slot := uint32(f.proto / 17)
			size := uint64(six.header() + len(back.payload) + 8)
			if f.proto == 6 {
				size += 12
			}
			for _, m := range []*ebpf.Map{r.o.EkServerStats, r.o.EkServiceStat} {
				if got := r.stats(m, slot); got.OutPkts != 4 || got.OutBytes != 4*size {
					t.Errorf("%s: %d answers of %d bytes, want 4 of %d", m, got.OutPkts, got.OutBytes, 4*size)
				}
			}
			r.wantWay(r.send(withTag(in, 0), xdpTX, reasons.ForwardedReply), true, "with a priority")
			r.advance(990 * time.Millisecond)
			r.wantWay(r.send(in, xdpTX, reasons.ForwardedReply), false, "the copy is to be looked at")
			for range 2 { // the route is asked for, and kept
				r.send(in, xdpTX, reasons.ForwardedReply)
			}
			r.markHops()
			r.wantWay(r.send(in, xdpTX, reasons.ForwardedReply), true, "plain again")
			r.advance(1100 * time.Millisecond)
			r.send(f.flag("A").bytes(t), xdpTX, reasons.ForwardedNAT)
			r.wantWay(r.send(in, xdpTX, reasons.ForwardedReply), false, "the client's packets move its time on for themselves")
		}
	})
}

// What is not plain, or cannot be sent, takes the way of all packets with its reason.
func TestAnswersNotForTheCopy(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		f := six.syn()
		back := six.answer(f)
		in, l4 := back.bytes(t), 14+six.header()
		answered(t, r, f, in)
		r.markHops()
		r.send(back.with(func(f *frame) { f.ttl = 1 }).bytes(t), xdpDrop, reasons.TTLExceeded)
		r.goesUp(patched(t, back, 0, clientMAC[:]...), reasons.NotOurMAC)
		r.goesUp(patched(t, back, l4+12, 0x40), reasons.BadHeader)
		r.goesUp(in[:l4+10], reasons.Truncated)
		if !six {
			r.goesUp(patched(t, back, 20, 0x20, 0), reasons.Fragment)
			r.goesUp(patched(t, back, 14, 0x46), reasons.IPOptions)
		}
		r.know(six.of(real3))
		for name, other := range map[string]func(*frame){
			"server":  func(f *frame) { f.src = six.of(real3) },
			"port":    func(f *frame) { f.src = netip.AddrPortFrom(f.src.Addr(), 8081); r.know(f.src) },
			"client":  func(f *frame) { f.dst = six.of(netip.MustParseAddrPort("203.0.113.10:4242")) },
			"to port": func(f *frame) { f.dst = netip.AddrPortFrom(f.dst.Addr(), 4243) },
		} {
			t.Run("another "+name, func(t *testing.T) {
				r.tb = t
				r.goesUp(back.with(other).bytes(t), reasons.NoService)
			})
		}
		r.tb = t
		r.wantWay(r.send(in, xdpTX, reasons.ForwardedReply), true, "plain")
		r.server(0, 0, six.of(real2), EkForwardFORWARD_NAT, func(s *EkServer) { s.Flags |= serverDeleted })
		r.wantWay(r.send(in, xdpTX, reasons.ForwardedReply), false, "its server is deleted")
		r.server(0, 0, six.of(real2), EkForwardFORWARD_NAT)
		r.wantWay(r.send(in, xdpTX, reasons.ForwardedReply), true, "plain")
		r.send(back.flag("FA").bytes(t), xdpTX, reasons.ForwardedReply)
		if got := r.copies(); len(got) != 0 {
			t.Errorf("copies %x are left of a flow that ends", got)
		}
		r.wantWay(r.send(in, xdpTX, reasons.ForwardedReply), false, "its flow ends")
	})
}

// An answer that is too long for the way to the client is told so, by the copy or not.
func TestAnswersByTheCopyKnowTheMTU(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	f := syn()
	back := family(false).answer(f).with(func(f *frame) {
		f.ip = func(ip *layers.IPv4) { ip.Flags = layers.IPv4DontFragment }
	})
	answered(t, r, f, back.bytes(t))
	r.changeHops(func(hop *EkHop) { hop.Mtu, hop.Link.Dmac = 44, markMAC })
	r.wantWay(r.send(back.bytes(t), xdpTX, reasons.ForwardedReply), true, "it is as long as may be")
	back.payload += "!"
	r.wantWay(r.send(back.bytes(t), xdpTX, reasons.ForwardedReply), false, "it is longer")
}

// The route of answers is asked for again, however many of them go by the copy, whether or not
// the client sends.
func TestAnswersFollowTheRoute(t *testing.T) {
	for name, every := range map[string]int{"both send": 3, "the server sends": 1000} {
		t.Run(name, func(t *testing.T) {
			r := newService(t, EkForwardFORWARD_NAT)
			f := syn()
			back := family(false).answer(f).bytes(t)
			answered(t, r, f, back)
			byCopy, marked := 0, r.now
			for n := range 200 {
				if n%80 == 0 {
					r.markHops()
					marked = r.now
				}
				r.advance(50 * time.Millisecond)
				if n%every == every-1 {
					r.send(f.flag("A").bytes(t), xdpTX, reasons.ForwardedNAT)
				}
				byCopy += r.hops(0)
				out := r.send(back, xdpTX, reasons.ForwardedReply)
				if age := r.now - marked; [6]byte(out[:6]) == markMAC && age > time.Second {
					t.Fatalf("answer %d goes by a next hop that was found %v ago", n, age)
				}
				flow, _, err := r.flow(f.tuple())
				if err != nil {
					t.Fatal(err)
				}
				if age := r.now - time.Duration(flow.ReplyChecked); age > 2*time.Second {
					t.Fatalf("answer %d goes by a route that was asked for %v ago", n, age)
				}
			}
			if byCopy < 150 {
				t.Errorf("%d of 200 answers went by the copy", byCopy)
			}
		})
	}
}

// Two flows of one client's end to one server's: the answers are the younger one's, as they
// are without copies.
func TestAnswersAreTheYoungerFlows(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		r.service(2, 17, six.of(vip2))
		r.server(2, 2, six.of(real2), EkForwardFORWARD_NAT)
		r.order(2, nil, entry{2, 1})
		older := six.datagram("ping")
		younger := older.with(func(f *frame) { f.dst = six.of(vip2) })
		back := six.answer(older)
		in := back.bytes(t)
		answered(t, r, older, in)
		for range 4 {
			r.send(younger.bytes(t), xdpTX, reasons.ForwardedNAT)
			r.send(older.bytes(t), xdpTX, reasons.ForwardedNAT)
			wantFrame(t, r.send(in, xdpTX, reasons.ForwardedReply), fromService(back, six.of(vip2)).bytes(t))
		}
		if got := r.hops(2); got != 1 || len(r.copies()) != 3 {
			t.Errorf("of copies %x %d are for answers, want 1 of 3", r.copies(), got)
		}
		r.markHops()
		r.wantWay(r.send(in, xdpTX, reasons.ForwardedReply), true, "the younger flow's")
	})
}

// A client that talks to many services from one port has copies for all, either way.
func TestOnePortHasManyCopies(t *testing.T) {
	const services = 24
	eachFamily(t, func(t *testing.T, six family) {
		r := newRig(t, 1024, sched.Profile{}, manyCopies(t))
		end := func(n int, port uint16) netip.AddrPort {
			return six.of(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + n)}), port))
		}
		for n := range uint32(services) {
			r.service(n, 17, end(int(n), 53))
			r.server(n, n, end(int(n), 5353), EkForwardFORWARD_NAT)
			r.order(n, nil, entry{n, 1})
		}
		both := func(n int) []byte {
			f := six.datagram("ping")
			f.dst = end(n, 53)
			back := six.answer(f)
			back.src = end(n, 5353)
			r.send(f.bytes(t), xdpTX, reasons.ForwardedNAT)
			out := r.send(back.bytes(t), xdpTX, reasons.ForwardedReply)
			wantFrame(t, out[6:], fromService(back, end(n, 53)).bytes(t)[6:])
			return out
		}
		for n := range 3 * services {
			both(n % services)
		}
		if got := len(r.copies()); got != 2*services {
			t.Errorf("%d flows of one port have %d copies, want two each", services, got)
		}
		r.markHops()
		for n := range services {
			r.wantWay(both(n), true, end(n, 53).String())
		}
	})
}

// manyCopies gives the copies room.
func manyCopies(tb testing.TB) func(*ebpf.CollectionSpec) {
	return func(spec *ebpf.CollectionSpec) {
		if err := SetCopies(spec, 8); err != nil {
			tb.Fatal(err)
		}
	}
}

// Flows with the same next hop share its place, which is another's when no flow has asked
// for it in a minute.
func TestHopsAreShared(t *testing.T) {
	r := newService(t, EkForwardFORWARD_NAT)
	inUse := func(used uint32) (n int) {
		t.Helper()
		_, hops := r.allHops()
		for _, hop := range hops {
			if hop.Used >= used {
				n++
			}
		}
		return n
	}
	flow := func(port uint16, mac byte) (f frame, back []byte) {
		f = datagram("ping").fromPort(port)
		f.from[5] = mac
		return f, family(false).answer(f).bytes(t)
	}
	for n := range uint16(3) {
		f, back := flow(2000+n, 1)
		answered(t, r, f, back)
	}
	if got := inUse(1); got != 1 {
		t.Errorf("three flows with one next hop take %d places", got)
	}
	f, back := flow(3000, 2)
	answered(t, r, f, back)
	if got := inUse(1); got != 2 {
		t.Errorf("two next hops take %d places", got)
	}
	taken := EkHop{Used: uint32(r.now/time.Second) + 2} // by a CPU that is a second ahead
	places, _ := r.allHops()
	if _, err := r.o.EkHops.BatchUpdate(places, slices.Repeat([]EkHop{taken}, len(places)), nil); err != nil {
		t.Fatal(err)
	}
	f, back = flow(3001, 3)
	for range 4 {
		r.send(f.bytes(t), xdpTX, reasons.ForwardedNAT)
		r.send(back, xdpTX, reasons.ForwardedReply)
	}
	if got := inUse(taken.Used + 1); got != 0 {
		t.Errorf("%d places that are used were given away", got)
	}
	r.advance(61 * time.Second)
	answered(t, r, f, back)
	if got := inUse(taken.Used + 1); got != 1 {
		t.Errorf("%d places that were not used for a minute are another's, want 1", got)
	}
}

// While two CPUs send packets and answers of flows that have copies for both, or get them just
// then, the flows end or lose their answers. Once who did it is done, no answer goes by a copy.
func TestAnswersUnderFire(t *testing.T) {
	const flows, rounds = 8, 40
	random := rand.New(rand.NewPCG(labtest.Seed(t), 8))
	eachFamily(t, func(t *testing.T, six family) {
		r := newRig(t, 1024, sched.Profile{}, small, pausing(t))
		r.serve(six, EkForwardFORWARD_NAT)
		r.service(2, 6, six.of(vip2))
		r.server(2, 2, six.of(real2), EkForwardFORWARD_NAT)
		r.order(2, nil, entry{2, 1})
		each := func(round int, do func(f frame)) {
			for n := range flows {
				do(six.syn().fromPort(firePort(round, n)))
			}
		}
		ends := []struct {
			name string
			want uint32
			from netip.AddrPort // whose answers they are then
			do   func(round int)
		}{
			{"its service leaves", xdpPass, six.of(real2), func(int) { r.sweepFlows(1) }},
			{"RST", xdpTX, six.of(vip), func(round int) {
				each(round, func(f frame) { r.run(six.answer(f).flag("R").bytes(t)) })
			}},
			{"a younger flow", xdpTX, six.of(vip2), func(round int) {
				each(round, func(f frame) { f.dst = six.of(vip2); r.run(f.bytes(t)) })
			}},
		}
		for round := range rounds {
			end := ends[round%len(ends)]
			s := shooting{r: r, right: func(out []byte) bool {
				from := source(out, six)
				return from == six.of(client).Addr() || from == end.from.Addr()
			}}
			each(round, func(f frame) {
				ack, back := f.flag("A").bytes(t), six.answer(f).bytes(t)
				for _, sent := range [][]byte{f.bytes(t), ack, ack, back, back}[:3+round/3%3] {
					r.run(sent)
				}
				s.frames = append(s.frames, back, ack)
			})
			if got := r.hops(0); round/3%3 == 2 && got == 0 {
				t.Fatal("no copy is for answers: the test sees nothing")
			}
			r.wantConns(0, flows, flows)
			s.around(t, end.want, random, end.name, func() { end.do(round) })
			if got := r.hops(0); got > 0 {
				t.Fatalf("round %d: copies %x are left after %s", round, r.copies(), end.name)
			}
			each(round, func(f frame) {
				if _, out := r.run(six.answer(f).bytes(t)); source(out, six) != end.from.Addr() {
					t.Fatalf("round %d: after %s an answer is from %s", round, end.name, source(out, six))
				}
			})
			r.sweepFlows(1)
			r.sweepFlows(3)
			r.sweep()
			r.advance(2 * time.Second)
		}
	})
}

// source is the source address of a frame.
func source(frame []byte, six family) netip.Addr {
	if six {
		return netip.AddrFrom16([16]byte(frame[14+8:]))
	}
	return netip.AddrFrom4([4]byte(frame[14+12:]))
}
