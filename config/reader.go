package config

import (
	"fmt"
	"strings"
)

// reader turns files into a tree: it joins includes, keeps or drops
// conditional lines, and expands definitions and sequences.
type reader struct {
	collector
	fs       *recorder
	configID string
	getenv   func(string) string
	limits   Limits
	tree     *treeBuilder

	defs     map[string]definition
	loopVars []string // names that sequences under way have defined
	pending  *pendingDefinition
	random   random
	instance string // the instance keyword, once it was read

	open   []string // real paths of the files being read
	strict includeRule

	scratch []word // of the statement under way

	size     int64
	lines    int
	words    int
	expanded int64
}

// input is a line under way through the expansion.
type input struct {
	text
	depth int  // how many expansions led here
	own   bool // came from an @evenkeel line
}

func newReader(fs *recorder, opts Options) *reader {
	limits := opts.Limits.orDefault()
	return &reader{
		collector: collector{limit: limits.Diagnostics},
		fs:        fs,
		configID:  opts.ConfigID,
		getenv:    opts.Getenv,
		limits:    limits,
		tree:      newTreeBuilder(),
		defs:      make(map[string]definition),
		random:    newRandom(),
	}
}

// run reads the file and everything it includes.
func (r *reader) run(path string) error {
	if err := r.file(path, place{}, true); err != nil {
		return err
	}
	if r.tree.depth() > 0 {
		return r.missingBrace()
	}
	if len(r.tree.root.statements) == 0 {
		return r.fatal(place{}, "", "the file has no statements",
			"an empty file would take every service away; if that is meant, write an empty global_defs { }", nil)
	}
	return nil
}

// content reads the lines of one file.
func (r *reader) content(file int32, data string) error {
	const bom = "\ufeff"
	if strings.HasPrefix(data, bom) {
		data = data[len(bom):]
		r.add(Warning, place{file, 1, 1}, "", "the file begins with a byte order mark",
			"save it as UTF-8 without one; keepalived takes it for a part of the first word")
	}
	for line := int32(1); data != ""; line++ {
		var s string
		s, data, _ = strings.Cut(data, "\n")
		if err := r.physical(strings.TrimRight(s, "\r"), place{file, line, 1}); err != nil {
			return err
		}
	}
	return r.endDefinition()
}

// physical takes one line as it stands in the file.
func (r *reader) physical(s string, at place) error {
	if len(s) > r.limits.LineLength {
		return r.fatal(at, "", fmt.Sprintf("the line has %d bytes, more than the limit of %d", len(s), r.limits.LineLength), "split it", nil)
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		at.col += int32(i)
		r.add(Error, at, "", "the line holds a NUL byte and is ignored", "check the file for damage")
		r.tree.damage()
		return nil
	}
	if len(s) > 1024 {
		r.add(Note, at, "", fmt.Sprintf("the line has %d bytes; keepalived drops lines of more than 1024", len(s)), "")
	}
	if s == "" && r.pending == nil {
		return nil
	}
	t := literal(s, at)
	if r.pending != nil {
		return r.continueDefinition(t)
	}
	in := input{text: t.trim()}
	if !r.condition(&in) || in.s == "" {
		return nil
	}
	if name, value, ok := definitionStart(in.text); ok {
		return r.startDefinition(name, value)
	}
	var ok bool
	if in.text, ok = r.uncomment(in.text); !ok || in.trim().s == "" {
		return nil
	}
	return r.line(in)
}

// uncomment drops the comment and complains about an unfinished quote; the
// line must be ignored then.
func (r *reader) uncomment(t text) (text, bool) {
	t, quote := uncomment(t)
	if quote >= 0 {
		r.add(Error, t.at(quote), "", `a quote is not closed; the line is ignored`, `write a " at the end of the word`)
		r.tree.damage()
		return t, false
	}
	return t, true
}

// line takes a line without its comment through conditions, definitions,
// sequences and expansion to statements and braces.
func (r *reader) line(in input) error {
	if err := r.count(in); err != nil {
		return err
	}
	for {
		in.text = in.trim()
		if in.s == "" || !r.condition(&in) || in.s == "" {
			return nil
		}
		if name, value, ok := definitionStart(in.text); ok {
			r.define(name, []text{value})
			return nil
		}
		if isSequence(in.s) {
			return r.sequence(in)
		}
		if lines, changed, err := r.expand(in.text); err != nil {
			return err
		} else if changed {
			return r.each(lines, in)
		}
		if kind, ok := includeKeyword(in.s); ok {
			return r.include(in, kind)
		}
		i := brace(in.s)
		if i < 0 {
			return r.statement(in.text, in.own)
		}
		if err := r.brace(in, i); err != nil {
			return err
		}
		in.text = in.from(i + 1)
	}
}

