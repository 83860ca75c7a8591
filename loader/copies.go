package loader

import (
	"fmt"
	"math/bits"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/lbmaps"
)

// waysPerSet is how many places a set of IPv4's copies has.
const waysPerSet = uint32(len(bpf.EkHotSet{}.Way))

// placesPerFlow leaves room for the copies of both ways of a flow by NAT.
const placesPerFlow = 2

// copySets returns the binary logarithm of how many sets of copies IPv4 has for a table of
// so many flows: two places for each flow at least, and less than four. IPv6 has as many
// places, in half as many sets. Where all places are asked for, 20 of 100 copies
// of IPv4 and 14 of IPv6 find their set full, where half of them are, 4 and 1.
// Beyond 4,194,304 flows there are no more places.
func copySets(flows uint32) int {
	sets := (placesPerFlow*max(flows, 64) + waysPerSet - 1) / waysPerSet
	return min(bits.Len32(sets-1), bpf.MostSets)
}

// keepCopies gives the copies the size of those that run, which another version may have
// made: any is right.
func keepCopies(spec *ebpf.CollectionSpec, maps *lbmaps.Maps) error {
	return setCopies(spec, bpf.Sets(maps.ByName()[bpf.EkMapEkHot]))
}

// setCopies sizes the copies of flows that the fast way goes by, of 32 bytes for IPv4 and
// 64 for IPv6. sets is as copySets returns it.
func setCopies(spec *ebpf.CollectionSpec, sets int) error {
	if err := bpf.SetCopies(spec, sets); err != nil {
		return err
	}
	rate, err := tickRate()
	if err != nil {
		return err
	}
	for name, value := range map[string]any{
		bpf.EkVarTickRate:  rate,
		bpf.EkVarWeakOrder: weakOrder(runtime.GOARCH),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// tickRate returns how many ticks the kernel's clock has in a second: a tick is the
// resolution of its coarse clocks.
func tickRate() (uint32, error) {
	var tick unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &tick); err != nil {
		return 0, fmt.Errorf("read the resolution of the coarse clock: %w", err)
	}
	return uint32(time.Second / max(time.Duration(tick.Nano()), time.Millisecond)), nil
}

// weakOrder reports whether processors of an architecture may change the order of two
// loads.
func weakOrder(arch string) bool { return arch != "amd64" && arch != "386" && arch != "s390x" }
