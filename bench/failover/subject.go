package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/bench/process"
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
	return subject{name: "keepalived", path: path, version: process.VersionOf(path, "--version"),
		args: func(conf, dir string) []string {
			return []string{"--dont-fork", "--log-console", "--vrrp", "-f", conf,
				"-p", filepath.Join(dir, "pid"), "-r", filepath.Join(dir, "vrrp.pid")}
		}}
}

func evenkeel(path string) subject {
	return subject{name: "evenkeel", path: path, version: process.VersionOf(path, "version"),
		args: func(conf, dir string) []string {
			return []string{"run", "-f", conf, "--socket", filepath.Join(dir, "evenkeel.sock"),
				"--pin-dir", filepath.Join(dir, "pins")}
		}}
}

// start runs a subject on a node. dir keeps its files.
func (s subject) start(n *lab.Node, dir, conf string) (*process.Process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "keepalived.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	return process.Start(n, exec.Command(s.path, s.args(file, dir)...), filepath.Join(dir, "log"))
}

// again starts the command line of a process that has ended once more.
func again(p *process.Process, n *lab.Node) (*process.Process, error) {
	return process.Start(n, exec.Command(p.Cmd.Path, p.Cmd.Args[1:]...), p.Log)
}

// worker returns the process that speaks VRRP: the child of one that
// supervises it, or the process itself.
func worker(p *process.Process) int {
	if family := process.Family(p.Cmd.Process.Pid); len(family) > 1 {
		return family[1]
	}
	return p.Cmd.Process.Pid
}

// endPatience is how long a process may take to stop.
const endPatience = 10 * time.Second

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
