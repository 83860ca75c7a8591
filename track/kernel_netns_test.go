//go:build netns

package track

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// realProcesses starts copies of a shell that wait for their input to end.
type realProcesses struct {
	KernelProcesses
	t     *testing.T
	dir   string
	procs map[int]*realProcess
}

type realProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// program makes a copy of the shell under a name.
func (r *realProcesses) program(name string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	binary, err := os.ReadFile("/bin/sh")
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, binary, 0o700); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func (r *realProcesses) start(args ...string) int {
	r.t.Helper()
	cmd := exec.Command(r.program(args[0]), append([]string{"-s"}, args[1:]...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	pid := cmd.Process.Pid
	r.procs[pid] = &realProcess{cmd, in, bufio.NewReader(out)}
	r.t.Cleanup(func() { r.exit(pid) })
	return pid
}

// exec runs another copy whose argv[0] is the bare name. Its first argument
// tells the shell to read commands, so parameters begin after it.
func (r *realProcesses) exec(pid int, args ...string) {
	r.t.Helper()
	p := r.procs[pid]
	quoted := make([]string, len(args)-1)
	for i, a := range args[1:] {
		quoted[i] = "'" + a + "'"
	}
	command := fmt.Sprintf("PATH=%s; exec %s %s\n", r.dir, args[0], strings.Join(quoted, " "))
	r.program(args[0])
	// The script that it reads as its first parameter waits for input.
	if err := os.WriteFile(filepath.Join(r.dir, args[1]), []byte("read x\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(p.in, "cd "+r.dir+"\n"+command); err != nil {
		r.t.Fatal(err)
	}
}

func (r *realProcesses) exit(pid int) {
	p := r.procs[pid]
	if p == nil {
		return
	}
	delete(r.procs, pid)
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// TestKernelProcessWorld runs the table against the kernel. Its process events
// need root and the initial namespaces.
func TestKernelProcessWorld(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root for process events")
	}
	r := &realProcesses{t: t, dir: t.TempDir(), procs: make(map[int]*realProcess)}
	ctx, stop := context.WithCancel(t.Context())
	events, err := r.Subscribe(ctx)
	stop()
	if err != nil {
		t.Skipf("skipped: needs process events: %v", err)
	}
	drain(events)
	testProcessWorld(t, r, fmt.Sprintf("ek%d", os.Getpid()))
}

// TestKernelOverflow does not read events until the kernel has lost some.
func TestKernelOverflow(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root for process events")
	}
	c, err := openConnector()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.listen(); err != nil {
		c.file.Close()
		t.Skipf("skipped: needs process events: %v", err)
	}
	var small error
	if err := conn.Control(func(fd uintptr) {
		small = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	}); err != nil || small != nil {
		t.Fatal(err, small)
	}
	for range 100 {
		if err := exec.Command("/bin/true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	out := make(chan ProcessEvent)
	go c.forward(ctx, out)
	lost := false
	for !lost {
		e, ok := <-out
		if !ok {
			t.Fatal("events ended")
		}
		lost = e.Kind == Lost
	}
	stop()
	drain(out)
}
