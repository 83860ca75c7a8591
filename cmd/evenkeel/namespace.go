package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/config"
)

// namespaceDir is where ip netns keeps network namespaces.
const namespaceDir = "/run/netns"

// enterNamespace makes this process one of the network namespace name, by
// beginning anew in it: threads have namespaces, and a process that runs has many.
// It returns nil without a change when there is no name, or the process is in it.
func enterNamespace(name string) error {
	if name == "" {
		return nil
	}
	if name != filepath.Base(name) {
		return fmt.Errorf("enter network namespace %q: not a name that ip netns lists", name)
	}
	file, err := os.Open(filepath.Join(namespaceDir, name))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("it does not exist; make it by: ip netns add %s", name)
		}
		return fmt.Errorf("enter network namespace %s: %w", name, err)
	}
	defer file.Close()
	if here, err := os.Stat("/proc/self/ns/net"); err == nil {
		if there, err := file.Stat(); err == nil && os.SameFile(here, there) {
			return nil
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	// The thread that calls exec is what is left of the process.
	runtime.LockOSThread()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", name, err)
	}
	return fmt.Errorf("begin anew in network namespace %s: %w", name, syscall.Exec(self, os.Args, os.Environ()))
}

// namespaceOf returns the net_namespace of a configuration. One that cannot be
// read has none; whoever reads it next says why. Most files need no look but at
// their words.
func namespaceOf(file string, read config.Options) string {
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "net_namespace") && !strings.Contains(string(text), "include") {
		return ""
	}
	cfg, err := config.Load(file, read)
	if err != nil {
		return ""
	}
	return cfg.Global.NetNamespace
}