// each takes the lines that in expanded to.
func (r *reader) each(lines []text, in input) error {
	for _, t := range lines {
		if err := r.line(input{text: t, depth: in.depth + 1, own: in.own}); err != nil {
			return err
		}
	}
	return nil
}

// count holds the bounds on lines, their length and the depth of expansion.
func (r *reader) count(in input) error {
	r.lines++
	if in.depth > 0 {
		r.expanded += int64(len(in.s))
	}
	switch {
	case r.lines > r.limits.Lines:
		return r.tooManyLines(in.at(0))
	case len(in.s) > r.limits.LineLength:
		return r.tooLong(in.at(0), len(in.s))
	case r.expanded > r.limits.Expanded:
		return r.tooManyBytes(in.at(0))
	case in.depth > r.limits.Depth:
		return r.fatal(in.at(0), "", fmt.Sprintf("definitions or sequences are nested more than %d deep", r.limits.Depth),
			"check for a definition that uses itself", nil)
	}
	return nil
}

func (r *reader) tooManyLines(at place) error {
	return r.fatal(at, "", fmt.Sprintf("the configuration has more than %d lines after expansion", r.limits.Lines),
		"check for a sequence or a definition that grows without end", nil)
}

func (r *reader) tooLong(at place, n int) error {
	return r.fatal(at, "", fmt.Sprintf("the line has %d bytes after expansion, more than the limit of %d", n, r.limits.LineLength),
		"check for a definition that uses itself", nil)
}

func (r *reader) tooManyBytes(at place) error {
	return r.fatal(at, "", fmt.Sprintf("definitions and sequences expand to more than %d bytes", r.limits.Expanded),
		"check for one that grows without end", nil)
}

// brace ends the statement before byte i of the line, which is a brace, and
// opens or closes a block.
func (r *reader) brace(in input, i int) error {
	if before := in.cut(0, i).trim(); before.s != "" {
		if err := r.statement(before, in.own); err != nil {
			return err
		}
	}
	at := in.at(i)
	if in.s[i] == '}' {
		if !r.tree.close() {
			return r.fatal(at, "}", `this "}" closes nothing`, `remove it, or add the "{" that is missing before it`, nil)
		}
		return nil
	}
	if r.tree.depth() >= r.limits.Depth {
		return r.fatal(at, "{", fmt.Sprintf("blocks are nested more than %d deep", r.limits.Depth), "", nil)
	}
	r.tree.open(at)
	return nil
}

// statement adds a line that has no braces any more.
func (r *reader) statement(t text, own bool) error {
	list, open := words(r.scratch[:0], t)
	r.scratch = list
	r.words += len(list)
	if r.words > r.limits.Words {
		return r.fatal(t.at(0), "", fmt.Sprintf("the configuration has more than %d words", r.limits.Words), "", nil)
	}
	s := r.tree.statement(list)
	s.openQuote, s.own = open >= 0, own
	if strings.ContainsAny(t.s, `"'\`) {
		line := t // not t itself, which would have each statement's escape
		s.line = &line
	}
	switch s.keyword() {
	case "instance":
		if r.tree.depth() == 0 && r.instance == "" {
			r.instance = s.arg(0)
		}
	case "random_seed":
		r.random.seed(s.arg(0))
	case "include_check":
		r.strict = includeCheck(r.strict, s.args())
	}
	return nil
}

// missingBrace names the block that is still open at the end, and the place
// where its brace was probably forgotten.
func (r *reader) missingBrace() error {
	outer := r.tree.stack[1]
	missing := r.tree.depth()
	message := `the block opened here is never closed: a "}" is missing`
	if missing > 1 {
		message = fmt.Sprintf(`the block opened here is never closed: %d "}" are missing`, missing)
	}
	hint := `write the "}" at its end`
	if s := misplaced(outer, 0); s != nil {
		p := s.at().position(r.files)
		hint = fmt.Sprintf("%s at line %d stands inside it, so the \"}\" is probably missing before that", s.keyword(), p.Line)
	}
	return r.fatal(outer.open, "{", message, hint, nil)
}

// misplaced returns the first statement below b that belongs to a higher
// level, the trace of a forgotten brace.
func misplaced(b *block, level int) *statement {
	for _, s := range b.statements {
		switch s.keyword() {
		case "virtual_server", "virtual_server_group", "vrrp_instance", "vrrp_sync_group", "vrrp_script", "global_defs":
			return s
		case "real_server":
			if level > 0 {
				return s
			}
		}
		if s.block != nil {
			if found := misplaced(s.block, level+1); found != nil {
				return found
			}
		}
	}
	return nil
}
