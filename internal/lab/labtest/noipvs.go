package labtest

import (
	_ "embed"
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
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("skipped: needs cc")
	}
	dir := t.TempDir()
	source, library := filepath.Join(dir, "noipvs.c"), filepath.Join(dir, "noipvs.so")
	if err := os.WriteFile(source, noIPVSSource, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(compiler, "-shared", "-fPIC", "-o", library, source, "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	return library
}
