package failover

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// waker ends the runtime's sleep at a deadline. The runtime waits for its timers
// and its sockets in one epoll_wait, which counts in whole milliseconds, so the
// timers of an idle process come up to 1 ms late. A timer of the kernel among
// the files that it waits for ends that wait in time, and the runtime then looks
// which timers are due. Nobody reads it.
type waker struct {
	file *os.File
	fd   int
}

func newWaker() (*waker, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make timer: %w", err)
	}
	// NewFile gives what does not block to the runtime to wait for.
	return &waker{os.NewFile(uintptr(fd), "timer"), fd}, nil
}

// after wakes the process when d has passed, and not at an earlier deadline.
// Zero or less: the timers are due already.
func (w *waker) after(d time.Duration) {
	if d <= 0 {
		return
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}
	_ = unix.TimerfdSettime(w.fd, 0, &spec, nil) // else the timers are a bit late
}

// close frees the timer. There may be none.
func (w *waker) close() {
	if w != nil {
		w.file.Close()
	}
}
