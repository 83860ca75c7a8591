//go:build interop

package bench

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/bench/figure"
)

// TestUsers sends a little load through the real daemon: everything must be
// measured, and with nothing changing nothing may fail.
func TestUsers(t *testing.T) {
	for _, tool := range []string{"nginx", "wrk"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("skipped: %s is not installed", tool)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root")
	}
	program := filepath.Join(t.TempDir(), "evenkeel")
	build := exec.Command("go", "build", "-o", program, "../cmd/evenkeel")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build evenkeel: %v\n%s", err, out)
	}
	const rounds = 2 // servers remember the connections of the first
	figures, skipped, err := Users(t.Context(), program, Options{Rounds: rounds, Short: true})
	if err != nil || len(skipped) > 0 {
		t.Fatalf("%v, not measured: %v", err, skipped)
	}
	for _, f := range figures {
		if f.Level != figure.Users || len(f.Values) != rounds {
			t.Errorf("not measured: %+v", f)
			continue
		}
		least := math.SmallestNonzeroFloat64
		switch {
		case strings.HasPrefix(f.Name, errorsSeen):
			continue
		case strings.HasPrefix(f.Name, connections+":"):
			least = 30 * wrkClients // a client whose SYN is lost waits for a second
		}
		if slices.Min(f.Values) < least {
			t.Errorf("less than %g: %+v", least, f)
		}
	}
}
