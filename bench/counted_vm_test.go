//go:build vm

package bench

import (
	"math"
	"testing"

	"github.com/evenkeel/evenkeel/model"
)

// In the lane counted a nanosecond is an instruction, so the cost of a packet is
// the same each time: two measurements, each with a datapath of its own, agree
// to about 1 %, however busy the machine is.
func TestCountedInstructionsRepeat(t *testing.T) {
	c := established(service{protocol: model.TCP, vip: vip, scheduler: "rr", forward: model.DR, servers: 4}, 64, 1)
	var net [2]float64
	for i := range net {
		figures, err := measureAll(t.Context(), []Case{c}, Options{Rounds: 5, Packets: 64000}.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		sum := figures[0].Summary()
		net[i] = sum.Median
		t.Logf("%s: %.0f instructions a packet [%.0f to %.0f]", c.Name(), net[i], sum.Low, sum.High)
	}
	if apart := math.Abs(net[0]-net[1]) / net[0]; apart > 0.015 || net[0] < 100 {
		t.Errorf("%.0f and then %.0f instructions a packet, %.1f %% apart", net[0], net[1], 100*apart)
	}
}
