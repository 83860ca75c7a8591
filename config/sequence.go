package config

import (
	"fmt"
	"strconv"
	"strings"
)

// isSequence reports whether the line begins with ~SEQ or ~LST.
func isSequence(s string) bool {
	return strings.HasPrefix(s, "~SEQ") || strings.HasPrefix(s, "~LST")
}

// sequence repeats the rest of the line for every value. The rest may begin
// with another sequence.
func (r *reader) sequence(in input) error {
	head, params, rest, ok := splitSequence(in.text)
	if !ok {
		r.badSequence(in.at(0), "it has no closing parenthesis")
		return nil
	}
	rest = rest.trim()
	switch head {
	case "~SEQ", "~SEQx":
		return r.numbers(in, head == "~SEQx", params, rest)
	case "~LST":
		return r.list(in, params.s, rest)
	}
	r.badSequence(in.at(0), fmt.Sprintf("%q is not ~SEQ, ~SEQx or ~LST", head))
	return nil
}

func (r *reader) badSequence(at place, why string) {
	r.add(Error, at, "~SEQ", "the sequence is not understood and the line is ignored: "+why,
		"write ~SEQ(var, start, step, end) or ~LST(var, value, ...)")
	r.tree.damage()
}

// splitSequence takes ~NAME(params) from the start of the line.
func splitSequence(t text) (head string, params, rest text, ok bool) {
	open := strings.IndexByte(t.s, '(')
	end := strings.IndexByte(t.s, ')')
	if open < 0 || end < open {
		return "", text{}, text{}, false
	}
	return strings.TrimSpace(t.s[:open]), t.cut(open+1, end), t.from(end + 1), true
}

// numbers runs ~SEQ(var, start, step, end), ~SEQ(var, start, end) and
// ~SEQ(var, end).
func (r *reader) numbers(in input, hex bool, params, rest text) error {
	at := in.at(0)
	var err error
	if params, err = r.expandParams(params); err != nil {
		return err
	}
	name, seq, why := parseSequence(params.s)
	if why == "" && hex && (seq.start < 0 || seq.end < 0) {
		why = "~SEQx takes no negative numbers"
	}
	if why != "" {
		r.badSequence(at, why)
		return nil
	}
	base := 10
	if hex {
		base = 16
	}
	for n := seq.start; ; n += seq.step {
		if err := r.repeat(in, []string{name}, []string{strconv.FormatInt(n, base)}, rest); err != nil {
			return err
		}
		// The distance to the end is compared, since n + step may overflow.
		if seq.step > 0 && seq.end-n < seq.step || seq.step < 0 && seq.end-n > seq.step {
			return nil
		}
	}
}

// span of a ~SEQ, both ends included; step leads from start towards end.
type numberRange struct{ start, step, end int64 }

// parseSequence reads the parameters; why says what is wrong with them.
func parseSequence(s string) (name string, seq numberRange, why string) {
	parts := strings.Split(s, ",")
	if len(parts) < 2 || len(parts) > 4 {
		return "", seq, "it needs a variable and one to three numbers"
	}
	name = strings.TrimSpace(parts[0])
	if name == "" || identifier(name) != len(name) {
		return "", seq, fmt.Sprintf("%q is not a variable name", name)
	}
	n := make([]int64, 0, 3)
	for _, p := range parts[1:] {
		v, err := strconv.ParseInt(strings.TrimSpace(p), 0, 32)
		if err != nil || strings.Contains(p, "_") {
			return "", seq, fmt.Sprintf("%q is not a number", strings.TrimSpace(p))
		}
		n = append(n, v)
	}
	seq.end = n[len(n)-1]
	switch len(n) {
	case 1:
		seq.start = 1
		if seq.end < 0 {
			seq.start = -1
		}
	default:
		seq.start = n[0]
	}
	if len(n) == 3 {
		seq.step = n[1]
	} else if seq.step = 1; seq.end < seq.start {
		seq.step = -1
	}
	if seq.step == 0 || seq.step > 0 && seq.end < seq.start || seq.step < 0 && seq.end > seq.start {
		return "", seq, fmt.Sprintf("step %d never leads from %d to %d", seq.step, seq.start, seq.end)
	}
	return name, seq, ""
}

