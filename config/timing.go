package config

import (
	"math"
	"time"
)

// timing holds the settings that flow from virtual_server to real_server to
// the checkers; nil is not set.
type timing struct {
	delayLoop, delayBeforeRetry, warmup, connectTimeout *time.Duration
	retry                                               *uint32
	alpha                                               *bool
}

// timing takes a keyword that flows and reports whether it was one.
// leastRetry is 1 in virtual_server and real_server, and 0 in a checker.
func (b *builder) timing(t *timing, s *statement, leastRetry uint64) bool {
	switch s.keyword() {
	case "delay_loop":
		b.seconds(s, &t.delayLoop, tick, longest)
	case "delay_before_retry":
		b.seconds(s, &t.delayBeforeRetry, 0, longest)
	case "warmup":
		b.seconds(s, &t.warmup, 0, longest)
	case "connect_timeout":
		b.seconds(s, &t.connectTimeout, tick, most)
	case "retry":
		b.number(s, &t.retry, leastRetry, math.MaxUint32)
	case "alpha":
		b.boolean(s, &t.alpha)
	default:
		return false
	}
	return true
}

// inherit fills what t does not set from outer.
func (t timing) inherit(outer timing) timing {
	return timing{
		delayLoop:        first(t.delayLoop, outer.delayLoop),
		delayBeforeRetry: first(t.delayBeforeRetry, outer.delayBeforeRetry),
		warmup:           first(t.warmup, outer.warmup),
		connectTimeout:   first(t.connectTimeout, outer.connectTimeout),
		retry:            first(t.retry, outer.retry),
		alpha:            first(t.alpha, outer.alpha),
	}
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}
