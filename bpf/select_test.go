//go:build bpf

package bpf

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// setLoad writes a server's counters into the maps and the model.
func (p *player) setLoad(slot uint32, load sched.Load) {
	p.tb.Helper()
	conns := EkServerConns{Active: load.Active, Total: load.Total}
	if load.Overloaded {
		conns.Overloaded = 1
	}
	p.put(p.o.EkServerConns, slot, conns)
	p.loads[slot] = load
}

func tcpService(scheduler string) model.Service {
	return model.Service{Key: model.ServiceKey{Protocol: model.TCP, Addr: vip}, Scheduler: scheduler}
}

// The cursor of wrr when servers overload and recover in every round, also in
// the lowest, where a failed walk leaves it in place.
func TestWeightedRoundRobinWithOverload(t *testing.T) {
	random := rand.New(rand.NewPCG(labtest.Seed(t), 0))
	for range 30 {
		p := newPlayer(t, tcpService("wrr"), model.DR, sched.Profile{})
		for i := range 3 {
			p.apply(sched.Op{Kind: sched.AddServer, Service: p.service, Server: p.serverAt(i, 1+random.Int32N(3))})
		}
		for port := range uint16(300) {
			if random.IntN(2) == 0 {
				all := random.IntN(2) == 0
				for slot := range uint32(3) {
					p.setLoad(slot, sched.Load{Overloaded: all || random.IntN(2) == 0})
				}
			}
			p.open(1024 + port)
		}
		p.release()
	}
}

// The generations of kernels count inactive flows differently; the two differ
// where about 256 inactive flows weigh as much as an active one.
func TestOverheadOfEitherGeneration(t *testing.T) {
	for _, old := range []bool{false, true} {
		for _, scheduler := range []string{"lc", "wlc"} {
			t.Run(fmt.Sprintf("%s/old=%v", scheduler, old), func(t *testing.T) {
				p := newPlayer(t, tcpService(scheduler), model.DR, sched.Profile{OldOverhead: old})
				for i := range 2 {
					p.apply(sched.Op{Kind: sched.AddServer, Service: p.service, Server: p.serverAt(i, 1)})
				}
				for inactive := range uint32(6) {
					p.setLoad(0, sched.Load{Active: 1, Total: 1})
					p.setLoad(1, sched.Load{Total: 254 + inactive})
					p.open(uint16(1024 + inactive))
				}
			})
		}
	}
}
