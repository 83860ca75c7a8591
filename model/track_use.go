package model

import "fmt"

// TrackKind says what kind of thing is tracked. The numbers are those of
// vrrp.TrackKind.
type TrackKind uint8

// The kinds.
const (
	TrackingInterface TrackKind = iota + 1
	TrackingScript
	TrackingFile
	TrackingProcess
)

// String returns the kind as it is printed before a name.
func (k TrackKind) String() string {
	switch k {
	case TrackingInterface:
		return "interface"
	case TrackingScript:
		return "script"
	case TrackingFile:
		return "file"
	case TrackingProcess:
		return "process"
	}
	return fmt.Sprintf("track %d", uint8(k))
}

// Track is one thing that an instance or a sync group depends on: a line of a
// track block, or an interface that it uses.
type Track struct {
	Kind TrackKind
	Name string
	Pos  Position
	// Weight and Reverse are those of the line, or of the tracked thing where
	// the line has none.
	Weight  int
	Reverse bool
	// Implied is set for an interface that no line names.
	Implied bool
}
