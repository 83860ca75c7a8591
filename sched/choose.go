package sched

import "github.com/evenkeel/evenkeel/model"

// Choose returns the server that IPVS would give the next new flow of a
// service, and moves the cursor as IPVS would. It returns false when no server
// can take a flow, or the service or its scheduler is not known.
func (s *State) Choose(key model.ServiceKey) (Dest, bool) {
	svc, ok := s.services[key]
	if !ok || svc.Scheduler != "rr" {
		return Dest{}, false
	}
	at, ok := rrNext(svc.order, int(svc.position))
	if !ok {
		return Dest{}, false
	}
	svc.position = uint32(at) + 1
	return svc.order[at], true
}

// rrNext walks the list from position to its end and then from its head, once
// round, to the first server with a weight. The server before position, the
// one chosen last, is tested last.
func rrNext(order []Dest, position int) (int, bool) {
	for i := range order {
		at := (position + i) % len(order)
		if order[at].Server.Weight > 0 {
			return at, true
		}
	}
	return 0, false
}
