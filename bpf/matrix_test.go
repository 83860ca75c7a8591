//go:build bpf

package bpf

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// The dimensions of the matrix that TestParity plays.
var (
	matrixSchedulers = []struct {
		name  string
		flags uint32
	}{
		{"rr", 0}, {"wrr", 0}, {"lc", 0}, {"wlc", 0}, {"sed", 0}, {"nq", 0}, {"ovf", 0}, {"fo", 0}, {"dh", 0},
		{"sh", 0}, {"sh", sched.FlagPort}, {"sh", sched.FlagFallback}, {"sh", sched.FlagPort | sched.FlagFallback},
		{"mh", 0}, {"mh", sched.FlagPort}, {"mh", sched.FlagFallback}, {"mh", sched.FlagPort | sched.FlagFallback},
	}
	matrixProtocols = []model.Protocol{model.TCP, model.UDP, model.SCTP}
	matrixMethods   = []model.Forward{model.NAT, model.DR, model.TUN}
)

// cell is one service of the matrix.
type cell struct {
	service model.Service // as the matrix has it; what runs may have been edited
	running model.Service
	method  model.Forward
	six     family
	net     int // the number in its addresses
	weights []int32
}

func (c *cell) String() string {
	flags := ""
	for bit, name := range map[uint32]string{sched.FlagPort: "-port", sched.FlagFallback: "-fallback"} {
		if c.service.SchedFlags == bit {
			flags = name
		}
	}
	if c.service.SchedFlags == sched.FlagPort|sched.FlagFallback {
		flags = "-port-fallback"
	}
	return fmt.Sprintf("%s%s/%s/%s/%s", c.service.Scheduler, flags, c.six, c.service.Key.Protocol, c.method)
}

func matrix() (cells []*cell) {
	for i, s := range matrixSchedulers {
		for _, six := range []family{false, true} {
			for j, method := range matrixMethods {
				for _, proto := range matrixProtocols {
					// The protocols share their addresses.
					c := &cell{method: method, six: six, net: i*len(matrixMethods) + j}
					vip := six.of(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, 1, byte(c.net)}), 80))
					c.service = model.Service{
						Key: model.ServiceKey{Protocol: proto, Addr: vip}, Scheduler: s.name, SchedFlags: s.flags,
					}
					c.running = c.service
					cells = append(cells, c)
				}
			}
		}
	}
	return cells
}

// paritySteps is how many steps TestParity plays in all.
func paritySteps(t *testing.T) int {
	t.Helper()
	text := os.Getenv("EVENKEEL_PARITY_STEPS")
	if text == "" {
		return steps(120000)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("EVENKEEL_PARITY_STEPS: %v", err)
	}
	return n
}

// The program and the model choose the same server, write the same bytes and
// count the same, for random histories of services, servers, weights, thresholds,
// persistence, packets, errors about them, and time: for each scheduler, family, protocol and method,
// by both generations of IPVS.
func TestParity(t *testing.T) {
	seed, total := labtest.Seed(t), paritySteps(t)
	for old, p := range []sched.Profile{{}, {OldOverhead: true, OldThresholds: true}} {
		t.Run(fmt.Sprintf("old=%d", old), func(t *testing.T) {
			began := time.Now()
			s := newStory(t, rand.New(rand.NewPCG(seed, uint64(old))), p)
			each := total/2/len(s.cells) + 1
			for _, c := range s.cells {
				if !t.Run(c.String(), func(t *testing.T) { s.play(t, c, each) }) {
					t.Fatal("the maps and the model differ from here on")
				}
			}
			t.Logf("%d steps on %d services, %d each at least, in %v", s.steps, len(s.cells), each, time.Since(began))
			t.Logf("%d errors reached servers, %d clients", s.ipvs.reasons[reasons.ForwardedICMP], s.ipvs.reasons[reasons.ForwardedICMPReply])
		})
	}
}

// parityStory makes random histories.
type parityStory struct {
	*world
	*rand.Rand
	cells []*cell
}

func newStory(t *testing.T, random *rand.Rand, p sched.Profile) *parityStory {
	cells := matrix()
	s := &parityStory{world: newWorld(t, p, len(cells)+100), Rand: random, cells: cells}
	for _, c := range cells {
		c.weights = [][]int32{{0, 1, 2, 3}, {10, 20, 40}, {1, 100, 0}, {65535, 0, 1, 300}, {1<<31 - 1, 1 << 20, 7}}[s.IntN(5)]
		s.apply(sched.Op{Kind: sched.AddService, Service: c.service})
		for range 3 {
			s.changeServers(c)
		}
	}
	return s
}

