package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// selfExe is this program, also when its file was replaced since.
const selfExe = "/proc/self/exe"

// process is the program of a director: this executable once more, or
// keepalived.
type process struct {
	cmd *exec.Cmd
	log string
	// ended is closed when the process is gone; err then says how it ended.
	ended chan struct{}
	err   error
	// told is set once it is to end.
	told atomic.Bool
}

// command is the command line of a director's program, as a reader would type
// it.
func (p plan) command(d director) []string {
	if d.program == PeerKeepalived {
		pid := func(name string) string { return filepath.Join(d.dir, name+".pid") }
		return []string{"keepalived", "--vrrp", "--dont-fork", "--log-console", "-i", d.name, "-f", p.config(),
			"-p", pid("keepalived"), "-r", pid("vrrp")}
	}
	return []string{"evenkeel", "run", "-i", d.name, "-f", p.config(), "--pin-dir", d.pins, "--socket", d.socket()}
}

// startProgram starts the program of a director on its node and writes down
// which process it is.
func startProgram(node *lab.Node, p plan, d director) (*process, error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of %s: %w", d.name, err)
	}
	log, err := os.OpenFile(d.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", d.name, err)
	}
	defer log.Close()
	args := p.command(d)
	cmd := &exec.Cmd{
		Path: selfExe, Args: args, Stdout: log, Stderr: log,
		// A group of its own: Ctrl-C at the terminal is for the demo alone.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if d.program == PeerKeepalived {
		if cmd.Path, err = exec.LookPath(args[0]); err != nil {
			return nil, fmt.Errorf("find keepalived: %w", err)
		}
	}
	if err := node.Start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", d.name, err)
	}
	run := &process{cmd: cmd, log: d.log(), ended: make(chan struct{})}
	go func() {
		defer close(run.ended)
		run.err = cmd.Wait()
	}()
	r, err := recordOf(cmd.Process.Pid)
	if err == nil {
		err = r.write(recordFile(d.dir))
	}
	return run, err
}

// reload tells the daemon to read its configuration again.
func (d *process) reload() error {
	if err := d.cmd.Process.Signal(unix.SIGHUP); err != nil {
		return fmt.Errorf("reload daemon: %w", err)
	}
	return nil
}

// kill kills the process and all that it started, at once. It does not wait for
// their end.
func (d *process) kill() error {
	d.told.Store(true)
	select {
	case <-d.ended:
		return nil // the number may be another one's
	default:
	}
	if err := unix.Kill(-d.cmd.Process.Pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill daemon: %w", err)
	}
	return nil
}

// stop stops the daemon, and kills it when it does not end. It returns an
// error when it did not end well. A daemon that had ended before is no error of
// the stop.
func (d *process) stop() error {
	d.told.Store(true)
	select {
	case <-d.ended:
		return nil
	default:
	}
	for _, step := range []struct {
		signal os.Signal
		wait   time.Duration
	}{{unix.SIGTERM, stopTimeout}, {unix.SIGKILL, killTimeout}} {
		if err := d.cmd.Process.Signal(step.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop daemon: %w", err)
		}
		select {
		case <-d.ended:
			if d.err != nil {
				return fmt.Errorf("stop daemon: %w%s", d.err, d.lastWords())
			}
			return nil
		case <-time.After(step.wait):
		}
	}
	return errors.New("stop daemon: still alive after SIGKILL")
}

// awaitDeath waits until the process has ended although nobody told it to, and
// says so. It returns nil when it was told, or ctx ended.
func (d *process) awaitDeath(ctx context.Context) error {
	select {
	case <-d.ended:
		if d.told.Load() {
			return nil
		}
		return d.death()
	case <-ctx.Done():
		return nil
	}
}

// death says that the daemon ended although nobody told it to. When it ended
// itself, its last words say why.
func (d *process) death() error {
	exit, ok := errors.AsType[*exec.ExitError](d.err)
	switch {
	case ok && exit.Exited():
		return fmt.Errorf("the daemon ended (%w)%s", d.err, d.lastWords())
	case d.err != nil:
		return fmt.Errorf("the daemon ended (%w)", d.err)
	}
	return errors.New("the daemon stopped, told by somebody else")
}

// lastWords returns the end of the daemon's log.
func (d *process) lastWords() string {
	const most = 4096
	text, err := os.ReadFile(d.log)
	if err != nil {
		return ""
	}
	text = bytes.TrimSpace(text[max(len(text)-most, 0):])
	lines := strings.Split(string(text), "\n")
	last := lines[len(lines)-1]
	if last == "" {
		return ""
	}
	return ": " + last
}
