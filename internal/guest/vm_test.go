//go:build vm

package guest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/guest/pid1"
)

// The machine has what tests expect of a root user's machine, and loads the
// modules that something asks for.
func TestMachine(t *testing.T) {
	if os.Getenv(Environment) == "" {
		t.Skip("skipped: runs in a machine of make vm")
	}
	if uid := os.Geteuid(); uid != 0 {
		t.Errorf("uid is %d, want 0", uid)
	}
	text, err := os.ReadFile("/proc/1/cmdline")
	if err != nil || !strings.HasPrefix(string(text), "/init") {
		t.Errorf("first process is %q, %v", text, err)
	}
	for _, dir := range []string{"/sys/fs/bpf", "/sys/fs/cgroup", "/dev/shm", "/tmp"} {
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err != nil || fs.Type == unix.RAMFS_MAGIC {
			t.Errorf("%s: %v, type %#x: nothing is mounted", dir, err, fs.Type)
		}
	}
	if _, err := os.Stat("/sys/module/ip_vs"); err == nil {
		t.Error("ip_vs is loaded before anybody asked")
	}
	list, err := filepath.Glob(filepath.Join(pid1.Modules, "ip_vs_*.ko"))
	if err != nil || len(list) < 12 {
		t.Errorf("packed schedulers: %q, %v", list, err)
	}
}
