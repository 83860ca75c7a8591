package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// subject is a program that is measured.
type subject struct {
	name, version string
	path          string
	// args is the command line for a configuration, with other files in dir.
	args func(conf, dir string) []string
}

func keepalived(path string) subject {
	return subject{name: "keepalived", path: path, version: versionOf(path, "--version"),
		args: func(conf, dir string) []string {
			return []string{"--dont-fork", "--log-console", "--vrrp", "-f", conf,
				"-p", filepath.Join(dir, "pid"), "-r", filepath.Join(dir, "vrrp.pid")}
		}}
}

func evenkeel(path string) subject {
	return subject{name: "evenkeel", path: path, version: versionOf(path, "version"),
		args: func(conf, dir string) []string {
			return []string{"run", "-f", conf, "--socket", filepath.Join(dir, "evenkeel.sock"),
				"--pin-dir", filepath.Join(dir, "pins")}
		}}
}

// versionOf returns the first line that a program says of its version.
func versionOf(path, flag string) string {
	out, err := exec.Command(path, flag).CombinedOutput()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// process is a subject at work on a director.
type process struct {
	cmd  *exec.Cmd
	log  string // file
	done chan struct{}
}

// start runs a subject on a node. dir keeps its files.
func (s subject) start(n *lab.Node, dir, conf string) (*process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "keepalived.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	return startProcess(n, exec.Command(s.path, s.args(file, dir)...), filepath.Join(dir, "log"))
}

// again starts the command line of a process that has ended once more.
func (p *process) again(n *lab.Node) (*process, error) {
	return startProcess(n, exec.Command(p.cmd.Path, p.cmd.Args[1:]...), p.log)
}

func startProcess(n *lab.Node, cmd *exec.Cmd, log string) (*process, error) {
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := n.Start(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended shows on the wire
		close(p.done)
	}()
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// worker returns the process that speaks VRRP: the child of one that
// supervises it, or the process itself.
func (p *process) worker() int {
	pid := p.cmd.Process.Pid
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, field := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				return child
			}
		}
	}
	return pid
}

// endPatience is how long a process may take to stop.
const endPatience = 10 * time.Second

// end stops the process, and kills it and its worker if it does not.
func (p *process) end() error {
	if p.ended() {
		return nil
	}
	if err := p.cmd.Process.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(endPatience):
	}
	worker := p.worker()
	_ = unix.Kill(worker, unix.SIGKILL) // they may be gone
	_ = p.cmd.Process.Kill()
	<-p.done
	return fmt.Errorf("%s had to be killed", filepath.Base(p.cmd.Path))
}

// tail returns the last lines of the log.
func (p *process) tail(lines int) string {
	b, _ := os.ReadFile(p.log)
	list := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(list[max(0, len(list)-lines):], "\n")
}

// subjects returns the programs to measure, in the order of their turns.
func subjects(names []string, evenkeelPath string) (list []subject, err error) {
	if slices.Contains(names, "keepalived") {
		path, err := exec.LookPath("keepalived")
		if err != nil {
			return nil, fmt.Errorf("find keepalived: %w", err)
		}
		list = append(list, keepalived(path))
	}
	if slices.Contains(names, "evenkeel") {
		if _, err := os.Stat(evenkeelPath); err != nil {
			return nil, fmt.Errorf("find evenkeel: %w", err)
		}
		list = append(list, evenkeel(evenkeelPath))
	}
	if len(list) != len(names) {
		return nil, fmt.Errorf("subjects %q: only keepalived and evenkeel are known", names)
	}
	return list, nil
}
