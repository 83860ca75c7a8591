package notify

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// shell runs the one form of command that keepalived gives to a shell.
const shell = "/bin/sh"

var (
	errNoCommand = errors.New("split command: no command")
	errQuote     = errors.New("split command: a quote is not closed")
	errEscape    = errors.New("split command: a backslash escape is not complete")
)

// ParseCommand splits the text of a command, as it stands after the
// configuration's own quotes are gone, into the program and its arguments by
// keepalived's rules. Blanks separate; single and double quotes group, and a
// quoted part may be joined to a plain one. A backslash escapes everywhere,
// also inside single quotes: \a \b \E \f \n \r \t \v, \xHH, \ooo, \cX, and any
// other character stands for itself. No other character is special: $ * | ; and
// > reach the program as they are.
//
// A command that begins with </ is given to a shell as a whole, as keepalived
// does for scripts such as </dev/tcp/192.0.2.1/80. Everything else that wants a
// shell has to name one.
func ParseCommand(text string) ([]string, error) {
	text = strings.TrimSpace(text)
	if file, ok := strings.CutPrefix(text, "<"); ok && strings.HasPrefix(strings.TrimLeft(file, " \t"), "/") {
		return []string{shell, "-c", text}, nil
	}
	var argv []string
	for text != "" {
		word, rest, err := nextWord(text)
		if err != nil {
			return nil, err
		}
		argv = append(argv, word)
		text = strings.TrimLeft(rest, blanks)
	}
	if len(argv) == 0 || argv[0] == "" {
		return nil, errNoCommand
	}
	return argv, nil
}

// blanks are C's isspace.
const blanks = " \t\n\v\f\r"

// nextWord reads the first word of s, which does not begin with a blank.
func nextWord(s string) (word, rest string, err error) {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case quote == 0 && strings.IndexByte(blanks, c) >= 0:
			return b.String(), s[i:], nil
		case c == '\\':
			n, ok := unescape(&b, s[i+1:])
			if !ok {
				return "", "", errEscape
			}
			i += n
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		default:
			b.WriteByte(c)
		}
		i++
	}
	if quote != 0 {
		return "", "", errQuote
	}
	return b.String(), "", nil
}

// unescape writes the character that s, the text after a backslash, stands for
// and returns how many bytes of s it took. NUL ends a string in C, so no escape
// gives one.
func unescape(b *strings.Builder, s string) (int, bool) {
	if s == "" {
		return 0, false
	}
	const letters, values = "abEfnrtv", "\a\b\x1b\f\n\r\t\v"
	c := s[0]
	if at := strings.IndexByte(letters, c); at >= 0 {
		b.WriteByte(values[at])
		return 1, true
	}
	switch {
	case c == 'x':
		n, ok := writeNumber(b, s[1:], 2, 16)
		return 1 + n, ok
	case c >= '0' && c <= '7':
		return writeNumber(b, s, 3, 8)
	case c == 'c' && len(s) > 1 && s[1]&0x1f != 0:
		b.WriteByte(s[1] & 0x1f)
		return 2, true
	case c == 'c':
		return 0, false
	}
	_, n := utf8.DecodeRuneInString(s)
	b.WriteString(s[:n])
	return n, true
}

// writeNumber writes the byte whose number begins s and has at most the given
// count of digits.
func writeNumber(b *strings.Builder, s string, most, base int) (int, bool) {
	digits := "0123456789abcdefABCDEF"
	if base == 8 {
		digits = "01234567"
	}
	n := 0
	for n < len(s) && n < most && strings.IndexByte(digits, s[n]) >= 0 {
		n++
	}
	v, err := strconv.ParseUint(s[:n], base, 8)
	if err != nil || v == 0 {
		return n, false
	}
	b.WriteByte(byte(v))
	return n, true
}
