package health

import (
	"net/netip"

	"github.com/evenkeel/evenkeel/model"
)

// Start says what a server counts as before its checks have run.
type Start uint8

// The ways to start. The zero value is keepalived's rule; the others are for
// servers taken over from a running table, where something is known already.
const (
	// StartByAlpha starts checks with alpha as down and the others as up.
	StartByAlpha Start = iota
	// StartUp starts every check as up and proven, so retries apply.
	StartUp
	// StartDown starts every check as down. The first tries come early,
	// within two seconds, whatever warmup says.
	StartDown
)

// Target is one real server of one service with its checks. Service and
// Server together identify it.
type Target struct {
	Service model.ServiceKey
	Server  netip.AddrPort
	// Checks may be empty: such a server is always up.
	Checks []model.Check
	// Start counts for a target that was not there before.
	Start Start
	// Suspended checks make no tries and keep their state (ha_suspend); only
	// FILE_CHECK goes on. What a server counts as does not change.
	Suspended bool
}

// StartsUp reports whether a server with these checks counts as up before any
// of them has run: when none of them has alpha.
func StartsUp(checks []model.Check) bool {
	for _, c := range checks {
		if c.Alpha {
			return false
		}
	}
	return true
}
