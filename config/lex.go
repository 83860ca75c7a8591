package config

import "strings"

// The line rules of keepalived 2.2.7, measured:
//
//   - # and ! start a comment outside double quotes, also inside a word; a
//     backslash before them keeps them.
//   - Blanks separate words. A double quote starts and ends a word, also in the
//     middle of one: a"b c"d is three words. Nothing escapes in there.
//   - Braces outside double quotes open and close blocks, also inside a word.
//     The rest of the line after a brace is a new line.

// uncomment drops the comment of a line and the backslashes that protect
// comment characters. It reports an unfinished quote by its index, else -1.
func uncomment(t text) (text, int) {
	s := t.s
	quote := -1
	var out *textBuilder
	start := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			if quote < 0 && (s[i+1] == '#' || s[i+1] == '!') {
				if out == nil {
					out = &textBuilder{}
				}
				out.add(t.cut(start, i))
				start = i + 1
			}
			i++
		case c == '"':
			if quote < 0 {
				quote = i
			} else {
				quote = -1
			}
		case (c == '#' || c == '!') && quote < 0:
			return finish(out, t, start, i), -1
		}
	}
	return finish(out, t, start, len(s)), quote
}

func finish(out *textBuilder, t text, start, end int) text {
	if out == nil {
		return t.cut(0, end)
	}
	out.add(t.cut(start, end))
	return out.text()
}

// brace returns the index of the first brace that opens or closes a block,
// or -1. The braces of an undefined ${NAME} are part of the word.
func brace(s string) int {
	if strings.IndexByte(s, '{') < 0 && strings.IndexByte(s, '}') < 0 {
		return -1
	}
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '$':
			if _, n := reference(s[i:]); n > 0 {
				i += n - 1
			}
		case c == '{' || c == '}':
			return i
		}
	}
	return -1
}

// word is one word of a statement, without its quotes.
type word struct {
	s      string
	at     place
	quoted bool
}

// words splits a line by the rule for ordinary keywords and appends its words to
// list. open is the index of a quote that is not closed, else -1; the rest of the
// line is its word.
func words(list []word, t text) (_ []word, open int) {
	s := t.s
	for i := 0; i < len(s); {
		switch {
		case blank(s[i]):
			i++
		case s[i] == '"':
			end := strings.IndexByte(s[i+1:], '"')
			if end < 0 {
				return append(list, word{s: s[i+1:], at: t.at(i), quoted: true}), i
			}
			list = append(list, word{s: s[i+1 : i+1+end], at: t.at(i), quoted: true})
			i += end + 2
		default:
			j := i
			for j < len(s) && !blank(s[j]) && s[j] != '"' {
				if s[j] == '$' {
					if _, n := reference(s[j:]); n > 0 {
						j += n
						continue
					}
				}
				j++
			}
			list = append(list, word{s: s[i:j], at: t.at(i)})
			i = j
		}
	}
	return list, -1
}

// identifier returns the length of the name at the start of s.
func identifier(s string) int {
	i := 0
	for i < len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			break
		}
		i++
	}
	return i
}

// reference reads the $NAME or ${NAME} at the start of s. It returns what
// stands between the braces, or the name, and the length; 0 for neither. A
// bare $NAME ends at a blank, a comma, a closing parenthesis or the end of the
// line; anything else after it makes it plain text.
func reference(s string) (inside string, n int) {
	if len(s) < 2 || s[0] != '$' {
		return "", 0
	}
	if s[1] == '{' {
		k := identifier(s[2:])
		if k == 0 {
			return "", 0
		}
		end := strings.IndexByte(s[2:], '}')
		hasParameters := s[2] == '_' && end > k && blank(s[2+k])
		if end < 0 || end != k && !hasParameters {
			return "", 0
		}
		return s[2 : 2+end], end + 3
	}
	k := identifier(s[1:])
	if k == 0 {
		return "", 0
	}
	if end := 1 + k; end < len(s) && !blank(s[end]) && s[end] != ',' && s[end] != ')' {
		return "", 0
	}
	return s[1 : 1+k], 1 + k
}
