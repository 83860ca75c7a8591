//go:build interop

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// TestSmallConfiguration makes a run of a small configuration with both programs
// and asks for figures, not for good ones. How many operations a reload takes
// does not depend on the machine.
func TestSmallConfiguration(t *testing.T) {
	labtest.NeedRoot(t)
	for _, program := range []string{"keepalived", "cc"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("skipped: needs %s", program)
		}
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "evenkeel")
	build := exec.Command("go", "build", "-o", program, "../../cmd/evenkeel")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build evenkeel: %v\n%s", err, text)
	}
	o := options{
		plan: plan{size: size{services: 3, servers: 40, loop: time.Second}, window: 2 * time.Second, patience: 2 * time.Minute},
		runs: 1, evenkeel: program, markdown: filepath.Join(dir, "scale.md"), prefix: "ekscaletest", subjects: "keepalived,evenkeel",
	}
	var out bytes.Buffer
	if err := bench(o, &out); err != nil {
		t.Errorf("bench: %v", err)
	}
	for _, want := range []string{"- keepalived: Keepalived", "- evenkeel: evenkeel", "| operations of the reload | not said | 1 |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if left, err := filepath.Glob("/run/netns/" + o.prefix + "*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if t.Failed() {
		t.Logf("it printed:\n%s", &out)
	}
}
