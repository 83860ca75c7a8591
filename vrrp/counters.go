package vrrp

import "fmt"

// Counter names one of an instance's counters besides those of Drop.
type Counter uint8

// The counters. Names are keepalived's where keepalived has one.
const (
	// AdvertsReceived: adverts that passed all checks, whatever the state.
	AdvertsReceived Counter = iota
	// AdvertsSent: adverts that were to be sent, priority 0 included.
	AdvertsSent
	// BecameMaster and ReleasedMaster: the ends of a mastership.
	BecameMaster
	ReleasedMaster
	// PriorityZeroReceived and PriorityZeroSent: goodbyes.
	PriorityZeroReceived
	PriorityZeroSent
	// LowerPriorityReceived: adverts that a master heard from a lesser one.
	LowerPriorityReceived
	// OtherAddresses: accepted adverts with another address list.
	OtherAddresses
	// OtherInterval: accepted adverts with another interval than configured.
	OtherInterval
	// IntervalBound: accepted adverts whose interval was cut.
	IntervalBound
	// PreemptedByUnknown: masterships lost to a router never heard before.
	PreemptedByUnknown
	// Late: timers so late that others may have taken over.
	Late
	// SendErrors: adverts that did not leave.
	SendErrors

	counters // how many there are
)

// String returns the counter's name.
func (c Counter) String() string {
	names := [counters]string{
		AdvertsReceived:       "advert_rcvd",
		AdvertsSent:           "advert_sent",
		BecameMaster:          "become_master",
		ReleasedMaster:        "release_master",
		PriorityZeroReceived:  "pri_zero_rcvd",
		PriorityZeroSent:      "pri_zero_sent",
		LowerPriorityReceived: "lower_pri_rcvd",
		OtherAddresses:        "other_addr_list",
		OtherInterval:         "other_interval",
		IntervalBound:         "interval_bounded",
		PreemptedByUnknown:    "master_preempted_by_unknown",
		Late:                  "timer_late",
		SendErrors:            "send_err",
	}
	if c < counters {
		return names[c]
	}
	return fmt.Sprintf("counter_%d", uint8(c))
}

// Counters returns all counters in order.
func Counters() []Counter {
	all := make([]Counter, counters)
	for i := range all {
		all[i] = Counter(i)
	}
	return all
}

// Count returns one counter of the instance.
func (i Instance) Count(c Counter) uint64 { return i.counts[c] }

// Dropped returns how many packets were refused for one reason.
func (i Instance) Dropped(d Drop) uint64 { return i.dropped[d] }
