package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/evenkeel/evenkeel/bench/process"
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
		name: "keepalived", path: path, version: process.VersionOf(path, "--version"), env: []string{"LD_PRELOAD=" + library},
		check: func(file, _ string) []string { return []string{"-t", "-f", file} },
		run: func(file, dir string) []string {
			return []string{"--check", "--dont-fork", "--log-console", "-f", file, "-p", filepath.Join(dir, "pid"), "-c", filepath.Join(dir, "checkers.pid")}
		},
		reloaded: "Activating BFD healthchecker",
	}
}

func evenkeel(path, pins string) subject {
	return subject{
		name: "evenkeel", path: path, version: process.VersionOf(path, "version"),
		check: func(file, _ string) []string { return []string{"check", "-f", file} },
		run: func(file, dir string) []string {
			return []string{"run", "-f", file, "--socket", filepath.Join(dir, "evenkeel.sock"), "--pin-dir", filepath.Join(pins, "evenkeel")}
		},
		reloaded: "configuration taken over",
	}
}

// running is a subject at work.
type running struct {
	subject
	*process.Process
}

func (s subject) start(n *lab.Node, dir, file string) (*running, error) {
	cmd := exec.Command(s.path, s.run(file, dir)...)
	cmd.Env = append(os.Environ(), s.env...)
	log := filepath.Join(dir, s.name+".log")
	if err := os.Remove(log); err != nil && !errors.Is(err, fs.ErrNotExist) { // that of the run before
		return nil, err
	}
	p, err := process.Start(n, cmd, log)
	return &running{s, p}, err
}

// reloads counts the reloads that the log says have ended.
func (r *running) reloads() int { return r.Says(r.reloaded) }

// endPatience is how long a process may take to stop; it takes its services
// down one by one.
const endPatience = time.Minute
