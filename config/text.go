package config

import (
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// place is a position in a small form: file indexes reader.files.
type place struct {
	file, line, col int32
}

// span says where the bytes of a text from off on come from. A fixed span
// is the value of a definition or a sequence: all its bytes stand for the
// place where it was used.
type span struct {
	off   int32
	at    place
	fixed bool
}

// text is a line or a part of it that remembers where its bytes come from.
type text struct {
	s     string
	spans []span // ascending by off, the first at 0; empty for empty text
}

// literal returns text as it stands in a file.
func literal(s string, at place) text {
	return text{s: s, spans: []span{{at: at}}}
}

// at returns the place of byte i; i may be len(t.s).
func (t text) at(i int) place {
	p, _ := t.origin(i)
	return p
}

func (t text) origin(i int) (p place, fixed bool) {
	for k := len(t.spans) - 1; k >= 0; k-- {
		s := t.spans[k]
		if int(s.off) > i {
			continue
		}
		p = s.at
		if !s.fixed {
			p.col += int32(i) - s.off
		}
		return p, s.fixed
	}
	return place{}, false
}

// cut returns the bytes from i up to j.
func (t text) cut(i, j int) text {
	if i == 0 {
		return text{s: t.s[:j], spans: t.spans[:t.spansBefore(j)]}
	}
	first, fixed := t.origin(i)
	out := text{s: t.s[i:j], spans: []span{{at: first, fixed: fixed}}}
	for _, s := range t.spans {
		if int(s.off) > i && int(s.off) < j {
			s.off -= int32(i)
			out.spans = append(out.spans, s)
		}
	}
	return out
}

// spansBefore counts the spans that start before byte j, but at least one.
func (t text) spansBefore(j int) int {
	n := len(t.spans)
	for n > 1 && int(t.spans[n-1].off) >= j {
		n--
	}
	return n
}

// from returns the bytes from i on.
func (t text) from(i int) text { return t.cut(i, len(t.s)) }

// trim drops blanks at both ends.
func (t text) trim() text {
	i, j := 0, len(t.s)
	for i < j && blank(t.s[i]) {
		i++
	}
	for j > i && blank(t.s[j-1]) {
		j--
	}
	if i == 0 && j == len(t.s) {
		return t
	}
	return t.cut(i, j)
}

// fixedAt returns the text with all its bytes standing for one place.
func (t text) fixedAt(at place) text {
	return text{s: t.s, spans: []span{{at: at, fixed: true}}}
}

// textBuilder joins texts.
type textBuilder struct {
	b     strings.Builder
	spans []span
}

func (b *textBuilder) add(t text) {
	if t.s == "" {
		return
	}
	base := int32(b.b.Len())
	for _, s := range t.spans {
		s.off += base
		b.spans = append(b.spans, s)
	}
	b.b.WriteString(t.s)
}

func (b *textBuilder) text() text { return text{s: b.b.String(), spans: b.spans} }

// blank reports whether c separates words.
func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r' }

// position spells a place out for users.
func (p place) position(files []string) model.Position {
	if int(p.file) >= len(files) || p.line == 0 {
		return model.Position{}
	}
	return model.Position{File: files[p.file], Line: int(p.line), Column: int(p.col)}
}
