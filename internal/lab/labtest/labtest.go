package labtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// New returns a lab that is closed when the test ends. It skips the test
// without root. The prefix is unlike that of any other running test.
func New(t testing.TB) *lab.Lab {
	t.Helper()
	NeedRoot(t)
	cleanDead(t)
	l, err := lab.New(prefix())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close lab: %v", err)
		}
	})
	return l
}

// NeedRoot skips the test without root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root for network namespaces and BPF")
	}
}

// BPFFS returns a directory with a bpf file system of its own, unmounted when
// the test ends.
func BPFFS(t testing.TB) string {
	t.Helper()
	NeedRoot(t)
	dir := t.TempDir()
	unmount, err := lab.MountBPFFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmount(); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// labs numbers the labs of this process.
var labs atomic.Int32

// prefix makes a new prefix that holds the process id: ekt<pid>x<n>.
func prefix() string { return fmt.Sprintf("ekt%dx%d", os.Getpid(), labs.Add(1)) }

// cleanDead removes the labs of test processes that are gone.
func cleanDead(t testing.TB) {
	t.Helper()
	files, err := filepath.Glob("/run/netns/ekt*x*-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		prefix, _, _ := strings.Cut(filepath.Base(f), "-")
		var pid, n int
		if _, err := fmt.Sscanf(prefix, "ekt%dx%d", &pid, &n); err != nil {
			continue
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			continue
		}
		if err := lab.Clean(prefix); err != nil {
			t.Logf("clean up after a dead test run: %v", err) // another test may be doing the same
		}
	}
}
