package bench

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLastCPU(t *testing.T) {
	var set unix.CPUSet
	for _, cpu := range []int{1, 5, 70} {
		set.Set(cpu)
	}
	for others, want := range []int{70, 5, 1} {
		if got, ok := lastCPU(set, others); got != want || !ok {
			t.Errorf("before %d others: %d %v, want %d", others, got, ok, want)
		}
	}
	if got, ok := lastCPU(set, 3); ok {
		t.Errorf("a fourth CPU: %d", got)
	}
}

func TestTookBy(t *testing.T) {
	before := []uint64{5, 7}
	if err := tookBy(1, before, []uint64{6, 207}); err != nil {
		t.Errorf("all on the CPU that is meant: %v", err)
	}
	for _, after := range [][]uint64{{5, 7}, {7, 207}, {15, 7}} {
		if err := tookBy(1, before, after); !errors.Is(err, ErrElsewhere) {
			t.Errorf("%v: %v, want %v", after, err, ErrElsewhere)
		}
	}
}
