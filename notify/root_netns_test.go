//go:build netns

package notify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// nobody is an account that needs no entry in any file.
func nobody() Account {
	return Account{UID: 64001, GID: 64002, Name: "somebody", Home: "/", Shell: shell}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root to become another user")
	}
}

// TestRunAsUser becomes another user with and without further groups, and
// gives up all rights.
func TestRunAsUser(t *testing.T) {
	needRoot(t)
	const ask = "grep -E '^(Uid|Gid|Groups|CapEff|CapPrm|CapAmb):' /proc/self/status | tr '\t\n' ' '"
	in := nobody()
	in.Groups = []uint32{64002, 64003}
	const rights = "CapPrm: 0000000000000000 CapEff: 0000000000000000 CapAmb: 0000000000000000"
	const ids = "Uid: 64001 64001 64001 64001 Gid: 64002 64002 64002 64002 Groups: "
	for _, tt := range []struct {
		account Account
		want    string
	}{
		{nobody(), ids + rights},
		{in, ids + "64002 64003 " + rights},
	} {
		r := newRunner(t, RunnerOptions{DefaultUser: tt.account})
		got := run(t, r, sh(ask))
		if text := strings.Join(strings.Fields(got.Output), " "); text != tt.want {
			t.Errorf("the script runs as\n%s, want\n%s (%v)", text, tt.want, got)
		}
	}
}

// TestRunAsNamedUser looks up the user of the script itself.
func TestRunAsNamedUser(t *testing.T) {
	needRoot(t)
	r := newRunner(t, RunnerOptions{DefaultUser: nobody()})
	got := run(t, r, model.Script{Argv: sh("id -u; id -G; echo $HOME $USER").Argv, User: "daemon", Group: "bin"})
	if got.Output != "1\n2\n/usr/sbin daemon" {
		t.Errorf("result = %#v, want daemon and group bin", got)
	}
}

// TestDenied leaves the question whether this user may execute a file to the
// kernel, which knows access lists.
func TestDenied(t *testing.T) {
	needRoot(t)
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, RunnerOptions{DefaultUser: nobody()})
	got := run(t, r, model.Script{Argv: []string{program}})
	want := fmt.Sprintf("run %s as somebody (64001:64002): permission denied", program)
	if got.Refused != want {
		t.Errorf("result = %#v, want %q", got, want)
	}
}

// TestKillOtherUser ends a script of another user that ignores TERM.
func TestKillOtherUser(t *testing.T) {
	needRoot(t)
	r := newRunner(t, RunnerOptions{DefaultUser: nobody(), KillAfter: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	p, err := r.Start(ctx, sh("trap '' TERM; while :; do sleep 1000; done"))
	if err != nil {
		t.Fatal(err)
	}
	alive := openPID(t, p.PID())
	cancel()
	p.Wait(func(res model.ScriptResult) { t.Errorf("outcome %+v of a cancelled run", res) })
	awaitEnd(t, alive)
}

// TestSecurity runs a script of root from a folder that others can write to.
func TestSecurity(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho ran\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, RunnerOptions{Security: true})
	s := model.Script{Argv: []string{program}}
	if got := run(t, r, s); got.Output != "ran" {
		t.Errorf("a safe script: %#v", got)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("run %s as root: %s is writable by everybody", program, dir)
	if got := run(t, r, s); got.Refused != want {
		t.Errorf("an unsafe script: %#v, want %q", got, want)
	}
}

// TestFIFOOwner gives a new FIFO away and takes no stranger's.
func TestFIFOOwner(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	owner := nobody()
	path := filepath.Join(dir, "new")
	f, err := openFIFO(FIFO{Path: path, Owner: &owner}, 1, discard())
	if err != nil {
		t.Fatal(err)
	}
	inode, err := SystemTree{}.Lstat(path)
	if err != nil || inode.UID != owner.UID || inode.GID != owner.GID {
		t.Errorf("new: %+v, %v, want the owner %v", inode, err, owner)
	}
	runFIFO(t, f, time.Second)()
	for name, tt := range map[string]struct {
		uid  int
		want string
	}{
		"ours":     {os.Geteuid(), ""},
		"owner's":  {int(owner.UID), ""},
		"stranger": {64009, "it is owned by user 64009"},
	} {
		path := filepath.Join(dir, name)
		if err := unix.Mkfifo(path, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, tt.uid, 0); err != nil {
			t.Fatal(err)
		}
		f, err := openFIFO(FIFO{Path: path, Owner: &owner}, 1, discard())
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if f != nil {
			runFIFO(t, f, time.Second)()
		}
		if inode, err := (SystemTree{}).Lstat(path); err != nil || int(inode.UID) != tt.uid {
			t.Errorf("%s: afterwards %+v, %v", name, inode, err)
		}
	}
}
