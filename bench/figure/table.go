package figure

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// titles say in one line what a level measures.
func titles() map[Level]string {
	return map[Level]string{
		Program: "The XDP program alone, by BPF_PROG_TEST_RUN on one CPU, net of what makes the packets",
		Path:    "Live frames through interfaces and namespaces, one CPU",
		Users:   "Real clients and servers through the load balancer",
		Scale:   "Large tables",
		Versus:  "XDP against the kernel's IPVS, for a packet, net of the generator and the first interface",
	}
}

// Title says in one line what a level measures.
func (l Level) Title() string { return titles()[l] }

// Levels returns those that figures have, in the order in which they come first.
func Levels(figures []Figure) []Level {
	var levels []Level
	for _, f := range figures {
		if !slices.Contains(levels, f.Level) {
			levels = append(levels, f.Level)
		}
	}
	return levels
}

// table is that of a level.
type table struct {
	figures []Figure
	// memory is set where reads of cache lines were measured beside some of them.
	memory bool
}

func tableOf(figures []Figure, level Level) table {
	var t table
	for _, f := range figures {
		if f.Level == level {
			t.figures, t.memory = append(t.figures, f), t.memory || len(f.Memory) > 0
		}
	}
	return t
}

// lines returns the first line, and that of each figure. Ratios are first: they travel.
func (t table) lines() (header []string, lines [][]string) {
	header = []string{"", "to yardstick", "yardstick", "median", "unit", "range", "measured on a similar machine"}
	for _, f := range t.figures {
		line := cells(f)
		if t.memory {
			line = slices.Insert(line, 3, f.reads())
		}
		lines = append(lines, line)
	}
	if t.memory {
		header = slices.Insert(header, 3, "to one read of memory")
	}
	return header, lines
}

// reads prints how many reads of a random cache line a figure is, and what one took.
func (f Figure) reads() string {
	if len(f.Memory) == 0 {
		return ""
	}
	return fmt.Sprintf("%s x %s", Short(f.Reads().Median), Short(Summarize(f.Memory).Median))
}

// cells returns the line of a figure.
func cells(f Figure) []string {
	s, ratio, beside := f.Summary(), "", ""
	if len(f.Yardstick) > 0 {
		ratio = "-"
		if r := f.Ratio(); r.N > 0 {
			ratio = fmt.Sprintf("%s x (%s-%s)", Short(r.Median), Short(r.Low), Short(r.High))
		}
		beside = fmt.Sprintf("%s: %s", f.Beside, Short(Summarize(f.Yardstick).Median))
	}
	name := f.Name
	if f.Note != "" {
		name += " (" + f.Note + ")"
	}
	middle, bounds := "-", "-"
	if s.N > 0 {
		middle, bounds = Short(s.Median), Short(s.Low)+"-"+Short(s.High)
	}
	return []string{name, ratio, beside, middle, f.Unit, bounds, f.Anchor}
}

// WriteText prints figures as tables for a terminal, one for each level.
func WriteText(w io.Writer, figures []Figure) error {
	var b strings.Builder
	for i, level := range Levels(figures) {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s\n\n", level.Title())
		tab := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		header, lines := tableOf(figures, level).lines()
		for _, line := range append([][]string{header}, lines...) {
			fmt.Fprintln(tab, strings.Join(line, "\t"))
		}
		tab.Flush()
	}
	return write(w, b.String())
}

// WriteMarkdown prints the figures of a level as a table for a page.
func WriteMarkdown(w io.Writer, figures []Figure, level Level) error {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	header, lines := tableOf(figures, level).lines()
	line(header)
	line(slices.Repeat([]string{"---"}, len(header)))
	for _, cells := range lines {
		line(cells)
	}
	return write(w, b.String())
}

func write(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}
