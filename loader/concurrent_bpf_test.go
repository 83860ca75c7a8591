//go:build bpf

package loader

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// How long TestCountersUnderFire lasts where EVENKEEL_FIRE_MINUTES does not say.
const (
	firePackets = 20000 // from each CPU
	fireChanges = 200
)

// littleRoom is a flow table that is full most of the time.
const littleRoom = 2048

// The services of a fire. The first two stay as they are.
const (
	fireTurns = iota // rr, each datagram for itself
	fireKept         // rr, UDP
	fireNAT
	firePersistent
	fireUDP
	fireServices
)

// TestCountersUnderFire runs packets on every CPU, of the same few clients, while
// servers and services come and go, flows time out and the daemon starts anew. At rest
// the counters must be what the table holds; rr must have given turns in order.
// In a small table half-open flows make room all the while.
func TestCountersUnderFire(t *testing.T) {
	for name, flows := range map[string]uint32{"room for all": 1 << 17, "little room": littleRoom} {
		t.Run(name, func(t *testing.T) {
			resolver := newFakeResolver()
			for n := range 6 {
				resolver.set(nil, realServer(n, 1).Addr.Addr(), resolved(serverMAC))
			}
			r := newRig(t, func(o *Options) {
				o.Resolver, o.Flows, o.Services, o.Servers = resolver, flows, 256, 2048
			})
			f := newFire(r, rand.New(rand.NewPCG(labtest.Seed(t), uint64(flows))))
			f.run()
			f.atRest()
			f.inTurn(fireTurns)
			if flows != littleRoom {
				f.inTurn(fireKept)
			} else {
				t.Logf("%d half-open flows made room", f.evicted())
			}
			r.advance(2 * time.Hour)
			for range 3 {
				r.sweepAll()
			}
			f.empty()
		})
	}
}

// fire is what happens at the same time.
type fire struct {
	*rig
	*history
	until   time.Time // zero: firePackets and fireChanges
	stop    atomic.Bool
	changes atomic.Uint64
	packets atomic.Uint64
	ports   atomic.Uint32 // used up by fireKept
}

func newFire(r *rig, random *rand.Rand) *fire {
	f := &fire{rig: r, history: newHistory(random)}
	if text := os.Getenv("EVENKEEL_FIRE_MINUTES"); text != "" {
		minutes, err := strconv.Atoi(text)
		check(r.t, err)
		f.until = time.Now().Add(time.Duration(minutes) * time.Minute)
	}
	for i := range fireServices {
		svc := fireService(i)
		r.apply(op(sched.AddService, svc))
		f.running[svc.Key] = map[int]bool{}
		for n := range 4 {
			r.apply(op(sched.AddServer, svc, f.server(i, n, 1)))
			f.running[svc.Key][n] = true
		}
	}
	return f
}

func fireService(i int) model.Service {
	svc := service(netip.AddrPortFrom(vip.Addr(), vip.Port()+uint16(i)))
	switch i {
	case fireTurns:
		svc.OnePacket = true
	case fireNAT:
		svc.Key.Protocol = model.TCP
	case firePersistent:
		svc.Key.Protocol, svc.Scheduler, svc.Persistence = model.TCP, "wlc", time.Minute
	}
	return svc
}

func (f *fire) server(service, n int, weight int32) model.Server {
	s := realServer(n, weight)
	if service == fireNAT {
		s.Forward = model.NAT
	}
	return s
}

// run lasts until both packets and changes were enough.
func (f *fire) run() {
	f.t.Helper()
	var cpus unix.CPUSet
	check(f.t, unix.SchedGetaffinity(0, &cpus))
	var work sync.WaitGroup
	began := time.Now()
	prog, err := f.progs.xdp.Clone()
	check(f.t, err)
	defer prog.Close()
	defer work.Wait()
	defer f.stop.Store(true) // what fails here ends the others
	left := atomic.Int32{}
	for cpu := range 1024 {
		if !cpus.IsSet(cpu) || left.Load() == 4 {
			continue
		}
		left.Add(1)
		shots := &shooter{f: f, prog: prog, Rand: rand.New(rand.NewPCG(f.Uint64(), 0))}
		work.Go(func() { defer left.Add(-1); shots.fire(cpu) })
	}
	for left.Load() > 0 {
		f.change()
		f.changes.Add(1)
	}
	work.Wait()
	f.t.Logf("%d packets and %d changes in %v", f.packets.Load(), f.changes.Load(), time.Since(began).Round(time.Millisecond))
	for name, n := range f.byReason() {
		f.t.Logf("%12d %s", n, name)
	}
}

