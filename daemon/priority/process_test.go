package priority

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// TestApply lowers the whole test process, on all its threads.
func TestApply(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	nice := int(p.started.Nice) + 1
	if got, want := p.Usual(), p.started.Policy == unix.SCHED_NORMAL && nice == 1; got != want {
		t.Errorf("usual: %t, want %t", got, want)
	}
	if p.started.Policy != unix.SCHED_NORMAL || nice > 19 {
		t.Skip("skipped: needs a normal policy and a nice value below 19")
	}
	first := -1
	for cpu := range 1024 {
		if p.cpus.IsSet(cpu) {
			first = cpu
			break
		}
	}
	if err := p.Apply(model.Scheduling{Nice: &nice, CPUs: []int{first}}); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		tid, _ := strconv.Atoi(e.Name())
		attr, err := unix.SchedGetAttr(tid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		var set unix.CPUSet
		if err == nil {
			err = unix.SchedGetaffinity(tid, &set)
		}
		if err != nil || int(attr.Nice) != nice || set.Count() != 1 || !set.IsSet(first) {
			t.Errorf("thread %d: nice %d, %d CPUs, %v", tid, attr.Nice, set.Count(), err)
		}
	}

	// To raise it again needs privilege; the CPUs do not.
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		result <- p.Restore()
	}()
	if err := <-result; err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		t.Error(err)
	}
}

func TestRestore(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 || p.started.Policy != unix.SCHED_NORMAL {
		t.Skip("skipped: needs root and a normal policy")
	}
	type seen struct {
		raised, restored unix.SchedAttr
		err              error
	}
	result := make(chan seen)
	go func() {
		runtime.LockOSThread()
		var s seen
		read := func(attr *unix.SchedAttr) {
			got, err := unix.SchedGetAttr(0, 0)
			if s.err = errors.Join(s.err, err); err == nil {
				*attr = *got
			}
		}
		s.err = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 5}, 0)
		read(&s.raised)
		s.err = errors.Join(s.err, p.Restore())
		read(&s.restored)
		result <- s
	}()
	s := <-result
	if errors.Is(s.err, unix.EPERM) {
		t.Skip("skipped: realtime priority is not allowed here")
	}
	if s.err != nil || s.raised.Policy != unix.SCHED_RR || s.restored.Policy != unix.SCHED_NORMAL || s.restored.Nice != p.started.Nice {
		t.Errorf("raised %+v, restored %+v, %v", s.raised, s.restored, s.err)
	}
}

func TestNobodyAsks(t *testing.T) {
	var none *Process
	if err := errors.Join(none.Apply(model.Scheduling{Nice: new(1)}), none.Restore()); err != nil || none.Usual() {
		t.Error(err)
	}
}
