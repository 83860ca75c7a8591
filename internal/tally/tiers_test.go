package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree writes the files of a module and returns its root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestTestFilesByTier(t *testing.T) {
	const tests = "package p\n\nfunc TestA(t *testing.T) {}\nfunc FuzzB(f *testing.F) {}\n" +
		"func TestMain(m *testing.M) {}\nfunc Testing() {}\nfunc ExampleC() {}\nfunc BenchmarkD(b *testing.B) {}\n"
	root := tree(t, map[string]string{
		"go.mod":               "module m\n",
		"a/plain_test.go":      tests,
		"a/prog_test.go":       "//go:build bpf\n\n" + tests,
		"a/helper_test.go":     "package p\n",
		"b/links_test.go":      "// Licence.\n\n//go:build netns && linux\n\n" + tests,
		"b/either_test.go":     "//go:build bpf || netns\n\n" + tests,
		"b/both_test.go":       "//go:build bpf && netns\n\n" + tests,
		"b/testdata/x_test.go": tests,
		"tools/go.mod":         "module tools\n",
		"tools/x_test.go":      tests,
	})
	files, err := testFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, f := range files {
		got[f.dir+"/"+filepath.Base(f.path)] = f.tier
		if want := []string{"TestA", "FuzzB", "ExampleC"}; !slices.Equal(f.tests, want) {
			t.Errorf("tests of %s = %q, want %q", f.path, f.tests, want)
		}
	}
	want := map[string]string{
		"./a/plain_test.go":  "unit",
		"./a/prog_test.go":   "bpf",
		"./b/links_test.go":  "netns",
		"./b/either_test.go": "bpf",
		"./b/both_test.go":   "",
	}
	if len(got) != len(want) {
		t.Errorf("found %v, want %v", got, want)
	}
	for file, tier := range want {
		if got[file] != tier {
			t.Errorf("tier of %s = %q, want %q", file, got[file], tier)
		}
	}
	if bad := tiers()[0].misplaced(files); len(bad) != 1 || !strings.HasSuffix(bad[0].pkg, "both_test.go") {
		t.Errorf("misplaced = %v, want both_test.go only", bad)
	}
}

func TestCommandsNameTheTestsOfTheTier(t *testing.T) {
	files := []testFile{
		{dir: "./a", tier: "unit", tests: []string{"TestPlain"}},
		{dir: "./b", tier: "bpf", tests: []string{"TestOne"}},
		{dir: "./a", tier: "bpf", tests: []string{"TestTwo"}},
		{dir: "./a", tier: "bpf", tests: []string{"TestThree"}},
	}
	var got []string
	for _, tt := range tiers()[:2] {
		for _, c := range tt.commands(files, true) {
			got = append(got, strings.Join(c, " "))
		}
	}
	want := []string{
		"test -json -count=1 -timeout=5m0s -race ./...",
		"test -json -count=1 -timeout=15m0s -tags=bpf -run=^(TestTwo|TestThree)$ ./a",
		"test -json -count=1 -timeout=15m0s -tags=bpf -run=^(TestOne)$ ./b",
	}
	if !slices.Equal(got, want) {
		t.Errorf("commands are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestSelectTiers(t *testing.T) {
	selected, err := selectTiers([]string{"netns", "unit"})
	if err != nil || len(selected) != 2 || selected[0].name != "netns" || selected[1].name != "unit" {
		t.Errorf("selectTiers = %v, %v; want netns, unit", selected, err)
	}
	for _, names := range [][]string{nil, {"unit", "moon"}} {
		if _, err := selectTiers(names); err == nil {
			t.Errorf("selectTiers(%q) accepted it", names)
		}
	}
}

// A tier that would run nothing is a mistake, and so is a go command that
// cannot start.
func TestNothingRunIsAFailure(t *testing.T) {
	t.Chdir(t.TempDir())
	var out strings.Builder
	if code := run(t.Context(), []string{"bpf"}, false, &out); code != 1 {
		t.Errorf("exit code = %d, want 1", code)
	}
	if !strings.HasSuffix(out.String(), "\n0 passed, 1 failed, 0 skipped\n") {
		t.Errorf("log is %q, want one failure", &out)
	}

	t.Setenv("GO", "/nonexistent/go")
	out.Reset()
	if code := run(t.Context(), []string{"unit"}, false, &out); code != 1 {
		t.Errorf("exit code = %d, want 1", code)
	}
	if !strings.HasSuffix(out.String(), "\n0 passed, 1 failed, 0 skipped\n") {
		t.Errorf("log is %q, want one failure", &out)
	}
}
