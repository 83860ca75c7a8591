package config

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// splitRaw splits the line of a script or regex keyword. There, single and
// double quotes group, and a backslash escapes outside single quotes: \a \b \E
// \f \n \r \t \v, \xHH, \ooo, \cX, and any other character stands for itself.
// Adjacent quoted and plain parts make one word.
func splitRaw(t text) ([]word, error) {
	var list []word
	s := t.s
	for i := 0; i < len(s); {
		if blank(s[i]) {
			i++
			continue
		}
		w, n, err := rawWord(s[i:])
		if err != nil {
			return list, err
		}
		w.at = t.at(i)
		list = append(list, w)
		i += n
	}
	return list, nil
}

var (
	errQuote  = errors.New("a quote is not closed")
	errEscape = errors.New("a backslash escape is not complete")
)

// rawWord reads one word and returns its length in s.
func rawWord(s string) (word, int, error) {
	var b strings.Builder
	var quote byte
	quoted := false
	i := 0
	for i < len(s) {
		c := s[i]
		switch {
		case quote == 0 && blank(c):
			return word{s: b.String(), quoted: quoted}, i, nil
		case c == quote && quote != 0:
			quote = 0
			i++
		case quote == 0 && (c == '"' || c == '\''):
			quote, quoted = c, true
			i++
		case c == '\\' && quote != '\'':
			n, ok := escape(&b, s[i+1:])
			if !ok {
				return word{}, 0, errEscape
			}
			i += 1 + n
		default:
			b.WriteByte(c)
			i++
		}
	}
	if quote != 0 {
		return word{}, 0, errQuote
	}
	return word{s: b.String(), quoted: quoted}, i, nil
}

// plainEscapes are the one-letter escapes.
const plainEscapes = "a\ab\bE\x1bf\fn\nr\rt\tv\v"

// escape writes the character that s, the text after a backslash, stands for
// and returns how much of s it used.
func escape(b *strings.Builder, s string) (int, bool) {
	if s == "" {
		return 0, false
	}
	c := s[0]
	for i := 0; i < len(plainEscapes); i += 2 {
		if plainEscapes[i] == c {
			b.WriteByte(plainEscapes[i+1])
			return 1, true
		}
	}
	switch {
	case c == 'x':
		n := digits(s[1:], 2, "0123456789abcdefABCDEF")
		return 1 + n, number(b, s[1:1+n], 16)
	case c >= '0' && c <= '7':
		n := digits(s, 3, "01234567")
		return n, number(b, s[:n], 8)
	case c == 'c':
		if len(s) < 2 {
			return 0, false
		}
		b.WriteByte(s[1] & 0x1f)
		return 2, true
	}
	_, n := utf8.DecodeRuneInString(s)
	b.WriteString(s[:n])
	return n, true
}

func digits(s string, most int, set string) int {
	n := 0
	for n < len(s) && n < most && strings.IndexByte(set, s[n]) >= 0 {
		n++
	}
	return n
}

func number(b *strings.Builder, s string, base int) bool {
	v, err := strconv.ParseUint(s, base, 8)
	if err != nil {
		return false
	}
	b.WriteByte(byte(v))
	return true
}
