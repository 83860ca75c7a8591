// Package pcre runs the regex of HTTP_GET and SSL_GET, written for PCRE2, on
// Go's regexp.
//
// It owns the differences between the two: what regex_options mean, where $
// matches, and between which offsets a match may begin. Go's engine works in
// time linear in the body, whatever the pattern and the body are, which a check
// of untrusted servers needs. What it cannot do (looking around, back
// references, atomic groups, possessive repeats) is an error of Compile that
// says so; nothing is matched in another sense silently.
//
// Two differences stay, since no health check depends on them: \s leaves out
// the vertical tab, and . takes a whole character of UTF-8 instead of one byte
// of it.
//
// It never reads a body itself and bounds no time. Tests are tables of pattern,
// body and verdict, checked against what PCRE2 says.
package pcre