// expandParams resolves definitions among the numbers of a sequence.
func (r *reader) expandParams(t text) (text, error) {
	for range r.limits.Depth {
		lines, changed, err := r.expand(t)
		if err != nil || !changed {
			return t, err
		}
		if len(lines) > 1 || len(lines[0].s) > r.limits.LineLength {
			break
		}
		r.expanded += int64(len(lines[0].s))
		t = lines[0]
	}
	return t, nil
}

// list runs ~LST(var, value, ...) and ~LST({var, ...}, {value, ...}, ...).
func (r *reader) list(in input, params string, rest text) error {
	items, why := splitItems(params)
	if why == "" && len(items) < 2 {
		why = "it needs a variable and at least one value"
	}
	if why != "" {
		r.badSequence(in.at(0), why)
		return nil
	}
	names := items[0]
	for _, n := range names {
		if n == "" || identifier(n) != len(n) {
			r.badSequence(in.at(0), fmt.Sprintf("%q is not a variable name", n))
			return nil
		}
	}
	for _, values := range items[1:] {
		if len(values) != len(names) {
			r.badSequence(in.at(0), fmt.Sprintf("{%s} has %d values for %d variables", strings.Join(values, ","), len(values), len(names)))
			return nil
		}
	}
	for _, values := range items[1:] {
		if err := r.repeat(in, names, values, rest); err != nil {
			return err
		}
	}
	return nil
}

// splitItems splits at commas; an item in braces is split again. The braces
// of a ${NAME} do not count.
func splitItems(s string) (items [][]string, why string) {
	for {
		s = strings.TrimLeft(s, " \t")
		var item []string
		if strings.HasPrefix(s, "{") {
			end := tupleEnd(s)
			if end < 0 {
				return nil, "a tuple has no closing brace"
			}
			for _, v := range strings.Split(s[1:end], ",") {
				item = append(item, strings.TrimSpace(v))
			}
			s = strings.TrimLeft(s[end+1:], " \t")
			if s != "" && s[0] != ',' {
				return nil, "a comma is missing after a tuple"
			}
		} else {
			end := strings.IndexByte(s, ',')
			if end < 0 {
				end = len(s)
			}
			item = []string{strings.TrimSpace(s[:end])}
			s = s[end:]
		}
		for _, v := range item {
			if strings.ContainsAny(v, " \t\"") {
				return nil, fmt.Sprintf("%q has a blank or a quote", v)
			}
		}
		items = append(items, item)
		if s == "" {
			return items, ""
		}
		s = s[1:]
	}
}

// tupleEnd returns the index of the brace that closes the one at s[0].
func tupleEnd(s string) int {
	for i := 1; i < len(s); i++ {
		if _, n := reference(s[i:]); n > 0 {
			i += n - 1
			continue
		}
		if s[i] == '}' {
			return i
		}
	}
	return -1
}

// repeat takes the rest of the line once, with the variables set.
func (r *reader) repeat(in input, names, values []string, rest text) error {
	at := in.at(0)
	saved := make([]definition, len(names))
	had := make([]bool, len(names))
	for i, n := range names {
		saved[i], had[i] = r.defs[n]
		r.defs[n] = definition{lines: []text{literal(values[i], at)}}
		r.loopVars = append(r.loopVars, n)
	}
	err := r.line(input{text: rest, depth: in.depth + 1, own: in.own})
	for i := len(names) - 1; i >= 0; i-- {
		if had[i] {
			r.defs[names[i]] = saved[i]
		} else {
			delete(r.defs, names[i])
		}
	}
	r.loopVars = r.loopVars[:len(r.loopVars)-len(names)]
	return err
}
