package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/evenkeel/evenkeel/config"
)

// pidFiles are those that were written. They name this process, but for the one
// of the process that people send signals to.
type pidFiles struct {
	parent   int
	removers []func()
}

// write writes the pid files: the one of keepalived's parent always, those of
// its children where the command line names them and the part runs.
func (p *pidFiles) write(l readOptions, cfg *config.Config) error {
	name := "keepalived"
	if cfg.Global.Instance != "" {
		name += "_" + cfg.Global.Instance
	}
	dir := "/run/"
	if cfg.Global.UsePIDDir {
		dir += "keepalived/"
	}
	pids := make(map[string]int)
	if len(cfg.VRRP.Instances) > 0 {
		pids[l.last("vrrp_pid", "")] = os.Getpid()
	}
	if len(cfg.Services) > 0 {
		pids[l.last("checkers_pid", "")] = os.Getpid()
	}
	pids[l.last("pid", dir+name+".pid")] = p.parent
	delete(pids, "")
	var errs []error
	for path, pid := range pids {
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
