package vrrp

import (
	"net/netip"
	"time"
)

// Name returns the instance's name.
func (i Instance) Name() string { return i.cfg.Name }

// Master returns the address and priority of the master: ours while we are
// it, otherwise of the last one that was followed. The address is invalid
// before any was heard; the priority is 0 after a goodbye.
func (i Instance) Master() (netip.Addr, uint8) { return i.master, i.masterPriority }

// MasterInterval returns the interval that the timers run on.
func (i Instance) MasterInterval() time.Duration { return i.masterInterval }

// BasePriority returns the priority without contributions.
func (i Instance) BasePriority() uint8 { return i.base }

// Source returns the address that adverts come from.
func (i Instance) Source() netip.Addr { return i.source }

// Epoch returns how often the instance has become master.
func (i Instance) Epoch() uint64 { return i.epoch }

// Wants returns the state that the instance is heading for: as part of a
// sync group it may wait for the others to become master.
func (i Instance) Wants() State {
	if i.wants {
		return Master
	}
	return i.state
}

// LastAdvert returns when the instance last sent one.
func (i Instance) LastAdvert() time.Time { return i.lastSent }

// ResumeWithin returns how long after its last advert a restarted master may
// still be sure that nobody has taken over: the shortest down interval that a
// backup can have.
func ResumeWithin(cfg Config) time.Duration {
	cfg = cfg.withDefaults()
	return DownInterval(cfg.Version, PriorityOwner-1, cfg.Interval, cfg.DownTimerAdverts)
}

// PreemptAt returns when preempt_delay is over; zero while it does not run.
func (i Instance) PreemptAt() time.Time { return i.preemptAt }
