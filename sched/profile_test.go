package sched

import "testing"

// Directed sequence 9. Each step is + (a flow is bound), - (one goes) or the
// new thresholds; the mark after each is written as o (overloaded) or . (not).
func TestThresholdsByGeneration(t *testing.T) {
	type edit struct{ upper, lower uint32 }
	for _, c := range []struct {
		name      string
		edit      edit
		steps     []any
		old, late string
	}{
		{"u=3", edit{3, 0}, []any{'+', '+', '+', '-', '-'}, "..o..", "..o.."},
		{"u=4", edit{4, 0}, []any{'+', '+', '+', '+', '-', '-'}, "...oo.", "...oo."},
		{"u=3 l=1", edit{3, 1}, []any{'+', '+', '+', '-', '-', '-'}, "..ooo.", "..ooo."},
		{"lower u below total", edit{9, 0}, []any{'+', '+', '+', edit{2, 0}, '+'}, "....o", "...oo"},
		{"raise u", edit{2, 0}, []any{'+', '+', edit{9, 0}}, ".o.", ".o."},
		{"raise u a little", edit{4, 0}, []any{'+', '+', '+', '+', edit{5, 0}}, "...o.", "...oo"},
		{"u=0", edit{2, 0}, []any{'+', '+', edit{0, 0}, '+'}, ".o..", ".o.."},
		{"no thresholds", edit{0, 0}, []any{'+', '-'}, "..", ".."},
	} {
		for _, old := range []bool{true, false} {
			p, now, l, got := Profile{OldThresholds: old}, c.edit, Load{}, ""
			for _, step := range c.steps {
				switch step := step.(type) {
				case edit:
					l = p.Edited(l, now.upper, now.lower, step.upper, step.lower)
					now = step
				case rune:
					if step == '+' {
						l = p.Bound(l, now.upper, now.lower)
					} else {
						l = p.Unbound(l, now.upper, now.lower)
					}
				}
				if l.Overloaded {
					got += "o"
				} else {
					got += "."
				}
			}
			want := c.late
			if old {
				want = c.old
			}
			if got != want {
				t.Errorf("%s, old %v: %s, want %s", c.name, old, got, want)
			}
		}
	}
}
