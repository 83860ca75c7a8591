package vrrp

import "fmt"

// State is the state of an instance or a Group.
type State uint8

// The states, numbered as keepalived's JSON dump numbers them.
const (
	// Init: not started, held back after start, or stopped.
	Init State = iota
	// Backup: another router is master, or will be found not to be.
	Backup
	// Master: this router owns the addresses.
	Master
	// Fault: something that the instance depends on is down.
	Fault
)

// String returns the state as keepalived's scripts and FIFO get it.
func (s State) String() string {
	switch s {
	case Init:
		return "INIT"
	case Backup:
		return "BACKUP"
	case Master:
		return "MASTER"
	case Fault:
		return "FAULT"
	}
	return fmt.Sprintf("STATE%d", uint8(s))
}
