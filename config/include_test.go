package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestInclude(t *testing.T) {
	tree := map[string]string{
		"d.conf":             "d",
		"e.conf":             "e",
		"conf.d/10-a.conf":   "a",
		"conf.d/20-b.conf":   "b",
		"conf.d/sub/c.conf":  "c\ninclude ../20-b.conf",
		"conf.d/nested.inc":  "n\ninclude sub/c.conf\nm",
		"conf.d/open.brace":  "o {",
		"conf.d/close.brace": "}",
		"with blank.conf":    "w",
		"define.conf":        "$X=7",
	}
	for _, tc := range []struct{ name, in, want, complaint string }{
		{"plain", "include d.conf", "d", ""},
		{"quoted", `include "with blank.conf"`, "w", ""},
		{"comment", " include d.conf # c", "d", ""},
		{"in a block", "x {\n include d.conf\n y\n}", "x{d; y}", ""},
		{"before a brace", "x { include d.conf }\ny", "x{d}; y", ""},
		{"glob in order", "include conf.d/*.conf", "a; b", ""},
		{"alternatives in order", "include {e,d}.conf", "e; d", ""},
		{"nested alternatives", "include {{e,d},conf.d/10-{a,z}}.conf", "e; d; a", "warning: no file matches conf.d/10-z.conf"},
		{"relative to the including file", "include conf.d/nested.inc", "n; c; b; m", ""},
		{"definitions go on", "include define.conf\na $X", "a|7", ""},
		{"name from a definition", "$F=d\ninclude ${F}.conf", "d", ""},
		{"conditional", "@test include d.conf\n@other include nope", "d", ""},
		{"in a sequence", "~LST(f,d,e) include ${f}.conf", "d; e", ""},
		{"braces across files", "include conf.d/open.brace\nx\ninclude conf.d/close.brace", "o{x}", ""},
		{"twice", "include d.conf\ninclude d.conf", "d; d", ""},
		{"pattern without match", "include conf.d/*.none\nx", "x", "main.conf:1:9: warning: no file matches conf.d/*.none"},
		{"includer", "includer d.conf", "d", ""},
		{"includem", "includem conf.d/*.conf", "a; b", ""},
		{"includew", "includew conf.d/*.conf", "a; b", ""},
		{"includeb", "includeb {d,e}.conf", "d; e", ""},
		{"includea", "includea {d,e}.con*", "d; e", ""},
		{"other letter", "includez d.conf", "d", `main.conf:1:1: warning: there is no "includez"`},
		{"longer word", "includes d.conf\nincluded2 x", "d; included2|x", `there is no "includes"`},
		{"second path", "include d.conf e.conf", "d", `"e.conf" after the path is ignored`},
		{"include_check off again", "g { include_check match\ninclude_check -match }\ninclude *.none\nx", "g{include_check|match; include_check|-match}; x", "warning: no file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := files(tree)
			m.with("main.conf", 0o644, tc.in+"\n")
			r, err := readFiles(m)
			if err != nil {
				t.Fatalf("read: %v", err)
			}
			if got := render(r.tree.root); got != tc.want {
				t.Errorf("tree = %s, want %s", got, tc.want)
			}
			if got := complaints(r.sorted()); !strings.Contains(got, tc.complaint) || tc.complaint == "" && got != "" {
				t.Errorf("complaints = %q, want %q", got, tc.complaint)
			}
		})
	}
}

