package notify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// Audience says which events a FIFO gets.
type Audience uint8

// The audiences: those of notify_fifo, vrrp_notify_fifo and lvs_notify_fifo.
const (
	Everything Audience = iota
	OnlyVRRP
	OnlyLVS
)

// FIFO describes one notify FIFO.
type FIFO struct {
	// Path is absolute.
	Path     string
	Audience Audience
	// Owner gets the FIFO if it is created here; optional, default the
	// daemon's user.
	Owner *Account
	// Script reads the FIFO. It is started once, with the path as its last
	// argument, and not again if it ends. Optional, default none.
	Script *model.Script
}

// fifoMode is the mode of a new FIFO, less the umask.
const fifoMode = 0o644

// fifo writes the lines of one FIFO in order.
type fifo struct {
	path  string
	queue *queue[string]
	log   *slog.Logger

	file *os.File
	// created says that the FIFO is ours to remove.
	created bool

	mu      sync.Mutex // guards what follows
	written uint64
	lost    uint64
}

// openFIFO creates the FIFO, or takes one that belongs to the daemon or to the
// owner. It is opened for reading too, so that it needs no reader now and
// writing never gives SIGPIPE.
func openFIFO(f FIFO, size int, log *slog.Logger) (*fifo, error) {
	log = log.With("fifo", f.Path)
	w := &fifo{path: f.Path, queue: newQueue[string](size, log), log: log}
	err := unix.Mkfifo(f.Path, fifoMode)
	switch {
	case err == nil:
		w.created = true
	case !errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("create fifo %s: %w", f.Path, err)
	}
	if err := w.open(f.Owner); err != nil {
		return nil, errors.Join(err, w.remove())
	}
	return w, nil
}

// open checks the opened file and not its name, so that nobody can exchange it
// in between.
func (f *fifo) open(owner *Account) error {
	// Opening a device can have effects, so what is no FIFO is left alone.
	info, err := os.Lstat(f.path)
	if err != nil {
		return fmt.Errorf("open fifo: %w", err)
	}
	if info.Mode().Type() != fs.ModeNamedPipe {
		return fmt.Errorf("open fifo %s: it is not a FIFO", f.path)
	}
	file, err := os.OpenFile(f.path, os.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("open fifo: %w", err)
	}
	if err := f.check(file, owner); err != nil {
		return errors.Join(fmt.Errorf("open fifo %s: %w", f.path, err), file.Close())
	}
	f.file = file
	return nil
}

func (f *fifo) check(file *os.File, owner *Account) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || info.Mode().Type() != fs.ModeNamedPipe:
		return errors.New("it is not a FIFO")
	case f.created && owner != nil:
		return file.Chown(int(owner.UID), int(owner.GID))
	case int64(st.Uid) == int64(os.Geteuid()) || owner != nil && st.Uid == owner.UID:
		return nil
	}
	return fmt.Errorf("it is owned by user %d", st.Uid)
}

// run writes lines until ctx ends, and then what is queued if that takes no
// longer than grace. It closes the FIFO, and removes it if it created it.
func (f *fifo) run(ctx context.Context, grace time.Duration) error {
	stop := context.AfterFunc(ctx, func() {
		// A FIFO is never without deadlines.
		_ = f.file.SetWriteDeadline(time.Now().Add(grace))
	})
	defer stop()
	for {
		select {
		case line := <-f.queue.out:
			f.write(line)
			continue
		case <-ctx.Done():
		}
		select {
		case line := <-f.queue.out:
			f.write(line)
			continue
		default:
		}
		return errors.Join(f.file.Close(), f.remove())
	}
}

// write waits while the FIFO is full. Lines up to 4096 bytes are written whole
// or not at all, since the kernel says so for pipes.
func (f *fifo) write(line string) {
	_, err := f.file.WriteString(line)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.written++
		return
	}
	if f.lost++; f.lost == 1 {
		f.log.Warn("line for fifo lost", "error", err)
	}
}

// remove removes the FIFO if it was created here and is still the same.
func (f *fifo) remove() error {
	if !f.created {
		return nil
	}
	info, err := os.Lstat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("remove fifo: %w", err)
	case info.Mode().Type() != fs.ModeNamedPipe:
		return nil
	}
	if err := os.Remove(f.path); err != nil {
		return fmt.Errorf("remove fifo: %w", err)
	}
	return nil
}

// stats returns how many lines were written and how many were lost, in the
// queue or later.
func (f *fifo) stats() (written, lost uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written, f.lost + f.queue.lost()
}
