package bench

import (
	"fmt"

	"github.com/evenkeel/evenkeel/bench/figure"
)

// What others cost at the same, in net ns for a packet, by how many flows live. It
// was measured on another day by the same method on a similar machine (2 cores of
// the Sapphire Rapids class, kernel 6.18): Katran at a commit of 2026 with 100
// servers by IPIP, its own maps filled as its tests do. Nanoseconds do not
// travel; they stand beside ours for the order of magnitude.
func anchors() map[string]map[uint32]float64 {
	return map[string]map[uint32]float64{
		"established TCP":      {1: 70, 1 << 10: 77, 1 << 17: 126, 1 << 20: 255},
		"established UDP":      {1: 96, 1 << 10: 101, 1 << 17: 205, 1 << 20: 253},
		"established TCP/IPv6": {1: 68, 1 << 10: 73, 1 << 17: 128, 1 << 20: 235},
	}
}

// millionthRead is what one read among a million lines took on that machine, in ns.
const millionthRead = 43.4

// inReads says how many reads of a random cache line a time was, where that is known of the
// machine that it was measured on.
func inReads(ns float64, lines uint32) string {
	if lines != 1<<20 {
		return ""
	}
	return fmt.Sprintf(" (%s x %s)", figure.Short(ns/millionthRead), figure.Short(millionthRead))
}

// anchorOf returns the words that stand beside a case.
func anchorOf(c Case) string {
	v6 := c.service.vip.Addr().Is6()
	switch {
	case c.Path == pathEstablished && c.services == 1:
		if ns, ok := anchors()[c.packets()][c.Flows]; ok {
			return fmt.Sprintf("Katran %.0f%s", ns, inReads(ns, c.Flows))
		}
	case c.Path == pathNew && c.service.scheduler == "mh" && !v6:
		return "Katran (Maglev) 480-750 stored, 92 not stored"
	case c.Path == pathNew && v6:
		return "Katran (Maglev) 768 stored, 107 not stored"
	case c.Path == pathForeign && !v6:
		return "Katran 22, GLB 18, xvs 79"
	case c.Path == pathPort:
		return "Katran 16, xvs 120"
	}
	return ""
}
