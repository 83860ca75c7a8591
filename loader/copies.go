package loader

import (
	"fmt"
	"math/bits"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bpf"
)

const (
	// waysPerSet is HOT_WAYS of hot.h.
	waysPerSet = 4
	// mostCopies bounds the copies of each family: they help where a processor's
	// caches hold them.
	mostCopies = 1 << 18
)

// setCopies sizes the copies of flows that the fast way goes by: one of IPv4 and one of
// IPv6 for each flow, of 32 and 64 bytes, but no more than mostCopies.
func setCopies(spec *ebpf.CollectionSpec, flows uint32) error {
	sets := bits.Len32(max(min(flows, mostCopies)/waysPerSet, 16) - 1) // binary logarithm, rounded up
	spec.Maps[bpf.EkMapEkHot].MaxEntries = 1 << sets
	spec.Maps[bpf.EkMapEkHot6].MaxEntries = 2 << sets
	rate, err := tickRate()
	if err != nil {
		return err
	}
	for name, value := range map[string]any{
		bpf.EkVarHotShift:  uint32(64 - sets),
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
