package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// tier is one way of running tests.
type tier struct {
	name string
	// tag is the build tag of the tier's test files; empty for the tier of
	// the files without one.
	tag string
	// files is the tier that has the test files of one with machines.
	files string
	// timeout is go test's limit for one package.
	timeout time.Duration
	// machines are where the tier runs; none means here.
	machines []machine
}

// tiers returns the tiers in the order in which they run, quick ones first.
func tiers() []tier {
	return []tier{
		{name: "unit", timeout: 5 * time.Minute},
		{name: "bpf", tag: "bpf", timeout: 15 * time.Minute},
		{name: "netns", tag: "netns", timeout: 20 * time.Minute},
		{name: "interop", tag: "interop", timeout: 20 * time.Minute},
		{name: "vm", tag: "vm", files: "vm", timeout: time.Hour, machines: machines()},
		{name: "vm-short", tag: "vm", files: "vm", timeout: 20 * time.Minute, machines: shortMachines()},
	}
}

// testFile is a _test.go file with the tests in it.
type testFile struct {
	// dir is the package as go test is given it: ./config.
	dir string
	// tier is the name of the first tier that builds the file, empty when
	// none does.
	tier  string
	path  string
	tests []string
}

// testFiles finds the test files with tests under root, leaving out what the
// go command leaves out of ./... .
func testFiles(root string) ([]testFile, error) {
	var files []testFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && outsideModule(path, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(d.Name(), "_test.go") {
			return nil
		}
		f, err := readTestFile(root, path)
		if err != nil {
			return err
		}
		if len(f.tests) > 0 {
			files = append(files, f)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find test files: %w", err)
	}
	return files, nil
}

// outsideModule reports whether ./... does not enter the directory.
func outsideModule(path, name string) bool {
	if name == "testdata" || name == "vendor" || name[0] == '.' || name[0] == '_' {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

func readTestFile(root, path string) (testFile, error) {
	dir, name := filepath.Split(path)
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		// The compiler says it better, and go test reports it.
		parsed = cmp.Or(parsed, &ast.File{})
	}
	rel, err := filepath.Rel(root, dir)
	if err != nil {
		return testFile{}, err
	}
	f := testFile{dir: "./" + filepath.ToSlash(rel), path: path, tests: testNames(parsed)}
	for _, t := range tiers() {
		// MatchFile knows build lines, file name suffixes and platforms.
		ctx := build.Default
		if t.tag != "" {
			ctx.BuildTags = []string{t.tag}
		}
		match, err := ctx.MatchFile(dir, name)
		if err != nil {
			return testFile{}, fmt.Errorf("read build line of %s: %w", path, err)
		}
		if match {
			f.tier = t.name
			break
		}
	}
	return f, nil
}

// testNames returns what go test runs without being asked for benchmarks:
// tests, fuzz targets with their seeds, examples.
func testNames(f *ast.File) []string {
	var names []string
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if ok && fn.Recv == nil && runsByDefault(fn.Name.Name) {
			names = append(names, fn.Name.Name)
		}
	}
	return names
}

func runsByDefault(name string) bool {
	for _, prefix := range []string{"Test", "Fuzz", "Example"} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok || name == "TestMain" {
			continue
		}
		if r, _ := utf8.DecodeRuneInString(rest); rest == "" || !unicode.IsLower(r) {
			return true
		}
	}
	return false
}

// command is one go test command line, after "go".
type command []string

// commands returns what to run for a tier. The tier without a tag is one
// command over all packages. A tier with a tag is a command for each package
// that has such tests, and names them, so that the untagged tests of the
// package do not run, and are not counted, a second time.
func (t tier) commands(files []testFile, race bool) []command {
	base := command{"test", "-json", "-count=1", "-timeout=" + t.timeout.String()}
	if t.tag == "" {
		if race {
			base = append(base, "-race")
		}
		return []command{append(base, "./...")}
	}
	byDir := make(map[string][]string)
	for _, f := range files {
		if f.tier == t.name {
			byDir[f.dir] = append(byDir[f.dir], f.tests...)
		}
	}
	return taggedCommands(base, t.tag, byDir)
}

func taggedCommands(base command, tag string, byDir map[string][]string) []command {
	var cmds []command
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		run := "-run=^(" + strings.Join(byDir[dir], "|") + ")$"
		cmds = append(cmds, append(slices.Clone(base), "-tags="+tag, run, dir))
	}
	return cmds
}

// misplaced returns a failure for each test file that no tier builds. The
// tier without a tag reports them.
func (t tier) misplaced(files []testFile) []result {
	var bad []result
	for _, f := range files {
		if f.tier == "" && t.tag == "" {
			bad = append(bad, result{
				tier: t.name, pkg: f.path, outcome: failed,
				text: "no tier builds this file: its build line asks for something else\n",
			})
		}
	}
	return bad
}