// play makes steps in one cell, and some in others, so that services meet.
func (s *parityStory) play(t *testing.T, c *cell, steps int) {
	defer func(tb testing.TB) { s.tb = tb }(s.tb)
	s.tb = t
	for done := 0; done < steps; {
		at := c
		if s.IntN(8) == 0 {
			at = s.cells[s.IntN(len(s.cells))]
		} else {
			done++
		}
		s.step(at)
	}
}

func (s *parityStory) step(c *cell) {
	switch n := s.IntN(100); {
	case n < 10:
		s.changeServers(c)
	case n < 13:
		s.changeService(c)
	case n < 17:
		s.pass(2 * time.Second * time.Duration(1+s.IntN(60)))
	case n < 20:
		s.send(s.stray(c))
	case n < 24:
		s.comment(c)
	case n < 45:
		s.send(s.reply(c))
	default:
		s.send(s.request(c))
	}
}

// server is one of the ten that a cell's service may have.
func (s *parityStory) server(c *cell, i int) model.Server {
	port := uint16(80)
	if c.method == model.NAT && c.service.Key.Protocol != model.SCTP { // whose port never changes in XDP
		port = 8080
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(c.net), byte(1 + i)}), port)
	six := c.six
	if c.method == model.TUN && i%4 == 3 {
		six = !six // a tunnel may be of either family
	}
	server := model.Server{Addr: six.of(addr), Forward: c.method, Weight: c.weights[s.IntN(len(c.weights))]}
	if c.method == model.TUN {
		server.Tunnel = []model.Tunnel{{}, {Type: model.GRE}, {Type: model.GUE, Port: guePort}}[i%3]
	}
	return server
}

func (s *parityStory) changeServers(c *cell) {
	server := s.server(c, s.IntN(10))
	if s.IntN(3) == 0 {
		server.Upper = uint32(s.IntN(12))
		if server.Upper > 0 && s.IntN(2) == 0 {
			server.Lower = uint32(s.IntN(int(server.Upper) + 1))
		}
	}
	if s.IntN(16) == 0 && server.Addr.Addr().Is6() == bool(c.six) { // flows keep the method that they were born with
		server.Forward = matrixMethods[s.IntN(len(matrixMethods))]
	}
	op := sched.Op{Kind: sched.AddServer, Service: c.running, Server: server}
	if _, ok := s.ipvs.state.Find(c.running.Key, server.Addr); ok {
		op.Kind = sched.EditServer
		if s.IntN(3) == 0 {
			op.Kind = sched.DelServer
		}
	}
	s.apply(op)
}

// changeService edits the service: persistence, one-packet scheduling, flags,
// another scheduler for a while; or deletes it and adds it again.
func (s *parityStory) changeService(c *cell) {
	next := c.running
	switch s.IntN(8) {
	case 0, 1:
		next.OnePacket = false
		next.Persistence = time.Duration(2+2*s.IntN(60)) * time.Second
		next.PersistencePrefix = []uint8{32, 24}[s.IntN(2)]
		if c.six {
			next.PersistencePrefix = []uint8{128, 64, 57}[s.IntN(3)]
		}
	case 2:
		next.Persistence, next.OnePacket = 0, next.Key.Protocol == model.UDP && s.IntN(4) == 0
	case 3:
		s.apply(sched.Op{Kind: sched.DelService, Service: next})
		if s.IntN(2) == 0 { // its flows go on without it for a moment
			s.send(s.request(c))
		}
		s.apply(sched.Op{Kind: sched.AddService, Service: c.service})
		c.running = c.service
		for range 4 {
			s.changeServers(c)
		}
		return
	case 4:
		other := matrixSchedulers[s.IntN(len(matrixSchedulers))]
		next.Scheduler, next.SchedFlags = other.name, other.flags
	default:
		next = c.service // as the matrix has it
	}
	if s.apply(sched.Op{Kind: sched.EditService, Service: next}) {
		c.running = next
	}
}

