package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LiveError says that a demo of the same name runs.
type LiveError struct {
	// PID is its process, or 0 when it is not known.
	PID int
}

// Error prints one line with what to do.
func (e *LiveError) Error() string {
	if e.PID == 0 {
		return "a demo runs already: quit it first"
	}
	return fmt.Sprintf("a demo runs already (pid %d): quit it first, with q or kill %d", e.PID, e.PID)
}

// runLock is the right to run the demo of a name: a lock on its run directory,
// which ends with the process, however that dies.
type runLock struct {
	dir  string
	file *os.File
}

// lockRun takes the run directory, made if it is missing. The error is a
// *LiveError when a demo has it.
func lockRun(name string) (*runLock, error) {
	dir := runDir(name)
	for {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make run directory: %w", err)
		}
		l, err := tryLock(dir)
		if err != nil || l != nil {
			return l, err
		}
	}
}

// tryLock returns nothing when another demo removed the directory meanwhile.
func tryLock(dir string) (*runLock, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock run directory: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return nil, &LiveError{PID: readNumber(ownerFile(dir))}
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("lock run directory %s: %w", dir, err)
	}
	held, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock run directory: %w", err)
	}
	if now, err := os.Lstat(dir); err != nil || !os.SameFile(held, now) {
		f.Close()
		return nil, nil
	}
	return &runLock{dir: dir, file: f}, nil
}

// own writes down whose directory it is, for those who are refused.
func (l *runLock) own() error {
	text := strconv.Itoa(os.Getpid()) + "\n"
	if err := os.WriteFile(ownerFile(l.dir), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write run directory: %w", err)
	}
	return nil
}

// remove removes the directory with everything in it and gives up the lock.
func (l *runLock) remove() error {
	err := os.RemoveAll(l.dir)
	l.file.Close()
	if err != nil {
		return fmt.Errorf("remove run directory: %w", err)
	}
	return nil
}

func ownerFile(dir string) string { return filepath.Join(dir, "demo.pid") }

// privateBPFFS is where the demo mounts a bpf file system of its own.
func privateBPFFS(name string) string { return filepath.Join(runDir(name), "bpf") }

// readNumber returns the number in a file, or 0.
func readNumber(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return n
}
