package main

import (
	"fmt"
	"io"
	"strings"
)

// module is cut from package names in the log.
const module = "github.com/evenkeel/evenkeel/"

// short returns the package path inside the module.
func short(pkg string) string { return strings.TrimPrefix(pkg, module) }

// printPackage writes the line of a package, and what failed in it.
func printPackage(out io.Writer, p packageRun) {
	if len(p.results) == 0 {
		return
	}
	word := "ok  "
	if p.failed() {
		word = "FAIL"
	}
	fmt.Fprintf(out, "%s %-24s %7.2fs  %d passed", word, short(p.pkg), p.seconds, p.count(passed))
	for _, o := range []outcome{failed, skipped} {
		if n := p.count(o); n > 0 {
			fmt.Fprintf(out, ", %d %s", n, o)
		}
	}
	fmt.Fprintln(out)
	for _, r := range p.results {
		if r.outcome == failed {
			fmt.Fprintf(out, "  FAIL %s\n%s", r.name(), indent(r.text))
		}
	}
	for _, note := range p.notes {
		fmt.Fprint(out, indent(note))
	}
}

// summary lists the skips with their reasons and the failures by name, ends
// with the counts, and returns the exit code.
func summary(out io.Writer, results []result) int {
	list(out, results, skipped, func(r result) string {
		return fmt.Sprintf("%s (%s): %s", r.name(), r.tier, r.text)
	})
	list(out, results, failed, func(r result) string {
		return fmt.Sprintf("%s (%s): %s", r.name(), r.tier, headline(r.text))
	})
	all := packageRun{results: results}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n",
		all.count(passed), all.count(failed), all.count(skipped))
	if all.failed() {
		return 1
	}
	return 0
}

func list(out io.Writer, results []result, o outcome, line func(result) string) {
	title := fmt.Sprintf("\n%s:\n", o)
	for _, r := range results {
		if r.outcome == o {
			fmt.Fprintf(out, "%s  %s\n", title, line(r))
			title = ""
		}
	}
}

// headline returns the first line that says something: a compiler's output
// begins with the package in a comment, a race report with a rule.
func headline(text string) string {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.Trim(line, "=") != "" && !strings.HasPrefix(line, "# ") {
			return line
		}
	}
	return ""
}

func indent(text string) string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
}
