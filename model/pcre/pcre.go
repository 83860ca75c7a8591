package pcre

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// Pattern is a compiled regex of a url block. It may be used by many
// goroutines at once.
type Pattern struct {
	re *regexp.Regexp
	// from is the least offset of a match; where it is not 0, re expects the
	// byte before it, too, and has the match in its first group.
	from, to  int
	firstLine bool
}

// Options are the words of regex_options that PCRE2 has, in its order.
func Options() []string {
	return []string{
		"allow_empty_class", "alt_bsux", "auto_callout", "caseless", "dollar_endonly", "dotall", "dupnames",
		"extended", "firstline", "match_unset_backref", "multiline", "never_ucp", "never_utf", "no_auto_capture",
		"no_auto_possess", "no_dotstar_anchor", "no_start_optimize", "ucp", "ungreedy", "utf", "never_backslash_c",
		"alt_circumflex", "alt_verbnames", "use_offset_limit",
	}
}

// Compile compiles a regex. The error says what is wrong with the pattern in
// one line; words that are no options are left out, as keepalived does.
func Compile(r model.Regex) (*Pattern, error) {
	has := func(option string) bool { return slices.Contains(r.Options, option) }
	text := r.Pattern
	if has("extended") {
		text = stripExtended(text)
	}
	if has("allow_empty_class") && strings.Contains(text, "[]") {
		return nil, errors.New("the empty class [] cannot be used here")
	}
	tree, err := syntax.Parse(text, flags(has))
	if err != nil {
		return nil, explain(err, text)
	}
	if !has("dollar_endonly") {
		tree = relaxDollar(tree)
	}
	p := &Pattern{from: int(r.MinOffset), to: math.MaxInt, firstLine: has("firstline")}
	if r.MaxOffset != nil {
		p.to = int(*r.MaxOffset)
	}
	if p.from > p.to {
		// keepalived ignores both then.
		p.from, p.to = 0, math.MaxInt
	}
	source := tree.String()
	if p.from > 0 {
		// The byte before the offset is context for ^ and \b, and keeps ^ from
		// matching at the offset. The shortest gap gives the first match.
		source = `\A(?s:.)(?s:.*?)(` + source + `)`
	}
	// What String printed can be parsed again, but may be too large.
	if p.re, err = regexp.Compile(source); err != nil {
		return nil, explain(err, text)
	}
	return p, nil
}

func flags(has func(string) bool) syntax.Flags {
	// The flags of regexp.Compile.
	f := syntax.Perl
	if has("caseless") {
		f |= syntax.FoldCase
	}
	if has("multiline") {
		f &^= syntax.OneLine
	}
	if has("dotall") {
		f |= syntax.DotNL
	}
	if has("ungreedy") {
		f |= syntax.NonGreedy
	}
	return f
}

// Reach returns the offsets between which bytes of a body can matter for where
// a match may begin: from the first one on, and matches begin at the second at
// the latest. A match itself may go beyond.
func (p *Pattern) Reach() (from, to int) { return max(p.from-1, 0), p.to }

// Match reports whether a match begins between the offsets of the pattern.
// body holds the bytes from offset skipped on; skipped is at most what Reach
// says.
func (p *Pattern) Match(body []byte, skipped int) bool {
	group, base := 0, 0
	if p.from > 0 {
		group, base = 2, p.from-1
		if base-skipped >= len(body) {
			return false
		}
		body = body[base-skipped:]
	}
	found := p.re.FindSubmatchIndex(body)
	if found == nil {
		return false
	}
	start := base + found[group]
	if start > p.to {
		return false
	}
	if !p.firstLine {
		return true
	}
	// From the offset on, as PCRE2 counts lines; a match may begin at the
	// line feed itself.
	gap := body[min(p.from, 1):]
	for i, b := range gap {
		if b == '\n' {
			return start <= p.from+i
		}
	}
	return true
}

// relaxDollar lets $ match before a line feed at the very end, too. In Go it
// matches at the very end only.
func relaxDollar(t *syntax.Regexp) *syntax.Regexp {
	if t.Op == syntax.OpEndText && t.Flags&syntax.WasDollar != 0 {
		return &syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{
			{Op: syntax.OpQuest, Sub: []*syntax.Regexp{{Op: syntax.OpLiteral, Rune: []rune{'\n'}}}},
			{Op: syntax.OpEndText},
		}}
	}
	for i, sub := range t.Sub {
		t.Sub[i] = relaxDollar(sub)
	}
	return t
}

// stripExtended takes out white space and comments, as option extended wants.
func stripExtended(text string) string {
	var out strings.Builder
	for text != "" {
		n := 1
		switch {
		case text[0] == '\\':
			n = min(2, len(text))
		case text[0] == '[':
			n = classLength(text)
		case text[0] == '#':
			if n = strings.IndexByte(text, '\n'); n < 0 {
				n = len(text)
			}
			text = text[n:]
			continue
		case strings.IndexByte(" \t\n\v\f\r", text[0]) >= 0:
			text = text[1:]
			continue
		}
		out.WriteString(text[:n])
		text = text[n:]
	}
	return out.String()
}

// classLength returns the length of the character class that text begins with.
func classLength(text string) int {
	n := 1
	if strings.HasPrefix(text[n:], "^") {
		n++
	}
	if strings.HasPrefix(text[n:], "]") {
		n++
	}
	for n < len(text) {
		switch {
		case text[n] == ']':
			return n + 1
		case text[n] == '\\':
			n++
		case strings.HasPrefix(text[n:], "[:"):
			if end := strings.Index(text[n:], ":]"); end > 0 {
				n += end + 1
			}
		}
		n++
	}
	return len(text)
}

// explain says in words of this pattern what cannot be run.
func explain(err error, text string) error {
	e := &syntax.Error{}
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Code == syntax.ErrInvalidRepeatOp && strings.HasSuffix(e.Expr, "+"):
		return fmt.Errorf("the possessive repeat %s cannot be used here", e.Expr)
	case e.Code == syntax.ErrMissingRepeatArgument && strings.HasPrefix(text, "(*"):
		return errors.New("a verb such as (*UTF) cannot be used here")
	case e.Code == syntax.ErrInvalidEscape && len(e.Expr) > 1 && e.Expr[1] >= '1' && e.Expr[1] <= '9':
		return fmt.Errorf("the back reference %s cannot be used here", e.Expr)
	case e.Code == syntax.ErrInvalidEscape:
		return fmt.Errorf("%s cannot be used here", e.Expr)
	}
	for _, known := range unsupported() {
		// Go names a part of the construct, or all that follows it.
		if strings.HasPrefix(e.Expr, known.start) || strings.HasPrefix(known.start, e.Expr) && strings.Contains(text, known.start) {
			return fmt.Errorf("%s %s cannot be used here", known.name, known.start)
		}
	}
	return fmt.Errorf("%s: %s", e.Code, e.Expr)
}

type construct struct{ start, name string }

func unsupported() []construct {
	return []construct{
		{"(?=", "looking ahead by"}, {"(?!", "looking ahead by"},
		{"(?<=", "looking behind by"}, {"(?<!", "looking behind by"},
		{"(?>", "an atomic group"}, {"(?|", "a branch reset group"}, {"(?#", "a comment"},
		{"(?P=", "the back reference"}, {"(?P>", "the recursion"}, {"(?R", "the recursion"}, {"(?&", "the recursion"},
	}
}
