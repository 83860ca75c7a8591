package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"

	"github.com/evenkeel/evenkeel/daemon/supervise"
)

// workerFlag makes a command line that of a supervising process's worker.
const workerFlag = "worker"

// supervised runs a command line as a worker and keeps it running.
func supervised(o runOptions, log *slog.Logger, args []string) error {
	signals := make(chan os.Signal, 8)
	takeSignals(signals, o)
	err := supervise.New(supervise.Options{
		Start:   supervise.Exec(args),
		Signals: signals,
		Notify:  notifier(log),
		Log:     log,
	}).Run()
	if ended, ok := errors.AsType[*supervise.EndError](err); ok && ended.End.Code > 0 {
		// The worker has said why.
		return &exitError{code: ended.End.Code, silent: true}
	}
	return err
}

// workerArgs is the command line of the worker: that of this process, marked
// right behind the name of the command, or at the front.
func workerArgs(args []string, command string) []string {
	at := slices.Index(args, command) + 1
	marked := slices.Insert(slices.Clone(args), at, "--"+workerFlag)
	return append([]string{os.Args[0]}, marked...)
}

// joined is what a worker has of its supervising process.
type joined struct {
	ctx  context.Context // ends with it
	tell func(state string)
	stop context.CancelFunc
	// lastGood says why to begin with the configuration that last ran well.
	lastGood string
}

// underParent joins the supervising process: the context ends with it, and what
// is told goes through it.
func underParent(ctx context.Context, log *slog.Logger) (joined, error) {
	parent, err := supervise.Join()
	if err != nil {
		return joined{}, err
	}
	if err := parent.Tell(supervise.Listening); err != nil {
		return joined{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	go func() {
		select {
		case <-parent.Lost():
			log.Error("the supervising process is gone")
			stop()
		case <-ctx.Done():
		}
	}()
	tell := func(state string) {
		if err := parent.Tell(state); err != nil {
			log.Warn("service manager cannot be told", "error", err)
		}
	}
	return joined{ctx, tell, stop, parent.LastGood()}, nil
}
