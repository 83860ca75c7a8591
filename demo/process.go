package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// selfExe is this program, also when its file was replaced since.
const selfExe = "/proc/self/exe"

// process is the daemon: this executable once more, in the director's
// namespace.
type process struct {
	cmd *exec.Cmd
	log string
	// ended is closed when the process is gone; err then says how it ended.
	ended chan struct{}
	err   error
}

// daemonCommand is the command line of the daemon, as a reader would type it.
func daemonCommand(p plan) []string {
	return []string{"evenkeel", "run", "-f", p.config(), "--pin-dir", p.pins, "--socket", p.socket()}
}

// startDaemon starts the daemon and writes down which process it is.
func startDaemon(node *lab.Node, p plan) (*process, error) {
	log, err := os.OpenFile(p.log(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open daemon log: %w", err)
	}
	defer log.Close()
	args := daemonCommand(p)
	cmd := &exec.Cmd{
		Path: selfExe, Args: args, Stdout: log, Stderr: log,
		// A group of its own: Ctrl-C at the terminal is for the demo alone.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if err := node.Start(cmd); err != nil {
		return nil, fmt.Errorf("start daemon: %w", err)
	}
	d := &process{cmd: cmd, log: p.log(), ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		d.err = cmd.Wait()
	}()
	r, err := recordOf(cmd.Process.Pid)
	if err == nil {
		err = r.write(recordFile(p.dir))
	}
	return d, err
}

// reload tells the daemon to read its configuration again.
func (d *process) reload() error {
	if err := d.cmd.Process.Signal(unix.SIGHUP); err != nil {
		return fmt.Errorf("reload daemon: %w", err)
	}
	return nil
}

// stop stops the daemon, and kills it when it does not end. It returns an
// error when it did not end well. A daemon that had ended before is no error of
// the stop.
func (d *process) stop() error {
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

// watch returns a context that ends when the daemon does, and the error of
// that, if any, as its cause.
func (d *process) watch(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-d.ended:
			cancel(d.death())
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
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
