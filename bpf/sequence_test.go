//go:build bpf

package bpf

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// sequence is one directed sequence: a service of its own in a world that all
// share, with servers a, b, c (10.1.0.1 to 3, port 80) added in this order. Each of
// its packets also goes to sched and to the model of IPVS.
type sequence struct {
	*world
	six     family
	service model.Service
	method  model.Forward
	port    uint16 // of the next client
	opened  []netip.AddrPort
}

// setting is the service that a sequence begins with.
type setting struct {
	scheduler string
	flags     uint32
	udp       bool
	method    model.Forward // the zero value is NAT
	weights   []int32
	edit      func(*model.Service)
}

// begin adds a service with servers of these weights.
func (s *sequence) begin(c setting) {
	s.tb.Helper()
	s.vips++
	vip := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(s.vips >> 8), byte(s.vips)}), 80)
	key := model.ServiceKey{Protocol: model.TCP, Addr: s.six.of(vip)}
	if c.udp {
		key.Protocol = model.UDP
	}
	s.service = model.Service{Key: key, Scheduler: c.scheduler, SchedFlags: c.flags}
	if c.edit != nil {
		c.edit(&s.service)
	}
	s.method, s.port, s.opened = c.method, 2000, nil
	s.apply(sched.Op{Kind: sched.AddService, Service: s.service})
	for i, weight := range c.weights {
		s.add('a'+byte(i), weight)
	}
}

func (s *sequence) server(letter byte) model.Server {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, letter - 'a' + 1}), 80)
	return model.Server{Addr: s.six.of(addr), Forward: s.method}
}

func (s *sequence) op(kind sched.Kind, letter byte, weight int32, upper, lower uint32) {
	s.tb.Helper()
	server := s.server(letter)
	server.Weight, server.Upper, server.Lower = weight, upper, lower
	s.apply(sched.Op{Kind: kind, Service: s.service, Server: server})
}

func (s *sequence) add(letter byte, weight int32)   { s.op(sched.AddServer, letter, weight, 0, 0) }
func (s *sequence) weigh(letter byte, weight int32) { s.op(sched.EditServer, letter, weight, 0, 0) }
func (s *sequence) del(letter byte)                 { s.op(sched.DelServer, letter, 0, 0, 0) }
func (s *sequence) limit(letter byte, upper, lower uint32) {
	s.tb.Helper()
	s.op(sched.EditServer, letter, 1, upper, lower)
}

func (s *sequence) slot(letter byte) uint32 {
	s.tb.Helper()
	dest, ok := s.ipvs.state.Find(s.service.Key, s.server(letter).Addr)
	if !ok {
		s.tb.Fatalf("no server %c", letter)
	}
	return dest.Slot
}

// set writes a server's counters on both sides.
func (s *sequence) set(letter byte, conns EkServerConns) {
	s.tb.Helper()
	slot := s.slot(letter)
	s.conns[slot], s.ipvs.conns[slot] = conns, conns
}

// overload marks servers as over their threshold, or no more.
func (s *sequence) overload(letters string, mark bool) {
	s.tb.Helper()
	for _, letter := range letters {
		conns := s.conns[s.slot(byte(letter))]
		conns.Overloaded = uint32(flag(mark))
		s.set(byte(letter), conns)
	}
}

// packet is a client's.
func (s *sequence) packet(from netip.AddrPort, flags string) frame {
	return frame{
		from: clientMAC, to: ownMAC, src: from, dst: s.service.Key.Addr,
		proto: uint8(s.service.Key.Protocol), flags: flags, payload: "x",
	}
}

// openFrom sends the first packet of a client and returns the letter of the server
// that it went to, - for none.
func (s *sequence) openFrom(from netip.AddrPort) byte {
	s.tb.Helper()
	what := s.send(s.packet(from, "S"))
	if what.reason == reasons.PortUnreachable {
		return '-'
	}
	s.opened = append(s.opened, from)
	addr := s.ipvs.dests[what.slot].Server.Addr.Addr().AsSlice()
	return addr[len(addr)-1] + 'a' - 1
}

// want opens flows from one client and compares which servers they went to.
func (s *sequence) want(letters string) {
	s.tb.Helper()
	got := make([]byte, len(letters))
	for i := range got {
		got[i] = s.openFrom(s.six.of(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 9}), s.port)))
		s.port++
	}
	if string(got) != letters {
		s.tb.Fatalf("servers %s, want %s", got, letters)
	}
}

// wantCounts compares a server's active and inactive flows.
func (s *sequence) wantCounts(letter byte, active, inactive uint32) {
	s.tb.Helper()
	if c := s.conns[s.slot(letter)]; c.Active != active || c.Total-c.Active != inactive {
		s.tb.Fatalf("server %c has %d active and %d inactive flows, want %d and %d", letter, c.Active, c.Total-c.Active, active, inactive)
	}
}

// client and answer send a packet of the flow that was opened n-th, from 0.
func (s *sequence) client(n int, flags string) fate { return s.send(s.packet(s.opened[n], flags)) }

func (s *sequence) answer(n int, flags string) fate {
	s.tb.Helper()
	flow := s.ipvs.flows[s.packet(s.opened[n], "").ipvsTuple()]
	return s.send(frame{
		from: serverMAC, to: ownMAC, src: s.ipvs.dests[flow.slot].Server.Addr, dst: flow.tuple.src,
		proto: uint8(flow.tuple.proto), flags: flags,
	})
}

func (s *sequence) wantReason(got fate, want reasons.Reason) {
	s.tb.Helper()
	if got.reason != want {
		s.tb.Fatalf("%s, want %s", got.reason, want)
	}
}

// end lets the n-th flow end, and keeps the others.
func (s *sequence) end(n int) {
	s.tb.Helper()
	s.answer(n, "R")
	s.pass(10 * time.Second)
	s.opened = slices.Delete(s.opened, n, n+1)
	for i := range s.opened {
		s.client(i, "A")
	}
}

// The directed sequences of docs/parity.md, each by its number, in both families
// and by both generations of IPVS.
func TestSequences(t *testing.T) {
	numbers := make([]string, 0, len(sequences))
	for number := range sequences {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	for old, p := range []sched.Profile{{}, {OldOverhead: true, OldThresholds: true}} {
		t.Run(fmt.Sprintf("old=%d", old), func(t *testing.T) {
			w := newWorld(t, p, 200)
			for _, six := range []family{false, true} {
				for _, number := range numbers {
					if !t.Run(number+"/"+six.String(), func(t *testing.T) {
						defer func(tb testing.TB) { w.tb = tb }(w.tb)
						w.tb = t
						sequences[number](&sequence{world: w, six: six})
					}) {
						t.FailNow() // the maps and the model differ from here on
					}
				}
			}
		})
	}
}
