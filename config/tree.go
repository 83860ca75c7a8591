package config

// statement is a keyword, its arguments and perhaps a block.
type statement struct {
	// words holds the keyword and its arguments, at least one word; only a
	// block that nobody asked for has none.
	words []word
	// line is the whole statement as it stands after expansion, for keywords
	// that split it by their own rule. It is nil if that rule gives the same
	// words.
	line *text
	// openQuote is set when the ordinary rule finds a quote without its end.
	openQuote bool
	// own is set for a statement on an @evenkeel line.
	own bool
	// skip is set by the linter for a statement that must not have an effect,
	// spoils for one that the block around it must not run without.
	skip, spoils bool
	block        *block
}

// block is the statements between two braces, or a whole configuration.
type block struct {
	statements []*statement
	open       place
	// damaged is set if a line was dropped, in it or in a block inside.
	damaged bool
}

// keyword returns the first word.
func (s *statement) keyword() string {
	if len(s.words) == 0 {
		return ""
	}
	return s.words[0].s
}

// at returns the place of the keyword, or of the brace of a nameless block.
func (s *statement) at() place {
	if len(s.words) == 0 {
		return s.block.open
	}
	return s.words[0].at
}

// args returns the words after the keyword.
func (s *statement) args() []word {
	if len(s.words) == 0 {
		return nil
	}
	return s.words[1:]
}

// arg returns the text of argument i, counted from 0, or "".
func (s *statement) arg(i int) string {
	if i+1 >= len(s.words) {
		return ""
	}
	return s.words[i+1].s
}

// raw returns the words after the keyword by the rule for scripts.
func (s *statement) raw() ([]word, error) {
	if s.line == nil {
		return s.args(), nil
	}
	rest := s.line.trim()
	n := len(s.keyword())
	if len(s.words) > 0 && s.words[0].quoted {
		n += 2
	}
	return splitRaw(rest.from(min(n, len(rest.s))))
}

// treeBuilder hangs statements and braces into a tree.
type treeBuilder struct {
	root  *block
	stack []*block
	// last is the statement that an opening brace belongs to, or nil.
	last *statement
	// A tree is made and dropped as a whole, so its parts are cut from pieces.
	statements pieces[statement]
	words      pieces[word]
	blocks     pieces[block]
}

func newTreeBuilder() *treeBuilder {
	root := &block{}
	return &treeBuilder{root: root, stack: []*block{root}}
}

func (b *treeBuilder) top() *block { return b.stack[len(b.stack)-1] }

// depth is the number of open blocks.
func (b *treeBuilder) depth() int { return len(b.stack) - 1 }

// damage notes that a line was dropped.
func (b *treeBuilder) damage() {
	for _, blk := range b.stack[1:] {
		blk.damaged = true
	}
}

// statement hangs a statement of these words, which are copied, into the open
// block.
func (b *treeBuilder) statement(words []word) *statement {
	s := &b.statements.take(1)[0]
	s.words = b.words.take(len(words))
	copy(s.words, words)
	top := b.top()
	top.statements = append(top.statements, s)
	b.last = s
	return s
}

func (b *treeBuilder) open(at place) {
	if b.last == nil {
		b.statement(nil)
	}
	blk := &b.blocks.take(1)[0]
	blk.open = at
	b.last.block = blk
	b.stack = append(b.stack, blk)
	b.last = nil
}

// close reports whether there was a block to close.
func (b *treeBuilder) close() bool {
	b.last = nil
	if b.depth() == 0 {
		return false
	}
	b.stack = b.stack[:len(b.stack)-1]
	return true
}
