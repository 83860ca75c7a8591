package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestReader is the table of the line rules. Where the comment says measured,
// keepalived 2.2.7 -t does the same.
func TestReader(t *testing.T) {
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, in, want string }{
		// Lines, comments, blocks: measured.
		{"words", "a b\nc", "a|b; c"},
		{"CRLF", "a {\r\n b\r\n}\r\n", "a{b}"},
		{"comments", "a # b\n! c\nd ! e\n  # f\n", "a; d"},
		{"escaped comment", `a \# b \! c`, "a|#|b|!|c"},
		{"quoted comment", `a "b # c" d # e`, "a|b # c|d"},
		{"byte order mark", "\ufeffa b", "a|b"},
		{"no newline at the end", "a {\nb\n}", "a{b}"},
		{"brace on the next line", "a\n\n# c\n{\n b\n}", "a{b}"},
		{"brace glued to a word", "a b{\n c\n}", "a|b{c}"},
		{"one line", "a { b c } d", "a{b|c}; d"},
		{"nested on one line", "a { b { c } d } e", "a{b{c}; d}; e"},
		{"empty block", "a {}\nb{ }", "a{}; b{}"},
		{"braces inside words", "a b{c}d", "a|b{c}; d"},
		{"quoted braces", `a "{" { b "}" }`, "a|{{b|}}"},
		{"nameless block", "{ a }", "{a}"},
		{"block after block", "a { b }\n{ c }", "a{b}; {c}"},

		// Conditions: measured, except for evenkeel.
		{"condition", "@test a\n@other b\n@^other c\n@^test d\n  @test e", "a; c; e"},
		{"condition with a tab", "@test\ta", "a"},
		{"condition alone", "@test\n@ a\nb", "b"},
		{"condition evenkeel", "@evenkeel a\n@^evenkeel b\n@test @evenkeel c", "a; c"},
		{"conditional block", "@test a {\n@test b\n@other c\n@test }", "a{b}"},
		{"conditional definition", "@test $Q=1\n@other $Q=2\nq $Q", "q|1"},
		{"condition after a brace", "a { @test b\n@other c\n}", "a{b}"},

		// Definitions: measured.
		{"definition", "$A=x\na $A b$A ${A}c $A,d ($A)", "a|x|bx|xc|x,d|(x)"},
		{"no use", "$A=x\na $A.b $A/24 $AB $A\\b", "a|$A.b|$A/24|$AB|$A\\b"},
		{"use in quotes", "$A=x\na \"b $A c\" \"$A\"", `a|b x c|$A`},
		{"definition with comment", "$A=x # c\n$B=\"y # z\" # c\na $A $B", "a|x|y # z"},
		{"blank after =", "$A=  5 \na $A", "a|5"},
		{"blank before = is none", "$A = 5", "$A|=|5"},
		{"empty definition", "$A=\na $A b", "a|b"},
		{"undefined", "a $B ${B}c", "a|$B|${B}c"},
		{"late binding", "$D=1\n$E=w $D\n$D=2\n$E", "w|2"},
		{"definition in a block", "a {\n$Z=q\n$Z\n}\n$Z", "a{q}; q"},
		{"definition after a brace", "a { $Z=q\n}\n$Z", "a{}; q"},
		{"expansion to a word with blanks", "$A=\"x y\"\na $A", "a|x y"},
		{"several lines", "$A=a {\\\n b \\\n # c \\\n d # e \\\n\\\n} \n$A", "a{b; d}"},
		{"blanks after the backslash", "$A=a \\ \t\nb\n$A", "a; b"},
		{"several lines with conditions", "$A= \\\n@test a \\\n@other b \\\nc\n$A", "a; c"},
		{"several lines in a word", "$A=w {\\\n}\nx$A y", "xw{}; y"},
		{"definition inside a definition", "$B=x {\\\n $C=7 \\\n y $C \\\n}\n$B\n$C", "x{y|7}; 7"},
		{"definition open at the end", "$A=a \\\nb \\", ""},
		{"continuation only in definitions", "a \\\nb", `a|\; b`},

		// Predefined names.
		{"_HASH and _BANG", "a ${_HASH}b ${_BANG}", "a|#b|!"},
		{"_RANDOM", "a ${_RANDOM 5 5}", "a|5"},
		{"_RANDOM with bad bounds", "a ${_RANDOM 6 5} ${_RANDOM x}", "a|${_RANDOM 6 5}|${_RANDOM x}"},
		{"_ENV", "a ${_ENV VIP} ${_ENV NONE}b", "a|192.0.2.9|b"},
		{"_ENV with several lines", "a ${_ENV LINES}b", "a|b"},
		{"_INSTANCE", "a ${_INSTANCE}\ninstance foo\nb ${_INSTANCE}", "a|test; instance|foo; b|foo"},
		{"_PWD", "a ${_PWD}/b", "a|" + dir + "/b"},
		{"unknown _NAME", "a ${_FOO}", "a|${_FOO}"},

		// Sequences: measured.
		{"SEQ start end", "~SEQ(x,1,3) w$x a", "w1|a; w2|a; w3|a"},
		{"SEQ step", "~SEQ(x,3,-1,1) w${x}b", "w3b; w2b; w1b"},
		{"SEQ end", "~SEQ(x,2) w$x", "w1; w2"},
		{"SEQ end 0", "~SEQ(x,0) w$x", "w1; w0"},
		{"SEQ end negative", "~SEQ(x,-2) w$x", "w-1; w-2"},
		{"SEQ down", "~SEQ(x,3,1) w$x", "w3; w2; w1"},
		{"SEQ past the end", "~SEQ(x,1,5,3) w$x", "w1"},
		{"SEQ blanks", "~SEQ ( x , 1 , 2 )w$x", "w1; w2"},
		{"SEQ hex input", "~SEQ(x,0x8,0xa) w$x", "w8; w9; w10"},
		{"SEQ octal input", "~SEQ(x,010,010) w$x", "w8"},
		{"SEQx", "~SEQx(x,9,11) w$x", "w9; wa; wb"},
		{"SEQ chained", "~SEQ(a,1,2)~SEQ(b,1,2) w${a}${b}", "w11; w12; w21; w22"},
		{"SEQ nested", "~SEQ(x,1,2) ~SEQ(y,1,$x) w${x}${y}", "w11; w21; w22"},
		{"SEQ with definition", "$N=2\n~SEQ(x,1,$N) w$x", "w1; w2"},
		{"SEQ in a definition", "$T=~SEQ(y,1,2) v$y\n$T", "v1; v2"},
		{"SEQ over lines", "$W=w$x {\\\n v$x \\\n}\n~SEQ(x,1,2) $W", "w1{v1}; w2{v2}"},
		{"SEQ with block", "~SEQ(x,1,2) w { a$x }", "w{a1}; w{a2}"},
		{"SEQ with definition inside", "~SEQ(x,1,2) $M=$x\nr $M", "r|2"},
		{"SEQ variable ends with it", "$x=z\n~SEQ(x,1,1) w$x\nw$x", "w1; wz"},
		{"SEQ not at the start", "w ~SEQ(x,1,2) $x", "w|~SEQ(x,1,2)|$x"},
		{"SEQ conditional", "@test ~SEQ(x,1,2) w$x\n@other ~SEQ(x,1,2) v$x", "w1; w2"},
		{"no sequence", "~FOO(x,1) g", "~FOO(x,1)|g"},
		{"LST", "~LST(x,a,b) l$x", "la; lb"},
		{"LST blanks", "~LST( x , a , b ) l$x", "la; lb"},
		{"LST tuples", "~LST({x,y},{1,2},{3,4}) m${x}${y}", "m12; m34"},
		{"LST one-tuple", "~LST({x},{1},{2}) j$x", "j1; j2"},
		{"LST keeps one value", "$L=a,b\n~LST(k,$L) k$k", "ka,b"},
		{"LST empty value", "~LST(x,a,,b) o${x}o", "oao; oo; obo"},
		{"SEQ and LST", "~SEQ(x,1,2)~LST(y,a,b) w $x ${y}", "w|1|a; w|1|b; w|2|a; w|2|b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := read(tc.in + "\n")
			if tc.want != "" && err != nil {
				t.Fatalf("read: %v", err)
			}
			if got := render(r.tree.root); got != tc.want {
				t.Errorf("tree = %s, want %s\n%s", got, tc.want, complaints(r.sorted()))
			}
		})
	}
}

