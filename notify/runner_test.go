package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// self is the account that runs the tests.
func self() Account {
	return Account{
		UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Name: "tester", Home: "/nowhere", Shell: shell,
	}
}

// newRunner returns a runner that is closed when the test ends.
func newRunner(t *testing.T, o RunnerOptions) *Runner {
	t.Helper()
	if o.DefaultUser.Name == "" {
		o.DefaultUser = self()
	}
	r := NewRunner(o)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close runner: %v", err)
		}
	})
	return r
}

// sh returns a script of the shell.
func sh(text string) model.Script { return model.Script{Argv: []string{shell, "-c", text}} }

// run runs s to its end and returns the outcome without what differs by run.
func run(t *testing.T, r *Runner, s model.Script) model.ScriptResult {
	t.Helper()
	var all []model.ScriptResult
	r.Run(t.Context(), s, func(res model.ScriptResult) { all = append(all, res) })
	if len(all) != 1 {
		t.Fatalf("%d outcomes, want 1: %+v", len(all), all)
	}
	if all[0].Took < 0 || (all[0].Took == 0) != (all[0].Refused+all[0].Unmade != "") {
		t.Errorf("took %v", all[0].Took)
	}
	all[0].Took = 0
	return all[0]
}

func TestRun(t *testing.T) {
	t.Setenv("EVENKEEL_SECRET", "leaks")
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$0 $# $1\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		script model.Script
		want   model.ScriptResult
	}{
		{"good", sh("exit 0"), model.ScriptResult{}},
		{"bad", sh("echo one; echo two >&2; exit 3"), model.ScriptResult{Exit: 3, Output: "one\ntwo"}},
		{"last lines", sh("for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; done"),
			model.ScriptResult{Output: "3\n4\n5\n6\n7\n8\n9\n10"}},
		{"more than a pipe holds", sh("i=0; while [ $i -lt 3000 ]; do echo '" + strings.Repeat("x", 100) + "'; i=$((i+1)); done; echo; echo end"),
			model.ScriptResult{Output: strings.Repeat(strings.Repeat("x", 100)+"\n", 6) + "\nend"}},
		{"signal", sh("kill -9 $$"), model.ScriptResult{Signal: 9}},
		{"folder and standard input", sh("pwd; cat; echo end"), model.ScriptResult{Output: "/\nend"}},
		{"environment", sh("env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sort"), model.ScriptResult{
			Output: "HOME=/nowhere\nLOGNAME=tester\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nSHELL=/bin/sh\nUSER=tester",
		}},
		{"own session and group", sh("s=$(cut -d' ' -f5,6 /proc/$$/stat); [ \"$s\" = \"$$ $$\" ] || echo $s"),
			model.ScriptResult{}},
		// ls has the folder open as number 3.
		{"no descriptors", sh("exec ls /proc/self/fd"), model.ScriptResult{Output: "0\n1\n2\n3"}},
		{"command line", model.Script{Command: program + ` "a b" c`}, model.ScriptResult{Output: program + " 2 a b"}},
		{"searched", model.Script{Command: "true"}, model.ScriptResult{}},
		{"time-out not reached", model.Script{Argv: sh("exit 1").Argv, Timeout: time.Hour}, model.ScriptResult{Exit: 1}},
	}
	r := newRunner(t, RunnerOptions{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, r, tt.script)
			if got != tt.want {
				t.Errorf("result = %#v\nwant %#v", got, tt.want)
			}
		})
	}
}

// noAccounts knows nobody.
type noAccounts struct{ Accounts }

func (noAccounts) User(name string) (*user.User, error) { return nil, user.UnknownUserError(name) }

