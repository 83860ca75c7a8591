//go:build bpf

package bench

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/evenkeel/evenkeel/bench/drive"
)

// TestProgram runs every case with few packets. Each packet must end as the
// case says, or the figure would be of something else.
func TestProgram(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	r, err := Program(t.Context(), Options{Rounds: 1, Packets: 5000, MostFlows: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if want := len(cases(1 << 10)); len(r.Rows) != want {
		t.Errorf("%d rows, want %d", len(r.Rows), want)
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestElsewhere measures packets that take another way: no figure comes of it.
func TestElsewhere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root")
	}
	d, err := drive.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c := cases(1)[0]
	c.open = nil
	if _, err := measure(t.Context(), d, c, Options{Packets: 10}.withDefaults()); !errors.Is(err, ErrElsewhere) {
		t.Errorf("flows that nobody opened: %v, want ErrElsewhere", err)
	}
}
