package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// selfExe is this program, also when its file was replaced since: a worker that
// is started again is the one that died.
const selfExe = "/proc/self/exe"

// lineFD is the number of the line to the parent in a worker.
const lineFD = 3

// messageMost is the length of the longest message on the line in bytes. Longer
// ones are cut off.
const messageMost = 4096

// Exec returns a Start that runs this program with arguments, the first of which
// is its name. The worker calls Join.
func Exec(args []string) func(lastGood string) (Worker, error) {
	return func(lastGood string) (Worker, error) { return start(args, lastGood) }
}

// process is a Worker.
type process struct {
	cmd   *exec.Cmd
	told  chan string
	ended chan End
}

func start(args []string, lastGood string) (Worker, error) {
	ours, theirs, err := line()
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	defer theirs.Close()
	p := &process{
		cmd: &exec.Cmd{
			Path: selfExe, Args: args, Env: environment(os.Environ(), lastGood),
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: []*os.File{theirs},
		},
		told:  make(chan string, 16),
		ended: make(chan End, 1),
	}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start worker: %w", err), ours.Close())
	}
	gone := make(chan struct{})
	go p.listen(ours, gone)
	go func() {
		err := p.cmd.Wait()
		close(gone)
		_ = ours.Close() // ends listen
		end := End{}
		if err != nil {
			end = endOf(err)
		}
		p.ended <- end
	}()
	return p, nil
}

// environment is the worker's: only the parent talks to the service manager.
func environment(list []string, lastGood string) []string {
	list = slices.DeleteFunc(slices.Clone(list), func(v string) bool {
		return strings.HasPrefix(v, "NOTIFY_SOCKET=") || strings.HasPrefix(v, "WATCHDOG_PID=") || strings.HasPrefix(v, lastGoodVariable+"=")
	})
	if lastGood != "" {
		list = append(list, lastGoodVariable+"="+lastGood)
	}
	return list
}

// line returns both ends of a line that keeps messages apart.
func line() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make line to worker: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "line to worker"), os.NewFile(uintptr(fds[1]), "line to parent"), nil
}

// listen reads the line until the worker is gone.
func (p *process) listen(ours *os.File, gone <-chan struct{}) {
	defer close(p.told)
	b := make([]byte, messageMost)
	for {
		n, err := ours.Read(b)
		if err != nil {
			return
		}
		select {
		case p.told <- string(b[:n]):
		case <-gone:
			return
		}
	}
}

// PID implements Worker.
func (p *process) PID() int { return p.cmd.Process.Pid }

// Told implements Worker.
func (p *process) Told() <-chan string { return p.told }

// Ended implements Worker.
func (p *process) Ended() <-chan End { return p.ended }

// Signal implements Worker.
func (p *process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal worker: %w", err)
	}
	return nil
}
