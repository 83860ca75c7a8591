package labtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// Patience is how long a test waits for what must come; it is never a measure.
const Patience = 30 * time.Second

// Until waits for something that must come, and fails the test when it does
// not come within Patience.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	until(t, Patience, 20*time.Millisecond, what, ok)
}

// UntilFor is Until for what takes long by its nature; it looks now and then.
func UntilFor(t testing.TB, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	until(t, patience, 500*time.Millisecond, what, ok)
}

func until(t testing.TB, patience, pause time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// Outcome is how a command ended.
type Outcome struct {
	Code           int // -1 when a signal ended it
	Stdout, Stderr string
}

// Run runs a command on a node to its end.
func Run(t testing.TB, n *lab.Node, cmd *exec.Cmd) Outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := n.Start(cmd); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the code says it
	return Outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// Process is a command that runs on a node, at the longest until the test
// ends. What it wrote to standard error is in the log of a test that failed.
type Process struct {
	// Done is closed when the process has ended.
	Done chan struct{}

	t   testing.TB
	cmd *exec.Cmd
	log syncBuffer
}

// Start starts a command on a node.
func Start(t testing.TB, n *lab.Node, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Done: make(chan struct{}), t: t, cmd: cmd}
	cmd.Stderr = &p.log
	if err := n.Start(cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // the state says it
		close(p.Done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-p.Done
		if t.Failed() {
			t.Logf("%s wrote:\n%s", cmd, p.Log())
		}
	})
	return p
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log returns what the process wrote to standard error so far.
func (p *Process) Log() string { return p.log.String() }

// Ended reports whether the process is gone.
func (p *Process) Ended() bool {
	select {
	case <-p.Done:
		return true
	default:
		return false
	}
}

// Signal sends a signal.
func (p *Process) Signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("signal %v: %v", sig, err)
	}
}

// Wait waits until the process ends and returns its exit code, -1 when a
// signal ended it.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.Done:
	case <-time.After(Patience):
		p.t.Fatal("the process does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// End sends a signal that ends the process, and waits as Wait does.
func (p *Process) End(sig os.Signal) int {
	p.t.Helper()
	p.Signal(sig)
	return p.Wait()
}

// syncBuffer is a buffer that is read while a process writes to it.
type syncBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// WatchAddresses starts to watch the addresses of a node. The log has a line for
// each that comes, and one that begins with Deleted for each that goes.
func WatchAddresses(t testing.TB, n *lab.Node) *Process {
	t.Helper()
	// Log has what is written to standard error.
	p := Start(t, n, exec.Command("sh", "-c", "exec ip monitor address >&2"))
	marks := 0
	Until(t, "changes of addresses are seen", func() bool {
		marks++
		mark := fmt.Sprintf("192.0.2.%d/32", marks%255)
		if got := Run(t, n, exec.Command("ip", "address", "replace", mark, "dev", "lo")); got.Code != 0 {
			t.Fatalf("add an address: %s", got.Stderr)
		}
		return strings.Contains(p.Log(), "192.0.2.")
	})
	return p
}
