//go:build bpf

package bench

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/model"
)

// TestProgram runs a case of each kind with few packets. Each packet must end as the
// case says, or the figure would be of something else.
func TestProgram(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	o := Options{Rounds: 2, Packets: 5000, MostFlows: 1 << 10}.withDefaults()
	figures, err := measureAll(t.Context(), oneOfEach(cases(o.MostFlows)), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		if len(f.Values) != o.Rounds || len(f.Yardstick) != o.Rounds || f.Summary().Median == 0 {
			t.Errorf("nothing measured: %+v", f)
		}
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// oneOfEach returns the first case of each path, family and method.
func oneOfEach(all []Case) []Case {
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(c Case) bool {
		kind := c.Path + c.service.forward.String()
		if c.service.vip.Addr().Is6() {
			kind += "6"
		}
		if c.services > 1 {
			kind += "services"
		}
		again := seen[kind]
		seen[kind] = true
		return again
	})
}

// newDriver loads a driver for the length of a test.
func newDriver(t *testing.T) *drive.Driver {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root")
	}
	d, err := drive.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestElsewhere measures packets that take another way: no figure comes of it.
func TestElsewhere(t *testing.T) {
	c := cases(1)[0]
	c.open = nil
	if _, err := measureAll(t.Context(), []Case{c}, Options{Packets: 10}.withDefaults()); !errors.Is(err, ErrElsewhere) {
		t.Errorf("flows that nobody opened: %v, want ErrElsewhere", err)
	}
}

// begun returns the measurement of 64 flows that are established, before its first round.
func begun(t *testing.T) *run {
	t.Helper()
	c := established(service{protocol: model.TCP, vip: vip, scheduler: "rr", forward: model.DR, servers: 4}, 64, 1)
	r := &run{driver: newDriver(t), c: c, packets: 64, rounds: 1}
	t.Cleanup(func() {
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
	if err := r.begin(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPausesAreSettled has other cases measured between two rounds: each flow gets two packets before
// those that are measured, so that it is none that pauses.
func TestPausesAreSettled(t *testing.T) {
	r := begun(t)
	sent := func() uint64 {
		counts, err := r.site.Reasons()
		if err != nil {
			t.Fatal(err)
		}
		return counts[r.c.want]
	}
	for _, pauses := range []bool{false, true} {
		r.pauses = pauses
		want, before := uint64(64), sent()
		if pauses {
			want = 3 * 64
		}
		if err := r.play(&figure.Figure{}); err != nil {
			t.Fatal(err)
		}
		if got := sent() - before; got < want || got >= want+64 {
			t.Errorf("pauses %t: %d packets in a round, want %d", pauses, got, want)
		}
	}
}

// TestSettle measures flows that are established before the first round.
func TestSettle(t *testing.T) {
	r := begun(t)
	states := map[string]int{}
	if err := r.site.Flows(t.Context(), func(f model.Flow) bool { states[f.State]++; return true }); err != nil {
		t.Fatal(err)
	}
	if states["ESTABLISHED"] != 64 {
		t.Errorf("before the first round: %v, want 64 flows that are ESTABLISHED", states)
	}
}
