package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/model"
)

// pidFiles are those that were written. They name this process, but for the one
// of the process that people send signals to.
type pidFiles struct {
	parent   int
	removers []func()
}

// pidPath returns where keepalived puts a pid file that its command line does
// not name. option is that of the file (pid, vrrp_pid, checkers_pid), namespace
// the network namespace to run in.
func pidPath(option string, g model.Global, namespace string) string {
	name, dir := strings.TrimSuffix(option, "_pid"), "/run"
	if option == "pid" {
		name = "keepalived"
	}
	if g.Instance != "" {
		name += "_" + g.Instance
	}
	if g.UsePIDDir || g.Instance != "" || namespace != "" {
		dir = filepath.Join("/run/keepalived", namespace)
	}
	return filepath.Join(dir, name+".pid")
}

// write writes the pid files: the one of keepalived's parent, and those of its
// children where the part runs.
func (p *pidFiles) write(l readOptions, cfg *config.Config) error {
	namespace := l.last("namespace", cfg.Global.NetNamespace)
	pids := map[string]int{"pid": p.parent}
	if len(cfg.VRRP.Instances) > 0 {
		pids["vrrp_pid"] = os.Getpid()
	}
	if len(cfg.Services) > 0 {
		pids["checkers_pid"] = os.Getpid()
	}
	var errs []error
	for option, pid := range pids {
		path := l.last(option, pidPath(option, cfg.Global, namespace))
		remove, err := writePIDFile(path, pid)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.removers = append(p.removers, remove)
	}
	return errors.Join(errs...)
}

func (p *pidFiles) remove() {
	for _, remove := range p.removers {
		remove()
	}
}

// writePIDFile writes a process id to a file and returns what removes it.
func writePIDFile(path string, pid int) (func(), error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make directory of pid file: %w", err)
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(pid)+"\n"), 0o644); err != nil {
		return nil, fmt.Errorf("write pid file: %w", err)
	}
	return func() { _ = os.Remove(path) }, nil
}
