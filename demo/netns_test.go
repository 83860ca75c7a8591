//go:build netns

package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// program builds evenkeel, once for all tests, into programDir.
var (
	programDir string
	program    = sync.OnceValues(buildProgram)
)

func buildProgram() (path string, err error) {
	if programDir, err = os.MkdirTemp("", "evenkeel-demo-test"); err != nil {
		return "", err
	}
	path = filepath.Join(programDir, "evenkeel")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/evenkeel").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build evenkeel: %w\n%s", err, out)
	}
	return path, nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(programDir) // of nothing when no test needed it
	os.Exit(code)
}

// command returns the demo's command line under a name of this process, which
// is cleaned up when the test ends.
func command(t *testing.T, args ...string) (cmd *exec.Cmd, name string) {
	t.Helper()
	labtest.NeedRoot(t)
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	name = fmt.Sprintf("%s-test%d", DefaultName, os.Getpid())
	t.Cleanup(func() {
		if removed, err := Clean(name); err != nil || len(removed) > 0 {
			t.Errorf("the test left %q, %v", removed, err)
		}
	})
	return exec.Command(path, append([]string{"demo", "--name", name}, args...)...), name
}

// traces lists everything on this machine that carries the demo's name.
func traces(t *testing.T, name string) []string {
	t.Helper()
	found := leftovers(name)
	if _, err := os.Lstat(runDir(name)); err == nil {
		found = append(found, runDir(name))
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte(runDir(name))) {
			found = append(found, "process "+strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	socket := newPlan(name, "").socket()
	if _, err := os.Lstat(socket); err == nil {
		found = append(found, "socket "+socket)
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(mounts, []byte(name)) {
		found = append(found, "mounts")
	}
	return found
}

// wantNoTraces fails the test for each trace of the demo.
func wantNoTraces(t *testing.T, name string) {
	t.Helper()
	for _, trace := range traces(t, name) {
		t.Errorf("left behind: %s", trace)
	}
}

func TestScriptedDemoHolds(t *testing.T) {
	cmd, name := command(t, "--script", "--json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("the demo ended with %v\n%s", err, &stderr)
	}
	wantNoTraces(t, name)
	dec := json.NewDecoder(bytes.NewReader(out))
	dec.DisallowUnknownFields()
	var r Report
	if err := dec.Decode(&r); err != nil {
		t.Fatalf("read report: %v\n%s", err, out)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		t.Error("there is more than the report on standard output")
	}
	if !r.Held || r.Error != "" {
		t.Errorf("held %t, error %q", r.Held, r.Error)
	}
	for _, c := range r.Claims {
		if !c.Held {
			t.Errorf("%s: did not hold: %s", c.Claim, c.Measured)
		}
	}
	// The report must not agree with itself alone: these are worked out here.
	answered := 0
	for _, s := range r.Servers {
		answered += s.Count
	}
	if r.Requests != answered+r.Failed || answered < 5*requestsPerPhase {
		t.Errorf("%d requests, %d answered, %d failed do not add up", r.Requests, answered, r.Failed)
	}
	if r.Failed == 0 || r.Failed != r.Death.Failed {
		t.Errorf("%d requests failed, %d of them at the death of a server: want the same and more than none", r.Failed, r.Death.Failed)
	}
	if len(r.Interfaces) != 2 || r.Interfaces[0].Mode != "native" || r.Interfaces[1].Mode != "native" {
		t.Errorf("interfaces = %+v, want two in native mode", r.Interfaces)
	}
	// A request takes at least five packets to the server.
	if r.Packets.Forwarded < uint64(5*answered) {
		t.Errorf("%d packets forwarded for %d requests", r.Packets.Forwarded, answered)
	}
}

// running is a demo under way.
type running struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	text  []string
}

// startScript starts a scripted demo and returns when its story has begun.
func startScript(t *testing.T) (*running, string) {
	t.Helper()
	cmd, name := command(t, "--script")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &running{cmd: cmd, lines: bufio.NewScanner(out)}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may be gone
	if !r.until("1. All servers are up.") {
		t.Fatalf("the story did not begin: %v\n%s", cmd.Wait(), strings.Join(r.text, "\n"))
	}
	return r, name
}

// until reads the transcript up to a line.
func (r *running) until(line string) bool {
	for r.lines.Scan() {
		r.text = append(r.text, r.lines.Text())
		if r.lines.Text() == line {
			return true
		}
	}
	return false
}

// end sends a signal and waits.
func (r *running) end(t *testing.T, signal os.Signal) error {
	t.Helper()
	if err := r.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	for r.lines.Scan() {
		r.text = append(r.text, r.lines.Text())
	}
	return r.cmd.Wait()
}

func TestInterruptedDemoLeavesNothing(t *testing.T) {
	for _, signal := range []os.Signal{unix.SIGINT, unix.SIGTERM} {
		r, name := startScript(t)
		if err := r.end(t, signal); err == nil || r.cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%v: the demo ended with %v, want exit code 1", signal, err)
		}
		if last := r.text[len(r.text)-1]; last != "The demo ended early: interrupted" {
			t.Errorf("%v: last line %q", signal, last)
		}
		wantNoTraces(t, name)
	}
}

func TestDemoWithoutReaderLeavesNothing(t *testing.T) {
	cmd, name := command(t, "--script")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	if _, err := read.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	read.Close() // as head does
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the demo ended with %v, want exit code 1", err)
	}
	wantNoTraces(t, name)
}

