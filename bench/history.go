package bench

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/bench/figure"
)

// Earlier is a run of an earlier version, that the page shows beside this one's.
type Earlier struct {
	Name string
	Report
}

// ReadEarlier reads reports of earlier versions. The name of each is that of its file up to
// the first dot; those of one name are one run.
func ReadEarlier(files []string) ([]Earlier, error) {
	var all []Earlier
	for _, file := range files {
		r, err := ReadReport(file)
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		i := slices.IndexFunc(all, func(e Earlier) bool { return e.Name == name })
		if i < 0 {
			all, i = append(all, Earlier{Name: name}), len(all)
		}
		all[i].Figures = append(all[i].Figures, r.Figures...)
		all[i].Add(r) // what ran on another kernel has that in its name
	}
	return all, nil
}

// median returns that of the figure that is the same as f; false if there is none.
func (e Earlier) median(f figure.Figure) (float64, bool) {
	i := slices.IndexFunc(e.Figures, func(x figure.Figure) bool {
		return x.Level == f.Level && x.Name == f.Name && x.Unit == f.Unit
	})
	if i < 0 || len(e.Figures[i].Values) == 0 {
		return 0, false
	}
	return e.Figures[i].Summary().Median, true
}

// writeHistory writes what our own paths cost in earlier versions and cost now.
func (r Report) writeHistory(page *strings.Builder, earlier []Earlier) {
	var lines []string
	for _, f := range r.Figures {
		if !ours(f) || f.Unit != "ns" && f.Unit != "instructions" || len(f.Values) == 0 {
			continue
		}
		line, first, known := "| "+f.Name+" | "+f.Unit+" |", 0.0, false
		for _, e := range earlier {
			was, ok := e.median(f)
			if !ok {
				line += " - |"
				continue
			}
			if !known {
				first, known = was, true
			}
			line += " " + figure.Short(was) + " |"
		}
		now := f.Summary().Median
		if !known || now <= 0 {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %s | %s x |", line, figure.Short(now), figure.Short(first/now)))
	}
	if len(lines) == 0 {
		return
	}
	head, rule := "| | unit |", "| --- | --- |"
	for _, e := range earlier {
		head, rule = head+" "+e.Name+" |", rule+" --- |"
	}
	fmt.Fprintf(page, "\n## What each step won\n\nMedians of earlier versions and of this one; the last column is the first of them by the last.\n\n"+
		"%s now | first by now |\n%s --- | --- |\n%s\n", head, rule, strings.Join(lines, "\n"))
}
