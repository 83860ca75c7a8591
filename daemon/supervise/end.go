package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// panicCode is the exit code that Go's runtime gives a program that panics. A
// worker uses it for nothing else.
const panicCode = 2

// End is how a worker ended.
type End struct {
	// Code is the exit code, when Signal is 0.
	Code int
	// Signal killed it.
	Signal syscall.Signal
	// Err says why it was not started at all.
	Err error
}

// endOf translates what os/exec says of a process that has ended.
func endOf(err error) End {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return End{Err: err}
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return End{Signal: status.Signal()}
	}
	return End{Code: exit.ExitCode()}
}

// String says how the worker ended.
func (e End) String() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Signal != 0:
		return fmt.Sprintf("killed by signal %d (%s)", int(e.Signal), e.Signal)
	case e.Code == panicCode:
		return fmt.Sprintf("exit code %d (panic)", e.Code)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// well reports whether the worker ended as it should.
func (e End) well() bool { return e == End{} }

// crashed reports whether the worker was ended by an accident.
func (e End) crashed() bool { return e.Signal != 0 || e.Code == panicCode }

// EndError is the end of a worker that did not end well and is not started
// again.
type EndError struct{ End End }

// Error implements error.
func (e *EndError) Error() string { return "worker: " + e.End.String() }

// Unwrap returns why the worker was not started, if so.
func (e *EndError) Unwrap() error { return e.End.Err }

// isStop reports whether a signal asks for the end.
func isStop(sig os.Signal) bool { return sig == syscall.SIGTERM || sig == syscall.SIGINT }
