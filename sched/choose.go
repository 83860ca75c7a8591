package sched

import "github.com/evenkeel/evenkeel/model"

// Choose returns the server that IPVS would give a new flow of a client, and
// moves the cursor as IPVS would. load tells the flows of a server as they are
// before this one; nil is none anywhere. It returns false when no server can
// take the flow, or the service or its scheduler is not known.
func (s *State) Choose(key model.ServiceKey, c Client, load func(Dest) Load) (Dest, bool) {
	svc, ok := s.services[key]
	if !ok {
		return Dest{}, false
	}
	if load == nil {
		load = func(Dest) Load { return Load{} }
	}
	at, ok := svc.choose(c, load, s.profile)
	if !ok {
		return Dest{}, false
	}
	return svc.order[at], true
}

func (svc *service) choose(c Client, load func(Dest) Load, p Profile) (int, bool) {
	switch svc.Scheduler {
	case "rr":
		return svc.roundRobin(load)
	case "wrr":
		return svc.wrr.choose(svc.order, load)
	case "lc":
		return leastConn(svc.order, load, p)
	case "wlc":
		return weighted(svc.order, load, p.overhead)
	case "sed":
		return weighted(svc.order, load, expected)
	case "nq":
		return neverQueue(svc.order, load)
	case "ovf":
		return highest(svc.order, load, belowWeight)
	case "fo":
		return highest(svc.order, load, anyLoad)
	case "sh":
		return sourceHash(svc.order, svc.table, svc.SchedFlags, c, load, p.shBits())
	case "dh":
		return hashed(svc.order, svc.table, bucket(svc.Key.Addr.Addr(), 0, dhBits), load)
	case "mh":
		return maglev(svc.order, svc.table, svc.SchedFlags, c, load)
	}
	return 0, false
}

// roundRobin walks the list from the cursor to its end and then from its head,
// once round, to the first eligible server. The one chosen last is tested last.
func (svc *service) roundRobin(load func(Dest) Load) (int, bool) {
	for i := range svc.order {
		at := (int(svc.position) + i) % len(svc.order)
		if d := svc.order[at]; eligible(d, load(d)) {
			svc.position = uint32(at) + 1
			return at, true
		}
	}
	return 0, false
}

func (p Profile) shBits() uint8 {
	if p.SHBits == 0 {
		return 8
	}
	return p.SHBits
}
