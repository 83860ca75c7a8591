package priority

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// Process is the running process. The nil Process does nothing.
type Process struct {
	started unix.SchedAttr
	cpus    unix.CPUSet
}

// New returns the process, and notes what it was started with: it is called
// before Apply. The error is the kernel's.
func New() (*Process, error) {
	p := &Process{}
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return nil, fmt.Errorf("read scheduling: %w", err)
	}
	p.started = *attr
	if err := unix.SchedGetaffinity(0, &p.cpus); err != nil {
		return nil, fmt.Errorf("read cpu affinity: %w", err)
	}
	return p, nil
}

// Usual says whether the process was started as most are: nobody has given it a
// place of its own. The nil Process has one.
func (p *Process) Usual() bool {
	return p != nil && p.started.Policy == unix.SCHED_NORMAL && p.started.Nice == 0
}

// Apply puts the settings in force for all threads, those to come included. What
// the kernel refuses is in the error, by keyword; the rest is done.
func (p *Process) Apply(s model.Scheduling) error {
	if p == nil {
		return nil
	}
	var errs []error
	add := func(keyword string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", keyword, err))
		}
	}
	if len(s.CPUs) > 0 {
		add("vrrp_cpu_affinity", everyThread(func(tid int) error { return unix.SchedSetaffinity(tid, cpuSet(s.CPUs)) }))
	}
	if s.Nice != nil {
		add("vrrp_priority", everyThread(func(tid int) error { return unix.Setpriority(unix.PRIO_PROCESS, tid, *s.Nice) }))
	}
	if s.RealTime > 0 {
		attr := unix.SchedAttr{Policy: unix.SCHED_RR, Priority: uint32(s.RealTime)}
		add("vrrp_rt_priority", everyThread(func(tid int) error { return unix.SchedSetAttr(tid, &attr, 0) }))
	}
	if s.NoSwap {
		// What the runtime only reserves stays out of memory.
		add("vrrp_no_swap", unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT))
	}
	return errors.Join(errs...)
}

func cpuSet(list []int) *unix.CPUSet {
	var set unix.CPUSet
	for _, cpu := range list {
		set.Set(cpu)
	}
	return &set
}

// Restore gives the calling thread what the process was started with, for a
// child that it is about to start. The caller has locked it, and lets it end.
func (p *Process) Restore() error {
	if p == nil {
		return nil
	}
	if err := unix.SchedSetaffinity(0, &p.cpus); err != nil {
		return fmt.Errorf("restore cpu affinity: %w", err)
	}
	attr, err := unix.SchedGetAttr(0, 0)
	if err == nil && (attr.Policy != p.started.Policy || attr.Nice != p.started.Nice || attr.Priority != p.started.Priority) {
		attr = &p.started
		err = unix.SchedSetAttr(0, attr, 0)
	}
	if err != nil {
		return fmt.Errorf("restore scheduling: %w", err)
	}
	return nil
}

// everyThread calls f with each thread of the process. New ones inherit from the
// one that makes them, so it goes on until it finds none that it has not met.
func everyThread(f func(tid int) error) error {
	met := make(map[int]bool)
	for fresh := true; fresh; {
		fresh = false
		list, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, e := range list {
			tid, err := strconv.Atoi(e.Name())
			if err != nil || met[tid] {
				continue
			}
			met[tid], fresh = true, true
			if err := f(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}
