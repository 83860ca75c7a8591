package config

import (
	"strings"
)

// ownID is the config-id that always matches: lines marked with it are for
// Evenkeel, and keepalived skips them under any other config-id.
const ownID = "evenkeel"

// condition takes the @ID or @^ID from the start of the line and reports
// whether the line is kept.
func (r *reader) condition(in *input) bool {
	for strings.HasPrefix(in.s, "@") {
		end := strings.IndexFunc(in.s, func(c rune) bool { return c < 0x80 && blank(byte(c)) })
		if end < 0 {
			end = len(in.s)
		}
		id, negated := strings.CutPrefix(in.s[1:end], "^")
		if id == "" {
			r.add(Warning, in.at(0), "@", "the condition names no config-id; the line is dropped, as keepalived does", "write @ID before the line, without a blank")
			return false
		}
		matches := id == ownID || id == r.configID
		if matches == negated {
			return false
		}
		in.own = in.own || id == ownID
		in.text = in.from(end).trim()
	}
	return true
}
