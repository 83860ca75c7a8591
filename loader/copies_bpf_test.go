//go:build bpf

package loader

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/sched"
)

// A datapath of another version may have another number of copies: it runs on with them.
func TestAdoptsCopiesOfAnySize(t *testing.T) {
	r := newRig(t)
	svc := service(vip)
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
	check(t, r.Close())
	spec, err := bpf.LoadEk()
	check(t, err)
	check(t, setCopies(spec, 5))
	for _, name := range []string{bpf.EkMapEkHot, bpf.EkMapEkHot6} {
		pin := filepath.Join(r.o.Dir, "maps", name)
		check(t, os.Remove(pin))
		m, err := ebpf.NewMap(spec.Maps[name])
		check(t, err)
		check(t, m.Pin(pin))
		check(t, m.Close())
	}
	r.start()
	s, err := r.Status()
	check(t, err)
	if got := bpf.Sets(r.maps.ByName()[bpf.EkMapEkHot]); !s.Adopted || got != 5 {
		t.Errorf("adopted: %t, with 2^%d sets of copies, want 2^5", s.Adopted, got)
	}
	for range 3 {
		if slot := r.chosen(1000); slot != 0 {
			t.Fatalf("flow is on slot %d, want 0", slot)
		}
	}
}