// request is a client's packet: mostly of a flow that lives, or one that opens one.
func (s *parityStory) request(c *cell) frame {
	f := frame{from: [6]byte{2, 0, 0, 0, 0, byte(0xc0 + s.IntN(3))}, to: ownMAC, dst: c.service.Key.Addr}
	flows := s.ipvs.open[c.service.Key]
	if len(flows) > 0 && s.IntN(5) < 3 {
		f.src = flows[s.IntN(len(flows))].tuple.src
		f.flags = []string{"A", "A", "A", "AP", "FA", "F", "R", "RA", "S", "S", "SA", "SF", "SR", "", "PU", "SFAR"}[s.IntN(16)]
	} else {
		f.src = c.six.of(netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(113 + s.IntN(3)), byte(s.IntN(4))}), uint16(1024+s.IntN(64))))
		f.flags = []string{"S", "S", "S", "S", "S", "S", "S", "SA", "SF", "SPU", "A", "R", "SR", ""}[s.IntN(14)]
	}
	if c.service.Key.Protocol == model.SCTP {
		f.flags = s.chunk(f.flags)
	}
	return s.dress(c, f)
}

// chunk is what a packet of SCTP begins with in the place of TCP's flags.
func (s *parityStory) chunk(flags string) string {
	switch {
	case strings.Contains(flags, "S") && strings.Contains(flags, "A"):
		return "INIT_ACK"
	case strings.Contains(flags, "S"):
		return "INIT"
	}
	return []string{
		"DATA", "SACK", "HEARTBEAT", "INIT_ACK", "COOKIE_ECHO", "COOKIE_ECHO DATA", "COOKIE_ECHO", "COOKIE_ECHO ABORT",
		"COOKIE_ACK", "COOKIE_ACK DATA", "COOKIE_ACK ABORT", "SHUTDOWN", "SHUTDOWN_ACK", "SHUTDOWN_COMPLETE", "ERROR",
		"ABORT", "ASCONF",
	}[s.IntN(17)]
}

// reply is a server's packet: mostly of a flow that lives.
func (s *parityStory) reply(c *cell) frame {
	f := frame{from: serverMAC, to: ownMAC}
	server := s.server(c, s.IntN(3)).Addr
	f.src, f.dst = server, c.six.of(netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, 1}), uint16(1024+s.IntN(64))))
	if flows := s.ipvs.open[c.service.Key]; len(flows) > 0 && s.IntN(8) > 0 {
		flow := flows[s.IntN(len(flows))]
		if server := s.ipvs.dests[flow.slot].Server.Addr; server.Addr().Is6() == bool(c.six) {
			f.src, f.dst = server, flow.tuple.src
		}
	}
	f.flags = []string{"SA", "SA", "A", "A", "AP", "FA", "F", "R", "S", ""}[s.IntN(10)]
	if c.service.Key.Protocol == model.SCTP {
		f.flags = s.chunk(f.flags)
	}
	return s.dress(c, f)
}

// stray is a packet that is not for the service, or not for any.
func (s *parityStory) stray(c *cell) frame {
	f := s.request(c)
	switch s.IntN(4) {
	case 0:
		f.dst = netip.AddrPortFrom(f.dst.Addr(), 81)
	case 1:
		f.to = clientMAC
	case 2:
		f.src = netip.AddrPortFrom(f.src.Addr(), 20)
	case 3:
		f.dst = c.six.of(netip.MustParseAddrPort("198.18.2.1:80"))
	}
	return f
}

// dress gives a packet what must not matter.
func (s *parityStory) dress(c *cell, f frame) frame {
	f.proto = uint8(c.service.Key.Protocol)
	f.ttl = []uint8{64, 255, 2, uint8(2 + s.IntN(254))}[s.IntN(4)]
	if s.IntN(40) == 0 {
		f.ttl = 1
	}
	size := s.IntN(40)
	if s.IntN(10) == 0 {
		size = s.IntN(1400)
	}
	f.payload = strings.Repeat(string(rune('a'+s.IntN(26))), size)
	f.noSum = f.proto == 17 && s.IntN(8) == 0
	class, id := uint8(s.IntN(256)), uint16(s.IntN(1<<16))
	f.ip = func(ip *layers.IPv4) {
		ip.TOS, ip.Id = class, id
		if id&1 == 0 {
			ip.Flags = 0
		}
	}
	f.ip6 = func(ip *layers.IPv6) { ip.TrafficClass, ip.FlowLabel = class, uint32(id) }
	return f
}