func TestIncludeFails(t *testing.T) {
	m := files(map[string]string{
		"self.conf":   "x\ninclude self.conf",
		"one.conf":    "include two.conf",
		"two.conf":    "include one.conf",
		"dir/in.conf": "x",
		"d.conf":      "d",
		"deep.conf":   "x",
	})
	m.with("script.conf", 0o755, "x")
	m.with("pipe.conf", 0o644|fs.ModeNamedPipe, "x")
	for _, tc := range []struct{ in, want string }{
		{"include none.conf", "main.conf:1:9: error: no file matches none.conf"},
		{"include {none,no}.conf", "error: no file matches none.conf, no.conf"},
		{"includem *.none", "error: no file matches *.none"},
		{"includew {d,n}*.conf", "error: no file matches n*.conf"},
		{"includeb {d,n}.conf", "error: no file matches n.conf"},
		{"includea {d,n}.conf", "error: no file matches n.conf"},
		{"g { include_check match }\ninclude *.none", "main.conf:2:9: error: no file matches *.none"},
		{"g { include_check wildcard_match }\ninclude {d,n}*.conf", "error: no file matches n*.conf"},
		{"g { include_check brace_match }\ninclude {d,n}.conf", "error: no file matches n.conf"},
		{"include", "main.conf:1:1: error: include names no file"},
		{`include ""`, "error: include names no file"},
		{"include dir", "main.conf:1:9: error: dir is a directory"},
		{"include script.conf", "error: script.conf is executable"},
		{"include pipe.conf", "error: pipe.conf is not a regular file"},
		{"include {a", "error: include {a: a brace is not closed"},
		{"include [", "error: match [: syntax error in pattern"},
		{"include main.conf", "main.conf:1:9: error: main.conf includes itself"},
		{"include *.conf", "main.conf includes itself"},
		{"include self.conf", "self.conf:2:9: error: self.conf includes itself"},
		{"include one.conf", "two.conf:1:9: error: one.conf includes itself"},
		{"include " + strings.Repeat("{a,b}", 12), "more than 1000 alternatives"},
	} {
		m.with("main.conf", 0o644, tc.in+"\n")
		_, err := load(m, "main.conf", testOptions())
		u, ok := errors.AsType[*UnparsableError](err)
		if !ok {
			t.Errorf("%s: error = %v, want an UnparsableError", tc.in, err)
			continue
		}
		if !strings.Contains(u.Error(), tc.want) {
			t.Errorf("%s: error = %v, want %s", tc.in, u, tc.want)
		}
	}
}

func TestIncludeSkips(t *testing.T) {
	m := files(map[string]string{"c/a.conf": "a", "c/d.conf/x": "no", "main.conf": "include c/*.conf\n"})
	m.with("c/b.conf", 0o755, "b")
	m.with("c/c.conf", 0o644|fs.ModeNamedPipe, "c")
	r, err := readFiles(m)
	if err != nil {
		t.Fatal(err)
	}
	if got := render(r.tree.root); got != "a" {
		t.Errorf("tree = %s, want a", got)
	}
	for _, want := range []string{"c/b.conf is executable and is skipped", "c/c.conf is not a regular file and is skipped", "c/d.conf is a directory and is skipped"} {
		if got := complaints(r.sorted()); !strings.Contains(got, want) {
			t.Errorf("complaints = %s, want %s", got, want)
		}
	}
	if want := []string{"main.conf", "c/a.conf"}; !slices.Equal(r.files, want) {
		t.Errorf("files = %v, want %v", r.files, want)
	}
}

