package config

import (
	"bufio"
	"io"
	"strings"
)

// printHead begins what print writes. It is a comment, so that nothing of the
// configuration itself stands at the start of the file.
const printHead = "# This configuration as it is read: with its includes, conditions, definitions and sequences carried out.\n"

// printTree writes the statements of a configuration, one a line, as they stand
// after expansion. Reading that again gives the same tree. Lines that were
// dropped for their faults are gone; a comment says where.
func printTree(w io.Writer, root *block) error {
	p := printer{bufio.NewWriter(w)}
	p.line(0, printHead)
	p.block(root, 0)
	return p.Flush()
}

// printer writes lines; its buffer keeps the first error.
type printer struct{ *bufio.Writer }

func (p printer) line(depth int, s string) {
	for range depth {
		_ = p.WriteByte('\t')
	}
	_, _ = p.WriteString(s)
}

func (p printer) block(b *block, depth int) {
	if b.damaged {
		p.line(depth, "# a line in this block was dropped for a fault\n")
	}
	for _, s := range b.statements {
		p.line(depth, s.source())
		if s.block != nil {
			if len(s.words) > 0 {
				_ = p.WriteByte(' ')
			}
			_, _ = p.WriteString("{\n")
			p.block(s.block, depth+1)
			p.line(depth, "}")
		}
		_ = p.WriteByte('\n')
	}
}

// source returns a statement as a file would have it, without its block. A
// quote that is open, out of a definition, is closed: a file cannot have it, and
// the statement has its complaint.
func (s *statement) source() string {
	var b strings.Builder
	if s.own {
		b.WriteString("@" + ownID + " ")
	}
	var line string
	if s.line != nil {
		line = s.line.trim().s
	}
	if line == "" { // the words alone say it all
		for i, w := range s.words {
			if i > 0 {
				line += " "
			}
			line += w.s
		}
	}
	protect(&b, line)
	if _, quote := uncomment(literal(b.String(), place{})); quote >= 0 {
		b.WriteString(`"`)
	}
	return b.String()
}

// protect writes a line so that what begins a comment in it does not.
func protect(b *strings.Builder, line string) {
	quoted := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && i+1 < len(line) && (quoted || line[i+1] != '#' && line[i+1] != '!'):
			b.WriteByte(c)
			i++
			b.WriteByte(line[i])
			continue
		case c == '"':
			quoted = !quoted
		case !quoted && c == '#':
			b.WriteString("${_HASH}") // a backslash would do, but not after another
			continue
		case !quoted && c == '!':
			b.WriteString("${_BANG}")
			continue
		}
		b.WriteByte(c)
	}
}