func TestRunRefuses(t *testing.T) {
	root := Account{Name: "root"}
	alice := Account{UID: 1000, Name: "alice"}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("#!/nonexistent/shell\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		opts   RunnerOptions
		script model.Script
		want   string
	}{
		{"no command", RunnerOptions{}, model.Script{}, "split command: no command"},
		{"missing", RunnerOptions{Tree: machine()}, model.Script{Command: "/bin/nothing x"}, "find /bin/nothing: file does not exist"},
		{"unknown user", RunnerOptions{Accounts: noAccounts{}}, model.Script{Command: "/bin/sh", User: "bob"},
			"look up user bob: user: unknown user bob"},
		{"insecure", RunnerOptions{DefaultUser: root, Tree: machine(), Security: true}, model.Script{Command: "/bin/any"},
			"run /bin/any as root: /bin/any is writable by everybody"},
		{"insecure is fine for others", RunnerOptions{DefaultUser: alice, Tree: machine(), Security: true},
			model.Script{Command: "/bin/any"}, ""},
		{"insecure is allowed", RunnerOptions{DefaultUser: root, Tree: machine()}, model.Script{Command: "/bin/any"}, ""},
		{"no interpreter", RunnerOptions{}, model.Script{Command: empty},
			fmt.Sprintf("run %s as %v: no such file or directory", empty, self())},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunner(t, tt.opts)
			if tt.want == "" {
				if err := r.Check(tt.script); err != nil {
					t.Errorf("Check = %v, want nil", err)
				}
				return
			}
			if got, want := run(t, r, tt.script), (model.ScriptResult{Refused: tt.want}); got != want {
				t.Errorf("result = %#v\nwant %#v", got, want)
			}
			if _, err := r.Start(t.Context(), tt.script); !errors.Is(err, ErrRefused) {
				t.Errorf("Start = %v, want ErrRefused", err)
			}
		})
	}
}

func TestStartError(t *testing.T) {
	p := plan{path: "/bin/x", account: Account{Name: "al", UID: 7, GID: 8}}
	tests := []struct {
		err     error
		refused bool
		want    string
	}{
		{&os.PathError{Op: "fork/exec", Path: "/bin/x", Err: syscall.EAGAIN}, false, "run /bin/x as al (7:8): resource temporarily unavailable"},
		{os.NewSyscallError("pipe2", syscall.EMFILE), false, "run /bin/x as al (7:8): pipe2: too many open files"},
		{&os.PathError{Op: "fork/exec", Path: "/bin/x", Err: syscall.EPERM}, true, "run /bin/x as al (7:8): operation not permitted"},
	}
	for _, tt := range tests {
		got := startError(p, tt.err)
		if got.Error() != tt.want || errors.Is(got, ErrRefused) != tt.refused || !errors.Is(got, errors.Unwrap(tt.err)) {
			t.Errorf("startError(%v) = %q (refused %v), want %q (%v)", tt.err, got, errors.Is(got, ErrRefused), tt.want, tt.refused)
		}
	}
}

// TestTimeout lets a script hang that ignores TERM: the outcome comes first,
// then KILL ends it.
func TestTimeout(t *testing.T) {
	r := newRunner(t, RunnerOptions{KillAfter: time.Millisecond})
	s := sh("trap '' TERM; while :; do sleep 1000; done")
	s.Timeout = time.Millisecond
	p, err := r.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	alive := openPID(t, p.PID())
	var got []model.ScriptResult
	p.Wait(func(res model.ScriptResult) { got = append(got, res) })
	if len(got) != 1 || !got[0].TimedOut || got[0].OK() || got[0].Exit != 0 || got[0].Took < time.Millisecond {
		t.Errorf("outcomes = %+v, want one time-out", got)
	}
	awaitEnd(t, alive)
}

// TestCancelKillsGroup ends a run by its context: nothing of its group is left,
// and there is no outcome.
func TestCancelKillsGroup(t *testing.T) {
	r := newRunner(t, RunnerOptions{KillAfter: time.Millisecond})
	fifo := filepath.Join(t.TempDir(), "ready")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := sh("trap '' TERM; sleep 1000 & echo $! >" + fifo + "; wait; wait")
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx, s, func(res model.ScriptResult) { t.Errorf("outcome %+v of a cancelled run", res) })
	}()
	text, err := os.ReadFile(fifo)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	alive := openPID(t, child)
	cancel()
	<-done
	awaitEnd(t, alive)
}

// TestBackground lets a script leave something behind that holds its output
// open: the run ends with the script, and what was left may go on writing.
func TestBackground(t *testing.T) {
	r := newRunner(t, RunnerOptions{})
	dir := t.TempDir()
	goOn, said := filepath.Join(dir, "go"), filepath.Join(dir, "said")
	if err := errors.Join(unix.Mkfifo(goOn, 0o600), unix.Mkfifo(said, 0o600)); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("(read x <%s; echo late && echo wrote >%s) & echo early", goOn, said)
	if got, want := run(t, r, sh(script)), (model.ScriptResult{Output: "early"}); got != want {
		t.Errorf("result = %+v, want %+v", got, want)
	}
	if err := os.WriteFile(goOn, []byte("x\n"), 0); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(said); string(text) != "wrote\n" || err != nil {
		t.Errorf("the background process said %q, %v: it could not write", text, err)
	}
}

