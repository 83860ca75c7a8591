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
	exitNoResult = 250
	exitNoKernel = 251
)

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
	if flags.NArg() == 0 && !*fetch {
		return 2, errors.New("no program named")
	}

	k, err := openKernel(ctx, *kernel)
	if errors.Is(err, guest.ErrUnreachable) {
		return exitNoKernel, err
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
	status, err := guest.Run(ctx, guest.Config{
		Kernel: k, Lane: guest.Lane(*lane), Args: flags.Args(), Init: self,
		Tools: list(*tools), Env: list(*env),
		Memory: *memory, Timeout: *timeout, Output: os.Stdout,
	})
	if err != nil {
		return exitNoResult, err
	}
	return status, nil
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
