package api

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// DefaultSocket is where the daemon listens when nobody says otherwise.
const DefaultSocket = "/run/evenkeel/evenkeel.sock"

// Modes of what Listen makes: a group can be let in by changing the group of
// the directory and of the socket.
const (
	dirMode    = 0o750
	socketMode = 0o660
	lockMode   = 0o640
)

// maxPath is the longest path of a unix socket (unix(7)), without its zero.
const maxPath = 107

// InUseError says that a living daemon holds the socket.
type InUseError struct {
	Path string
	// PID is the daemon's process, or 0 when it is not known.
	PID int
}

// Error prints one line with what to do.
func (e *InUseError) Error() string {
	who := "another daemon"
	if e.PID != 0 {
		who = fmt.Sprintf("another daemon (pid %d)", e.PID)
	}
	return fmt.Sprintf("listen on %s: %s runs already; stop it with evenkeel stop, or use another --socket and --pin-dir", e.Path, who)
}

// Listener is the daemon's socket together with the lock that says that its
// daemon lives. The lock goes with the process, however it ends.
type Listener struct {
	*net.UnixListener
	path string
	lock *os.File

	once sync.Once
	err  error
}

// Listen takes the socket at path. Its directory is made if it is missing. A
// socket that a dead daemon left is replaced; a living one's is not touched:
// the error is then an *InUseError.
//
// The lock is a file beside the socket. It stays when the daemon ends, since
// removing it would let two daemons hold a lock of that name.
func Listen(path string) (*Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("listen on %s: the path is longer than %d bytes", path, maxPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return nil, fmt.Errorf("make directory of socket: %w", err)
	}
	lock, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	listener, err := bind(path)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Listener{UnixListener: listener, path: path, lock: lock}, nil
}

// Path returns the path given to Listen.
func (l *Listener) Path() string { return l.path }

// Close stops listening, removes the socket and gives up the lock. Later calls
// return what the first did.
func (l *Listener) Close() error {
	l.once.Do(func() {
		// The name goes first, so that nobody finds a socket that refuses.
		err := os.Remove(l.path)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		l.err = errors.Join(err, l.UnixListener.Close(), l.lock.Close())
	})
	return l.err
}

// bind makes the socket under another name and moves it into place, so that it
// never stands there with the wrong mode, and a dead daemon's is replaced.
func bind(path string) (*net.UnixListener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("listen on %s: a file that is not a socket is in the way; remove it or use another --socket", path)
	}
	fresh := filepath.Join(filepath.Dir(path), fmt.Sprintf(".ek%d", os.Getpid()))
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	// The name will be another; Listener.Close removes that one.
	listener.SetUnlinkOnClose(false)
	if err := place(fresh, path); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), os.Remove(fresh), listener.Close())
	}
	return listener, nil
}

func place(fresh, path string) error {
	if err := os.Chmod(fresh, socketMode); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

func lockPath(socket string) string { return socket + ".lock" }

// takeLock takes the lock of a socket for as long as the file is open, and
// writes the process id into it for those who are refused.
func takeLock(socket string) (*os.File, error) {
	f, err := os.OpenFile(lockPath(socket), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, lockMode)
	if err != nil {
		return nil, fmt.Errorf("open lock of socket: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = &InUseError{Path: socket, PID: readPID(f)}
	} else if err == nil {
		err = writePID(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("write lock of socket: %w", err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("write lock of socket: %w", err)
	}
	return nil
}

// readPID returns the process id in the lock, or 0.
func readPID(r io.ReaderAt) int {
	text := make([]byte, 16)
	n, err := r.ReadAt(text, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return 0
	}
	return pid
}