// TestCloseLeavesBackground closes a runner while something still holds the
// output of a script.
func TestCloseLeavesBackground(t *testing.T) {
	r := NewRunner(RunnerOptions{DefaultUser: self()})
	got := run(t, r, sh("sleep 1000 & echo $!"))
	child, err := strconv.Atoi(got.Output)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := unix.Kill(child, unix.SIGKILL); err != nil {
		t.Errorf("kill what was left: %v", err)
	}
}

func TestDiscardOutput(t *testing.T) {
	r := newRunner(t, RunnerOptions{DiscardOutput: true})
	got := run(t, r, sh("echo x; [ $(readlink /proc/$$/fd/1) = /dev/null ] && [ $(readlink /proc/$$/fd/2) = /dev/null ]"))
	if got != (model.ScriptResult{}) {
		t.Errorf("result = %+v, want success without output", got)
	}
}

func TestNoNewPrivileges(t *testing.T) {
	for _, on := range []bool{false, true} {
		r := newRunner(t, RunnerOptions{NoNewPrivileges: on})
		got := run(t, r, sh("grep -c '^NoNewPrivs:.1' /proc/self/status"))
		if want := map[bool]string{false: "0", true: "1"}[on]; got.Output != want {
			t.Errorf("with %v: %+v, want %s", on, got, want)
		}
	}
	// It does not stick to the daemon.
	status, err := os.ReadFile("/proc/self/status")
	if err != nil || bytes.Contains(status, []byte("NoNewPrivs:\t1")) {
		t.Errorf("the test process itself has no new privileges, %v", err)
	}
}

// TestMaxRunning fills the only slot.
func TestMaxRunning(t *testing.T) {
	r := newRunner(t, RunnerOptions{MaxRunning: 1, KillAfter: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	first, err := r.Start(ctx, sh("sleep 1000"))
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := r.Start(ended, sh("exit 0")); !errors.Is(err, context.Canceled) {
		t.Errorf("Start of a second one = %v, want it to wait until its context ends", err)
	}
	r.Run(ended, sh("exit 0"), func(res model.ScriptResult) { t.Errorf("outcome %+v", res) })
	cancel()
	first.Wait(func(res model.ScriptResult) { t.Errorf("outcome %+v", res) })
	// A program that the kernel cannot start does not keep the slot.
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("#!/nonexistent/shell\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := run(t, r, model.Script{Command: broken}); got.Refused == "" {
		t.Errorf("a broken program: %+v", got)
	}
	timed, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	ok := false
	r.Run(timed, sh("exit 0"), func(res model.ScriptResult) { ok = res.OK() })
	if !ok {
		t.Error("after the first ended no script runs")
	}
}

// TestWarnsOnce looks at the log of searched and insecure programs.
func TestWarnsOnce(t *testing.T) {
	var log bytes.Buffer
	o := RunnerOptions{
		DefaultUser: Account{Name: "root"}, Tree: machine(), Env: []string{"X=1", "PATH=/tmp:/bin"},
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: dropTime})),
	}
	r := newRunner(t, o)
	for range 2 {
		for _, command := range []string{"any", "/bin/group", "/bin/good"} {
			if err := r.Check(model.Script{Command: command}); err != nil {
				t.Error(err)
			}
		}
	}
	const want = `level=WARN msg="script without a path was searched" path=/bin/any
level=WARN msg="script of root can be changed by others" path=/bin/any reason="/bin/any is writable by everybody"
level=WARN msg="script of root can be changed by others" path=/bin/group reason="/bin/group is writable by group 50"
`
	if log.String() != want {
		t.Errorf("log:\n%swant:\n%s", &log, want)
	}
}

func dropTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// openPID returns a descriptor that becomes readable when the process ends.
func openPID(t *testing.T, pid int) int {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("open process %d: %v", pid, err)
	}
	t.Cleanup(func() {
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	})
	return fd
}

// awaitEnd waits for the end of the process that fd stands for.
func awaitEnd(t *testing.T, fd int) {
	t.Helper()
	polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(polled, 10_000)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || n == 0:
			t.Errorf("the process is still alive (%v)", err)
		}
		return
	}
}
