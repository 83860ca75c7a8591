package notify

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParseCommand holds what keepalived 2.2.7 was seen to pass to a script,
// after its configuration parser had taken the outer quotes away.
func TestParseCommand(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"/bin/x", []string{"/bin/x"}},
		{"/bin/x a\tb   c  ", []string{"/bin/x", "a", "b", "c"}},
		{"  /bin/x a", []string{"/bin/x", "a"}},
		{`/bin/x one 'two three' fo"u r" a`, []string{"/bin/x", "one", "two three", "fou r", "a"}},
		{`/bin/x a'b'c"d"e`, []string{"/bin/x", "abcde"}},
		{`/bin/x a\ b a\\b`, []string{"/bin/x", "a b", `a\b`}},
		{`/bin/x 'a"b' 'it\'s'`, []string{"/bin/x", `a"b`, "it's"}},
		{`/bin/x "b\"c" '\n'`, []string{"/bin/x", `b"c`, "\n"}},
		{`/bin/x "" '' x''`, []string{"/bin/x", "", "", "x"}},
		{`'/bin/x' a`, []string{"/bin/x", "a"}},
		{`/bin/x \a\b\E\f\n\r\t\v\x41\101\cA\q|`, []string{"/bin/x", "\a\b\x1b\f\n\r\t\vAA\x01q|"}},
		{`/bin/x \x4 \x412 \7 \1012 \c?`, []string{"/bin/x", "\x04", "A2", "\a", "A2", "\x1f"}},
		{"/bin/x a\fb\vc\nd\re", []string{"/bin/x", "a", "b", "c", "d", "e"}},
		{"/bin/x $HOME * `id` ; echo | cat > /dev/null && x", []string{"/bin/x", "$HOME", "*", "`id`", ";", "echo", "|",
			"cat", ">", "/dev/null", "&&", "x"}},
		{"/bin/x # x ! y", []string{"/bin/x", "#", "x", "!", "y"}},
		{`/bin/x \é é`, []string{"/bin/x", "é", "é"}},
		{"</dev/tcp/127.0.0.1/80", []string{"/bin/sh", "-c", "</dev/tcp/127.0.0.1/80"}},
		{" < /dev/tcp/127.0.0.1/80 ", []string{"/bin/sh", "-c", "< /dev/tcp/127.0.0.1/80"}},
		{"<x y", []string{"<x", "y"}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := ParseCommand(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseCommand (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseCommandErrors(t *testing.T) {
	tests := []struct {
		text string
		want error
	}{
		{"", errNoCommand},
		{" \t", errNoCommand},
		{`"" x`, errNoCommand},
		{"/bin/x 'a", errQuote},
		{`/bin/x a"b c`, errQuote},
		{`/bin/x 'it's'`, errQuote},
		{`/bin/x a\`, errEscape},
		{`/bin/x \xg`, errEscape},
		{`/bin/x \x00`, errEscape},
		{`/bin/x \0`, errEscape},
		{`/bin/x \777`, errEscape},
		{`/bin/x \c`, errEscape},
		{`/bin/x \c@`, errEscape},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := ParseCommand(tt.text)
			if !errors.Is(err, tt.want) || got != nil {
				t.Errorf("ParseCommand = %q, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{"", "/bin/x a 'b c'", `"\x41\101\cA`, `\`, "</x", "a\xff\\\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		argv, err := ParseCommand(text)
		if (err == nil) == (len(argv) == 0) {
			t.Errorf("ParseCommand(%q) = %q, %v", text, argv, err)
		}
	})
}
