package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Parent is the worker's end of the line.
type Parent struct {
	file *os.File
	lost chan struct{}
	// lastGood is what LastGood returns.
	lastGood string
}

// Join takes up the line that Exec left to this process. It fails in a process
// that is no worker. It is called once.
func Join() (*Parent, error) {
	kind, err := unix.GetsockoptInt(lineFD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_SEQPACKET {
		return nil, errors.New("find the line to the parent: this process was not started as a worker")
	}
	// Scripts must not hold the line.
	unix.CloseOnExec(lineFD)
	if err := unix.SetNonblock(lineFD, true); err != nil {
		return nil, fmt.Errorf("set up the line to the parent: %w", err)
	}
	nameProcess(os.Args[0])
	p := newParent(os.NewFile(lineFD, "line to parent"))
	p.lastGood = takeLastGood()
	return p, nil
}

func newParent(file *os.File) *Parent {
	p := &Parent{file: file, lost: make(chan struct{})}
	go func() {
		defer close(p.lost)
		var b [messageMost]byte
		for {
			// The parent says nothing, so this waits for its end.
			if _, err := file.Read(b[:]); err != nil {
				return
			}
		}
	}()
	return p
}

// nameProcess gives the process the name that tools such as ps and pgrep know
// the program by, instead of that of a link in /proc.
func nameProcess(name string) {
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(name)), 0) // nothing depends on it
}

// Lost returns a channel that is closed when the parent is gone.
func (p *Parent) Lost() <-chan struct{} { return p.lost }

// Tell says something to the parent. It does not block: a parent that does not
// read misses it, and an error says so.
func (p *Parent) Tell(state string) error {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("tell parent: %w", err)
	}
	text := []byte(state)
	text = text[:min(len(text), messageMost)]
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		_, sent = unix.SendmsgN(int(fd), text, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return true
	})
	if err = errors.Join(err, sent); err != nil {
		return fmt.Errorf("tell parent: %w", err)
	}
	return nil
}
