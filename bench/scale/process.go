package main

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

// subject is a program that is measured.
type subject struct {
	name, version, path string
	env                 []string
	// check and run are its command lines for a file.
	check, run func(file, dir string) []string
	// reloaded is in the line of its log that ends a reload.
	reloaded string
}

func keepalived(path, library string) subject {
	return subject{
		name: "keepalived", path: path, version: versionOf(path, "--version"), env: []string{"LD_PRELOAD=" + library},
		check: func(file, _ string) []string { return []string{"-t", "-f", file} },
		run: func(file, dir string) []string {
			return []string{"--check", "--dont-fork", "--log-console", "-f", file, "-p", filepath.Join(dir, "pid"), "-c", filepath.Join(dir, "checkers.pid")}
		},
		reloaded: "Activating BFD healthchecker",
	}
}

func evenkeel(path, pins string) subject {
	return subject{
		name: "evenkeel", path: path, version: versionOf(path, "version"),
		check: func(file, _ string) []string { return []string{"check", "-f", file} },
		run: func(file, dir string) []string {
			return []string{"run", "-f", file, "--socket", filepath.Join(dir, "evenkeel.sock"), "--pin-dir", filepath.Join(pins, "evenkeel")}
		},
		reloaded: "configuration taken over",
	}
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

// process is a subject at work.
type process struct {
	subject
	cmd  *exec.Cmd
	log  string // file
	done chan struct{}
}

func (s subject) start(n *lab.Node, dir, file string) (*process, error) {
	p := &process{subject: s, cmd: exec.Command(s.path, s.run(file, dir)...), log: filepath.Join(dir, s.name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = out, out, append(os.Environ(), s.env...)
	if err := n.Start(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended shows in what it did
		close(p.done)
	}()
	return p, nil
}

// reloads counts the reloads that the log says have ended.
func (p *process) reloads() int {
	b, _ := os.ReadFile(p.log)
	return strings.Count(string(b), p.reloaded)
}

// endPatience is how long a process may take to stop; it takes its services
// down one by one.
const endPatience = time.Minute

func (p *process) end() error {
	_ = p.cmd.Process.Signal(unix.SIGTERM) // it may be gone
	select {
	case <-p.done:
		return nil
	case <-time.After(endPatience):
	}
	for _, pid := range family(p.cmd.Process.Pid) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	<-p.done
	return fmt.Errorf("%s had to be killed", p.name)
}

// await waits until ok says so.
func (p *process) await(what string, patience time.Duration, ok func() bool) error {
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		select {
		case <-p.done:
			return fmt.Errorf("wait for %s: %s has ended:\n%s", what, p.name, p.tail())
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("wait for %s: not in %s:\n%s", what, patience, p.tail())
		}
	}
	return nil
}

// tail returns the last lines of the log.
func (p *process) tail() string {
	b, _ := os.ReadFile(p.log)
	list := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(list[max(0, len(list)-5):], "\n")
}

// usage is what a process and its children use.
type usage struct {
	cpu time.Duration
	// resident and peak are in bytes.
	resident, peak int64
}

// use reads the usage of a process and those that it started.
func (p *process) use() (usage, error) {
	var sum usage
	for _, pid := range family(p.cmd.Process.Pid) {
		u, err := usageOf(pid)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // a child that has just ended
		}
		if err != nil {
			return sum, err
		}
		sum.cpu += u.cpu
		sum.resident += u.resident
		sum.peak += u.peak
	}
	return sum, nil
}

// family returns a process and its descendants.
func family(pid int) []int {
	list := []int{pid}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, field := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				list = append(list, family(child)...)
			}
		}
	}
	return list
}

// clockTick is the unit of times in /proc, which Linux has fixed.
const clockTick = 10 * time.Millisecond

func usageOf(pid int) (u usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	_, after, _ := strings.Cut(string(stat), ") ") // behind the name
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return u, fmt.Errorf("read /proc/%d/stat: %d fields", pid, len(fields))
	}
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return u, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
		}
		u.cpu += time.Duration(n) * clockTick
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			u.resident = kib << 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			u.peak = kib << 10
		}
	}
	return u, nil
}
