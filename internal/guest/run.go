package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/guest/pid1"
)

// ErrDied means that the machine ended, or was ended, before the command.
var ErrDied = errors.New("the machine ended without a result")

// Environment is set to the lane in the environment of every command that
// runs in a machine.
const Environment = "EVENKEEL_GUEST"

// Config describes one run.
type Config struct {
	Kernel *Kernel
	Lane   Lane
	// Args is the command. The first names a program of the host, which is
	// packed with the libraries that it needs.
	Args []string
	// Init is the program that calls pid1.Main, static.
	Init string
	// Tools are more programs of the host to pack, found by PATH. Optional.
	Tools []string
	// Env are names of environment variables that the command gets too.
	// Optional.
	Env []string
	// Memory is in MiB. Optional, default 1024.
	Memory int
	// Timeout ends a machine that hangs. Optional, default 10 minutes. It is
	// of the host's clock, which in the counted lane is not the machine's.
	Timeout time.Duration
	// Output gets what the command prints, on both of its outputs.
	Output io.Writer
}

// Run runs the command in a machine and returns its exit status. The folder
// testdata of the working directory is there too, as go test has it. An error
// that wraps ErrDied ends with the last lines of the console.
func Run(ctx context.Context, c Config) (int, error) {
	if c.Memory == 0 {
		c.Memory = 1024
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Minute
	}
	if (c.Lane == Fast) != c.Kernel.UserMode {
		return 0, fmt.Errorf("run %s in lane %s: that kernel does not", c.Kernel.Release, c.Lane)
	}
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return 0, err
	}
	status, err := run(ctx, c, dir)
	return status, errors.Join(err, os.RemoveAll(dir))
}

func run(ctx context.Context, c Config, dir string) (int, error) {
	image, err := c.Kernel.bootImage()
	if err != nil {
		return 0, err
	}
	root, err := pack(c)
	if err != nil {
		return 0, fmt.Errorf("pack machine: %w", err)
	}
	f := newFiles(dir, image)
	if err := os.WriteFile(f.initrd, root, 0o600); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("no end within %v", c.Timeout))
	defer cancel()
	if err := start(ctx, c, f); err != nil {
		return 0, err
	}
	return readStatus(ctx, f)
}

// pack makes the first root file system.
func pack(c Config) ([]byte, error) {
	a := newArchive()
	if err := a.file(pid1.Self, c.Init, 0o755); err != nil {
		return nil, err
	}
	a.link("/init", pid1.Self)
	a.link("/usr/sbin/modprobe", pid1.Self)
	for _, dir := range []string{"/dev", "/proc", "/sys", "/tmp", "/run", "/root", "/mnt", "/var"} {
		a.dir(dir)
	}
	a.link("/var/run", "/run")
	a.device("/dev/console", 5, 1)
	a.device("/dev/null", 1, 3)
	a.data("/etc/passwd", []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o644)
	if err := c.Kernel.packModules(a, usualModules()); err != nil {
		return nil, err
	}
	for _, tool := range c.Tools {
		host, err := exec.LookPath(tool)
		if err != nil {
			return nil, err
		}
		if err := a.program("/usr/bin/"+filepath.Base(tool), host); err != nil {
			return nil, err
		}
	}
	if err := packCommand(a, c); err != nil {
		return nil, err
	}
	return a.bytes(), nil
}

// packCommand adds the command and the folder that it runs in.
func packCommand(a *archive, c Config) error {
	const dir = "/guest/work"
	program := path.Join("/guest", filepath.Base(c.Args[0]))
	if err := a.program(program, c.Args[0]); err != nil {
		return err
	}
	a.dir(dir)
	if info, err := os.Stat("testdata"); err == nil && info.IsDir() {
		if err := a.tree(path.Join(dir, "testdata"), "testdata"); err != nil {
			return err
		}
	}
	command := pid1.Command{
		Args: append([]string{program}, c.Args[1:]...),
		Env: []string{
			"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/root", "TMPDIR=/tmp", "TERM=dumb",
			Environment + "=" + string(c.Lane),
		},
		Dir:    dir,
		Output: "/dev/ttyS1",
	}
	for _, name := range c.Env {
		if value, ok := os.LookupEnv(name); ok {
			command.Env = append(command.Env, name+"="+value)
		}
	}
	text, err := json.Marshal(command)
	if err != nil {
		return err
	}
	a.data(pid1.CommandFile, text, 0o644)
	return nil
}

// start runs the machine until it ends. How the command in it ended is on the
// console.
func start(ctx context.Context, c Config, f files) error {
	line := commandLine(c.Lane, c.Memory, f)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	// A killed user-mode-linux leaves processes that hold the output open.
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints

	output, input, err := os.Pipe()
	if err != nil {
		return err
	}
	console, err := os.Create(f.console)
	if err != nil {
		return errors.Join(err, output.Close(), input.Close())
	}
	defer console.Close()
	cmd.ExtraFiles = []*os.File{input, console}
	if c.Lane == Fast {
		// It keeps its memory in a file there.
		cmd.Env = append(os.Environ(), "TMPDIR="+f.dir)
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(c.Output, output)
		copied <- errors.Join(err, output.Close())
	}()
	ended := runPinned(cmd, c.Lane == Fast)
	err = errors.Join(input.Close(), <-copied)
	if ended != nil && ctx.Err() == nil {
		err = errors.Join(err, fmt.Errorf("%w: %w: %s\n%s", ErrDied, ended, complaints.Bytes(), consoleTail(f)))
	}
	return err
}

// runPinned runs the machine, if asked on one processor: user-mode-linux and
// the processes that it traces hand over at each system call, which across two
// processors is several times slower. The child inherits this thread's.
func runPinned(cmd *exec.Cmd, pin bool) error {
	if !pin {
		return cmd.Run()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	// Machines that run at the same time shall not share one.
	skip := os.Getpid() % all.Count()
	for cpu := 0; one.Count() == 0; cpu++ {
		if !all.IsSet(cpu) {
			continue
		}
		if skip == 0 {
			one.Set(cpu)
		}
		skip--
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	return errors.Join(cmd.Run(), unix.SchedSetaffinity(0, &all))
}

// readStatus returns what pid1 said last. Without it the machine ended first:
// by a panic, or because its time was over.
func readStatus(ctx context.Context, f files) (int, error) {
	console, err := os.ReadFile(f.console)
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(pid1.ExitLine+`(\d+)`).FindAllSubmatch(console, -1)
	if len(found) > 0 {
		return strconv.Atoi(string(found[len(found)-1][1]))
	}
	if cause := context.Cause(ctx); cause != nil {
		return 0, fmt.Errorf("%w: %w; the console ends:\n%s", ErrDied, cause, consoleTail(f))
	}
	return 0, fmt.Errorf("%w; the console ends:\n%s", ErrDied, consoleTail(f))
}
