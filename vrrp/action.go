package vrrp

import (
	"fmt"
	"net/netip"
)

// ActionKind says what is to be done.
type ActionKind uint8

// The actions. Those of one step are carried out in order, and none waits for
// the work of the one before: the advert of a promotion comes first.
const (
	// SendAdvert sends an advert with Priority.
	SendAdvert ActionKind = iota + 1
	// TakeAddresses puts addresses, routes and rules in place. Doing it twice
	// does no harm. Accept says whether packets to them are for this host.
	TakeAddresses
	// ReleaseAddresses takes them away, also those that an earlier process
	// left. It ends all announcements of Epoch and before.
	ReleaseAddresses
	// UpdateAddresses brings them in line with a new configuration.
	UpdateAddresses
	// Announce sends gratuitous ARP or NA for all addresses; Cause says why,
	// which decides how many rounds.
	Announce
	// AnnounceSource does so for the source address, since unicast peers may
	// have forgotten it during a fault.
	AnnounceSource
	// Notify tells scripts, FIFOs and mail of Notice.
	Notify
	// Warn tells the log of Warning, once in a while.
	Warn
)

// String returns the kind's name.
func (k ActionKind) String() string {
	switch k {
	case SendAdvert:
		return "send_advert"
	case TakeAddresses:
		return "take_addresses"
	case ReleaseAddresses:
		return "release_addresses"
	case UpdateAddresses:
		return "update_addresses"
	case Announce:
		return "announce"
	case AnnounceSource:
		return "announce_source"
	case Notify:
		return "notify"
	case Warn:
		return "warn"
	}
	return fmt.Sprintf("action_%d", uint8(k))
}

// Action is one thing to do. Fields that the kind does not name are zero.
type Action struct {
	Kind ActionKind
	// Priority is that of the advert, or for Notify the effective one.
	Priority uint8
	// Epoch numbers the masterships of the instance. It is set for the
	// actions on addresses and for announcements: those of an epoch end with
	// its ReleaseAddresses.
	Epoch uint64
	// Accept is for TakeAddresses and UpdateAddresses.
	Accept bool
	// Cause is for Announce.
	Cause AnnounceCause
	// Notice, State and Reason are for Notify; ReleaseAddresses has the state
	// that follows and its reason too.
	Notice Notice
	State  State
	Reason Reason
	// Warning and Peer are for Warn.
	Warning Warning
	Peer    netip.Addr
}

// AnnounceCause says why a master announces its addresses.
type AnnounceCause uint8

// The causes.
const (
	// CausePromotion: it has just become master.
	CausePromotion AnnounceCause = iota + 1
	// CauseAgain: some time after the promotion.
	CauseAgain
	// CauseLowerPriority: it heard a master of lower priority, whom the
	// neighbours may believe.
	CauseLowerPriority
	// CauseLowerPriorityAgain: some time after that.
	CauseLowerPriorityAgain
	// CauseHeal: one interval after the last rival was heard, or after this
	// process did not run for a while.
	CauseHeal
	// CauseRefresh: the configured period is over.
	CauseRefresh
	// CauseRestored: addresses were put back.
	CauseRestored
	// CauseExtra: the period for other interfaces is over.
	CauseExtra
)

// String returns the cause's name.
func (c AnnounceCause) String() string {
	switch c {
	case CausePromotion:
		return "promotion"
	case CauseAgain:
		return "again"
	case CauseLowerPriority:
		return "lower_priority"
	case CauseLowerPriorityAgain:
		return "lower_priority_again"
	case CauseHeal:
		return "heal"
	case CauseRefresh:
		return "refresh"
	case CauseRestored:
		return "restored"
	case CauseExtra:
		return "extra"
	}
	return fmt.Sprintf("cause_%d", uint8(c))
}

// Notice is an event that others are told of.
type Notice uint8

// The notices.
const (
	// NoticeState: State is new.
	NoticeState Notice = iota + 1
	// NoticeStop: the instance stopped.
	NoticeStop
	// NoticeDeleted: the instance is gone from the configuration.
	NoticeDeleted
	// NoticePriority: the effective priority changed.
	NoticePriority
	// NoticeLowerPriority: a master heard an advert of lower priority.
	NoticeLowerPriority
)

// Event returns the notice as keepalived's scripts and FIFO name it in the
// given state.
func (n Notice) Event(s State) string {
	switch n {
	case NoticeState:
		return s.String()
	case NoticeStop:
		return "STOP"
	case NoticeDeleted:
		return "DELETED"
	case NoticePriority:
		return s.String() + "_PRIORITY"
	case NoticeLowerPriority:
		return "MASTER_RX_LOWER_PRI"
	}
	return fmt.Sprintf("NOTICE%d", uint8(n))
}

// Warning is something odd that changes no state.
type Warning uint8

// The warnings.
const (
	// WarnSamePriority: another router has our priority (RFC 9568 8.3.2).
	WarnSamePriority Warning = iota + 1
	// WarnTwoOwners: another router says that it owns the addresses too.
	WarnTwoOwners
	// WarnInterval: the master's interval is not the configured one.
	WarnInterval
	// WarnIntervalBound: the master's interval is beyond the bound and was
	// cut.
	WarnIntervalBound
	// WarnAddresses: the master's address list is not ours.
	WarnAddresses
	// WarnSameAddress: an advert with our own source address and priority.
	WarnSameAddress
	// WarnStranger: mastership went to a router that was never heard before
	// and is no configured peer.
	WarnStranger
	// WarnLate: the timer came so late that others may have taken over.
	WarnLate
)

// String returns the warning in a few words.
func (w Warning) String() string {
	switch w {
	case WarnSamePriority:
		return "another router has our priority"
	case WarnTwoOwners:
		return "two routers are configured as owner of the addresses"
	case WarnInterval:
		return "master has another advert interval"
	case WarnIntervalBound:
		return "master has an advert interval beyond the bound"
	case WarnAddresses:
		return "master has another address list"
	case WarnSameAddress:
		return "another router has our address and priority"
	case WarnStranger:
		return "mastership lost to a router never heard before"
	case WarnLate:
		return "timer late, others may have taken over"
	}
	return fmt.Sprintf("warning %d", uint8(w))
}
