package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/internal/guest"
	"github.com/evenkeel/evenkeel/internal/guest/pid1"
)

// Exit statuses beside the program's.
const (
	exitNoResult  = 250
	exitNoMachine = 251
)

// fetchTime bounds how long -try waits for a kernel (50 MB, unpacked), and then for
// the machine.
const fetchTime = 5 * time.Minute

func main() {
	if os.Getpid() == 1 || filepath.Base(os.Args[0]) == filepath.Base(pid1.Self) {
		pid1.Main()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	status, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
	os.Exit(status)
}

// run reads the command line and runs what it says.
func run(ctx context.Context, args []string) (int, error) {
	flags := flag.NewFlagSet("guest", flag.ContinueOnError)
	kernel := flags.String("kernel", "6.12", "6.1, 6.12 or newest; lane fast has its own")
	lane := flags.String("lane", string(guest.Normal), "fast, normal or counted")
	fetch := flags.Bool("fetch", false, "fetch the kernel into the cache, print its release, run nothing")
	try := flags.Bool("try", false, "fetch, and start a machine that runs nothing; print the kernel's release")
	alive := flags.Bool("alive", false, "do nothing, in the machine of -try")
	tools := flags.String("tool", "", "more programs to pack, with commas")
	env := flags.String("env", "", "environment variables to pass on, with commas")
	memory := flags.Int("memory", 0, "MiB of memory (default 1024)")
	timeout := flags.Duration("timeout", 10*time.Minute, "end a machine that takes longer")
	if err := flags.Parse(args); err != nil {
		return 2, nil // flag has said what is wrong
	}
	if guest.Lane(*lane) == guest.Fast {
		*kernel = "uml"
	}
	switch {
	case *alive:
		return 0, nil
	case *try:
		return tryMachine(ctx, *kernel, guest.Lane(*lane), list(*tools))
	case flags.NArg() == 0 && !*fetch:
		return 2, errors.New("no program named")
	}

	k, err := openKernel(ctx, *kernel)
	if errors.Is(err, guest.ErrUnreachable) {
		return exitNoMachine, err
	}
	if err != nil {
		return exitNoResult, err
	}
	if *fetch {
		fmt.Println(k.Release)
		return 0, nil
	}
	self, err := os.Executable()
	if err != nil {
		return exitNoResult, err
	}
	status, err := runTwice(ctx, guest.Config{
		Kernel: k, Lane: guest.Lane(*lane), Args: flags.Args(), Init: self,
		Tools: list(*tools), Env: list(*env),
		Memory: *memory, Timeout: *timeout, Output: os.Stdout,
	})
	if err != nil {
		return exitNoResult, err
	}
	return status, nil
}

// runTwice runs a machine once more if it dies before its time is over: one that
// is emulated may. What the program did to it, it does again.
func runTwice(ctx context.Context, c guest.Config) (int, error) {
	began := time.Now()
	status, err := guest.Run(ctx, c)
	if !errors.Is(err, guest.ErrDied) || ctx.Err() != nil || time.Since(began) >= c.Timeout {
		return status, err
	}
	fmt.Fprintln(os.Stderr, "guest: once more, after:", err)
	return guest.Run(ctx, c)
}

// tryMachine says whether such a machine can run here. Whatever keeps it from
// running is one answer: there are no tests to run in it.
func tryMachine(ctx context.Context, kernel string, lane guest.Lane, tools []string) (int, error) {
	fetching, cancel := context.WithTimeoutCause(ctx, fetchTime, fmt.Errorf("the kernel is not there after %v", fetchTime))
	defer cancel()
	k, err := openKernel(fetching, kernel)
	if err != nil {
		return exitNoMachine, errors.Join(err, context.Cause(fetching))
	}
	self, err := os.Executable()
	if err != nil {
		return exitNoMachine, err
	}
	status, err := runTwice(ctx, guest.Config{
		Kernel: k, Lane: lane, Args: []string{self, "-alive"}, Init: self, Tools: tools,
		Timeout: fetchTime, Output: os.Stderr,
	})
	if err == nil && status != 0 {
		err = fmt.Errorf("a machine that runs nothing ends with status %d", status)
	}
	if err != nil {
		return exitNoMachine, err
	}
	fmt.Println(k.Release)
	return 0, nil
}

func openKernel(ctx context.Context, name string) (*guest.Kernel, error) {
	cache, err := guest.CacheDir()
	if err != nil {
		return nil, err
	}
	return guest.Fetch(ctx, name, cache)
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}
