package daemon

import "errors"

// Kind says what kept the daemon from starting, for the exit code.
type Kind uint8

// The kinds. Each has its own exit code (docs/cli.md).
const (
	// Failed is everything that has no kind of its own.
	Failed Kind = iota
	// BadConfig: the configuration cannot be used at all.
	BadConfig
	// NoPrivilege: a capability is missing.
	NoPrivilege
	// NoBPF: the kernel cannot run the program.
	NoBPF
	// BadPins: the pin directory is not in a bpf file system, belongs to
	// somebody else, or holds what this version cannot take over.
	BadPins
	// AlreadyRunning: another daemon holds the socket or the pins.
	AlreadyRunning
	// BadInterface: an interface is missing, busy or of no use.
	BadInterface
	// BadSocket: the socket cannot be made.
	BadSocket
	// NoIPVS: the file asks for IPVS, and the kernel has none.
	NoIPVS
)

// StartError says that the daemon could not start. Nothing of it is left
// running then, and what ran before goes on.
type StartError struct {
	Kind Kind
	// Err is one line that says where, what and what to do.
	Err error
}

// Error prints the cause.
func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// startError gives err a kind, unless it has one.
func startError(kind Kind, err error) error {
	if _, ok := errors.AsType[*StartError](err); ok {
		return err
	}
	return &StartError{Kind: kind, Err: err}
}

// errStopping answers requests that come too late.
var errStopping = errors.New("the daemon is stopping")
