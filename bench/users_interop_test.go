//go:build interop

package bench

import (
	"os"
	"os/exec"
	"path/filepath"
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
	figures, skipped, err := Users(t.Context(), program, Options{Rounds: 1, Short: true})
	if err != nil || len(skipped) > 0 {
		t.Fatalf("%v, not measured: %v", err, skipped)
	}
	for _, f := range figures {
		if f.Level != figure.Users || len(f.Values) != 1 {
			t.Errorf("not measured: %+v", f)
			continue
		}
		if isCount := strings.HasPrefix(f.Name, errorsSeen); !isCount && f.Values[0] <= 0 {
			t.Errorf("nothing measured: %+v", f)
		}
	}
}
