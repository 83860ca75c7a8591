package notify

import (
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// Run is one run of a script.
type Run struct {
	runner  *Runner
	ctx     context.Context
	cmd     *exec.Cmd
	timeout time.Duration
	began   time.Time
	// exited is closed when the script itself has ended. It is not reaped yet
	// then, so that nobody else can have got its number.
	exited chan struct{}
	output *reader
}

// spawn starts the process in a session, and so a group, of its own.
func (r *Runner) spawn(ctx context.Context, p plan) (*Run, error) {
	cmd := exec.Command(p.path, p.argv[1:]...)
	cmd.Args[0] = p.argv[0]
	cmd.Dir = "/"
	cmd.Env = append(append([]string{}, r.opts.Env...),
		"HOME="+p.account.Home, "USER="+p.account.Name, "LOGNAME="+p.account.Name, "SHELL="+p.account.Shell)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: credential(p.account)}
	run := &Run{runner: r, ctx: ctx, cmd: cmd, timeout: p.timeout, exited: make(chan struct{})}
	var writer *os.File
	if !r.opts.DiscardOutput {
		read, write, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		run.output, writer = &reader{file: read, idle: make(chan struct{})}, write
		cmd.Stdout, cmd.Stderr = write, write
	}
	run.began = time.Now()
	err := startWithout(cmd, r.opts)
	if writer != nil {
		err = errors.Join(err, writer.Close())
	}
	if err != nil {
		if run.output != nil {
			err = errors.Join(err, run.output.file.Close())
		}
		return nil, err
	}
	if run.output != nil {
		r.readers.Go(func() { run.output.read(r) })
	}
	go run.watch()
	return run, nil
}

// credential returns what the process changes to. Without root nothing can be
// changed, so that one's own account works and another is refused.
func credential(a Account) *syscall.Credential {
	if os.Geteuid() != 0 && int64(a.UID) == int64(os.Geteuid()) && int64(a.GID) == int64(os.Getegid()) {
		return nil
	}
	return &syscall.Credential{Uid: a.UID, Gid: a.GID, Groups: a.Groups}
}

// startWithout starts cmd without descriptors that the daemon itself was
// started with, without ambient capabilities, and if asked without a way to
// gain privileges. The last two belong to a thread and are inherited by its
// children, so the thread is locked and ends with the goroutine.
func startWithout(cmd *exec.Cmd, opts RunnerOptions) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if opts.Before != nil {
			if err := opts.Before(); err != nil {
				done <- err
				return
			}
		}
		if opts.NoNewPrivileges {
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				done <- os.NewSyscallError("prctl no_new_privs", err)
				return
			}
		}
		if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
			done <- os.NewSyscallError("close_range", err)
			return
		}
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
			done <- os.NewSyscallError("prctl cap_ambient", err)
			return
		}
		done <- cmd.Start()
	}()
	return <-done
}

// watch waits for the end of the script without reaping it.
func (p *Run) watch() {
	defer close(p.exited)
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// PID is the number of the process, and of its group and session.
func (p *Run) PID() int { return p.cmd.Process.Pid }

// Wait waits for the end of the run as Runner.Run describes it. It is called
// once.
func (p *Run) Wait(outcome func(model.ScriptResult)) {
	defer func() { <-p.runner.slots }()
	var timeout <-chan time.Time
	if p.timeout > 0 {
		timer := time.NewTimer(p.timeout - time.Since(p.began))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-p.exited:
		result := p.reap()
		outcome(result)
	case <-timeout:
		p.signal(unix.SIGTERM)
		outcome(model.ScriptResult{TimedOut: true, Took: time.Since(p.began), Output: p.output.String()})
		p.end()
	case <-p.ctx.Done():
		p.signal(unix.SIGTERM)
		p.end()
	}
}

// end waits after TERM, sends KILL if that was not enough, and reaps. Members
// of the group that survived their leader are killed too.
func (p *Run) end() {
	timer := time.NewTimer(p.runner.opts.KillAfter)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		p.signal(unix.SIGKILL)
	}
	if !p.dies() {
		// It hangs in the kernel, where no signal reaches it, and the daemon
		// wants to end.
		go func() { <-p.exited; p.reap() }()
		return
	}
	p.signal(unix.SIGKILL)
	p.reap()
}

// dies waits for the end of a killed script, but only for a while once ctx has
// ended.
func (p *Run) dies() bool {
	select {
	case <-p.exited:
		return true
	case <-p.ctx.Done():
	}
	timer := time.NewTimer(2 * p.runner.opts.KillAfter)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// signal reaches the whole group. The script is not reaped yet, so the number
// is still its own; a group that has gone is no error.
func (p *Run) signal(sig unix.Signal) { _ = unix.Kill(-p.cmd.Process.Pid, sig) }

// reap takes the exit status. It is called after exited.
func (p *Run) reap() model.ScriptResult {
	// The error repeats the state.
	_ = p.cmd.Wait()
	r := model.ScriptResult{Took: time.Since(p.began), Exit: p.cmd.ProcessState.ExitCode()}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		r.Signal, r.Exit = int(status.Signal()), 0
	}
	if p.output != nil {
		p.output.finish()
		r.Output = p.output.String()
	}
	return r
}
