package pid1

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where things are in the machine's first root file system.
const (
	// Self is this program; the kernel starts it as its module loader too.
	Self = "/guest/modprobe"
	// Modules is the folder of modules, with the lists order and alias.
	Modules = "/guest/modules"
	// CommandFile holds a Command as JSON.
	CommandFile = "/guest/command.json"
)

// ExitLine begins the line of the kernel's log that ends with the exit status
// of the command.
const ExitLine = "guest-exit "

// Exit statuses beside the command's own.
const (
	// ExitKilled means that a signal ended the command.
	ExitKilled = 124
	// ExitTrouble means that the command could not be run.
	ExitTrouble = 125
)

// Command is what runs in the machine.
type Command struct {
	Args []string
	Env  []string
	Dir  string
	// Output is the device for standard output and standard error.
	Output string
}

// Main is the whole program of the first process; it does not return. As the
// module loader it ends with status 0 when the module was loaded.
func Main() {
	if filepath.Base(os.Args[0]) == filepath.Base(Self) {
		os.Exit(modprobe(os.Args[1:]))
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: not the first process")
		os.Exit(ExitTrouble)
	}
	status, err := run()
	if err != nil {
		report("guest: " + err.Error())
		status = ExitTrouble
	}
	report(fmt.Sprintf("%s%d", ExitLine, status))
	unix.Sync()
	err = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	// The end of the first process stops the machine as well.
	panic(err)
}

// report writes a line into the kernel's log, which prints it whole: a write
// to the console could be torn by the kernel's own lines.
func report(line string) {
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, line)
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "<0>%s\n", line)
}

// run prepares the machine, runs the command and returns its exit status.
func run() (int, error) {
	if err := mountAll(); err != nil {
		return 0, err
	}
	if err := os.WriteFile("/proc/sys/kernel/modprobe", []byte(Self), 0); err != nil {
		return 0, err
	}
	if err := loopbackUp(); err != nil {
		return 0, fmt.Errorf("bring lo up: %w", err)
	}
	text, err := os.ReadFile(CommandFile)
	if err != nil {
		return 0, err
	}
	var c Command
	if err := json.Unmarshal(text, &c); err != nil {
		return 0, fmt.Errorf("read %s: %w", CommandFile, err)
	}
	out, err := openOutput(c.Output)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	return runCommand(c, out)
}

func mountAll() error {
	mounts := []struct {
		kind, dir string
		need      bool
	}{
		{"proc", "/proc", true}, {"sysfs", "/sys", true}, {"devtmpfs", "/dev", true},
		{"tmpfs", "/tmp", true}, {"tmpfs", "/run", true}, {"tmpfs", "/dev/shm", true},
		{"bpf", "/sys/fs/bpf", false}, {"cgroup2", "/sys/fs/cgroup", false},
		{"tracefs", "/sys/kernel/tracing", false}, {"devpts", "/dev/pts", false},
	}
	for _, m := range mounts {
		err := os.MkdirAll(m.dir, 0o755)
		if err == nil {
			err = unix.Mount(m.kind, m.dir, m.kind, 0, "")
		}
		// Some kernels mount /dev by themselves.
		if err != nil && m.need && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.dir, err)
		}
	}
	if err := os.Symlink("/proc/self/fd", "/dev/fd"); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// openOutput opens the serial line so that bytes pass as they were written.
func openOutput(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	modes, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err == nil {
		modes.Oflag &^= unix.OPOST
		modes.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
		err = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, modes)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set %s raw: %w", name, err), f.Close())
	}
	return f, nil
}

func runCommand(c Command, out *os.File) (int, error) {
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env, cmd.Dir = c.Env, c.Dir
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	// Until the last byte is on the line (tcdrain).
	if drain := unix.IoctlSetInt(int(out.Fd()), unix.TCSBRK, 1); drain != nil {
		return 0, fmt.Errorf("drain output: %w", drain)
	}
	exit, failed := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return 0, nil
	case !failed:
		return 0, err
	case exit.ExitCode() < 0:
		report("guest: the command ended by " + exit.String())
		return ExitKilled, nil
	}
	return exit.ExitCode(), nil
}

// lines returns the fields of each line of a file.
func lines(name string) ([][]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	var all [][]string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 0 {
			all = append(all, fields)
		}
	}
	return all, nil
}
