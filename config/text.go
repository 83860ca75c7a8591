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
	s string
	// first is the span at 0, and more are those after it, ascending by off:
	// few lines have any.
	first span
	more  []span
}

// literal returns text as it stands in a file.
func literal(s string, at place) text {
	return text{s: s, first: span{at: at}}
}

// at returns the place of byte i; i may be len(t.s).
func (t text) at(i int) place {
	p, _ := t.origin(i)
	return p
}

func (t text) origin(i int) (p place, fixed bool) {
	s := t.first
	for k := len(t.more) - 1; k >= 0; k-- {
		if int(t.more[k].off) <= i {
			s = t.more[k]
			break
		}
	}
	p = s.at
	if !s.fixed {
		p.col += int32(i) - s.off
	}
	return p, s.fixed
}

// cut returns the bytes from i up to j.
func (t text) cut(i, j int) text {
	if i == 0 {
		n := len(t.more)
		for n > 0 && int(t.more[n-1].off) >= j {
			n--
		}
		return text{s: t.s[:j], first: t.first, more: t.more[:n:n]}
	}
	first, fixed := t.origin(i)
	out := text{s: t.s[i:j], first: span{at: first, fixed: fixed}}
	for _, s := range t.more {
		if int(s.off) > i && int(s.off) < j {
			s.off -= int32(i)
			out.more = append(out.more, s)
		}
	}
	return out
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
	return text{s: t.s, first: span{at: at, fixed: true}}
}

// textBuilder joins texts.
type textBuilder struct {
	b     strings.Builder
	first span
	more  []span
}

func (b *textBuilder) add(t text) {
	if t.s == "" {
		return
	}
	base := int32(b.b.Len())
	b.span(t.first, base)
	for _, s := range t.more {
		b.span(s, base)
	}
	b.b.WriteString(t.s)
}

// span adds a span of a text that begins at base.
func (b *textBuilder) span(s span, base int32) {
	if s.off += base; s.off == 0 {
		b.first = s
		return
	}
	b.more = append(b.more, s)
}

func (b *textBuilder) text() text { return text{s: b.b.String(), first: b.first, more: b.more} }

// blank reports whether c separates words.
func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r' }

// position spells a place out for users.
func (p place) position(files []string) model.Position {
	if int(p.file) >= len(files) || p.line == 0 {
		return model.Position{}
	}
	return model.Position{File: files[p.file], Line: int(p.line), Column: int(p.col)}
}
