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

// header is the first line of a table of figures. Ratios are first: they travel.
func header() []string {
	return []string{"", "to yardstick", "yardstick", "median", "unit", "range", "measured on a similar machine"}
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
		fmt.Fprintln(tab, strings.Join(header(), "\t"))
		for _, f := range figures {
			if f.Level == level {
				fmt.Fprintln(tab, strings.Join(cells(f), "\t"))
			}
		}
		tab.Flush()
	}
	return write(w, b.String())
}

// WriteMarkdown prints the figures of a level as a table for a page.
func WriteMarkdown(w io.Writer, figures []Figure, level Level) error {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(header())
	line(slices.Repeat([]string{"---"}, len(header())))
	for _, f := range figures {
		if f.Level == level {
			line(cells(f))
		}
	}
	return write(w, b.String())
}

func write(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}
