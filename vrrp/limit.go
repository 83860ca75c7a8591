package vrrp

import (
	"net/netip"
	"time"
)

const (
	// dropPause is between two log lines about refused packets of one kind
	// and sender, or about adverts that do not leave.
	dropPause = time.Minute
	// warnPause is the same for what is odd about a neighbour, which stays so
	// until somebody changes a configuration.
	warnPause = time.Hour
	// logKinds bounds what is remembered; beyond it all share one pause.
	logKinds = 128
)

// logKey is one kind of log line.
type logKey struct {
	member int
	what   string
	peer   netip.Addr
}

// limiter keeps repeated events from filling the log: packets can be forged
// at any rate.
type limiter struct {
	until  map[logKey]time.Time
	pruned time.Time
}

// allow says whether a line may be written now, and if so none of its kind
// before the pause is over.
func (l *limiter) allow(k logKey, pause time.Duration, now time.Time) bool {
	if l.until == nil {
		l.until = make(map[logKey]time.Time)
	}
	if now.Before(l.until[k]) {
		return false
	}
	if len(l.until) >= logKinds && now.Sub(l.pruned) >= time.Second {
		l.prune(now)
	}
	if len(l.until) >= logKinds {
		k, pause = logKey{what: "more"}, dropPause
		if now.Before(l.until[k]) {
			return false
		}
	}
	l.until[k] = now.Add(pause)
	return true
}

func (l *limiter) prune(now time.Time) {
	l.pruned = now
	for k, at := range l.until {
		if !now.Before(at) {
			delete(l.until, k)
		}
	}
}
