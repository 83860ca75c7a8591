package loader

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrRunning is wrapped by the error of Start and Remove when another process
// holds the datapath.
var ErrRunning = errors.New("another daemon holds the datapath")

// RunningError says who holds the datapath. It matches ErrRunning.
type RunningError struct {
	Dir string
	// PID is the holder's process id, 0 if it is not known.
	PID int
}

// Error returns one line that names the holder if it is known, and says what to
// do.
func (e *RunningError) Error() string {
	who := ErrRunning.Error()
	if e.PID != 0 {
		who += fmt.Sprintf(" (pid %d)", e.PID)
	}
	return fmt.Sprintf("lock %s: %s; stop it with evenkeel stop, or use another --pin-dir", e.Dir, who)
}

// Is makes errors.Is(e, ErrRunning) true.
func (e *RunningError) Is(target error) bool { return target == ErrRunning }

// lock is held on the pin directory itself. The kernel gives it up when the
// holder ends, however that happens, so there is nothing to clean up.
type lock struct{ dir *os.File }

// takeLock makes the directory if need be and locks it. The error matches
// ErrRunning when somebody else holds it.
func takeLock(path string) (*lock, error) {
	for {
		if err := os.Mkdir(path, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make pin directory: %w", err)
		}
		l, err := lockExisting(path)
		// Who held the lock before may have removed the directory meanwhile.
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return l, err
	}
}

// lockExisting locks a directory. The error wraps fs.ErrNotExist when it is
// not there, also when it was removed before the lock was had.
func lockExisting(path string) (*lock, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("lock pin directory: %w", err)
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer dir.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &RunningError{Dir: path, PID: lockHolder(dir)}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	mine, err := dir.Stat()
	if err == nil {
		var now fs.FileInfo
		if now, err = os.Stat(path); err == nil && !os.SameFile(mine, now) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &lock{dir}, nil
}

func (l *lock) release() error { return l.dir.Close() }

// lockHolder returns the process that holds the lock on a file, or 0.
func lockHolder(f *os.File) int {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer locks.Close()
	id := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	lines := bufio.NewScanner(locks)
	for lines.Scan() {
		if pid, ok := flockHolder(lines.Text(), id); ok {
			return pid
		}
	}
	return 0
}

// flockHolder returns the process in a line of /proc/locks if it is an flock
// on the file with this id: "1: FLOCK  ADVISORY  WRITE 719 00:27:61850 0 EOF".
// A process of another pid namespace shows as 0 or less.
func flockHolder(line, id string) (int, bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != id {
		return 0, false
	}
	pid, err := strconv.Atoi(fields[4])
	return max(pid, 0), err == nil
}
