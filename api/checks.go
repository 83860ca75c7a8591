package api

import "github.com/evenkeel/evenkeel/health"

// FromChecks returns the state of all checks as it stands in JSON.
func FromChecks(snap health.Snapshot) Checks {
	out := Checks{
		InFlight:    snap.InFlight,
		MaxInFlight: snap.MaxInFlight,
		Waiting:     snap.Waiting,
		Servers:     make([]CheckedServer, 0, len(snap.Servers)),
	}
	for _, s := range snap.Servers {
		server := CheckedServer{
			Service:   s.Key.String(),
			Server:    s.Server.String(),
			Up:        s.Up,
			Suspended: s.Suspended,
			Reason:    s.Reason,
			Since:     s.Since,
			Checks:    make([]Check, 0, len(s.Checks)),
		}
		for _, c := range s.Checks {
			server.Checks = append(server.Checks, fromCheck(c))
		}
		out.Servers = append(out.Servers, server)
	}
	return out
}

func fromCheck(c health.CheckStatus) Check {
	out := Check{
		Kind:      string(c.Kind),
		Position:  c.Position,
		Object:    c.Object,
		Up:        c.Up,
		Since:     c.Since,
		Failures:  c.Failures,
		Running:   c.Running,
		Due:       c.Due,
		Tries:     c.Tries,
		Successes: c.Successes,
		Failed:    c.Failed,
		Changes:   c.Changes,
	}
	if c.To.IsValid() {
		out.To = c.To.String()
	}
	if !c.Last.At.IsZero() {
		out.Last = fromEvidence(c.Last)
	}
	if c.LastFailure != nil {
		out.LastFailure = fromEvidence(*c.LastFailure)
	}
	return out
}

func fromEvidence(e health.Evidence) *Try {
	return &Try{
		At:          e.At,
		TookSeconds: e.Took.Seconds(),
		Result:      e.Result.String(),
		Error:       e.Error,
		From:        e.From,
		Path:        e.Path,
		Sent:        e.Sent,
		Received:    e.Received,
	}
}

// SummarizeChecks counts the checks.
func SummarizeChecks(snap health.Snapshot) CheckSummary {
	sum := CheckSummary{InFlight: snap.InFlight, Waiting: snap.Waiting}
	for _, s := range snap.Servers {
		if s.Suspended {
			sum.Suspended += len(s.Checks)
		}
		for _, c := range s.Checks {
			sum.Total++
			if c.Up {
				sum.Up++
			}
		}
	}
	return sum
}
