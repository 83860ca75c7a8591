package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// isTerminal reports whether the file is a terminal.
func isTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// The ANSI codes that the screen is drawn with.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the other screen, no cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	goHome      = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// terminal is a terminal that shows a screen and gives single keys.
type terminal struct {
	in, out *os.File
	before  unix.Termios
}

// openTerminal takes the terminal. Ctrl-C still sends its signal; Ctrl-Z does
// not, since nobody would give the terminal back.
func openTerminal(in, out *os.File) (*terminal, error) {
	before, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("read terminal settings: %w", err)
	}
	t := &terminal{in: in, out: out, before: *before}
	keys := *before
	keys.Lflag &^= unix.ICANON | unix.ECHO
	keys.Cc[unix.VMIN], keys.Cc[unix.VTIME] = 1, 0
	keys.Cc[unix.VSUSP] = 0
	if err := unix.IoctlSetTermios(int(in.Fd()), unix.TCSETS, &keys); err != nil {
		return nil, fmt.Errorf("set terminal: %w", err)
	}
	if _, err := out.WriteString(enterScreen); err != nil {
		return nil, errors.Join(fmt.Errorf("write to terminal: %w", err), t.close())
	}
	return t, nil
}

// close gives the terminal back as it was, without unread keys.
func (t *terminal) close() error {
	_, err := t.out.WriteString(leaveScreen)
	if set := unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETSF, &t.before); set != nil {
		err = errors.Join(err, set)
	}
	if err != nil {
		return fmt.Errorf("give terminal back: %w", err)
	}
	return nil
}

// size returns the terminal's columns and lines.
func (t *terminal) size() (width, height int) {
	size, err := unix.IoctlGetWinsize(int(t.out.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

// draw shows a screen in place of the last one.
func (t *terminal) draw(text string) error {
	lines := strings.ReplaceAll(text, "\n", clearLine+"\n")
	if _, err := t.out.WriteString(goHome + lines + clearLine + clearBelow); err != nil {
		return fmt.Errorf("write to terminal: %w", err)
	}
	return nil
}

// keyWait bounds, in milliseconds, how long the end of a context goes unseen.
const keyWait = 100

// readKeys sends each key that is typed until ctx ends or the terminal does; then
// it closes the channel.
func (t *terminal) readKeys(ctx context.Context, keys chan<- byte) {
	defer close(keys)
	fd := int(t.in.Fd())
	buf := make([]byte, 1)
	for ctx.Err() == nil {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(ready, keyWait)
		if errors.Is(err, unix.EINTR) || err == nil && n == 0 {
			continue
		}
		if err != nil {
			return
		}
		if n, err := unix.Read(fd, buf); err != nil || n == 0 {
			return
		}
		select {
		case keys <- buf[0]:
		case <-ctx.Done():
		}
	}
}
