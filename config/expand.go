package config

import (
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
)

// definition is the value of $NAME: lines without comments. Using one that
// has several lines starts a new line at each end but the last.
type definition struct{ lines []text }

// pendingDefinition is a definition whose last line ended in a backslash.
type pendingDefinition struct {
	name  string
	lines []text
}

// definitionStart recognises $NAME=value.
func definitionStart(t text) (name string, value text, ok bool) {
	if !strings.HasPrefix(t.s, "$") {
		return "", text{}, false
	}
	n := identifier(t.s[1:])
	if n == 0 || n+1 >= len(t.s) || t.s[n+1] != '=' {
		return "", text{}, false
	}
	return t.s[1 : n+1], t.from(n + 2).trim(), true
}

// continued takes a trailing backslash off a line and reports whether there
// was one. Blanks after the backslash do not matter.
func continued(t text) (text, bool) {
	t = t.trim()
	if !strings.HasSuffix(t.s, `\`) {
		return t, false
	}
	return t.cut(0, len(t.s)-1).trim(), true
}

func (r *reader) startDefinition(name string, value text) error {
	value, more := continued(value)
	value, _ = r.uncomment(value)
	if !more {
		r.define(name, []text{value})
		return nil
	}
	r.pending = &pendingDefinition{name: name}
	if value.s != "" {
		r.pending.lines = append(r.pending.lines, value)
	}
	return nil
}

func (r *reader) continueDefinition(t text) error {
	t, more := continued(t)
	if t, ok := r.uncomment(t); ok && t.s != "" {
		r.pending.lines = append(r.pending.lines, t.trim())
	}
	if more {
		return nil
	}
	return r.endDefinition()
}

func (r *reader) endDefinition() error {
	if p := r.pending; p != nil {
		r.pending = nil
		r.define(p.name, p.lines)
	}
	return nil
}

// define gives name its value. Variables of sequences under way are
// replaced at once, since they mean something else later.
func (r *reader) define(name string, lines []text) {
	if len(r.loopVars) > 0 {
		for i := range lines {
			lines[i] = r.fixLoopVars(lines[i])
		}
	}
	r.defs[name] = definition{lines: lines}
}

func (r *reader) fixLoopVars(t text) text {
	return replace(t, func(inside string, at place) (text, bool) {
		for _, name := range r.loopVars {
			if d := r.defs[name]; name == inside && len(d.lines) == 1 {
				return d.lines[0].fixedAt(at), true
			}
		}
		return text{}, false
	})
}

// replace substitutes the references for which value says so.
func replace(t text, value func(inside string, at place) (text, bool)) text {
	var out textBuilder
	start := 0
	for i := 0; i < len(t.s); i++ {
		inside, n := reference(t.s[i:])
		if n == 0 {
			continue
		}
		if v, ok := value(inside, t.at(i)); ok {
			out.add(t.cut(start, i))
			out.add(v)
			start = i + n
		}
		i += n - 1
	}
	if start == 0 {
		return t
	}
	out.add(t.from(start))
	return out.text()
}

// expand replaces the references in a line once, without looking into what
// comes out, and reports whether there were any. References to names without
// a definition stay as they are.
func (r *reader) expand(t text) (lines []text, changed bool, err error) {
	if strings.IndexByte(t.s, '$') < 0 {
		return nil, false, nil
	}
	var out textBuilder
	start, size := 0, int64(0)
	for i := 0; i < len(t.s); i++ {
		inside, n := reference(t.s[i:])
		if n == 0 {
			continue
		}
		d, ok := r.lookup(inside, t.at(i))
		if !ok {
			i += n - 1
			continue
		}
		out.add(t.cut(start, i))
		for k, l := range d.lines {
			if len(d.lines) == 1 {
				l = l.fixedAt(t.at(i))
			}
			if k > 0 {
				lines = append(lines, out.text())
				out = textBuilder{}
			}
			out.add(l)
			size += int64(len(l.s))
		}
		// Checked here, too, since one line can use a long value often.
		switch {
		case out.b.Len() > r.limits.LineLength:
			return nil, false, r.tooLong(t.at(i), out.b.Len())
		case r.lines+len(lines) > r.limits.Lines:
			return nil, false, r.tooManyLines(t.at(i))
		case r.expanded+size > r.limits.Expanded:
			return nil, false, r.tooManyBytes(t.at(i))
		}
		start = i + n
		i = start - 1
		changed = true
	}
	if !changed {
		return nil, false, nil
	}
	out.add(t.from(start))
	return append(lines, out.text()), true, nil
}

// lookup finds the value of what stands in ${...}.
func (r *reader) lookup(inside string, at place) (definition, bool) {
	if strings.HasPrefix(inside, "_") {
		if s, ok := r.predefined(inside, at); ok {
			return definition{lines: []text{literal(s, at)}}, true
		}
	}
	d, ok := r.defs[inside]
	return d, ok
}

// predefined resolves the names that begin with an underscore.
func (r *reader) predefined(inside string, at place) (string, bool) {
	f := strings.Fields(inside)
	switch {
	case f[0] == "_PWD":
		dir, err := filepath.Abs(filepath.Dir(r.files[at.file]))
		return dir, err == nil
	case f[0] == "_INSTANCE":
		if r.instance == "" {
			return r.configID, true
		}
		return r.instance, true
	case f[0] == "_HASH":
		return "#", true
	case f[0] == "_BANG":
		return "!", true
	case f[0] == "_ENV" && len(f) == 2:
		v := r.getenv(f[1])
		if strings.ContainsAny(v, "\n\x00") {
			r.add(Error, at, "_ENV", "the environment variable "+f[1]+" has several lines and is not used", "")
			return "", true
		}
		return v, true
	case f[0] == "_RANDOM" && len(f) <= 3:
		return r.random.between(f[1:])
	}
	return "", false
}

// random is the source of ${_RANDOM}.
type random struct{ *rand.Rand }

func newRandom() random {
	return random{rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
}

// seed restarts the sequence when random_seed has a number.
func (r *random) seed(s string) {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		r.Rand = rand.New(rand.NewPCG(n, 0))
	}
}

// between draws a number between the bounds given, 0 to 32767 by default.
func (r *random) between(bounds []string) (string, bool) {
	limit := [2]int64{0, 32767}
	for i, s := range bounds {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return "", false
		}
		limit[i] = n
	}
	if limit[1] < limit[0] {
		return "", false
	}
	return strconv.FormatInt(limit[0]+r.Int64N(limit[1]-limit[0]+1), 10), true
}
