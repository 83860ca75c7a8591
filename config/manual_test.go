package config

import (
	"os"
	"strings"
	"testing"
)

// TestManualIsUpToDate compares docs/keywords.md with the tables.
func TestManualIsUpToDate(t *testing.T) {
	var b strings.Builder
	if err := WriteManual(&b); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/keywords.md")
	if err != nil {
		t.Fatal(err)
	}
	want, have := strings.Split(b.String(), "\n"), strings.Split(string(page), "\n")
	for i := range max(len(want), len(have)) {
		if i >= len(want) || i >= len(have) || want[i] != have[i] {
			t.Fatalf("docs/keywords.md differs from the tables at line %d; run make docs", i+1)
		}
	}
}

// TestManualHasEveryKeyword: no block of the language is out of reach.
func TestManualHasEveryKeyword(t *testing.T) {
	var b strings.Builder
	if err := WriteManual(&b); err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	for _, s := range strings.Split(b.String(), "\n## ")[1:] {
		title, rest, _ := strings.Cut(s, "\n")
		sections[title] = rest
	}
	for name, c := range newLanguage() {
		title := name
		if name == "" {
			title = "Outside any block"
		}
		section, ok := sections[title]
		if !ok {
			t.Errorf("no section on %q", title)
		}
		for word, k := range c.keywords {
			if !strings.Contains(section, "| `"+word+"` |") {
				t.Errorf("%s is not in the section on %q", word, title)
			}
			if k.status == Ignored && strings.Contains(section, "| `"+word+"` | "+cell(k.args)+" | "+string(Runs)) {
				t.Errorf("%s in %q runs by the page", word, title)
			}
		}
	}
}
