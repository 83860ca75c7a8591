//go:build bpf

package bpf

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// slotMAC is the next hop of a slot, by which the tests see the choice.
func slotMAC(slot uint32) [6]byte { return [6]byte{2, 0, 0, 1, byte(slot >> 8), byte(slot)} }

// player carries operations out on the maps as sched describes them, and keeps
// the flows that IPVS would have beside it.
type player struct {
	*rig
	state   *sched.State
	profile sched.Profile
	service model.Service
	six     family // of the service
	forward model.Forward
	loads   map[uint32]sched.Load
	flows   map[uint16]*parityFlow // by client port
	servers map[uint32]model.Server
}

type parityFlow struct {
	slot    uint32
	state   string
	expires time.Duration
}

var schedulers = map[string]EkScheduler{
	"rr": EkSchedulerSCHED_RR, "wrr": EkSchedulerSCHED_WRR, "lc": EkSchedulerSCHED_LC, "wlc": EkSchedulerSCHED_WLC,
	"sed": EkSchedulerSCHED_SED, "nq": EkSchedulerSCHED_NQ, "ovf": EkSchedulerSCHED_OVF, "fo": EkSchedulerSCHED_FO,
	"sh": EkSchedulerSCHED_SH, "dh": EkSchedulerSCHED_DH, "mh": EkSchedulerSCHED_MH,
}

func newPlayer(tb testing.TB, svc model.Service, forward model.Forward, p sched.Profile, change ...func(*ebpf.CollectionSpec)) *player {
	player := &player{
		rig:     newRig(tb, 1<<13, p, change...),
		state:   sched.New(p),
		profile: p,
		service: svc,
		six:     family(svc.Key.Addr.Addr().Is6()),
		forward: forward,
		loads:   map[uint32]sched.Load{},
		flows:   map[uint16]*parityFlow{},
		servers: map[uint32]model.Server{},
	}
	player.apply(sched.Op{Kind: sched.AddService, Service: svc})
	player.rig.scheduled(0, uint8(svc.Key.Protocol), svc.Key.Addr, schedulers[svc.Scheduler], uint8(svc.SchedFlags))
	return player
}

// roundRobin is a player with an rr service and servers of weight 1.
func roundRobin(tb testing.TB, six family, forward model.Forward, servers int, change ...func(*ebpf.CollectionSpec)) *player {
	p := newPlayer(tb, model.Service{
		Key: model.ServiceKey{Protocol: model.TCP, Addr: six.of(vip)}, Scheduler: "rr",
	}, forward, sched.Profile{}, change...)
	for i := range servers {
		p.apply(sched.Op{Kind: sched.AddServer, Service: p.service, Server: p.serverAt(i, 1)})
	}
	return p
}

func (p *player) serverAt(i int, weight int32) model.Server {
	addr := netip.AddrFrom4([4]byte{10, 1, 0, byte(1 + i)})
	return model.Server{Addr: p.six.of(netip.AddrPortFrom(addr, vip.Port())), Forward: p.forward, Weight: weight}
}

func (p *player) apply(op sched.Op) {
	p.tb.Helper()
	change, err := p.state.Apply(op)
	if err != nil {
		p.tb.Fatal(err)
	}
	if op.Kind == sched.AddService {
		return
	}
	d := change.Dest
	p.server(d.Slot, 0, d.Server.Addr, EkForward(d.Server.Forward), func(s *EkServer) {
		s.Dmac, s.Weight, s.Upper, s.Lower = slotMAC(d.Slot), d.Server.Weight, d.Server.Upper, d.Server.Lower
		if d.Deleted {
			s.Flags |= serverDeleted
		}
	})
	p.editThresholds(d)
	var list []entry
	for _, d := range change.Order {
		list = append(list, entry{d.Slot, d.Server.Weight})
	}
	p.publish(0, change.Position, change.Table, change.Lowest, list...)
}

