package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// canary notices when the machine stands still: on each CPU a thread that goes
// before all ordinary ones wakes up every millisecond, and notes when it came
// late. It waits for nothing that either program can do but the kernel's own
// work, so what delays it is the hypervisor's doing as a rule.
type canary struct {
	most time.Duration // longer stalls disturb a run; 0: none does
	done atomic.Bool
	ends sync.WaitGroup
	weak atomic.Bool // a thread did not get its priority

	mu   sync.Mutex // guards seen
	seen []stall
}

// stall is a time in which one CPU did not run what was first in line.
type stall struct{ from, to time.Time }

func (s stall) long() time.Duration { return s.to.Sub(s.from) }

const (
	canaryInterval = time.Millisecond
	// stallLeast is the shortest that is noted.
	stallLeast = 500 * time.Microsecond
	// canaryPriority is before keepalived's and ours, and behind the kernel's
	// own threads.
	canaryPriority = 98
	// stallsKept bounds the memory: some minutes of a machine in trouble.
	stallsKept = 1 << 16
)

// newCanary starts listening on all CPUs that the process may use.
func newCanary(most time.Duration) (*canary, error) {
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		return nil, fmt.Errorf("list cpus: %w", err)
	}
	c := &canary{most: most}
	for cpu := range len(cpus) * strconv.IntSize {
		if cpus.IsSet(cpu) {
			c.ends.Go(func() { c.listen(cpu) })
		}
	}
	return c, nil
}

func (c *canary) close() {
	c.done.Store(true)
	c.ends.Wait()
}

// listen runs on one CPU. The thread is given up at the end: it is not as others
// are.
func (c *canary) listen(cpu int) {
	runtime.LockOSThread()
	var one unix.CPUSet
	one.Set(cpu)
	attr := unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: canaryPriority}
	if unix.SchedSetaffinity(0, &one) != nil || unix.SchedSetAttr(0, &attr, 0) != nil {
		c.weak.Store(true)
	}
	for next := monotonic(); !c.done.Load(); {
		next += int64(canaryInterval)
		sleepUntil(next)
		if late := time.Duration(monotonic() - next); late >= stallLeast {
			now := time.Now().Round(0)
			c.note(stall{now.Add(-late), now})
			next += int64(late)
		}
	}
}

func (c *canary) note(s stall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, s)
	if len(c.seen) > 2*stallsKept {
		c.seen = append(c.seen[:0], c.seen[stallsKept:]...)
	}
}

// longest returns the longest stall that touches a time. The nil canary has seen
// none.
func (c *canary) longest(from, to time.Time) (most time.Duration) {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.seen {
		if !s.to.Before(from) && !s.from.After(to) {
			most = max(most, s.long())
		}
	}
	return most
}

// disturbed says whether a stall that counts touches a time.
func (c *canary) disturbed(from, to time.Time) bool {
	return c != nil && c.most > 0 && c.longest(from, to) > c.most
}

// around is the time before and after a moment in which a stall may move what
// should happen then. It does not depend on what did happen: a program that is
// late by itself is not excused by what comes meanwhile.
const around = 5 * time.Millisecond

// at returns the longest stall that touches the moment at which something is due.
func (c *canary) at(due time.Time) time.Duration {
	return c.longest(due.Add(-around), due.Add(around))
}

// addStalls adds what the machine did between two times, of which due is the
// one that matters; the zero time: none does.
func (p *pair) addStalls(v values, from, to, due time.Time) {
	v[vStall] = millis(p.canary.longest(from, to))
	if !due.IsZero() {
		v[vMoment] = millis(p.canary.at(due))
	}
}

// stolen returns how long all CPUs together have waited for the hypervisor
// since the start of the machine.
func stolen() time.Duration {
	b, _ := os.ReadFile("/proc/stat") // no file, no steal
	return stealIn(string(b))
}

// userTick is the unit of /proc/stat, the same on all of Linux's architectures
// of today.
const userTick = 10 * time.Millisecond

// stealIn reads the eighth counter of the first line of /proc/stat.
func stealIn(text string) time.Duration {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0
	}
	n, err := strconv.ParseInt(fields[8], 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n) * userTick
}
