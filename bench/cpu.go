package bench

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// pinCPU keeps the caller on the last CPU that it may use, since the first takes most
// interrupts, until it calls the function returned.
func pinCPU() (unpin func(), err error) { return pinLast(0) }

// pinLast keeps the caller on the CPU that so many others come after.
func pinLast(others int) (unpin func(), err error) {
	runtime.LockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("read CPU affinity: %w", err)
	}
	cpu, ok := lastCPU(before, others)
	if !ok {
		return nil, fmt.Errorf("set CPU affinity: there are %d CPUs, want %d", before.Count(), others+1)
	}
	var one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return nil, fmt.Errorf("set CPU affinity: %w", err)
	}
	return func() {
		// The thread is given back only when it is as it was.
		if unix.SchedSetaffinity(0, &before) == nil {
			runtime.UnlockOSThread()
		}
	}, nil
}

// lastCPU returns the CPU of a set that so many others come after.
func lastCPU(set unix.CPUSet, others int) (cpu int, ok bool) {
	for cpu = len(set)*64 - 1; cpu >= 0; cpu-- {
		if !set.IsSet(cpu) {
			continue
		}
		if others == 0 {
			return cpu, true
		}
		others--
	}
	return 0, false
}

// threadTime returns how long the calling thread was on a CPU.
func threadTime() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0, fmt.Errorf("read the thread's time: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}