// editThresholds follows a server whose thresholds may have changed.
func (p *player) editThresholds(d sched.Dest) {
	p.tb.Helper()
	if d.Deleted {
		return
	}
	old := p.servers[d.Slot]
	p.servers[d.Slot] = d.Server
	p.loads[d.Slot] = p.profile.Edited(p.loads[d.Slot], old.Upper, old.Lower, d.Server.Upper, d.Server.Lower)
	arg := EkEdit{Server: d.Slot, OldUpper: old.Upper, OldLower: old.Lower}
	if ret, err := p.o.EkEdit.Run(&ebpf.RunOptions{Context: &arg}); err != nil || ret != 0 {
		p.tb.Fatalf("edit: %d, %v", int32(ret), err)
	}
}

// client is who uses a port: one of many, so that hashes of addresses differ.
func (p *player) client(port uint16) netip.AddrPort {
	b := client.Addr().As4()
	b[2], b[3] = byte(port%7), byte(port%251)
	return p.six.of(netip.AddrPortFrom(netip.AddrFrom4(b), port))
}

// opening is a packet that opens a flow of the service.
func (p *player) opening(port uint16) frame {
	f := p.six.syn()
	if p.service.Key.Protocol == model.UDP {
		f = p.six.datagram("x")
	}
	f.src = p.client(port)
	return f
}

// open sends a new flow and compares where it went.
func (p *player) open(port uint16) {
	p.tb.Helper()
	f := p.opening(port)
	verdict, out := p.run(f.bytes(p.tb))
	why := p.reason()
	client := sched.Client{Addr: f.src.Addr(), Port: port}
	want, ok := p.state.Choose(p.service.Key, client, func(d sched.Dest) sched.Load { return p.loads[d.Slot] })
	if !ok {
		if why != reasons.PortUnreachable && why != reasons.NoServer {
			p.tb.Fatalf("verdict %d because of %s, want no server", verdict, why)
		}
		return
	}
	if why.Verdict() != reasons.Forward {
		p.tb.Fatalf("verdict %d because of %s, want %s", verdict, why, want.Server.Addr)
	}
	wire := f
	wire.from, wire.to, wire.ttl = ownMAC, slotMAC(want.Slot), 63
	if p.forward == model.NAT {
		wire.dst = want.Server.Addr
	}
	if expect := wire.bytes(p.tb); string(expect) != string(out) {
		p.tb.Fatalf("sent % x, want % x (%s)", out, expect, want.Server.Addr)
	}
	state, life := "SR", 60
	if p.service.Key.Protocol == model.UDP {
		state, life = "UDP", 300
	}
	p.flows[port] = &parityFlow{want.Slot, state, p.now + time.Duration(life)*time.Second}
	load := p.profile.Bound(p.loads[want.Slot], want.Server.Upper, want.Server.Lower)
	if active[state] {
		load.Active++
	}
	p.loads[want.Slot] = load
}

// steps is n, or a tenth of it with -short: an emulated machine is slow.
func steps(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// Flows opened by several CPUs at once, while servers come and go and the
// sweep runs: every flow is counted once in and once out.
func TestCountersUnderConcurrency(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		for _, forward := range []model.Forward{model.DR, model.NAT} {
			t.Run(forward.String(), func(t *testing.T) { hammer(t, six, forward) })
		}
	})
}

