package vrrp

import (
	"net/netip"
	"time"
)

// Event is something that happens to an Instance. Heard is one too.
type Event interface{ event() }

// Start begins the election.
type Start struct {
	// Hold delays it; adverts are ignored meanwhile. With Adopt it means
	// nothing.
	Hold time.Duration
	// Adopt resumes a mastership that a crash or a restart interrupted for
	// less than ResumeWithin: the addresses are still in place. It means
	// nothing while there is a fault.
	Adopt bool
}

// Tick says that a deadline of Next has passed.
type Tick struct{}

// Stop ends the election: a master says goodbye.
type Stop struct {
	// Deleted says that the instance is gone from the configuration.
	Deleted bool
}

// Tracked is news of something in Config.Tracks. Things that no Track names
// are ignored.
type Tracked struct {
	Kind   TrackKind
	Name   string
	Status TrackStatus
	// Value is the number in a tracked file.
	Value int
}

// SourceChanged brings another source address. An invalid one is a fault.
type SourceChanged struct{ Source netip.Addr }

// PrioritySet changes the base priority at run time, until the next
// Reconfigured. An owner stays one, and nobody becomes one by it.
type PrioritySet struct{ Priority uint8 }

// Reconfigured changes the configuration and keeps state, timers, counters and
// the known status of tracks. Config must be valid and of the same virtual
// router.
type Reconfigured struct{ Config Config }

// AddressesRestored says that addresses that somebody else removed were put
// back, and need announcing.
type AddressesRestored struct{}

// Refused counts a packet that the Codec dropped.
type Refused struct{ Drop Drop }

// SendFailed counts an advert that did not leave.
type SendFailed struct{}

// The events by which a Group moves its members.
type (
	groupMaster   struct{}
	groupBackup   struct{ member string }
	groupFault    struct{ member string } // empty: over
	groupAnnounce struct{}
)

func (Start) event()             {}
func (Heard) event()             {}
func (Tick) event()              {}
func (Stop) event()              {}
func (Tracked) event()           {}
func (SourceChanged) event()     {}
func (PrioritySet) event()       {}
func (Reconfigured) event()      {}
func (AddressesRestored) event() {}
func (Refused) event()           {}
func (SendFailed) event()        {}
func (groupMaster) event()       {}
func (groupBackup) event()       {}
func (groupFault) event()        {}
func (groupAnnounce) event()     {}
