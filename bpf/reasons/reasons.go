package reasons

import (
	"fmt"
	"maps"
	"slices"
)

// Reason is the number of what happened to a packet, the index into the map
// ek_reasons. 0 is no reason.
type Reason uint32

// Verdict is what became of the packet.
type Verdict string

// The verdicts. Answer means that the packet went back to its sender as an
// ICMP error.
const (
	Pass    Verdict = "pass"
	Drop    Verdict = "drop"
	Answer  Verdict = "answer"
	Forward Verdict = "forward"
)

type entry struct {
	name    string
	verdict Verdict
	text    string
}

// String returns the reason's name, such as no_service.
func (r Reason) String() string {
	if e, ok := table[r]; ok {
		return e.name
	}
	return fmt.Sprintf("reason_%d", uint32(r))
}

// Verdict returns what became of the packet.
func (r Reason) Verdict() Verdict { return table[r].verdict }

// Text returns the reason as a phrase for people.
func (r Reason) Text() string { return table[r].text }

// All returns every reason in the order of its number.
func All() []Reason { return slices.Sorted(maps.Keys(table)) }