func (f *fire) byReason() map[string]uint64 {
	counts, err := f.Reasons()
	check(f.t, err)
	named := map[string]uint64{}
	for r, n := range counts {
		if n > 0 {
			named[r.String()] = n
		}
	}
	return named
}

// enough says whether who has sent so many packets may stop.
func (f *fire) enough(sent int) bool {
	if f.stop.Load() {
		return true
	}
	if f.until.IsZero() {
		return sent >= firePackets && f.changes.Load() >= fireChanges
	}
	return time.Now().After(f.until)
}

// change is one thing that the daemon does.
func (f *fire) change() {
	switch f.IntN(8) {
	case 0:
		f.advance(time.Duration(f.IntN(20_000)) * time.Millisecond)
	case 1, 2:
		check(f.t, f.sweepStep(uint32(f.IntN(lbmaps.Shards))))
	case 3:
		if f.IntN(16) == 0 {
			f.resume()
		}
	default:
		f.apply(f.reconfigure())
	}
}

// reconfigure changes one of the services that may change.
func (f *fire) reconfigure() sched.Op {
	i := fireNAT + f.IntN(fireServices-fireNAT)
	return f.history.change(fireService(i), 6, 20, func(n int, weight int32) model.Server { return f.server(i, n, weight) })
}

// shooter is one CPU.
type shooter struct {
	*rand.Rand
	f    *fire
	prog *ebpf.Program
}

func (s *shooter) fire(cpu int) {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	var one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		s.f.t.Error(err)
		return
	}
	out := make([]byte, 512)
	for sent := 0; !s.f.enough(sent); sent++ {
		frame := s.packet()
		_, err := s.prog.Run(&ebpf.RunOptions{
			Data:    frame,
			DataOut: out,
			Context: struct{ Data, DataEnd, DataMeta, Ingress, Queue, Egress uint32 }{DataEnd: uint32(len(frame)), Ingress: inside},
		})
		if err != nil {
			s.f.t.Error(err)
			return
		}
		s.f.packets.Add(1)
	}
}

// packet is one of few clients, that all CPUs share.
func (s *shooter) packet() []byte {
	i := s.IntN(fireServices)
	to := netip.AddrPortFrom(vip.Addr(), vip.Port()+uint16(i))
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + s.IntN(8))}), uint16(1000+s.IntN(400)))
	switch i {
	case fireKept:
		n := s.f.ports.Add(1)
		if s.f.o.Flows == littleRoom { // leave it to the half-open flows
			n %= littleRoom / 8
		}
		from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(64 + n>>22), byte(n >> 14), byte(n >> 6)}), uint16(1000+n&63))
		return datagram(from, to)
	case fireNAT, firePersistent:
		if i == fireNAT && s.IntN(3) == 0 { // an answer
			from, to = netip.AddrPortFrom(realServer(s.IntN(6), 1).Addr.Addr(), vip.Port()), from
		}
		// Half of them are the first of a connection.
		return segment(from, to, []byte{tcpSYN, tcpSYN, tcpSYN, tcpSYN | tcpACK, tcpACK, tcpACK, tcpFIN | tcpACK, tcpRST}[s.IntN(8)])
	}
	return datagram(from, to)
}

// TCP's flags.
const (
	tcpFIN = 1
	tcpSYN = 2
	tcpRST = 4
	tcpACK = 16
)

