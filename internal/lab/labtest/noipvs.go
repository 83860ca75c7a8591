package labtest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

//go:embed testdata/noipvs.c
var noIPVSSource []byte

// NoIPVS returns the path of a library that keepalived is to load (LD_PRELOAD) to
// run its checkers without the kernel's IPVS. Requests by netlink are written to
// the file that the environment names as EVENKEEL_IPVS_LOG, one after the other.
// The test is skipped where there is no C compiler.
func NoIPVS(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("skipped: needs cc")
	}
	library, err := BuildNoIPVS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return library
}

// BuildNoIPVS makes that library in a directory, for benchmarks.
func BuildNoIPVS(dir string) (library string, err error) {
	source, library := filepath.Join(dir, "noipvs.c"), filepath.Join(dir, "noipvs.so")
	if err := os.WriteFile(source, noIPVSSource, 0o600); err != nil {
		return "", fmt.Errorf("write the stand-in for IPVS: %w", err)
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", library, source, "-ldl").CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the stand-in for IPVS: %w\n%s", err, out)
	}
	return library, nil
}
