package fold

import "math"

// straight moves what only one jump leads to behind that jump, which is then taken out: where branches are
// certain, such jumps over what was there are left.
func (s steps) straight() steps {
	if s.longest() > math.MaxInt16 {
		return s // a jump might have too far to go
	}
	runs, jumps := s.runs(), s.jumps()
	follows := make(map[*step]bool)
	for _, first := range s {
		run := runs[first]
		if run == nil {
			continue
		}
		last := run[len(run)-1]
		to := last.to
		if last.Symbol() != "" || runs[to] == nil || to == s[0] || to.Symbol() != "" || jumps[to] > 1 || runs.lead(to, first) {
			continue
		}
		last.gone, follows[to] = true, true
	}
	straight := make(steps, 0, len(s))
	for _, i := range s {
		if runs[i] == nil || follows[i] {
			continue
		}
		for run := runs[i]; run != nil; {
			straight = append(straight, run...)
			last := run[len(run)-1]
			if run = nil; last.gone {
				run = runs[last.to]
			}
		}
	}
	return straight.left()
}

// longest returns how many slots the longest function has. No jump leaves its function.
func (s steps) longest() (most int) {
	here := 0
	for _, i := range s {
		if i.Symbol() != "" {
			here = 0
		}
		here += int(i.Width())
		most = max(most, here)
	}
	return most
}

// runs are steps that are carried out one after another, up to one after which the next is not, by the
// first of them.
type runs map[*step]steps

// lead reports whether another run follows one, by what was joined so far: in a loop, one jump must stay.
func (r runs) lead(from, to *step) bool {
	for from != to {
		last := r[from][len(r[from])-1]
		if !last.gone {
			return false
		}
		from = last.to
	}
	return true
}

func (s steps) runs() runs {
	runs := make(runs)
	for first, n := 0, 0; n < len(s); n++ {
		if !s[n].goesOn() || n == len(s)-1 {
			runs[s[first]] = s[first : n+1]
			first = n + 1
		}
	}
	return runs
}
