package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a process and its children use.
type Usage struct {
	CPU time.Duration
	// Resident and Peak are in bytes.
	Resident, Peak int64
}

// Usage reads that of the process and those that it started.
func (p *Process) Usage() (Usage, error) {
	var sum Usage
	for _, pid := range Family(p.Cmd.Process.Pid) {
		u, err := usageOf(pid)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // a child that has just ended
		}
		if err != nil {
			return sum, err
		}
		sum.CPU += u.CPU
		sum.Resident += u.Resident
		sum.Peak += u.Peak
	}
	return sum, nil
}

func usageOf(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, err
	}
	u, err := parseUsage(string(stat), string(status))
	if err != nil {
		return u, fmt.Errorf("read /proc/%d: %w", pid, err)
	}
	return u, nil
}

// clockTick is the unit of times in /proc, which Linux has fixed.
const clockTick = 10 * time.Millisecond

func parseUsage(stat, status string) (u Usage, err error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // behind the name
	if len(fields) < 13 {
		return u, fmt.Errorf("stat has %d fields", len(fields))
	}
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return u, err
		}
		u.CPU += time.Duration(n) * clockTick
	}
	for line := range strings.Lines(status) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			u.Resident = kib << 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			u.Peak = kib << 10
		}
	}
	return u, nil
}
