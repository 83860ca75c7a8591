package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/bench/plot"
)

// The files of a page.
const (
	pageFile = "report.md"
	dataFile = "bench.json"
)

// WritePage writes a report page into a directory, with its drawings and its data. The
// page shows earlier versions beside this one.
func (r Report) WritePage(dir string, earlier ...Earlier) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	var page strings.Builder
	fmt.Fprintf(&page, "# What packets cost\n\n%s; measured on %s in %s. Medians, with the interval of 95 %% confidence (of less than six rounds: least and\n"+
		"greatest value); \"to yardstick\" is the ratio of each round's value to what was measured beside it in the same round. Nanoseconds do not\n"+
		"travel from machine to machine, ratios do. The last column is from another day and a similar machine. `make bench` makes this page;\n"+
		"[%s](%s) has every value, for `evenkeel bench compare`.\n",
		r.about(), r.Started.UTC().Format(time.DateOnly), (time.Duration(r.Seconds) * time.Second).String(), dataFile, dataFile)
	if len(r.Took) > 0 {
		fmt.Fprintf(&page, "\nThe levels took: %s.\n", strings.Trim(fmt.Sprint(r.Took), "[]"))
	}
	for _, line := range r.Skipped {
		fmt.Fprintf(&page, "\nNot measured: %s\n", line)
	}
	r.writeGoals(&page)
	for _, level := range figure.Levels(r.Figures) {
		fmt.Fprintf(&page, "\n## %s\n\n", level.Title())
		for _, d := range r.drawings(level) {
			if err := writeDrawing(filepath.Join(dir, d.file), d.drawing); err != nil {
				return err
			}
			fmt.Fprintf(&page, "![%s](%s)\n\n", d.title, d.file)
		}
		if err := figure.WriteMarkdown(&page, r.Figures, level); err != nil {
			return err
		}
	}
	r.writeHistory(&page, earlier)
	if err := os.WriteFile(filepath.Join(dir, pageFile), []byte(page.String()), 0o644); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return r.WriteFile(filepath.Join(dir, dataFile))
}

// drawing is a plot of the page.
type drawing struct {
	title, file string
	drawing     interface{ WriteSVG(io.Writer) error }
}

func writeDrawing(file string, d interface{ WriteSVG(io.Writer) error }) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write drawing: %w", err)
	}
	if err := errors.Join(d.WriteSVG(f), f.Close()); err != nil {
		return fmt.Errorf("write drawing %s: %w", file, err)
	}
	return nil
}

// drawings returns the plots of a level: curves where figures are points of some, and
// bars for the others, one drawing for each unit. Of level versus they are the ratios.
func (r Report) drawings(level figure.Level) []drawing {
	var all []drawing
	var units []string
	for _, f := range r.Figures {
		if f.Level == level && !slices.Contains(units, f.Unit) {
			units = append(units, f.Unit)
		}
	}
	for _, unit := range units {
		if level == figure.Versus && unit != "x" {
			continue // the table has what the ratios are of, which is very long
		}
		of := func(f figure.Figure) bool { return f.Level == level && f.Unit == unit }
		name := fmt.Sprintf("%s-%d", level, 1+slices.Index(units, unit))
		if l := lines(r.Figures, of); len(l.Series) > 0 {
			l.Title, l.Y = fmt.Sprintf("%s: %s by size", level, unit), unit
			all = append(all, drawing{l.Title, name + "-curves.svg", l})
		}
		if b := bars(r.Figures, of); len(b.Bars) > 0 {
			b.Title, b.Unit = fmt.Sprintf("%s: %s", level, unit), unit
			all = append(all, drawing{b.Title, name + "-bars.svg", b})
		}
	}
	return all
}

// lines returns the curves of the figures that are points of some.
func lines(figures []figure.Figure, of func(figure.Figure) bool) plot.Lines {
	l := plot.Lines{X: "size (flows, or services)"}
	for _, f := range figures {
		if !of(f) || f.Series == "" || f.X <= 0 {
			continue
		}
		i := slices.IndexFunc(l.Series, func(s plot.Series) bool { return s.Name == f.Series })
		if i < 0 {
			l.Series, i = append(l.Series, plot.Series{Name: f.Series}), len(l.Series)
		}
		s := f.Summary()
		l.Series[i].Points = append(l.Series[i].Points, plot.Point{X: f.X, Y: s.Median, Low: s.Low, High: s.High})
	}
	return l
}

// bars returns a bar for each figure that is no point of a curve.
func bars(figures []figure.Figure, of func(figure.Figure) bool) plot.Bars {
	var b plot.Bars
	for _, f := range figures {
		if !of(f) || f.Series != "" {
			continue
		}
		s := f.Summary()
		b.Bars = append(b.Bars, plot.Bar{Name: f.Name, Value: s.Median, Low: s.Low, High: s.High, Ours: ours(f)})
	}
	return b
}

// ours reports whether a figure is of Evenkeel and of nobody else.
func ours(f figure.Figure) bool {
	return f.Of == "" && (f.Level != figure.Path && f.Level != figure.Versus || strings.Contains(f.Name, "XDP "))
}
