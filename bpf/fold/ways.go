package fold

// ways are the facts before each step, by all ways that lead to it; nil where none does.
type ways []*facts

// follow returns what is known before each step. It follows every way from where the program and its
// functions begin. Where ways meet, what all of them know is left, so a step may be looked at again, with
// less known each time.
func (s steps) follow() ways {
	w, at := make(ways, len(s)), s.places()
	var open []int
	reach := func(n int, known facts) {
		if n < len(s) && w.meet(n, known) {
			open = append(open, n)
		}
	}
	for n, i := range s {
		if n == 0 || i.Symbol() != "" {
			reach(n, facts{})
		}
	}
	for len(open) > 0 {
		n := open[len(open)-1]
		open = open[:len(open)-1]
		i, known := s[n], *w[n]
		known.after(&i.Instruction)
		if i.goesOn() {
			reach(n+1, known)
		}
		if i.to != nil {
			reach(at[i.to], known)
		}
	}
	return w
}

// meet leaves of the facts before a step what a way there knows, too, and returns whether that is new.
func (w ways) meet(n int, known facts) (changed bool) {
	if w[n] == nil {
		w[n] = &known
		return true
	}
	for r, now := range w[n] {
		if now.kind != unknown && now != known[r] {
			w[n][r], changed = fact{}, true
		}
	}
	return changed
}
