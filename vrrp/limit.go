package vrrp

import (
	"net/netip"
	"time"
)

const (
	// logPause is between two log lines of one kind about one sender.
	logPause = 60 * time.Second
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
	last   map[logKey]time.Time
	pruned time.Time
}

// allow says whether a line may be written now.
func (l *limiter) allow(k logKey, now time.Time) bool {
	if l.last == nil {
		l.last = make(map[logKey]time.Time)
	}
	if at, seen := l.last[k]; seen && now.Sub(at) < logPause {
		return false
	}
	if len(l.last) >= logKinds && now.Sub(l.pruned) >= time.Second {
		l.forget(now)
	}
	if len(l.last) >= logKinds {
		k = logKey{what: "more"}
		if at, seen := l.last[k]; seen && now.Sub(at) < logPause {
			return false
		}
	}
	l.last[k] = now
	return true
}

func (l *limiter) forget(now time.Time) {
	l.pruned = now
	for k, at := range l.last {
		if now.Sub(at) >= logPause {
			delete(l.last, k)
		}
	}
}
