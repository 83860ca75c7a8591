package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// ReasonCode says what kind of thing brought an instance into its state. The
// list is closed; the names are for logs, API and metrics.
type ReasonCode uint8

// The reasons.
const (
	// ReasonNone: not started yet.
	ReasonNone ReasonCode = iota
	// ReasonHold: waiting after start (vrrp_startup_delay).
	ReasonHold
	// ReasonStart: began to take part.
	ReasonStart
	// ReasonOwner: owns the addresses, so it is master from the start.
	ReasonOwner
	// ReasonAdopted: was master before a restart and goes on.
	ReasonAdopted
	// ReasonSilence: nobody advertised for the down interval.
	ReasonSilence
	// ReasonResigned: the master gave up by an advert of priority 0.
	ReasonResigned
	// ReasonPreempt: took over from a master of lower priority.
	ReasonPreempt
	// ReasonHigherPriority: another master has a higher priority.
	ReasonHigherPriority
	// ReasonHigherAddress: another master has the same priority and the
	// higher address.
	ReasonHigherAddress
	// ReasonLate: did not run long enough for another to take over, and does
	// not preempt it.
	ReasonLate
	// ReasonFault: Object is down or failed.
	ReasonFault
	// ReasonRecovered: the last fault is over; Object is what recovered.
	ReasonRecovered
	// ReasonGroup: Object, a member of the sync group, left its state.
	ReasonGroup
	// ReasonStop: stopped.
	ReasonStop
)

// String returns the name of the code.
func (c ReasonCode) String() string {
	switch c {
	case ReasonNone:
		return "none"
	case ReasonHold:
		return "startup_delay"
	case ReasonStart:
		return "start"
	case ReasonOwner:
		return "owner"
	case ReasonAdopted:
		return "adopted"
	case ReasonSilence:
		return "silence"
	case ReasonResigned:
		return "master_resigned"
	case ReasonPreempt:
		return "preempt"
	case ReasonHigherPriority:
		return "higher_priority"
	case ReasonHigherAddress:
		return "higher_address"
	case ReasonLate:
		return "late"
	case ReasonFault:
		return "fault"
	case ReasonRecovered:
		return "recovered"
	case ReasonGroup:
		return "sync_group"
	case ReasonStop:
		return "stop"
	}
	return fmt.Sprintf("reason_%d", uint8(c))
}

// Reason is why an instance is in its state: the packet, the timer, the script
// or the interface that caused it. Fields that the code does not use are zero.
type Reason struct {
	Code ReasonCode
	// Peer sent the advert that decided, or was the master that fell silent.
	// PeerPriority is its priority, Priority ours at that time.
	Peer         netip.Addr
	PeerPriority uint8
	Priority     uint8
	// Silence is how long nothing was heard; for ReasonLate how long the
	// instance did not run.
	Silence time.Duration
	// Cause is the fault, or what recovered, or the member of the group.
	Cause Cause
}

// String says the reason in a few words.
func (r Reason) String() string {
	switch r.Code {
	case ReasonSilence:
		if !r.Peer.IsValid() {
			return fmt.Sprintf("no master heard for %s", short(r.Silence))
		}
		return fmt.Sprintf("no advert from %s for %s", r.Peer, short(r.Silence))
	case ReasonResigned:
		return fmt.Sprintf("%s gave up mastership", r.Peer)
	case ReasonPreempt:
		return fmt.Sprintf("our priority %d is higher than %d of %s", r.Priority, r.PeerPriority, r.Peer)
	case ReasonHigherPriority:
		return fmt.Sprintf("%s advertises priority %d, ours is %d", r.Peer, r.PeerPriority, r.Priority)
	case ReasonHigherAddress:
		return fmt.Sprintf("%s advertises our priority %d and has the higher address", r.Peer, r.Priority)
	case ReasonLate:
		return fmt.Sprintf("%s became master while this process did not run for %s", r.Peer, short(r.Silence))
	case ReasonFault:
		return r.Cause.String()
	case ReasonRecovered:
		return r.Cause.Kind.object(r.Cause.Name) + " recovered"
	case ReasonGroup:
		return "sync group member " + r.Cause.Name + " left"
	case ReasonHold:
		return "startup delay"
	case ReasonStart:
		return "started"
	case ReasonOwner:
		return "owner of the addresses"
	case ReasonAdopted:
		return "was master before the restart"
	case ReasonStop:
		return "stopped"
	default:
		return r.Code.String()
	}
}

// short rounds a time to three digits, as much as a reader wants to know.
func short(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
