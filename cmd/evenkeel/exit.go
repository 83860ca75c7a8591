package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/daemon"
)

// The exit codes. 4 and 5 are keepalived's for its configuration test; 6 is
// kept for its script security. docs/cli.md has the same table, and a test
// compares them.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNoDaemon   = 3
	exitUnparsable = 4
	exitConfig     = 5
	exitDiffers    = 7
	exitPrivilege  = 10
	exitNoBPF      = 11
	exitBadPins    = 12
	exitRunning    = 13
	exitInterface  = 14
	exitSocket     = 15
	exitNoIPVS     = 16
)

// exitError ends the process with a code. A silent one prints nothing, since
// the command has said everything.
type exitError struct {
	code   int
	silent bool
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// codeOf returns the exit code of an error that a command returned.
func codeOf(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if e, ok := errors.AsType[*daemon.StartError](err); ok {
		return codeOfStart(e.Kind)
	}
	if _, ok := errors.AsType[*api.InUseError](err); ok {
		return exitRunning
	}
	if _, ok := errors.AsType[*config.UnparsableError](err); ok {
		return exitUnparsable
	}
	switch {
	case errors.Is(err, api.ErrNoDaemon):
		return exitNoDaemon
	case errors.Is(err, api.ErrRefused), errors.Is(err, fs.ErrPermission):
		return exitPrivilege
	}
	return exitFailed
}

func codeOfStart(kind daemon.Kind) int {
	switch kind {
	case daemon.BadConfig:
		return exitUnparsable
	case daemon.NoPrivilege:
		return exitPrivilege
	case daemon.NoBPF:
		return exitNoBPF
	case daemon.BadPins:
		return exitBadPins
	case daemon.AlreadyRunning:
		return exitRunning
	case daemon.BadInterface:
		return exitInterface
	case daemon.BadSocket:
		return exitSocket
	case daemon.NoIPVS:
		return exitNoIPVS
	case daemon.Failed:
	}
	return exitFailed
}

// oneLine keeps an error on one line, whatever the kernel put into it.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
