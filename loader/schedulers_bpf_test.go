//go:build bpf

package loader

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// Every scheduler, with servers that come, go and change between restarts of
// the daemon, chooses what sched chooses for the same operations: tables,
// cursors, thresholds and what mh remembers survive.
func TestSchedulersChooseAsIPVS(t *testing.T) {
	seed := labtest.Seed(t)
	for _, name := range lbmaps.Schedulers() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			m := &mirror{rig: r, state: sched.New(sched.Profile{}), loads: map[uint32]sched.Load{}, servers: map[uint32]model.Server{}}
			svc := service(vip)
			svc.Scheduler, svc.SchedFlags = name, sched.FlagPort|sched.FlagFallback
			m.do(op(sched.AddService, svc))
			random := rand.New(rand.NewPCG(seed, 0))
			for port := uint16(1000); port < 1200; port++ {
				server := realServer(1+random.IntN(6), []int32{0, 1, 2, 5}[random.IntN(4)])
				server.Upper = []uint32{0, 0, 3, 20}[random.IntN(4)]
				_, there := m.state.Find(svc.Key, server.Addr)
				switch {
				case random.IntN(20) == 0:
					r.resume()
				case random.IntN(3) > 0:
				case !there:
					m.do(op(sched.AddServer, svc, server))
				case random.IntN(3) == 0:
					m.do(op(sched.DelServer, svc, server))
				default:
					m.do(op(sched.EditServer, svc, server))
				}
				m.open(port)
			}
		})
	}
}

// mirror applies operations to the datapath and to a model of it.
type mirror struct {
	*rig
	state *sched.State
	loads map[uint32]sched.Load
	// servers are by slot, also those that were deleted.
	servers map[uint32]model.Server
}

func (m *mirror) do(o sched.Op) {
	m.t.Helper()
	change, err := m.state.Apply(o)
	check(m.t, err)
	if o.Kind == sched.AddServer || o.Kind == sched.EditServer {
		slot := change.Dest.Slot
		old := m.servers[slot]
		m.loads[slot] = sched.Profile{}.Edited(m.loads[slot], old.Upper, old.Lower, o.Server.Upper, o.Server.Lower)
		m.servers[slot] = o.Server
	}
	m.apply(o)
}

// open opens a flow in both and compares.
func (m *mirror) open(port uint16) {
	m.t.Helper()
	want := -1
	d, ok := m.state.Choose(service(vip).Key, sched.Client{Addr: client, Port: port}, func(d sched.Dest) sched.Load { return m.loads[d.Slot] })
	if ok {
		want = int(d.Slot)
		m.loads[d.Slot] = sched.Profile{}.Bound(m.loads[d.Slot], d.Server.Upper, d.Server.Lower)
	}
	if got := m.chosen(port); got != want {
		m.t.Fatalf("port %d is on slot %d, want %d", port, got, want)
	}
}

// Persistence and one-packet scheduling are in the maps and come back from
// them at a restart, so that the start has nothing to change.
func TestServiceOptionsSurviveARestart(t *testing.T) {
	r := newRig(t)
	sticky, ops := service(vip), service(netip.MustParseAddrPort("198.51.100.2:53"))
	sticky.Persistence, sticky.PersistencePrefix = 5*time.Minute, 24
	ops.OnePacket, ops.Scheduler, ops.SchedFlags = true, "sh", sched.FlagPort
	r.apply(op(sched.AddService, sticky), op(sched.AddServer, sticky, realServer(1, 1)), op(sched.AddServer, sticky, realServer(2, 1)))
	r.apply(op(sched.AddService, ops), op(sched.AddServer, ops, realServer(1, 1)))
	if first := r.chosen(1000); r.chosen(1001) != first || r.chosen(1002) != first {
		t.Error("the flows of one client are on several servers")
	}
	want := r.tables()
	r.restart()
	wantSame(t, r.tables(), want)
	r.advance(301 * time.Second)
	for shard := range uint32(sweepSteps) {
		check(t, r.sweepStep(shard))
	}
	for slot := range uint32(2) {
		if conns, err := r.maps.Conns(slot); err != nil || !conns.Idle() {
			t.Errorf("slot %d after everything expired: %+v, %v", slot, conns, err)
		}
	}
}
