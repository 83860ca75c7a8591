package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// clean removes what a demo of that name made, except its run directory: the
// daemons, the namespaces with everything in them, mounts and pins. It says what
// it found. The caller holds the lock.
func clean(name string) (removed []string, err error) {
	var errs []error
	for i := range directorCount {
		pid, err := stopRecorded(recordFile(filepath.Join(runDir(name), directorName(i))))
		errs = append(errs, err)
		if pid != 0 {
			removed = append(removed, fmt.Sprintf("daemon (pid %d)", pid))
		}
	}
	left := leftovers(name)
	if err := lab.Clean(name); err != nil {
		errs = append(errs, err)
	}
	if err := os.RemoveAll(pinDir(name)); err != nil {
		errs = append(errs, fmt.Errorf("remove pins: %w", err))
	}
	return append(removed, left...), errors.Join(errs...)
}

func pinDir(name string) string { return filepath.Join(systemBPFFS, name) }

// leftovers lists the namespaces and pins of a demo.
func leftovers(name string) []string {
	var left []string
	namespaces, err := filepath.Glob(filepath.Join("/run/netns", name+"-*"))
	if err == nil { // the only error is a bad pattern
		for _, path := range namespaces {
			left = append(left, "namespace "+filepath.Base(path))
		}
	}
	for _, dir := range []string{pinDir(name), filepath.Join(privateBPFFS(name), name)} {
		if _, err := os.Lstat(dir); err == nil {
			left = append(left, "pins "+dir)
		}
	}
	return left
}

// Clean removes what a killed demo of that name left behind and says what it
// found. The error is a *LiveError while one runs.
func Clean(name string) (removed []string, err error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := checkPrivileges(); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(runDir(name)); errors.Is(err, os.ErrNotExist) && len(leftovers(name)) == 0 {
		return nil, nil
	}
	lock, err := lockRun(name)
	if err != nil {
		return nil, err
	}
	removed, err = clean(name)
	removed = append(removed, "run directory "+runDir(name))
	return removed, errors.Join(err, lock.remove())
}
