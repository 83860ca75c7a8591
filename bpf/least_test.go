//go:build bpf

package bpf

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// The schedulers that compare servers choose as sched does, over orders of any length
// up to the longest, whatever the loads, marks and weights. Loads and weights come from few
// values, so that ties are common, or from many, so that products differ in their low bits.
func TestLeastLoadedOfManyServers(t *testing.T) {
	random := rand.New(rand.NewPCG(labtest.Seed(t), 0))
	for _, scheduler := range []string{"lc", "wlc", "sed", "nq", "fo", "ovf"} {
		for _, old := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/old=%v", scheduler, old), func(t *testing.T) {
				p := newPlayer(t, tcpService(scheduler), model.DR, sched.Profile{OldOverhead: old})
				port := uint16(1024)
				for _, servers := range []int{0, 1, 2, 3, 17, 255, 256} {
					for i := len(p.servers); i < servers; i++ {
						p.apply(sched.Op{Kind: sched.AddServer, Service: p.service, Server: p.serverAt(i, randomWeight(random))})
					}
					for range steps(30) {
						p.load(random)
						p.open(port)
						port++
					}
				}
			})
		}
	}
}

// randomWeight is often a weight that others have, sometimes none.
func randomWeight(random *rand.Rand) int32 {
	switch random.IntN(8) {
	case 0:
		return 0
	case 1:
		return 1 + random.Int32N(65535)
	default:
		return 1 + random.Int32N(3)
	}
}

// load gives every server a load. All of one step come from the same range, and all may
// be over their thresholds.
func (p *player) load(random *rand.Rand) {
	p.tb.Helper()
	most := []uint32{1, 2, 4, 300, 1 << 20, math.MaxUint32 >> 8}[random.IntN(6)]
	marked := []float64{0, 0.1, 0.9, 1}[random.IntN(4)]
	for slot := range uint32(len(p.servers)) {
		active := random.Uint32N(most)
		p.setLoad(slot, sched.Load{
			Active: active, Total: active + random.Uint32N(most), Overloaded: random.Float64() < marked,
		})
	}
}