// TestReaderErrors: the line is ignored, and the complaint says where.
func TestReaderErrors(t *testing.T) {
	for _, tc := range []struct{ name, in, want, complaint string }{
		{"NUL", "a\x00b\nc", "c", "main.conf:1:2: error: the line holds a NUL byte"},
		{"open quote", "a \"b\nc", "c", "main.conf:1:3: error: a quote is not closed"},
		{"SEQ without end", "~SEQ(x,1 w\nc", "c", "main.conf:1:1: error: the sequence is not understood"},
		{"SEQ bad name", "~SEQX(x,1) w\nc", "c", "main.conf:1:1: error: the sequence"},
		{"SEQ no number", "~SEQ(x,a,3) w\nc", "c", `"a" is not a number`},
		{"SEQ variable", "~SEQ(1,2) w\nc", "c", `"1" is not a variable name`},
		{"SEQ step 0", "~SEQ(x,1,0,3) w\nc", "c", "step 0 never leads from 1 to 3"},
		{"SEQ wrong way", "~SEQ(x,1,-1,3) w\nc", "c", "step -1 never leads from 1 to 3"},
		{"SEQ too many", "~SEQ(x,1,2,3,4) w\nc", "c", "one to three numbers"},
		{"SEQx negative", "~SEQx(x,-1,1) w\nc", "c", "no negative numbers"},
		{"LST blank", "~LST(x,a b) w\nc", "c", `"a b" has a blank`},
		{"LST no value", "~LST(x) w\nc", "c", "at least one value"},
		{"LST short tuple", "~LST({x,y},{1}) w\nc", "c", "{1} has 1 values for 2 variables"},
		{"LST long tuple", "~LST(x,{1,2}) w\nc", "c", "{1,2} has 2 values for 1 variables"},
		{"LST open tuple", "~LST({x,1) w\nc", "c", "no closing brace"},
		{"LST no comma", "~LST({x}{1}) w\nc", "c", "a comma is missing"},
		{"condition without a name", "@ a\nc", "c", "main.conf:1:1: warning: the condition names no config-id"},
		{"long line", "a # " + strings.Repeat("x", 1100) + "\nc", "a; c", "note: the line has 1104 bytes"},
		{"byte order mark", "\ufeffc", "c", "warning: the file begins with a byte order mark"},
		{"environment with lines", "a ${_ENV LINES}\nc", "a; c", "main.conf:1:3: error: the environment variable LINES has several lines"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := read(tc.in + "\n")
			if err != nil {
				t.Fatalf("read: %v", err)
			}
			if got := render(r.tree.root); got != tc.want {
				t.Errorf("tree = %s, want %s", got, tc.want)
			}
			if got := complaints(r.sorted()); !strings.Contains(got, tc.complaint) {
				t.Errorf("complaints = %s, want %s", got, tc.complaint)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	r, err := read("$IP=192.0.2.1\n$BLOCK=outer { \\\n  inner $IP \\\n}\n\ta $IP  \"b c\"{ d }\n$BLOCK\n~SEQ(x,1,2) s$x t\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var walk func(b *block)
	walk = func(b *block) {
		for _, s := range b.statements {
			for _, w := range s.words {
				p := w.at.position(r.files)
				got = append(got, w.s+"@"+p.String()[len("main.conf:"):])
			}
			if s.block != nil {
				walk(s.block)
			}
		}
	}
	walk(r.tree.root)
	want := "a@5:2 192.0.2.1@5:4 b c@5:9 d@5:16 " +
		"outer@2:8 inner@3:3 192.0.2.1@3:9 " + // a definition of several lines: where it is written
		"s1@7:13 t@7:17 s2@7:13 t@7:17"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("places =\n%s, want\n%s", s, want)
	}
}
