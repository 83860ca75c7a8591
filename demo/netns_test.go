//go:build netns

package demo

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestScriptedDemoHolds(t *testing.T) {
	r := playScript(t)
	if n := len(r.Claims); n != 29 {
		t.Errorf("%d claims, want 29", n)
	}
	// The report must not agree with itself alone: these are worked out here.
	answered := 0
	for _, s := range r.Servers {
		answered += s.Count
	}
	if r.Requests != answered+r.Failed || answered < 5*requestsPerPhase {
		t.Errorf("%d requests, %d answered, %d failed do not add up", r.Requests, answered, r.Failed)
	}
	wantLosses(t, r)
	if len(r.Interfaces) != 2 || r.Interfaces[0].Mode != "native" || r.Interfaces[1].Mode != "native" {
		t.Errorf("interfaces = %+v, want two in native mode", r.Interfaces)
	}
	// A request takes at least five packets to the server.
	if r.Packets.Forwarded < uint64(5*answered) {
		t.Errorf("%d packets forwarded for %d requests", r.Packets.Forwarded, answered)
	}
}

// wantLosses asks that requests failed where something was broken, and nowhere
// else.
func wantLosses(t *testing.T, r Report) {
	t.Helper()
	lost := r.Death.Failed
	for _, h := range r.Handovers {
		lost += h.Failed
	}
	if r.Death.Failed == 0 || r.Failed != lost {
		t.Errorf("%d requests failed, %d of them at the death of a server, %d there or at a change of master: want more than none, and the same",
			r.Failed, r.Death.Failed, lost)
	}
	if len(r.Handovers) != 3 || r.Handovers[0].Failed == 0 || r.Handovers[0].Downloads == 0 {
		t.Errorf("changes of master: %+v, want three, and requests that failed at the first", r.Handovers)
	}
}

// underWay is a demo that runs.
type underWay struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	text  []string
}

// startScript starts a scripted demo and returns when its story has begun.
func startScript(t *testing.T) (*underWay, string) {
	t.Helper()
	cmd, name := command(t, "--script")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &underWay{cmd: cmd, lines: bufio.NewScanner(out)}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may be gone
	if !r.until("1. All servers are up.") {
		t.Fatalf("the story did not begin: %v\n%s", cmd.Wait(), strings.Join(r.text, "\n"))
	}
	return r, name
}

// until reads the transcript up to a line.
func (r *underWay) until(line string) bool {
	for r.lines.Scan() {
		r.text = append(r.text, r.lines.Text())
		if r.lines.Text() == line {
			return true
		}
	}
	return false
}

// end sends a signal and waits.
func (r *underWay) end(t *testing.T, signal os.Signal) error {
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
		for _, trace := range []string{"namespace " + name + "-director1", "namespace " + name + "-director2", "process evenkeel run", "pins ", runDir(name), "socket "} {
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
		{"server2 back in all tables after", "d"},
		{"requests failed, longest gap", "d"},
		{"requests failed, longest gap", "g"},
		{"requests failed, longest gap", "c"},
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
	if !see.until(t, "director1 loses its power: director2 was master after") || !see.until(t, "packets handled by XDP") {
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
