package notify

import (
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	long := strings.Repeat("x", 3*tailBytes)
	tests := []struct {
		name   string
		writes []string
		want   string
	}{
		{"nothing", nil, ""},
		{"one line", []string{"a\n"}, "a"},
		{"no line feed", []string{"a"}, "a"},
		{"pieces", []string{"a", "b\nc", "\n\n"}, "ab\nc"},
		{"as many lines as are kept", []string{"1\n2\n3\n4\n5\n6\n7\n8\n"}, "1\n2\n3\n4\n5\n6\n7\n8"},
		{"more lines", []string{"0\n1\n2\n3\n4\n5\n6\n7\n", "8"}, "1\n2\n3\n4\n5\n6\n7\n8"},
		{"a long write", []string{"a", long}, long[:tailBytes]},
		{"too many bytes", []string{"ab", long[:tailBytes-1]}, "b" + long[:tailBytes-1]},
		{"carriage return", []string{"a\r\n"}, "a"},
		{"not UTF-8", []string{"a\xff"}, "a\uFFFD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l tail
			for _, w := range tt.writes {
				if n, err := l.Write([]byte(w)); n != len(w) || err != nil {
					t.Errorf("Write = %d, %v", n, err)
				}
			}
			if got := l.String(); got != tt.want {
				t.Errorf("String = %q, want %q", got, tt.want)
			}
		})
	}
}
