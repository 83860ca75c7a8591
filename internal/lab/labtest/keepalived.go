package labtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Keepalived returns the path of the installed keepalived, which in some tests
// is not the first of that name in PATH. It skips the test without it, without
// root, or where its version does not begin with version, such as 2.2.7; empty
// takes any.
func Keepalived(t testing.TB, version string) (path string) {
	t.Helper()
	const name = "keepalived"
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/bin"} {
		if p := filepath.Join(dir, name); path == "" && executable(p) {
			path = p
		}
	}
	if path == "" {
		t.Skip("skipped: needs keepalived")
	}
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root for keepalived in a network namespace")
	}
	// It prints its version on standard error.
	if out, _ := exec.Command(path, "-v").CombinedOutput(); !strings.Contains(string(out), "Keepalived v"+version) {
		t.Skipf("skipped: needs keepalived %s, with which it compares", version)
	}
	return path
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// KeepalivedCheckers returns the command that runs keepalived's checkers alone
// on a configuration, with NoIPVS in the place of IPVS. It logs to standard
// error. More of the environment may be appended to Env. It skips as Keepalived
// and NoIPVS do.
func KeepalivedCheckers(t testing.TB, conf string) *exec.Cmd {
	t.Helper()
	path, library, dir := Keepalived(t, ""), NoIPVS(t), t.TempDir()
	cmd := exec.Command(path, "-C", "-n", "-l", "-D", "-f", conf,
		"-p", filepath.Join(dir, "keepalived.pid"), "-c", filepath.Join(dir, "checkers.pid"))
	cmd.Env = append(os.Environ(), fmt.Sprintf("LD_PRELOAD=%s", library), "LC_ALL=C")
	return cmd
}
