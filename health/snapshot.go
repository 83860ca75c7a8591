package health

import (
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// Snapshot is the state of all checks at one moment.
type Snapshot struct {
	// InFlight tries are running, of at most MaxInFlight.
	InFlight    int `json:"in_flight"`
	MaxInFlight int `json:"max_in_flight"`
	// Waiting checks are due but wait for one of the tries in flight to end.
	Waiting int            `json:"waiting"`
	Servers []ServerStatus `json:"servers"`
}

// ServerStatus is one server of one service.
type ServerStatus struct {
	Key     model.ServiceKey `json:"-"`
	Service string           `json:"service"`
	Server  netip.AddrPort   `json:"server"`
	Up      bool             `json:"up"`
	// Suspended is set while its checks make no tries.
	Suspended bool `json:"suspended,omitempty"`
	// Weight is what the checks do to the server's weight.
	Weight WeightChange `json:"-"`
	// Reason and Since belong to the last change; Reason is empty at start.
	Reason string        `json:"reason,omitempty"`
	Since  time.Time     `json:"since"`
	Checks []CheckStatus `json:"checks"`
}

// CheckStatus is one check.
type CheckStatus struct {
	Kind model.CheckKind `json:"kind"`
	// Position is the check's place in the configuration file.
	Position string         `json:"position"`
	To       netip.AddrPort `json:"to"`
	// Object is what the check is about: To, a script, a track_file.
	Object string `json:"object"`
	Up     bool   `json:"up"`
	// Since is when the check turned up or down, or began.
	Since time.Time `json:"since"`
	// Failures counts the failed tries in a row that retry forgave so far.
	Failures uint32 `json:"failures"`
	// Running is set while a try is in flight.
	Running bool `json:"running"`
	// Due is when the next try is to start.
	Due time.Time `json:"due"`
	// Last is the evidence of the last try; its At is zero before the first.
	Last Evidence `json:"last"`
	// LastFailure is the evidence of the last failed try, nil before the
	// first.
	LastFailure *Evidence `json:"last_failure,omitempty"`
	// Weight is what the check does to the server's weight.
	Weight WeightChange `json:"-"`
	// Tries, Successes and Failed count since the check started; the rest of
	// Tries could not be made. Changes counts turns up or down.
	Tries     uint64 `json:"tries"`
	Successes uint64 `json:"successes"`
	Failed    uint64 `json:"failed"`
	Changes   uint64 `json:"changes"`
}

// Snapshot returns the state of all checks, servers in the order of the
// targets.
func (r *Runner) Snapshot() Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	snap := Snapshot{
		InFlight:    r.inFlight,
		MaxInFlight: r.opts.MaxInFlight,
		Servers:     make([]ServerStatus, 0, len(r.servers)),
	}
	for _, c := range r.due.heap {
		if c.due.Before(now) {
			snap.Waiting++
		}
	}
	for _, s := range r.servers {
		snap.Servers = append(snap.Servers, s.status())
	}
	return snap
}

func (s *server) status() ServerStatus {
	st := ServerStatus{
		Key:       s.key.service,
		Service:   s.key.service.String(),
		Server:    s.key.addr,
		Up:        s.up,
		Weight:    s.weight,
		Suspended: s.suspended,
		Reason:    s.reason,
		Since:     s.since,
		Checks:    make([]CheckStatus, 0, len(s.checks)),
	}
	for _, c := range s.checks {
		st.Checks = append(st.Checks, c.status())
	}
	return st
}

func (c *check) status() CheckStatus {
	st := CheckStatus{
		Kind:      c.definition.Kind,
		Position:  c.definition.Pos.String(),
		To:        c.definition.ConnectTo,
		Object:    objectOf(c.definition),
		Up:        c.state.Up,
		Since:     c.since,
		Failures:  c.state.Failures,
		Running:   c.stop != nil,
		Due:       c.due,
		Last:      c.last,
		Weight:    c.weight,
		Tries:     c.counts.tries,
		Successes: c.counts.successes,
		Failed:    c.counts.failed,
		Changes:   c.counts.changes,
	}
	if c.lastFailure != nil {
		st.LastFailure = new(*c.lastFailure)
	}
	return st
}