func hammer(t *testing.T, six family, forward model.Forward) {
	const workers, slots = 4, 8
	packets := steps(10000)
	p := roundRobin(t, six, forward, slots)
	var work, control sync.WaitGroup
	done := make(chan struct{})
	for worker := range workers {
		work.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for range packets {
				// Few ports, so that the workers meet in the same flows.
				f := six.syn().fromPort(uint16(1024 + random.IntN(500)))
				f.flags = []string{"S", "S", "A", "F", "R", ""}[random.IntN(6)]
				if _, _, err := p.try(f.bytes(t)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	control.Go(func() {
		random := rand.New(rand.NewPCG(7, 7))
		for {
			select {
			case <-done:
				return
			default:
			}
			server := p.serverAt(random.IntN(slots), int32(random.IntN(2)))
			p.apply(sched.Op{Kind: sched.EditServer, Service: p.service, Server: server})
			p.advance(7 * time.Second)
			p.sweep()
		}
	})
	work.Wait()
	close(done)
	control.Wait()

	p.wantConserved(slots)
	p.advance(time.Hour)
	p.sweep()
	p.sweep()
	for slot := range uint32(slots) {
		p.wantConns(slot, 0, 0)
	}
}

// While flows are opened on several CPUs, others end, of servers that are full with one or two: whoever
// makes a server full or not full marks it so, and none is left marked when all have ended.
func TestMarksUnderConcurrency(t *testing.T) {
	const workers, slots = 4, 8
	packets := steps(20000)
	p := roundRobin(t, false, model.DR, 0, pausing(t))
	for i := range slots {
		server := p.serverAt(i, 1)
		server.Upper = 1 + uint32(i%2)
		p.apply(sched.Op{Kind: sched.AddServer, Service: p.service, Server: server})
	}
	var work, control sync.WaitGroup
	done := make(chan struct{})
	for worker := range workers {
		work.Go(func() {
			for i := range packets {
				if _, _, err := p.try(syn().fromPort(uint16(1024 + worker*packets/2 + i/2)).bytes(t)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	control.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			p.advance(time.Minute)
			p.sweep()
		}
	})
	work.Wait()
	close(done)
	control.Wait()
	p.advance(time.Hour)
	p.sweep()
	p.sweep()
	for slot := range uint32(slots) {
		if got := p.conns(slot); got != (EkServerConns{}) {
			t.Errorf("server %d of at most %d flows: %+v, want no flow and no mark", slot, 1+slot%2, got)
		}
	}
}

// A flow may end before it is counted in: a server with less than none is not full, whatever its new
// thresholds are.
func TestThresholdsOfLessThanNone(t *testing.T) {
	p := roundRobin(t, false, model.DR, 1)
	for total, want := range map[uint32]uint32{^uint32(0): 0, 2: 0, 3: 1} {
		p.put(p.o.EkServerConns, uint32(0), EkServerConns{Active: total, Total: total})
		server := p.serverAt(0, 1)
		server.Upper = 3
		p.apply(sched.Op{Kind: sched.EditServer, Service: p.service, Server: server})
		if got := p.conns(0); got.Overloaded != want {
			t.Errorf("with %d flows of at most 3 the mark is %d, want %d", int32(total), got.Overloaded, want)
		}
		p.apply(sched.Op{Kind: sched.EditServer, Service: p.service, Server: p.serverAt(0, 1)})
	}
}

// wantConserved compares the counters with the flows that are in the table.
func (p *player) wantConserved(slots int) {
	p.tb.Helper()
	want := make([]EkServerConns, slots)
	p.entries(func(f EkFlow) {
		w := unpack(f.Now.Word)
		if w.state >= EkFlowStateFLOW_STATES {
			return
		}
		want[w.server].Total++
		if w.flags&1 == 0 {
			want[w.server].Active++
		}
	})
	if !slices.ContainsFunc(want, func(c EkServerConns) bool { return c.Total > 0 }) {
		p.tb.Error("no flow is left to compare with")
	}
	for slot := range slots {
		if got := p.conns(uint32(slot)); got.Active != want[slot].Active || got.Total != want[slot].Total {
			p.tb.Errorf("server %d counts %s, the table has %s", slot, counts(got), counts(want[slot]))
		}
	}
}

func counts(c EkServerConns) string { return fmt.Sprintf("%d active of %d", c.Active, c.Total) }

// With several CPUs at once the sequence is still rr's: after any number of
// new flows the servers differ by one at most.
func TestRoundRobinIsExactOnManyCPUs(t *testing.T) {
	const workers, flows = 4, 1500
	p := roundRobin(t, false, model.DR, 3)
	var work sync.WaitGroup
	for worker := range workers {
		work.Go(func() {
			for i := range flows {
				if _, _, err := p.try(syn().fromPort(uint16(1024 + worker*flows + i)).bytes(t)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	for slot := range uint32(3) {
		p.wantConns(slot, workers*flows/3, workers*flows/3)
	}
}
