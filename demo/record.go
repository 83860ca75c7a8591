package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// record says which process is the demo's daemon, so that it is found again,
// and nothing else is taken for it, after the demo was killed.
type record struct {
	PID int `json:"pid"`
	// Start is the process's start time in clock ticks since boot. Together with
	// the PID it is no other process's.
	Start string `json:"start"`
	// Executable is the program that it runs.
	Executable string `json:"executable"`
}

func recordFile(dir string) string { return filepath.Join(dir, "daemon.json") }

// recordOf reads a running process.
func recordOf(pid int) (record, error) {
	start, err := startTime(pid)
	if err != nil {
		return record{}, err
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return record{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	// The kernel marks a program whose file was replaced since.
	return record{PID: pid, Start: start, Executable: strings.TrimSuffix(exe, " (deleted)")}, nil
}

// startTime returns field 22 of proc_pid_stat(5). The second field is the name
// in parentheses, which may hold anything.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", fmt.Errorf("read process %d: %w", pid, err)
	}
	_, rest, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	fields := bytes.Fields(rest)
	if len(fields) < 20 {
		return "", fmt.Errorf("read process %d: its stat has %d fields", pid, len(fields))
	}
	return string(fields[19]), nil
}

// write keeps the record in a file.
func (r record) write(path string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write daemon record: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write daemon record: %w", err)
	}
	return nil
}

// How long a daemon may take to stop, and then to die.
const (
	stopTimeout = 5 * time.Second
	killTimeout = 5 * time.Second
)

// stopRecorded stops the process in the record, if it still is that one, and
// returns its PID. It returns 0 when there is nothing to stop.
func stopRecorded(path string) (int, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read daemon record: %w", err)
	}
	var want record
	if err := json.Unmarshal(text, &want); err != nil || want.PID <= 0 {
		return 0, nil // cut short by the kill; the namespaces know the process
	}
	// The descriptor holds the process while it is compared, so its number
	// cannot come to mean another one.
	fd, err := unix.PidfdOpen(want.PID, 0)
	if err != nil {
		return 0, nil // gone
	}
	defer unix.Close(fd)
	if is, err := recordOf(want.PID); err != nil || is != want {
		return 0, nil
	}
	return want.PID, endProcess(fd, want.PID)
}

// endProcess asks the process to end, and kills it when it does not.
func endProcess(fd, pid int) error {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{unix.SIGTERM, stopTimeout}, {unix.SIGKILL, killTimeout}} {
		if err := unix.PidfdSendSignal(fd, step.signal, nil, 0); err != nil {
			if errors.Is(err, unix.ESRCH) {
				return nil
			}
			return fmt.Errorf("stop daemon %d: %w", pid, err)
		}
		if dead, err := awaitEnd(fd, step.wait); dead || err != nil {
			return err
		}
	}
	return fmt.Errorf("stop daemon %d: still alive after SIGKILL", pid)
}

// awaitEnd reports whether the process ended within the time.
func awaitEnd(fd int, wait time.Duration) (bool, error) {
	deadline := time.Now().Add(wait)
	for {
		left := max(time.Until(deadline), 0)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false, fmt.Errorf("wait for daemon: %w", err)
		default:
			return n > 0, nil
		}
	}
}
