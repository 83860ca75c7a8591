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

// player carries operations out on the maps as sched describes them.
type player struct {
	*rig
	state   *sched.State
	service model.Service
}

func newPlayer(tb testing.TB) *player {
	p := &player{
		rig:     newRig(tb, 1<<16),
		state:   sched.New(sched.Profile{}),
		service: model.Service{Key: model.ServiceKey{Protocol: model.TCP, Addr: vip}, Scheduler: "rr"},
	}
	p.apply(sched.Op{Kind: sched.AddService, Service: p.service})
	p.rig.service(0, 6, vip)
	return p
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
		s.Dmac = slotMAC(d.Slot)
		if d.Deleted {
			s.Flags |= serverDeleted
		}
	})
	var list []entry
	for _, d := range change.Order {
		list = append(list, entry{d.Slot, d.Server.Weight})
	}
	p.order(0, change.Position, list...)
}

// randomOp changes the servers of the service at random.
func (p *player) randomOp(random *rand.Rand) {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(1 + random.IntN(12))}), 80)
	op := sched.Op{Kind: sched.AddServer, Service: p.service, Server: model.Server{
		Addr: addr, Forward: model.DR, Weight: int32(random.IntN(3)),
	}}
	if _, ok := p.state.Find(p.service.Key, addr); ok {
		op.Kind = sched.EditServer
		if random.IntN(2) == 0 {
			op.Kind = sched.DelServer
		}
	}
	p.apply(op)
}

// The program and the model choose the same server for every new flow of a
// random history of servers added, edited, deleted and revived.
func TestRoundRobinParity(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	p := newPlayer(t)
	port := uint16(1024)
	for step := range 20000 {
		if random.IntN(4) == 0 {
			p.randomOp(random)
			continue
		}
		port++
		if port < 1024 {
			port = 1024
			p.advance(time.Hour)
			p.sweep()
		}
		verdict, out := p.run(syn().fromPort(port).bytes(t))
		want, ok := p.state.Choose(p.service.Key, sched.Client{}, nil)
		if !ok {
			if why := p.reason(); why != reasons.PortUnreachable && why != reasons.NoServer {
				t.Fatalf("step %d: verdict %d because of %s, want no server", step, verdict, why)
			}
			continue
		}
		if why := p.reason(); why != reasons.ForwardedDR {
			t.Fatalf("step %d: verdict %d because of %s, want %s", step, verdict, why, want.Server.Addr)
		}
		if got, mac := [6]byte(out[:6]), slotMAC(want.Slot); got != mac {
			t.Fatalf("step %d: sent to % x, want % x (%s)", step, got, mac, want.Server.Addr)
		}
	}
}

// Flows opened by several CPUs at once, while servers come and go and the
// sweep runs: every flow is counted once in and once out.
func TestCountersUnderConcurrency(t *testing.T) {
	for _, forward := range []model.Forward{model.DR, model.NAT} {
		t.Run(forward.String(), func(t *testing.T) { hammer(t, forward) })
	}
}

func hammer(t *testing.T, forward model.Forward) {
	const workers, packets, slots = 4, 15000, 8
	p := newPlayer(t)
	for i := range slots {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(1 + i)}), 80)
		p.apply(sched.Op{Kind: sched.AddServer, Service: p.service, Server: model.Server{Addr: addr, Forward: forward, Weight: 1}})
	}
	var work, control sync.WaitGroup
	done := make(chan struct{})
	for worker := range workers {
		work.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for range packets {
				// Few ports, so that the workers meet in the same flows.
				f := syn().fromPort(uint16(1024 + random.IntN(500)))
				f.flags = []string{"S", "S", "A", "F", "R", ""}[random.IntN(6)]
				raw := f.bytes(t)
				options := ebpf.RunOptions{
					Data: raw, DataOut: make([]byte, 256),
					Context: xdpContext{DataEnd: uint32(len(raw)), Ingress: inside},
				}
				if _, err := p.o.EkXdp.Run(&options); err != nil {
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
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(1 + random.IntN(slots))}), 80)
			p.apply(sched.Op{Kind: sched.EditServer, Service: p.service, Server: model.Server{
				Addr: addr, Forward: forward, Weight: int32(random.IntN(2)),
			}})
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

// wantConserved compares the counters with the flows that are in the table.
func (p *player) wantConserved(slots int) {
	p.tb.Helper()
	want := make([]EkServerConns, slots)
	p.shards(func(m *ebpf.Map) {
		var key EkFlowKey
		var f EkFlow
		for it := m.Iterate(); it.Next(&key, &f); {
			w := unpack(f.Now.Word)
			if w.state >= EkFlowStateFLOW_STATES {
				continue
			}
			want[w.server].Total++
			if w.flags&1 == 0 {
				want[w.server].Active++
			}
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
	const workers, flows = 4, 3000
	p := newPlayer(t)
	for i := range 3 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(1 + i)}), 80)
		p.apply(sched.Op{Kind: sched.AddServer, Service: p.service, Server: model.Server{Addr: addr, Forward: model.DR, Weight: 1}})
	}
	var work sync.WaitGroup
	for worker := range workers {
		work.Go(func() {
			for i := range flows {
				raw := syn().fromPort(uint16(1024 + worker*flows + i)).bytes(t)
				options := ebpf.RunOptions{
					Data: raw, DataOut: make([]byte, 256),
					Context: xdpContext{DataEnd: uint32(len(raw)), Ingress: inside},
				}
				if _, err := p.o.EkXdp.Run(&options); err != nil {
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
