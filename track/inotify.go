package track

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// folderMask are the events after which a file may hold another number. A file
// that is being written is left alone until it is closed, so that an empty file
// between two numbers is not seen.
const folderMask = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_CREATE | unix.IN_DELETE |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// folderWatch tells changes in folders.
type folderWatch struct{ file *os.File }

// folderEvent is one change.
type folderEvent struct {
	// watch is the number of the folder's watch; it is negative when events
	// were lost.
	watch int
	// name is the file in it; it is empty for the folder itself.
	name string
	// ended is set when the folder is not watched any more, or is not found
	// under its name any more.
	ended bool
}

func newFolderWatch() (*folderWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	return &folderWatch{os.NewFile(uintptr(fd), "inotify")}, nil
}

// add watches a folder and returns the number of its watch. The same folder
// has the same number.
func (w *folderWatch) add(folder string) (int, error) {
	watch := -1
	err := w.control(func(fd int) (err error) {
		watch, err = unix.InotifyAddWatch(fd, folder, folderMask)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("watch %s: %w", folder, err)
	}
	return watch, nil
}

// remove ends a watch. One that has ended by itself is no error.
func (w *folderWatch) remove(watch int) {
	_ = w.control(func(fd int) error {
		_, err := unix.InotifyRmWatch(fd, uint32(watch))
		return err
	})
}

func (w *folderWatch) control(do func(fd int) error) error {
	conn, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// read waits for events and returns them.
func (w *folderWatch) read(buf []byte) ([]folderEvent, error) {
	n, err := w.file.Read(buf)
	if err != nil {
		return nil, err
	}
	return parseFolderEvents(buf[:n]), nil
}

// parseFolderEvents reads what the kernel wrote: watch, mask, cookie and length
// of the name in the machine's byte order, then the name, filled up with NUL.
func parseFolderEvents(b []byte) []folderEvent {
	var list []folderEvent
	for len(b) >= unix.SizeofInotifyEvent {
		watch := int32(binary.NativeEndian.Uint32(b))
		mask := binary.NativeEndian.Uint32(b[4:])
		length := int(binary.NativeEndian.Uint32(b[12:]))
		b = b[unix.SizeofInotifyEvent:]
		if length > len(b) {
			break
		}
		list = append(list, folderEvent{
			watch: int(watch),
			name:  string(bytes.TrimRight(b[:length], "\x00")),
			ended: mask&(unix.IN_IGNORED|unix.IN_MOVE_SELF) != 0,
		})
		b = b[length:]
	}
	return list
}

func (w *folderWatch) close() { _ = w.file.Close() }
