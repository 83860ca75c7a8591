package pcre_test

import (
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/model/pcre"
)

// matchTests have the verdicts of pcre2_match (10.42) with the start offset
// as keepalived calls it.
var matchTests = []struct {
	pattern, options string
	min              uint32
	max              int // -1: none
	body             string
	want             bool
}{
	{"OK", "", 0, -1, "all OK here", true},
	{"OK", "", 0, -1, "all ok here", false},
	{"OK", "caseless", 0, -1, "all ok here", true},
	{"^OK$", "", 0, -1, "OK", true},
	{"^OK$", "", 0, -1, "OK\n", true},
	{"^OK$", "", 0, -1, "OK\n\n", false},
	{"^OK$", "", 0, -1, "OK\r\n", false},
	{"^OK$", "dollar_endonly", 0, -1, "OK\n", false},
	{"^OK$", "dollar_endonly", 0, -1, "OK", true},
	{"^OK$", "", 0, -1, "x\nOK\ny", false},
	{"^OK$", "multiline", 0, -1, "x\nOK\ny", true},
	{"(?m)^OK$", "", 0, -1, "x\nOK\ny", true},
	{`OK\z`, "", 0, -1, "OK\n", false},
	{"(a|b$)c?", "", 0, -1, "xb\n", true},
	{"a.c", "", 0, -1, "a\nc", false},
	{"a.c", "dotall", 0, -1, "a\nc", true},
	{"a b # c\n d", "extended", 0, -1, "abd", true},
	{"a b", "extended", 0, -1, "a b", false},
	{`a\ b`, "extended", 0, -1, "a b", true},
	{"a[ ]b", "extended", 0, -1, "a b", true},
	{"[] ]b", "extended", 0, -1, " b", true},
	{"[^]]b", "extended", 0, -1, "]b", false},
	{"[[:digit:] #] x", "extended", 0, -1, "#x", true},
	{`\Qa.c\E`, "", 0, -1, "abc", false},
	{"OK", "", 3, -1, "OK OK", true},
	{"OK", "", 4, -1, "OK OK", false},
	{"OK", "", 5, -1, "OK OK", false},
	{"OK", "", 500, -1, "OK OK", false},
	{"OK", "", 0, 3, "-- OK", true},
	{"OK", "", 0, 2, "-- OK", false},
	{"OK", "", 3, 3, "-- OK", true},
	{"OK", "", 1, 2, "OK OK", false},
	// The other way round, both are ignored.
	{"OK", "", 5, 2, "OK", true},
	{"^OK", "", 3, -1, "-- OK", false},
	{"^OK", "multiline", 3, -1, "--\nOK", true},
	{`\bOK`, "", 2, -1, "--OK", true},
	{`\bOK`, "", 2, -1, "xxOK", false},
	{"aa", "", 1, -1, "aaa", true},
	{"aaa", "", 1, -1, "aaab", false},
	{"OK", "firstline", 0, -1, "a\nOK", false},
	{"OK", "firstline", 0, -1, "a OK\n", true},
	{"\nOK", "firstline", 0, -1, "a\nOK", true},
	{"OK", "firstline", 2, -1, "a\nOK", true},
	{"a+?b", "ungreedy", 0, -1, "aab", true},
	{"OK", "no_auto_possess utf no_such_option", 0, -1, "OK", true},
	{"a.b", "", 0, -1, "a\xffb", true},
	{"", "", 0, -1, "", true},
	{"x*", "", 1, -1, "", false},
}

func TestMatch(t *testing.T) {
	for _, tt := range matchTests {
		r := model.Regex{Pattern: tt.pattern, Options: strings.Fields(tt.options), MinOffset: tt.min}
		if tt.max >= 0 {
			r.MaxOffset = new(uint32(tt.max))
		}
		p, err := pcre.Compile(r)
		if err != nil {
			t.Errorf("%q (%s): %v", tt.pattern, tt.options, err)
			continue
		}
		if got := p.Match([]byte(tt.body), 0); got != tt.want {
			t.Errorf("%q (%s) from %d to %d in %q: %v, want %v", tt.pattern, tt.options, tt.min, tt.max, tt.body, got, tt.want)
		}
		from, _ := p.Reach()
		if from > len(tt.body) {
			continue
		}
		if got := p.Match([]byte(tt.body)[from:], from); got != tt.want {
			t.Errorf("%q (%s) from %d to %d in %q without its first %d bytes: %v, want %v", tt.pattern, tt.options, tt.min, tt.max, tt.body, from, got, tt.want)
		}
	}
}

func TestCompileSaysWhatCannotRun(t *testing.T) {
	tests := []struct{ pattern, options, want string }{
		{"a(?=b)", "", "looking ahead by (?= cannot be used here"},
		{"(?<!a)b", "", "looking behind by (?<! cannot be used here"},
		{"(?<=a)b", "", "looking behind by (?<= cannot be used here"},
		{"(?>a)", "", "an atomic group (?> cannot be used here"},
		{`(a)\1`, "", `the back reference \1 cannot be used here`},
		{"(?P<n>a)(?P=n)", "", "the back reference (?P= cannot be used here"},
		{"a(?R)?", "", "the recursion (?R cannot be used here"},
		{"a++", "", "the possessive repeat ++ cannot be used here"},
		{"(*UTF)a", "", "a verb such as (*UTF) cannot be used here"},
		{`a\Z`, "", `\Z cannot be used here`},
		{"a[]b", "allow_empty_class", "the empty class [] cannot be used here"},
		{"(", "", "missing closing ): ("},
		{"[a", "", "missing closing ]: [a"},
		{"((a{100}){100}){100}", "", "invalid repeat count: {100}"},
	}
	for _, tt := range tests {
		_, err := pcre.Compile(model.Regex{Pattern: tt.pattern, Options: strings.Fields(tt.options)})
		if err == nil || err.Error() != tt.want {
			t.Errorf("Compile(%q) = %v, want %q", tt.pattern, err, tt.want)
		}
	}
}

// Whatever the pattern, compiling ends with a pattern or an error, and a
// match without offsets or options is that of Go where $ is not used.
func FuzzCompile(f *testing.F) {
	for _, tt := range matchTests {
		f.Add(tt.pattern, tt.options, tt.min, tt.body)
	}
	f.Fuzz(func(t *testing.T, pattern, options string, from uint32, body string) {
		p, err := pcre.Compile(model.Regex{Pattern: pattern, Options: strings.Fields(options), MinOffset: from})
		if err != nil {
			return
		}
		whole := p.Match([]byte(body), 0)
		if least, _ := p.Reach(); least <= len(body) {
			if part := p.Match([]byte(body)[least:], least); part != whole {
				t.Errorf("%q from %d in %q: %v, without the bytes before it %v", pattern, from, body, whole, part)
			}
		}
	})
}
