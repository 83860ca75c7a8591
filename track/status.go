package track

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// Kind is the kind of a tracked thing, as its track block is called after
// track_.
type Kind string

// The kinds.
const (
	Script    Kind = "script"
	File      Kind = "file"
	Process   Kind = "process"
	Interface Kind = "interface"
	BFD       Kind = "bfd"
)

// State is what is known of a tracked thing.
type State uint8

// The states.
const (
	// Unknown: there is no result yet.
	Unknown State = iota
	Up
	Down
	// Disabled: a script that has never been run because it cannot be. It has
	// no say.
	Disabled
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case Up:
		return "up"
	case Down:
		return "down"
	case Disabled:
		return "disabled"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Status is what is known of one tracked thing.
type Status struct {
	Kind  Kind
	Name  string
	State State
	// Value is the number in a file, or how many processes there are. A file
	// that is missing or holds no number is Down and counts 0.
	Value int
	// Reason says in one line why State is what it is.
	Reason string
	// Since is when State, or the number in a file, became this; zero before
	// the first result.
	Since time.Time
	// Runs is the evidence of a script.
	Runs Runs
}

// Runs is the evidence of a script.
type Runs struct {
	// Made are the runs with a result, Failed those of them that failed, and
	// Skipped those that were due while the one before still ran.
	Made, Failed, Skipped uint64
	// Last is the latest result, and At when it came.
	Last model.ScriptResult
	At   time.Time
}

// key identifies a tracked thing.
type key struct {
	kind Kind
	name string
}

func (s Status) key() key { return key{s.Kind, s.Name} }

// differs reports whether somebody who knows old has to be told of s.
func (s Status) differs(old Status) bool {
	return s.State != old.State || s.Kind == File && s.Value != old.Value
}
