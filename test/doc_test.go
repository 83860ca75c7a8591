package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// docLines is the least length of a package comment: what the package owns,
// what it never does, how it is tested do not fit in less. A command may say
// in two lines what it is for.
const (
	docLines        = 3
	commandDocLines = 2
)

// TestPackagesAreDocumented asks each package for a doc.go whose comment
// says enough.
func TestPackagesAreDocumented(t *testing.T) {
	for _, p := range listPackages(t) {
		path, _ := inside(p.ImportPath)
		if !slices.Contains(p.GoFiles, "doc.go") {
			t.Errorf("%s has no doc.go", path)
			continue
		}
		f := parseFile(t, filepath.Join(p.Dir, "doc.go"))
		if complaint := checkPackageComment(f); complaint != "" {
			t.Errorf("%s/doc.go: %s", path, complaint)
		}
	}
}

// TestExportedNamesAreDocumented asks each exported name outside main packages
// and generated files for a comment.
func TestExportedNamesAreDocumented(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.Name == "main" {
			continue
		}
		path, _ := inside(p.ImportPath)
		for _, name := range p.GoFiles {
			for _, bare := range undocumented(parseFile(t, filepath.Join(p.Dir, name))) {
				t.Errorf("%s/%s: %s has no comment", path, name, bare)
			}
		}
	}
}

func parseFile(t *testing.T, path string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// checkPackageComment returns what is missing from the package comment of f.
func checkPackageComment(f *ast.File) string {
	text := f.Doc.Text()
	command := f.Name.Name == "main"
	begin, least := "Package "+f.Name.Name+" ", docLines
	if command {
		begin, least = "Command ", commandDocLines
	}
	lines := 0
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	switch {
	case !strings.HasPrefix(text, begin):
		return fmt.Sprintf("its comment does not begin with %q", begin)
	case lines < least:
		return fmt.Sprintf("its comment has %d lines, want %d: what it owns, what it never does, how it is tested",
			lines, least)
	case !command && !strings.Contains(strings.ToLower(text), "test"):
		return "its comment does not say how the package is tested"
	}
	return ""
}

// undocumented returns the exported names in f that have no comment of their
// own nor one of their group. Fields and the methods of unexported types are
// left to judgement.
func undocumented(f *ast.File) []string {
	if ast.IsGenerated(f) {
		return nil
	}
	var names []string
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if name, ok := exportedFunc(d); ok && d.Doc == nil {
				names = append(names, name)
			}
		case *ast.GenDecl:
			if d.Doc != nil {
				continue
			}
			for _, spec := range d.Specs {
				names = append(names, undocumentedSpec(spec)...)
			}
		}
	}
	return names
}

// exportedFunc returns how d is called from outside: New, Instance.Run.
func exportedFunc(d *ast.FuncDecl) (string, bool) {
	if !d.Name.IsExported() {
		return "", false
	}
	if d.Recv == nil {
		return d.Name.Name, true
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name + "." + d.Name.Name, x.IsExported()
		default:
			return "", false
		}
	}
}

func undocumentedSpec(spec ast.Spec) []string {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && s.Comment == nil {
			return []string{s.Name.Name}
		}
	case *ast.ValueSpec:
		if s.Doc != nil || s.Comment != nil {
			return nil
		}
		var names []string
		for _, n := range s.Names {
			if n.IsExported() {
				names = append(names, n.Name)
			}
		}
		return names
	}
	return nil
}

func parseText(t *testing.T, src string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "", src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestCheckPackageComment(t *testing.T) {
	tests := []struct {
		name, src, want string
	}{
		{"enough", "// Package p owns p.\n//\n// It never sleeps.\n//\n// Its tests are tables.\npackage p", ""},
		{"command", "// Command p runs p.\n// It has no logic.\npackage main", ""},
		{"short command", "// Command p runs p.\npackage main", "has 1 lines"},
		{"none", "package p", "does not begin with"},
		{"another name", "// Package q owns\n// a\n// test.\npackage p", "does not begin with"},
		{"detached", "// Package p owns\n// a\n// test.\n\npackage p", "does not begin with"},
		{"short", "// Package p owns p and is tested.\npackage p", "has 1 lines"},
		{"untested", "// Package p owns p.\n// It never sleeps.\n// It is small.\npackage p", "how the package is tested"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := checkPackageComment(parseText(t, tt.src))
			if !strings.Contains(got, tt.want) || (tt.want == "") != (got == "") {
				t.Errorf("complaint is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUndocumented(t *testing.T) {
	const src = `package p

func Bare() {}

// Said is documented.
func Said() {}

func inner() {}

func (p *Pool[K]) Get() {}

func (p pool) Get() {}

type Pool[K any] struct{ Field int }

// The limits.
const (
	Low  = 1
	High = 2
)

var (
	Alone int
	Told  int // at the end of its line
	// Above is above.
	Above int
	own   int
)
`
	want := []string{"Bare", "Pool.Get", "Pool", "Alone"}
	if got := undocumented(parseText(t, src)); !slices.Equal(got, want) {
		t.Errorf("undocumented = %q, want %q", got, want)
	}
	generated := "// Code generated by a tool. DO NOT EDIT.\n\n" + src
	if got := undocumented(parseText(t, generated)); got != nil {
		t.Errorf("undocumented in a generated file = %q, want none", got)
	}
}
