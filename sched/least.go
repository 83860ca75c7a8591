package sched

// The schedulers that walk the list and compare. Each returns the index of its
// choice, or false. Ties go to the server nearest the list's head, the newest.

// eligible says whether a server may take a flow at all.
func eligible(d Dest, l Load) bool {
	return d.Server.Weight > 0 && !l.Overloaded
}

// leastConn is lc: the least overhead, whatever the weight.
func leastConn(order []Dest, load func(Dest) Load, p Profile) (int, bool) {
	best, found := 0, false
	for at, d := range order {
		l := load(d)
		if !eligible(d, l) {
			continue
		}
		if !found || p.overhead(l) < p.overhead(load(order[best])) {
			best, found = at, true
		}
	}
	return best, found
}

// weighted takes the server with the least cost per weight. A server replaces
// the candidate if the candidate's cost times its weight is greater than its
// cost times the candidate's weight.
func weighted(order []Dest, load func(Dest) Load, cost func(Load) uint64) (int, bool) {
	best, found := 0, false
	for at, d := range order {
		l := load(d)
		if !eligible(d, l) {
			continue
		}
		c := order[best]
		if !found || int64(cost(load(c)))*int64(d.Server.Weight) > int64(cost(l))*int64(c.Server.Weight) {
			best, found = at, true
		}
	}
	return best, found
}

// expected is the cost of sed and nq: the active flows with the new one.
func expected(l Load) uint64 { return uint64(l.Active) + 1 }

// neverQueue is nq: the first idle server, otherwise as sed.
func neverQueue(order []Dest, load func(Dest) Load) (int, bool) {
	for at, d := range order {
		if l := load(d); eligible(d, l) && l.Active == 0 {
			return at, true
		}
	}
	return weighted(order, load, expected)
}

// highest takes the server with the highest weight among those that may: fo
// asks nothing more, ovf that its active flows do not exceed its weight.
func highest(order []Dest, load func(Dest) Load, may func(Dest, Load) bool) (int, bool) {
	best, found := 0, false
	for at, d := range order {
		l := load(d)
		if !eligible(d, l) || !may(d, l) {
			continue
		}
		if !found || d.Server.Weight > order[best].Server.Weight {
			best, found = at, true
		}
	}
	return best, found
}

func anyLoad(Dest, Load) bool { return true }

func belowWeight(d Dest, l Load) bool { return l.Active <= uint32(d.Server.Weight) }
