package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Run the targets with -fuzzminimizetime 10x: making each new input of many
// lines smaller takes most of the time otherwise.

// FuzzLex feeds one line to every function that takes lines apart.
func FuzzLex(f *testing.F) {
	for _, s := range []string{
		`a "b c" d # e`, `a{b}c`, `script "x \" y" 'z' \x41 \101 \cA`, "${A} $A ${_ENV X}", `\# \! \\`, `"`, "a\xffb",
		"~SEQ(x,1,2)~LST({a,b},{1,2}) $x", "~SEQx(x,0xa,0xf)", "{a,{b,c}d}*", "192.0.2.1 80 {",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "\n") || len(s) > 4096 {
			return
		}
		clean, _ := uncomment(lit(s))
		list, open := words(nil, clean)
		inside := func(p place) bool { return p.line == 1 && p.col >= 1 && int(p.col) <= len(s)+1 }
		last := int32(0)
		for _, w := range list {
			if !inside(w.at) || w.at.col <= last {
				t.Errorf("words(%q): %q at column %d after %d", s, w.s, w.at.col, last)
			}
			last = w.at.col
		}
		if open >= len(clean.s) {
			t.Errorf("words(%q): open quote at %d", s, open)
		}
		raw, _ := splitRaw(clean)
		for _, w := range raw {
			if !inside(w.at) {
				t.Errorf("splitRaw(%q): %q at column %d", s, w.s, w.at.col)
			}
		}
		if i := brace(clean.s); i >= 0 && clean.s[i] != '{' && clean.s[i] != '}' {
			t.Errorf("brace(%q) = %d", clean.s, i)
		}
		if _, params, rest, ok := splitSequence(clean); ok {
			_, _, _ = parseSequence(params.s)
			_, _ = splitItems(params.s)
			_ = rest.trim()
		}
		if alternatives, err := expandBraces(s); err == nil && len(alternatives) > 1000 {
			t.Errorf("expandBraces(%q): %d alternatives", s, len(alternatives))
		}
	})
}

// FuzzLoad loads a file that may include another, within small limits.
func FuzzLoad(f *testing.F) {
	paths, err := filepath.Glob("testdata/*/*.conf")
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 4096 {
			f.Add(string(data), "real_server 198.51.100.1 80 {\n}\n")
		}
	}
	f.Add("$A=${A}${A}\n$A\n", "")
	f.Add("~SEQ(x,1,1000000000)~SEQ(y,1,1000000000) include b.conf\n", "$x=1 \\\n2\ninclude main.conf")
	f.Fuzz(func(t *testing.T, main, included string) {
		checkLoad(t, main, included)
		checkPrint(t, files(map[string]string{"main.conf": main, "b.conf": included}), smallLimits())
	})
}
