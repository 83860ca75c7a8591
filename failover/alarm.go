package failover

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alarm is a timer of the kernel, for vrrp.Loop. The runtime waits for its own
// timers and for files in one epoll_wait, which counts in whole milliseconds, so
// that its timers come up to 1 ms late. This one is a file among those: it ends
// the wait in time, and the goroutine that reads it is known at once, where the
// runtime wakes another thread to look for more that is due.
type alarm struct {
	file *os.File
	raw  syscall.RawConn
	read func(fd uintptr) bool
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make timer: %w", err)
	}
	// NewFile gives what does not block to the runtime to wait for.
	a := &alarm{file: os.NewFile(uintptr(fd), "timer")}
	if a.raw, err = a.file.SyscallConn(); err != nil {
		a.file.Close()
		return nil, fmt.Errorf("make timer: %w", err)
	}
	var expired [8]byte
	a.read = func(fd uintptr) bool {
		// Raw, as all that returns at once: the runtime need not know.
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&expired[0])), uintptr(len(expired)))
		return errno != unix.EAGAIN
	}
	return a, nil
}

// Set does nothing after Close.
func (a *alarm) Set(d time.Duration) {
	// Zero would be never.
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(d, 1).Nanoseconds())}
	_ = a.raw.Control(func(fd uintptr) {
		_ = unix.TimerfdSettime(int(fd), 0, &spec, nil) // nothing that it refuses
	})
}

func (a *alarm) Wait() bool { return a.raw.Read(a.read) == nil }

func (a *alarm) Close() { a.file.Close() }
