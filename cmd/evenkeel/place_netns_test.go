//go:build netns

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// niceOf returns the nice value of a process's first thread.
func niceOf(pid int) (nice int, ok bool) {
	attr, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		return 0, false // it ended
	}
	return int(attr.Nice), true
}

// TestPlaceOfARouter: the process that elects goes before ordinary ones, as the
// configuration says or by default, and its scripts do not. The supervising
// process stays as it was started.
func TestPlaceOfARouter(t *testing.T) {
	if nice, ok := niceOf(os.Getpid()); !ok || nice != 0 {
		t.Skip("skipped: needs a nice value of 0")
	}
	p := newPair(t)
	r := p.routers[0]
	for _, tt := range []struct {
		name, global string
		want         int
	}{
		{"default", "", -10},
		{"configured", "vrrp_priority 3", 3},
		{"as others", "vrrp_priority 0", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "nice")
			d := r.start("global_defs {\n  script_user root\n  " + tt.global + "\n}\n" +
				instance(150, `notify_master "/bin/sh -c 'nice > `+out+`.new; mv `+out+`.new `+out+`'"`))
			defer d.End(syscall.SIGTERM)
			r.await("MASTER")
			labtest.Until(t, "the worker has its place", func() bool {
				nice, ok := niceOf(workerOf(t, d, 0))
				return ok && nice == tt.want
			})
			if nice, ok := niceOf(d.PID()); ok && nice != 0 {
				t.Errorf("the supervising process has nice %d, want 0", nice)
			}
			var text []byte
			labtest.Until(t, "the script ran", func() (ok bool) {
				text, ok = read(out)
				return ok
			})
			if got := strings.TrimSpace(string(text)); got != "0" {
				t.Errorf("the script has nice %s, want 0", got)
			}
		})
	}
}

func read(path string) ([]byte, bool) {
	b, err := os.ReadFile(path)
	return b, err == nil
}