// TestOSFiles runs the same rules on the real file system, where links exist.
func TestOSFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, s string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	main := write("main.conf", "global_defs {\n router_id ${_PWD}\n include conf.d/*.conf\n}\n")
	write("conf.d/a.conf", "lvs_timeouts udp 7\n")
	c, err := Load(main, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if c.Global.RouterID != dir || c.Global.TimeoutUDP.Seconds() != 7 {
		t.Errorf("global = %+v, want router_id %s and 7 s for UDP", c.Global, dir)
	}

	write("conf.d/b.conf", "include ../loop.conf\n")
	if err := os.Symlink("main.conf", filepath.Join(dir, "loop.conf")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(main, testOptions()); err == nil || !strings.Contains(err.Error(), "loop.conf includes itself") {
		t.Errorf("a loop through a link: error = %v, want that loop.conf includes itself", err)
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.conf"), testOptions())
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none.conf: error: read ") || !strings.HasSuffix(err.Error(), "; check the path") {
		t.Errorf("a missing file: error = %v", err)
	}
	if _, err = Load(dir, testOptions()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: error = %v", err)
	}
	m := memory{deny{fstest.MapFS{"main.conf": file(0o644, "include x.conf\n"), "x.conf": file(0o644, "x")}}}
	_, err = load(m, "main.conf", testOptions())
	if want := "main.conf:1:9: error: read x.conf: permission denied; make it readable, or run as root"; err == nil || err.Error() != want {
		t.Errorf("an unreadable include: error = %v, want %s", err, want)
	}
}

// deny refuses to open x.conf.
type deny struct{ fstest.MapFS }

func (d deny) Open(name string) (fs.File, error) {
	if name == "x.conf" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.MapFS.Open(name)
}

func (d deny) Stat(name string) (fs.FileInfo, error) { return fs.Stat(d.MapFS, name) }

// TestLimits: each bound ends the reading with a place, whatever the input.
func TestLimits(t *testing.T) {
	chain := map[string]string{"main.conf": "include 1.conf\n"}
	for i := 1; i < 50; i++ {
		chain[fmt.Sprintf("%d.conf", i)] = fmt.Sprintf("include %d.conf\n", i+1)
	}
	one := func(s string) map[string]string { return map[string]string{"main.conf": s} }
	small := Limits{FileSize: 1 << 20, TotalSize: 1 << 21, LineLength: 4096, Files: 20, Lines: 10_000, Words: 1000, Expanded: 100_000}
	doubling := "$A0=xx\n"
	for i := range 40 {
		doubling += fmt.Sprintf("$A%d=${A%d}${A%d}\n", i+1, i, i)
	}
	lines := "$L0=x \\\ny\n"
	for i := range 40 {
		lines += fmt.Sprintf("$L%d=$L%d \\\n$L%d\n", i+1, i, i)
	}
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"file size", one(strings.Repeat("x\n", 600_000)), "main.conf: error: main.conf is larger than the limit of 1048576 bytes"},
		{"total size", map[string]string{"main.conf": "include big\ninclude big\ninclude big\n", "big": strings.Repeat("#\n", 400_000)}, "main.conf:3:9: error: big is larger"},
		{"line", one("x " + strings.Repeat("y", 5000)), "main.conf:1:1: error: the line has 5002 bytes"},
		{"line after expansion", one(doubling + "$A40\n"), "error: the line has"},
		{"lines after expansion", one(lines + "$L40\n"), "main.conf:"},
		{"self reference", one("$A=x $A\n$A\n"), "main.conf:2:1: error: definitions or sequences are nested more than 64 deep"},
		{"mutual reference", one("$A=$B\n$B=$A\n$A\n"), "main.conf:3:1: error: definitions or sequences are nested"},
		{"environment loop", one("a ${_ENV LOOP}\n"), "main.conf:1:1: error: definitions or sequences are nested"},
		{"sequence", one("~SEQ(x,1,1000000000) a\n"), "main.conf:1:22: error: the configuration has more than"},
		{"empty sequence", one("~SEQ(x,1,1000000000)\n"), "error: the configuration has more than 10000 lines"},
		{"chained sequences", one(strings.Repeat("~SEQ(x,1,9)", 100) + " a\n"), "error: "},
		{"sequence parameters", one(strings.Replace(doubling, "xx", "1", 1) + "~SEQ(x,1,${A40}) a\n"), "error: "},
		{"bytes after expansion", one("$A=" + strings.Repeat("x", 3000) + "\n~SEQ(x,1,100) $A\n"), "main.conf:2:15: error: definitions and sequences expand to more than 100000 bytes"},
		{"bytes in one line", one("$A=" + strings.Repeat("x", 3000) + " \\\ny\n" + strings.Repeat("${A}", 50) + "\n"), "error: definitions and sequences expand to more than 100000 bytes"},
		{"words", one(strings.Repeat("a b c d\n", 300)), "error: the configuration has more than 1000 words"},
		{"blocks", one(strings.Repeat("a {", 100)), "main.conf:1:195: error: blocks are nested more than 64 deep"},
		{"include depth", chain, "error: more than 20 files"},
		{"include depth alone", chain, "error: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := testOptions()
			opts.Limits = small
			if tc.name == "include depth alone" {
				opts.Limits.Files = 0
				tc.want = "32.conf:1:9: error: files include each other more than 32 deep"
			}
			_, err := load(files(tc.files), "main.conf", opts)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %s", err, tc.want)
			}
		})
	}
}
