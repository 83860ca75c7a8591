package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// Process is a program at work.
type Process struct {
	// Cmd is what was started.
	Cmd *exec.Cmd
	// Log is the file with its output.
	Log string
	// Done is closed when it has ended.
	Done chan struct{}
}

// Start runs a command on a node. Its output is appended to the file log.
func Start(n *lab.Node, cmd *exec.Cmd, log string) (*Process, error) {
	p := &Process{Cmd: cmd, Log: log, Done: make(chan struct{})}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := n.Start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name(), err)
	}
	go func() {
		_ = cmd.Wait() // how it ended shows in what it did
		close(p.Done)
	}()
	return p, nil
}

func (p *Process) name() string { return filepath.Base(p.Cmd.Path) }

// Ended reports whether it has.
func (p *Process) Ended() bool {
	select {
	case <-p.Done:
		return true
	default:
		return false
	}
}

// End asks the process to stop, and kills it and what it started if it does not.
func (p *Process) End(patience time.Duration) error {
	if p.Ended() {
		return nil
	}
	if err := p.Cmd.Process.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name(), err)
	}
	select {
	case <-p.Done:
		return nil
	case <-time.After(patience):
	}
	for _, pid := range Family(p.Cmd.Process.Pid) {
		_ = unix.Kill(pid, unix.SIGKILL) // it may be gone
	}
	<-p.Done
	return fmt.Errorf("%s had to be killed", p.name())
}

// Await waits until ok says so.
func (p *Process) Await(what string, patience time.Duration, ok func() bool) error {
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if p.Ended() {
			return fmt.Errorf("wait for %s: %s has ended:\n%s", what, p.name(), p.Tail(5))
		}
		if time.Now().After(end) {
			return fmt.Errorf("wait for %s: not in %s:\n%s", what, patience, p.Tail(5))
		}
	}
	return nil
}

// Tail returns the last lines of the output.
func (p *Process) Tail(lines int) string {
	b, _ := os.ReadFile(p.Log)
	list := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(list[max(0, len(list)-lines):], "\n")
}

// Says counts how often the output has a text.
func (p *Process) Says(text string) int {
	b, _ := os.ReadFile(p.Log)
	return strings.Count(string(b), text)
}

// VersionOf returns the first line that a program says of its version.
func VersionOf(path, flag string) string {
	out, err := exec.Command(path, flag).CombinedOutput()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// Family returns a process and its descendants.
func Family(pid int) []int {
	list := []int{pid}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, field := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				list = append(list, Family(child)...)
			}
		}
	}
	return list
}