// segment is an Ethernet frame with an empty TCP segment without a checksum.
func segment(from, to netip.AddrPort, flags byte) []byte {
	f := append(datagram(from, to), make([]byte, 12)...)
	ip := f[14:]
	ip[9] = 6
	binary.BigEndian.PutUint16(ip[2:], 40)
	clear(ip[10:12])
	binary.BigEndian.PutUint16(ip[10:], headerSum(ip[:20]))
	clear(ip[24:])
	ip[32], ip[33] = 5<<4, flags
	return f
}

// tally is a number of flows.
type tally struct{ total, active uint32 }

// atRest compares the counters of each server with its flows in the table, and the
// reply tuples with the flows by NAT.
func (f *fire) atRest() {
	f.t.Helper()
	flows := map[uint32]tally{}
	nat := 0
	check(f.t, f.maps.Flows(0, func(l lbmaps.Flow) bool {
		n := flows[l.Slot]
		n.total++
		switch l.State {
		case "ESTABLISHED", "SYN_SENT", "SYN_RECV", "SYNACK":
			n.active++
		}
		flows[l.Slot] = n
		if l.Forward == model.NAT {
			nat++
		}
		return true
	}))
	sum := uint32(0)
	f.counted(func(slot uint32, got tally) {
		if got != flows[slot] {
			f.t.Errorf("server %d counts %+v, the table has %+v", slot, got, flows[slot])
		}
		sum += flows[slot].total
	})
	if got := f.replies(); got != nat {
		f.t.Errorf("%d reply tuples for %d flows by NAT", got, nat)
	}
	if n := f.count(reasons.Internal); n != 0 {
		f.t.Errorf("%d packets met an impossible map", n)
	}
	f.t.Logf("at rest %d flows, %d of them by NAT", sum, nat)
}

// counted calls yield with what each server counts.
func (f *fire) counted(yield func(slot uint32, got tally)) {
	f.t.Helper()
	check(f.t, f.maps.Servers(func(slot uint32, _ lbmaps.Server) bool {
		c, err := f.maps.Conns(slot)
		check(f.t, err)
		yield(slot, tally{c.Total, c.Active})
		return true
	}))
}

func (f *fire) replies() (n int) {
	f.t.Helper()
	check(f.t, f.maps.Replies(func(lbmaps.Reply) bool { n++; return true }))
	return n
}

// evicted counts the flows that made room, of the services that there are.
func (f *fire) evicted() (n uint64) {
	f.t.Helper()
	for id := range f.o.Services {
		o, err := f.maps.Overload(id)
		check(f.t, err)
		n += o.Evicted
	}
	return n
}

// inTurn wants as many flows on each server of an rr service as on the others, but
// for the last round.
func (f *fire) inTurn(i int) {
	f.t.Helper()
	key := fireService(i).Key
	for _, s := range f.tables().Services {
		if s.Key != key {
			continue
		}
		least, most, sum := ^uint64(0), uint64(0), uint64(0)
		for _, e := range s.Servers {
			least, most, sum = min(least, e.Counters.Conns), max(most, e.Counters.Conns), sum+e.Counters.Conns
		}
		if most-least > 1 || sum != s.Counters.Conns {
			f.t.Errorf("%s gave its servers %d to %d flows, %d of %d", key, least, most, sum, s.Counters.Conns)
		}
		f.t.Logf("%s gave each server %d or %d of %d flows", key, least, most, sum)
		return
	}
	f.t.Errorf("%s is not there", key)
}

// empty wants nothing left of any flow.
func (f *fire) empty() {
	f.t.Helper()
	f.counted(func(slot uint32, got tally) {
		if got != (tally{}) {
			f.t.Errorf("server %d counts %+v in an empty table", slot, got)
		}
	})
	if n := f.replies(); n != 0 {
		f.t.Errorf("%d reply tuples are left", n)
	}
	for shard := range uint32(lbmaps.Shards) {
		var ring bpf.EkHalfRing
		check(f.t, f.maps.ByName()["ek_half_rings"].Lookup(shard, &ring))
		if ring.Used != 0 {
			f.t.Errorf("shard %d counts %s", shard, fmt.Sprint(ring))
		}
	}
}