func TestKilledDemoIsCleanedUp(t *testing.T) {
	r, name := startScript(t)

	second, _ := command(t, "--script")
	out, err := second.CombinedOutput()
	want := fmt.Sprintf("evenkeel: a demo runs already (pid %d): quit it first, with q or kill %[1]d\n", r.cmd.Process.Pid)
	if err == nil || second.ProcessState.ExitCode() != 13 || string(out) != want {
		t.Errorf("a second demo ended with %v and said %q, want 13 and %q", err, out, want)
	}

	kill := func() {
		t.Helper()
		if err := r.end(t, unix.SIGKILL); err == nil {
			t.Fatal("the demo survived SIGKILL")
		}
		found := strings.Join(traces(t, name), "\n")
		for _, trace := range []string{"namespace " + name + "-director", "process evenkeel run", "pins ", runDir(name), "socket "} {
			if !strings.Contains(found, trace) {
				t.Errorf("SIGKILL left no %q, so this test shows nothing:\n%s", trace, found)
			}
		}
	}
	kill()

	// The next demo cleans up first.
	r, _ = startScript(t)
	if !strings.HasPrefix(r.text[0], "An earlier demo left something behind; removed: daemon (pid ") {
		t.Errorf("the next demo begins with %q", r.text[0])
	}
	kill()

	clean, _ := command(t, "--clean")
	if out, err := clean.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "removed: daemon (pid ") {
		t.Errorf("--clean = %v: %s", err, out)
	}
	wantNoTraces(t, name)
	again, _ := command(t, "--clean")
	if out, err := again.CombinedOutput(); err != nil || string(out) != "nothing to remove\n" {
		t.Errorf("a second --clean = %v: %s", err, out)
	}
}

func TestInteractiveDemo(t *testing.T) {
	outside, inside := openPTY(t)
	if err := unix.IoctlSetWinsize(int(outside.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 36, Col: 120}); err != nil {
		t.Fatal(err)
	}
	before := settings(t, inside)
	cmd, name := command(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inside, inside, inside
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	see := screenReader(outside)
	for _, step := range []struct{ wait, key string }{
		{"runs              runs              runs", "2"},
		{"server2 out of all tables after", "2"},
		{"server2 back in all tables after", "c"},
		{"map dump pinned", "q"},
	} {
		if !see.until(t, step.wait) {
			t.Fatalf("the screen never showed %q; it showed:\n%s", step.wait, see.text())
		}
		if _, err := outside.WriteString(step.key); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the demo ended with %v", err)
	}
	if !see.until(t, "packets handled by XDP") {
		t.Errorf("no summary; it showed:\n%s", see.text())
	}
	if after := settings(t, inside); after != before {
		t.Errorf("terminal settings after = %+v, before = %+v", after, before)
	}
	wantNoTraces(t, name)
}

// shown is what a terminal was sent.
type shown struct {
	mu   sync.Mutex // guards all
	all  []byte
	seen int // how far until has looked
}

// screenReader reads the terminal until it is closed.
func screenReader(f *os.File) *shown {
	s := &shown{}
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := f.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.all = append(s.all, buf[:n]...)
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *shown) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.all[max(len(s.all)-8192, 0):])
}

// until waits for a text that was not waited for before.
func (s *shown) until(t *testing.T, text string) bool {
	t.Helper()
	deadline := time.After(60 * time.Second)
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for {
		s.mu.Lock()
		at := bytes.Index(s.all[s.seen:], []byte(text))
		if at >= 0 {
			s.seen += at + len(text)
		}
		s.mu.Unlock()
		if at >= 0 {
			return true
		}
		select {
		case <-pace.C:
		case <-deadline:
			return false
		}
	}
}
