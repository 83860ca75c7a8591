package config

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// WriteManual writes the page on all keywords, docs/keywords.md, from the tables
// that the reader itself goes by.
func WriteManual(w io.Writer) error {
	m := manual{lang: newLanguage(), within: make(map[string][]string), statuses: make(map[string]Status)}
	m.walk("", Runs)
	var rows strings.Builder
	counts := make(map[Status]int)
	for _, name := range m.order {
		m.block(&rows, name, counts)
	}
	var b strings.Builder
	b.WriteString("# Keywords\n\n" +
		"Every keyword of keepalived 2.4's language, block by block, and what becomes of it here. This page is written by\n" +
		"`make docs` from the tables that the reader goes by; `evenkeel check` says the same of the words of a file.\n\n")
	fmt.Fprintf(&b, "| of %d keywords | |\n|---|---|\n", counts[Runs]+counts[NotYet]+counts[Ignored])
	fmt.Fprintf(&b, "| run | %d |\n| not used yet: read and checked, and nothing acts on them | %d |\n| ignored: accepted, and without effect by design | %d |\n",
		counts[Runs], counts[NotYet], counts[Ignored])
	b.WriteString("\nA keyword counts in each block where it may stand. Arguments in brackets may be left out; COMMAND and REGEX take the\nrest of the line; BOOL is true, on, yes, false, off or no.\n")
	_, err := io.WriteString(w, b.String()+rows.String())
	return err
}

// manual writes the page.
type manual struct {
	lang language
	// order is the blocks as they are met, within the keywords that open each,
	// with the block around, and statuses what becomes of each.
	order    []string
	within   map[string][]string
	statuses map[string]Status
}

// walk visits a block and those in it, each once.
func (m *manual) walk(name string, status Status) {
	m.order = append(m.order, name)
	m.statuses[name] = status
	c := m.lang[name]
	for _, word := range slices.Sorted(maps.Keys(c.keywords)) {
		k := c.keywords[word]
		if k.block == "" {
			continue
		}
		place := "`" + word + "`"
		if name != "" {
			place += " in `" + name + "`"
		}
		m.within[k.block] = append(m.within[k.block], place)
		inside := k.inside(status)
		if was, seen := m.statuses[k.block]; !seen {
			m.walk(k.block, inside)
		} else if inside == Runs && was != Runs {
			m.statuses[k.block] = Runs // it runs somewhere
		}
	}
}

// block writes the table of one block.
func (m *manual) block(b *strings.Builder, name string, counts map[Status]int) {
	c, status := m.lang[name], m.statuses[name]
	if name == "" {
		b.WriteString("\n## Outside any block\n\n")
	} else {
		fmt.Fprintf(b, "\n## %s\n\n%s\n\n", name, "The block of "+strings.Join(m.within[name], ", ")+".")
	}
	if c.entries != "" {
		m.entries(b, c, status)
		return
	}
	b.WriteString("| keyword | arguments | here | |\n|---|---|---|---|\n")
	for _, word := range slices.Sorted(maps.Keys(c.keywords)) {
		k := c.keywords[word]
		becomes := k.inside(status)
		counts[becomes]++
		var notes []string
		if k.own {
			notes = append(notes, "Evenkeel's own, for `@"+ownID+"` lines")
		}
		if k.note != "" {
			notes = append(notes, k.note)
		}
		if k.block != "" {
			notes = append(notes, "opens a block")
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", word, cell(k.args), becomes, cell(strings.Join(notes, "; ")))
	}
}

// entries writes what the lines of a block may be, which has no keywords.
func (m *manual) entries(b *strings.Builder, c *context, status Status) {
	options := entryOptions()[c.entries]
	lines := map[string]string{
		"address": "addresses", "route": "routes", "rule": "rules", "track": "things to track", "peer": "peers", "name": "values",
	}[c.entries]
	fmt.Fprintf(b, "Its lines are %s: %s.\n", lines, status)
	if len(options) == 0 {
		return
	}
	byStatus := make(map[Status][]string)
	for _, word := range slices.Sorted(maps.Keys(options)) {
		s := optionStatus(c, word, status)
		byStatus[s] = append(byStatus[s], "`"+word+"`")
	}
	for _, s := range []Status{Runs, NotYet, Ignored} {
		if len(byStatus[s]) > 0 {
			fmt.Fprintf(b, "Words in a line, %s: %s.\n", s, strings.Join(byStatus[s], ", "))
		}
	}
}

// cell makes a text fit into a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
