package vrrp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// checklist is how many items the conformance checklist has.
const checklist = 152

// TestConformanceTable holds docs/vrrp-conformance.md to the tests: each item
// has its line, names tests that exist, and no numbered test is left out.
func TestConformanceTable(t *testing.T) {
	text, err := os.ReadFile("../docs/vrrp-conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	written := testNames(t)
	named := map[string]int{}
	line := regexp.MustCompile(`(?m)^\| (\d+) \| [^|]+ \| ([^|]+) \|$`)
	quoted := regexp.MustCompile("`(\\w+)`")
	item := 0
	for _, m := range line.FindAllStringSubmatch(string(text), -1) {
		item++
		if m[1] != strconv.Itoa(item) {
			t.Fatalf("line of item %s, want %d", m[1], item)
		}
		for _, q := range quoted.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(written, q[1]) {
				t.Errorf("item %d names %s, which does not exist", item, q[1])
			}
			named[q[1]] = item
		}
	}
	if item != checklist {
		t.Errorf("%d items, want %d", item, checklist)
	}
	for _, name := range written {
		if _, ok := named[name]; !ok && strings.HasPrefix(name, "TestVC") {
			t.Errorf("%s is in no line", name)
		}
	}
}

// testNames returns the test and fuzz functions of this folder.
func testNames(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}
