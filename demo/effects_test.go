package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRunDirectoryIsHeldByOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if l, err := tryLock(dir); l != nil || err != nil {
		t.Fatalf("lock of a directory that is not there = %v, %v", l, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := tryLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.own(); err != nil {
		t.Fatal(err)
	}
	_, err = tryLock(dir)
	live, ok := errors.AsType[*LiveError](err)
	if !ok || live.PID != os.Getpid() {
		t.Fatalf("second lock = %v, want that %d has it", err, os.Getpid())
	}
	if want := fmt.Sprintf("a demo runs already (pid %d): quit it first, with q or kill %[1]d", os.Getpid()); live.Error() != want {
		t.Errorf("error = %q, want %q", live, want)
	}
	if err := first.remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

// sleeper starts a process that does nothing.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone
		_ = cmd.Wait()
	})
	return cmd
}

func TestRecordedProcessIsStopped(t *testing.T) {
	cmd := sleeper(t)
	// The program is exec'd after the fork; until then it is this test.
	r, err := recordOf(cmd.Process.Pid)
	for deadline := time.Now().Add(5 * time.Second); err == nil && filepath.Base(r.Executable) == filepath.Base(os.Args[0]) && time.Now().Before(deadline); {
		r, err = recordOf(cmd.Process.Pid)
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "daemon.json")

	// A number that came to mean another process is left alone.
	for name, other := range map[string]record{
		"older":           {PID: r.PID, Start: "1", Executable: r.Executable},
		"another program": {PID: r.PID, Start: r.Start, Executable: "/bin/other"},
	} {
		if err := other.write(path); err != nil {
			t.Fatal(err)
		}
		if pid, err := stopRecorded(path); pid != 0 || err != nil {
			t.Errorf("%s: stopRecorded = %d, %v", name, pid, err)
		}
		if err := cmd.Process.Signal(unix.Signal(0)); err != nil {
			t.Fatalf("%s: the process is gone: %v", name, err)
		}
	}

	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	if pid, err := stopRecorded(path); pid != r.PID || err != nil {
		t.Errorf("stopRecorded = %d, %v, want %d", pid, err, r.PID)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(interface{ Signal() unix.Signal }).Signal() != unix.SIGTERM {
		t.Errorf("the process ended with %v, want SIGTERM", err)
	}
	if pid, err := stopRecorded(path); pid != 0 || err != nil {
		t.Errorf("stopRecorded of a process that is gone = %d, %v", pid, err)
	}
}

func TestRecordThatIsNone(t *testing.T) {
	dir := t.TempDir()
	if pid, err := stopRecorded(filepath.Join(dir, "none")); pid != 0 || err != nil {
		t.Errorf("no record: %d, %v", pid, err)
	}
	for i, text := range []string{"", "{", `{"pid":-1}`, `{"pid":0}`} {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid, err := stopRecorded(path); pid != 0 || err != nil {
			t.Errorf("record %q: %d, %v", text, pid, err)
		}
	}
}

// openPTY returns both ends of a new terminal.
func openPTY(t *testing.T) (outside, inside *os.File) {
	t.Helper()
	outside, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("skipped: no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { outside.Close() })
	fd := int(outside.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	inside, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inside.Close() })
	return outside, inside
}

// settings returns a terminal's.
func settings(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

func TestTerminalIsGivenBack(t *testing.T) {
	outside, inside := openPTY(t)
	if !isTerminal(inside) || isTerminal(nil) {
		t.Error("isTerminal is wrong")
	}
	before := settings(t, inside)
	term, err := openTerminal(inside, inside)
	if err != nil {
		t.Fatal(err)
	}
	during := settings(t, inside)
	if during.Lflag&(unix.ICANON|unix.ECHO) != 0 || during.Lflag&unix.ISIG == 0 {
		t.Errorf("local flags %#x: want single keys without echo, and signals", during.Lflag)
	}

	keys := make(chan byte)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go term.readKeys(ctx, keys)
	if _, err := outside.WriteString("2q"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []byte("2q") {
		if got := <-keys; got != want {
			t.Errorf("key = %q, want %q", got, want)
		}
	}
	cancel()
	if key, open := <-keys; open {
		t.Errorf("key %q after the end", key)
	}

	if err := unix.IoctlSetWinsize(int(outside.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 132}); err != nil {
		t.Fatal(err)
	}
	if width, height := term.size(); width != 132 || height != 40 {
		t.Errorf("size = %dx%d, want 132x40", width, height)
	}
	if err := term.close(); err != nil {
		t.Fatal(err)
	}
	if after := settings(t, inside); after != before {
		t.Errorf("settings after = %+v, before = %+v", after, before)
	}
}

func TestNoTerminalForAFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if isTerminal(f) {
		t.Error("a file counts as a terminal")
	}
	if _, err := openTerminal(f, f); err == nil {
		t.Error("a file was opened as a terminal")
	}
}
