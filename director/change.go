package director

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// Step is a run of operations for one datapath.
type Step struct {
	// Datapath is DatapathXDP or DatapathIPVS.
	Datapath model.DatapathChoice
	Ops      []sched.Op
}

// Change is what one input brought about.
type Change struct {
	// Steps are to be carried out in order. The order between datapaths
	// counts too: a service that moves is added to its new datapath first.
	Steps []Step
	// Events say the same to people, in order.
	Events []Event
}

// Ops returns the operations of all steps in order.
func (c Change) Ops() []sched.Op {
	var ops []sched.Op
	for _, s := range c.Steps {
		ops = append(ops, s.Ops...)
	}
	return ops
}

// EventKind says what an event is about.
type EventKind uint8

// The events.
const (
	ServerUp EventKind = iota + 1
	ServerDown
	QuorumGained
	QuorumLost
	ServiceAdded
	ServiceRemoved
	// ServiceMoved is a new placement: another datapath, or another reason.
	ServiceMoved
	// ServerWeight is a weight that a check changed.
	ServerWeight
	// ChecksSuspended and ChecksResumed are about ha_suspend.
	ChecksSuspended
	ChecksResumed
)

// String returns the event as it is logged.
func (k EventKind) String() string {
	switch k {
	case ServerUp:
		return "server up"
	case ServerDown:
		return "server down"
	case QuorumGained:
		return "quorum gained"
	case QuorumLost:
		return "quorum lost"
	case ServiceAdded:
		return "service added"
	case ServiceRemoved:
		return "service removed"
	case ServiceMoved:
		return "service moved"
	case ServerWeight:
		return "server weight"
	case ChecksSuspended:
		return "checks suspended"
	case ChecksResumed:
		return "checks resumed"
	}
	return fmt.Sprintf("event %d", uint8(k))
}

// Event is one change of state for log, metric and notify.
type Event struct {
	Kind    EventKind
	At      time.Time
	Service model.ServiceKey
	// Server is set for ServerUp, ServerDown and ServerWeight.
	Server netip.AddrPort
	// Reason is one line that says why.
	Reason string
}
