package config

import (
	"fmt"
	"slices"
	"strconv"
)

// mostCPU is the highest CPU that the kernel's set has room for.
const mostCPU = 1023

// globalScheduling reads the place of the process among others.
func (v *vrrpBuilder) globalScheduling(s *statement) {
	out := &v.out.Global.Scheduling
	switch s.keyword() {
	case "vrrp_priority":
		n, err := strconv.Atoi(s.arg(0))
		if err != nil || n < -20 || n > 19 {
			v.bad(s, 0, fmt.Errorf("not a number from -20 to 19"), lineIgnored, "write vrrp_priority -10")
			return
		}
		out.Nice = &n
	case "vrrp_rt_priority", "checker_rt_priority":
		var n *uint32
		if v.number(s, &n, 1, 99); n != nil {
			// One process does both.
			out.RealTime = max(out.RealTime, uint8(*n))
		}
	case "vrrp_no_swap", "checker_no_swap":
		out.NoSwap = true
	case "vrrp_cpu_affinity":
		var cpus []int
		for at := range s.args() {
			n, err := parseUint(s.arg(at), 0, mostCPU)
			if err != nil {
				v.bad(s, at, err, lineIgnored, "write the numbers of CPUs, such as vrrp_cpu_affinity 0 1")
				return
			}
			cpus = append(cpus, int(n))
		}
		slices.Sort(cpus)
		out.CPUs = slices.Compact(cpus)
	}
}
