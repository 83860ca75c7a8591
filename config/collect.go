package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// collector gathers the complaints about one configuration.
type collector struct {
	files      []string // paths by place.file
	limit      int
	complaints []placed
	kept       [2]int // errors, others
	perPlace   map[place]int
	more       int
	compared   int // words, in search of suggestions
}

// mostPerPlace is how many complaints about one place are kept: a sequence
// makes thousands of blocks of one line.
const mostPerPlace = 20

// placed is a complaint with its place in the order of reading.
type placed struct {
	at place
	d  Diagnostic
}

// add keeps a complaint, if the limit allows.
func (c *collector) add(g grade, at place, keyword, message, hint string) {
	class := 1
	if g.severity() == Error {
		class = 0
	}
	if c.perPlace == nil {
		c.perPlace = make(map[place]int)
	}
	if c.kept[class] >= c.limit || c.perPlace[at] >= mostPerPlace {
		c.more++
		return
	}
	c.kept[class]++
	c.perPlace[at]++
	c.complaints = append(c.complaints, placed{at, c.diagnostic(g, at, keyword, message, hint)})
}

func (c *collector) diagnostic(g grade, at place, keyword, message, hint string) Diagnostic {
	d := Diagnostic{
		Severity: g.severity(), Keepalived: g.judgement(),
		Keyword: printable(keyword), Message: printable(message), Hint: printable(hint),
	}
	if int(at.file) < len(c.files) {
		d.File, d.Line, d.Column = c.files[at.file], int(at.line), int(at.col)
	}
	return d
}

// printable replaces what could upset a terminal or JSON.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return unicode.ReplacementChar
		}
		return c
	}, s)
}

// sorted returns the complaints in the order of the files.
func (c *collector) sorted() []Diagnostic {
	slices.SortStableFunc(c.complaints, func(a, b placed) int {
		return cmp.Or(
			cmp.Compare(a.at.file, b.at.file),
			cmp.Compare(a.at.line, b.at.line),
			cmp.Compare(a.at.col, b.at.col))
	})
	out := make([]Diagnostic, 0, len(c.complaints)+1)
	for _, p := range c.complaints {
		out = append(out, p.d)
	}
	if c.more > 0 {
		out = append(out, c.diagnostic(Note, place{}, "", fmt.Sprintf("%d more complaints are not shown", c.more), ""))
	}
	return out
}

// fatal is a complaint that makes the whole configuration unusable.
type fatal struct {
	at    place
	d     Diagnostic
	cause error
}

func (f *fatal) Error() string { return f.d.Error() }

// fatal makes the error that stops the reading. hint and cause may be empty.
func (c *collector) fatal(at place, keyword, message, hint string, cause error) error {
	return &fatal{at: at, d: c.diagnostic(Error, at, keyword, message, hint), cause: cause}
}
