package notify

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxLingering bounds the pipes that stay open for what scripts left
	// running in the background.
	maxLingering = 32
	// pipeBytes is what a pipe holds.
	pipeBytes = 64 << 10
)

// reader keeps the end of what a script writes.
type reader struct {
	file *os.File
	tail tail
	// idle is closed when all that was written before finish has been read.
	idle chan struct{}
}

// String returns the last lines so far. A nil reader has none.
func (o *reader) String() string {
	if o == nil {
		return ""
	}
	return o.tail.String()
}

// finish is called when the script has ended and waits until all it wrote is
// read. It does not wait for what the script left running.
func (o *reader) finish() {
	// Without deadlines there would be no pipe.
	_ = o.file.SetReadDeadline(time.Unix(1, 0))
	<-o.idle
}

// read reads until the pipe is closed on the other side. Once the script has
// ended, the rest is read only so that background processes can go on writing.
func (o *reader) read(r *Runner) {
	_, err := io.Copy(&o.tail, o.file)
	open := errors.Is(err, os.ErrDeadlineExceeded) && o.drain()
	linger := open && r.linger(o.file)
	close(o.idle)
	if linger {
		_ = o.file.SetReadDeadline(time.Time{})
		_, _ = io.Copy(io.Discard, o.file)
		r.forget(o.file)
	}
	// It was only read from.
	_ = o.file.Close()
}

// drain reads what is in the pipe now and reports whether somebody still holds
// its other end.
func (o *reader) drain() (open bool) {
	conn, err := o.file.SyscallConn()
	if err != nil {
		return false
	}
	buf := make([]byte, 4096)
	err = conn.Control(func(fd uintptr) {
		for total := 0; total < pipeBytes; {
			n, err := unix.Read(int(fd), buf)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case errors.Is(err, unix.EAGAIN):
				open = true
				return
			case err != nil || n == 0:
				return
			}
			// It never fails.
			_, _ = o.tail.Write(buf[:n])
			total += n
		}
		open = true
	})
	return open && err == nil
}

// linger reports whether a pipe may stay open, and notes it.
func (r *Runner) linger(f *os.File) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.lingering) >= maxLingering {
		return false
	}
	r.lingering[f] = true
	return true
}

func (r *Runner) forget(f *os.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.lingering, f)
}
