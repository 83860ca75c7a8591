package sched

import "slices"

// MaxTable is the longest table that a service may have in the XDP program.
const MaxTable = 4096

// wrr is the state of IPVS's weighted round robin. Its walk over the list in
// rounds of falling weight is the same as a walk over a cyclic table: the
// rounds one after the other, each with the servers of at least its weight.
type wrr struct {
	table  []wrrEntry
	lowest int // the first entry of the last round
	// position is 2i with the walk at the list's head and entry i next, or
	// 2i+1 with entry i chosen last.
	position uint32
	// round is the weight of the round in which a service with an empty table
	// would go on; it outlives the servers.
	round int32
}

// wrrEntry is a place in the table: an index into the list and the weight of
// the round that it stands in.
type wrrEntry struct {
	at    int
	round int32
}

// change builds the table for a list that an operation has changed, and
// returns where each position of the old table goes: to the head of the list,
// in the round that was running, as far as the new weights have it.
func (w *wrr) change(order []Dest) []uint32 {
	step, top := wrrRounds(order)
	moved := make([]uint32, 2*len(w.table)+1)
	rounds := make([]int32, len(moved))
	for p := range moved {
		rounds[p] = wrrRound(w.roundAt(uint32(p)), step, top)
	}
	round := wrrRound(w.roundAt(w.position), step, top)
	w.table, w.lowest = wrrTable(order, step, top)
	for p := range moved {
		moved[p] = w.head(rounds[p])
	}
	w.round, w.position = round, w.head(round)
	return moved
}

// roundAt is the round that runs at a position of the present table.
func (w *wrr) roundAt(position uint32) int32 {
	if at := int(position / 2); at < len(w.table) {
		return w.table[at].round
	}
	return w.round
}

// head is the position at the head of the list in a round.
func (w *wrr) head(round int32) uint32 {
	at := slices.IndexFunc(w.table, func(e wrrEntry) bool { return e.round <= round })
	return 2 * uint32(max(at, 0))
}

// wrrRounds returns by how much the weight falls from round to round, and the
// weight of the first round; 0 when no server has a weight.
func wrrRounds(order []Dest) (step, top int32) {
	for _, d := range order {
		top = max(top, d.Server.Weight)
		step = gcd(d.Server.Weight, step)
	}
	if step == 0 {
		return 1, 0
	}
	return step, top - (step - 1)
}

// wrrLength is the length of the table of these servers: the sum of their
// weights over the common divisor.
func wrrLength(order []Dest) int {
	step, _ := wrrRounds(order)
	length := 0
	for _, d := range order {
		length += int(d.Server.Weight / step)
	}
	return length
}

func gcd(a, b int32) int32 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// wrrRound is the round in which the walk goes on after a change.
func wrrRound(round, step, top int32) int32 {
	switch {
	case round > top || round == 0:
		return top
	case step > 1:
		return round/step*step + 1
	}
	return round
}

func wrrTable(order []Dest, step, top int32) (table []wrrEntry, lowest int) {
	for round := top; round > 0; round -= step {
		lowest = len(table)
		for at, d := range order {
			if d.Server.Weight >= round {
				table = append(table, wrrEntry{at, round})
			}
		}
	}
	return table, lowest
}

// choose returns the index in the list of the next server.
func (w *wrr) choose(order []Dest, load func(Dest) Load) (int, bool) {
	start := int(w.position/2) + int(w.position%2)
	for i := range w.table {
		at := (start + i) % len(w.table)
		if e := w.table[at]; !load(order[e.at]).Overloaded {
			w.position = 2*uint32(at) + 1
			return e.at, true
		}
	}
	if w.position%2 == 0 || int(w.position/2) < w.lowest {
		w.position = 0
	}
	return 0, false
}
