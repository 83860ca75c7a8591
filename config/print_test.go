package config

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// whole reports whether no line of a tree was dropped, and no quote is open.
func whole(b *block) bool {
	if b.damaged {
		return false
	}
	for _, s := range b.statements {
		if s.block != nil && !whole(s.block) {
			return false
		}
		if s.line == nil {
			continue
		}
		if _, quote := uncomment(*s.line); quote >= 0 {
			return false
		}
	}
	return true
}

// checkPrint tests that a configuration that is printed means what it meant.
func checkPrint(t failer, m memory, limits Limits) {
	t.Helper()
	opts := testOptions()
	opts.Limits = limits
	r := newReader(record(m, "main.conf"), opts)
	if r.run("main.conf") != nil || !whole(r.tree.root) {
		return
	}
	first, before := loadPrinted(t, m, opts)
	opts.Limits = Limits{} // what is printed may be longer
	second, after := loadPrinted(t, files(map[string]string{"main.conf": before}), opts)
	if first == nil || second == nil {
		t.Errorf("printed:\n%s", before)
		return
	}
	if after != before {
		t.Errorf("printed:\n%s\nand again:\n%s", before, after)
	}
	for _, both := range [][2]any{{first.Services, second.Services}, {first.VRRP, second.VRRP}, {first.Global, second.Global}} {
		if diff := cmp.Diff(both[0], both[1], compareVRRP(), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("(-read +printed and read again):\n%s\nprinted:\n%s", diff, before)
		}
	}
}

// loadPrinted loads a configuration and returns it with what is printed of it.
func loadPrinted(t failer, m memory, opts Options) (*Config, string) {
	t.Helper()
	var b bytes.Buffer
	opts.Expanded = &b
	c, err := load(m, "main.conf", opts)
	if err != nil {
		t.Errorf("load: %v", err)
	}
	return c, b.String()
}

func TestPrintCorpus(t *testing.T) {
	for _, path := range corpus(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			checkPrint(t, files(map[string]string{"main.conf": string(data)}), Limits{})
		})
	}
}

func TestPrintRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := files(map[string]string{"main.conf": genText().Draw(t, "main"), "b.conf": genText().Draw(t, "included")})
		checkPrint(t, m, smallLimits())
	})
}

func TestPrint(t *testing.T) {
	for in, want := range map[string]string{
		"a b   c # d":                            "a b c",
		"a {b\n}":                                "a {\n\tb\n}",
		"a { b { c } } d":                        "a {\n\tb {\n\t\tc\n\t}\n}\nd",
		"{\n}":                                   "{\n}",
		"script \"a  b\" 'c' \\x":                `script "a  b" 'c' \x`,
		`p a\#b "c#d"`:                           `p a${_HASH}b "c#d"`,
		"$A=b\"c\na $A {":                        "a b\"c {\"",
		"a {\n\u00a0 \u00a0 }":                   "a {\n\t\u00a0 \u00a0\n}",
		"@evenkeel a b\n@test c\n@other d":       "@evenkeel a b\nc",
		"$A=x\\\ny\n$A z":                        "x\ny z",
		"~SEQ(n,1,3) a $n":                       "a 1\na 2\na 3",
		"include b.conf":                         "b\nother {\n}",
		"a $UNDEFINED ${_ENV VIP} ${UNDEFINED}b": "a $UNDEFINED 192.0.2.9 ${UNDEFINED}b",
	} {
		m := files(map[string]string{"main.conf": in, "b.conf": "b\nother {}"})
		if _, got := loadPrinted(t, m, testOptions()); strings.TrimPrefix(got, printHead) != want+"\n" {
			t.Errorf("%q: printed\n%s\nwant\n%s", in, got, want)
		}
		checkPrint(t, m, Limits{})
	}
}
