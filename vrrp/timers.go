package vrrp

import "time"

// skewParts divides the interval, or in version 2 the second, for the skew.
const skewParts = 256

// SkewTime returns how long a backup of the given priority waits beyond the
// missed adverts, in full resolution. In version 2 the interval plays no part
// (RFC 3768 6.1).
func SkewTime(v Version, priority uint8, masterInterval time.Duration) time.Duration {
	unit := masterInterval
	if v == V2 {
		unit = time.Second
	}
	return (skewParts - time.Duration(priority)) * unit / skewParts
}

// DownInterval returns the silence after which a backup of the given priority
// takes over; adverts is 3 unless configured otherwise.
func DownInterval(v Version, priority uint8, masterInterval time.Duration, adverts int) time.Duration {
	return time.Duration(adverts)*masterInterval + SkewTime(v, priority, masterInterval)
}

// timer names one deadline of an instance.
type timer uint8

const (
	// timerAdvert is the master's next advert, or the end of its listening.
	timerAdvert timer = iota
	// timerDown is when a backup takes over.
	timerDown
	// timerHold is the end of the delay after start.
	timerHold
	// timerAgain is the second announcement of a mastership.
	timerAgain
	// timerHeal is the announcement one interval after a rival was heard.
	timerHeal
	// timerRefresh is the periodic announcement.
	timerRefresh
	// timerExtra is the periodic announcement on other interfaces.
	timerExtra

	timers // how many there are
)

// Next returns the earliest deadline, at which a Tick is due. The false result
// says that there is none.
func (i Instance) Next() (time.Time, bool) { return i.next() }

// next spares a Group the copy.
func (i *Instance) next() (time.Time, bool) {
	var next time.Time
	for _, at := range i.deadline {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, !next.IsZero()
}

// due takes a deadline that has passed.
func (s *step) due(t timer) (at time.Time, ok bool) {
	at = s.deadline[t]
	if at.IsZero() || s.now.Before(at) {
		return at, false
	}
	s.deadline[t] = time.Time{}
	return at, true
}

// soonest moves a deadline forward to at, or sets it.
func (s *step) soonest(t timer, at time.Time) {
	if s.deadline[t].IsZero() || at.Before(s.deadline[t]) {
		s.deadline[t] = at
	}
}

func (s *step) after(t timer, d time.Duration) { s.deadline[t] = s.now.Add(d) }

func (s *step) cancel(list ...timer) {
	for _, t := range list {
		s.deadline[t] = time.Time{}
	}
}

// skew is the instance's skew under the learned interval.
func (i *Instance) skew() time.Duration {
	return SkewTime(i.cfg.Version, i.priority, i.masterInterval)
}

// down is the instance's down interval under the learned interval.
func (i *Instance) down() time.Duration {
	return DownInterval(i.cfg.Version, i.priority, i.masterInterval, i.cfg.DownTimerAdverts)
}

// takeover is the silence after which every other router, whatever its
// priority, has taken over from this one.
func (i *Instance) takeover() time.Duration {
	return DownInterval(i.cfg.Version, 1, i.cfg.Interval, i.cfg.DownTimerAdverts)
}
