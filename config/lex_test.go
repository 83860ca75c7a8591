package config

import (
	"errors"
	"strings"
	"testing"
)

func lit(s string) text { return literal(s, place{0, 1, 1}) }

func TestUncomment(t *testing.T) {
	for _, tc := range []struct {
		in, want string
		quote    int
	}{
		{"a b", "a b", -1},
		{"a # b", "a ", -1},
		{"a ! b", "a ", -1},
		{"a#b", "a", -1},
		{"# a", "", -1},
		{`a \# b # c`, "a # b ", -1},
		{`a\!b\#c`, "a!b#c", -1},
		{`"a # b" c # d`, `"a # b" c `, -1},
		{`"a \" # b" c # d`, `"a \" # b" c `, -1},
		{`a \\ # b`, `a \\ `, -1},
		{`a \`, `a \`, -1},
		{`a "b`, `a "b`, 2},
		{`a # "b`, `a `, -1},
		{`\#`, `#`, -1},
		{"", "", -1},
	} {
		got, quote := uncomment(lit(tc.in))
		if got.s != tc.want || quote != tc.quote {
			t.Errorf("uncomment(%q) = %q, %d, want %q, %d", tc.in, got.s, quote, tc.want, tc.quote)
		}
	}
}

func TestUncommentKeepsPlaces(t *testing.T) {
	got, _ := uncomment(lit(`ab \# cd \! ef`))
	if got.s != "ab # cd ! ef" {
		t.Fatalf("text = %q", got.s)
	}
	for word, col := range map[string]int32{"ab": 1, "#": 5, "cd": 7, "!": 11, "ef": 13} {
		if at := got.at(strings.Index(got.s, word)); at.col != col {
			t.Errorf("column of %s = %d, want %d", word, at.col, col)
		}
	}
}

func TestWords(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want string // words with their column, quoted ones in quotes
		open int
	}{
		{"a b", "a:1 b:3", -1},
		{"  a\t\vb  ", "a:3 b:6", -1},
		{`"a b" c`, `"a b":1 c:7`, -1},
		{`a"b c"d`, `a:1 "b c":2 d:7`, -1},
		{`"" x`, `"":1 x:4`, -1},
		{`a "b`, `a:1 "b":3`, 2},
		{`"a\" b`, `"a\":1 b:6`, -1},
		{`x${A}y ${_RANDOM 1 2}z`, `x${A}y:1 ${_RANDOM 1 2}z:8`, -1},
		{"", "", -1},
	} {
		list, open := words(nil, lit(tc.in))
		var got []string
		for _, w := range list {
			s := w.s
			if w.quoted {
				s = `"` + s + `"`
			}
			got = append(got, s+":"+string(rune('0'+w.at.col)))
		}
		if s := strings.Join(got, " "); s != tc.want || open != tc.open {
			t.Errorf("words(%q) = %s, %d, want %s, %d", tc.in, s, open, tc.want, tc.open)
		}
	}
}

func TestBrace(t *testing.T) {
	for in, want := range map[string]int{
		"a b":         -1,
		"a {":         2,
		"a{":          1,
		"}":           0,
		`a "{" }`:     6,
		`a "{ }"`:     -1,
		"${A} {":      5,
		"a${A}b":      -1,
		"${_ENV X} }": 10,
		"${9} x":      1, // no name, so its brace counts
		`a "b\"{" {`:  9,
	} {
		if got := brace(in); got != want {
			t.Errorf("brace(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestReference(t *testing.T) {
	for _, tc := range []struct {
		in, inside string
		n          int
	}{
		{"$A", "A", 2},
		{"$A b", "A", 2},
		{"$A,b", "A", 2},
		{"$A)b", "A", 2},
		{"$A.b", "", 0},
		{"$A/24", "", 0},
		{`$A"`, "", 0},
		{"${A}b", "A", 4},
		{"${_RANDOM 1 5}b", "_RANDOM 1 5", 14},
		{"${A 1}", "", 0},
		{"${A", "", 0},
		{"${}", "", 0},
		{"$", "", 0},
		{"$1", "", 0},
		{"$_a9", "_a9", 4},
		{"A", "", 0},
	} {
		inside, n := reference(tc.in)
		if inside != tc.inside || n != tc.n {
			t.Errorf("reference(%q) = %q, %d, want %q, %d", tc.in, inside, n, tc.inside, tc.n)
		}
	}
}

func TestSplitRaw(t *testing.T) {
	for _, tc := range []struct {
		in, want string // words by |
		err      error
	}{
		{`/bin/true a b`, "/bin/true|a|b", nil},
		{`"/bin/sh -c 'x'" y`, "/bin/sh -c 'x'|y", nil},
		{`'a "b" c' d`, `a "b" c|d`, nil},
		{`a'b c'd`, "ab cd", nil},
		{`"a \" b"`, `a " b`, nil},
		{`'a \n'`, `a \n`, nil},
		{`a\ b`, "a b", nil},
		{`\a\b\E\f\n\r\t\v`, "\a\b\x1b\f\n\r\t\v", nil},
		{`\x41\x4g`, "A\x04g", nil},
		{`\101\0`, "A\x00", nil},
		{`\cA`, "\x01", nil},
		{`\$\\`, `$\`, nil},
		{`""`, "", nil},
		{`a "b`, "a", errQuote},
		{`'a`, "", errQuote},
		{`a \`, "a", errEscape},
		{`\xg`, "", errEscape},
		{`\c`, "", errEscape},
		{`\777`, "", errEscape},
	} {
		list, err := splitRaw(lit(tc.in))
		var got []string
		for _, w := range list {
			got = append(got, w.s)
		}
		if s := strings.Join(got, "|"); s != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("splitRaw(%q) = %q, %v, want %q, %v", tc.in, s, err, tc.want, tc.err)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"weight", "weight", 0},
		{"weigth", "weight", 1},
		{"wieght", "weight", 1},
		{"wight", "weight", 1},
		{"", "abc", 3},
		{"abc", "", 3},
		{"kitten", "sitting", 3},
	} {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestSuggest(t *testing.T) {
	list := []string{"weight", "retry", "delay_loop", "vrrp_garp_master_delay", "TCP_CHECK"}
	for in, want := range map[string]string{
		"weigth":            "weight",
		"tcp_check":         "TCP_CHECK",
		"garp_master_delay": "vrrp_garp_master_delay",
		"delayloop":         "delay_loop",
		"laddr_group_name":  "",
		"x":                 "",
	} {
		if got := suggest(in, list); got != want {
			t.Errorf("suggest(%q) = %q, want %q", in, got, want)
		}
	}
}
