package config

import (
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// script reads COMMAND [USER [GROUP]] of a notify word, or returns nil after a
// complaint. As in keepalived the command and its arguments are one word, in
// quotes.
func (b *builder) script(s *statement) *model.Script {
	list, err := s.raw()
	if err != nil || len(list) == 0 || strings.TrimSpace(list[0].s) == "" {
		b.add(Error, s.at(), s.keyword(), fmt.Sprintf("%s has no command; %s", s.keyword(), lineIgnored), "write "+s.keyword()+` "/path/of/script"`)
		return nil
	}
	out := &model.Script{Pos: b.position(s.at()), Command: list[0].s}
	var ok bool
	if out.User, out.Group, ok = b.account(s, list[1:], lineIgnored); !ok {
		return nil
	}
	return out
}

// account reads [USER [GROUP]]; the group may have a colon before it, or both
// may be one word with a colon between. keepalived looks users up while it
// reads; here that is left to those who run scripts.
func (b *builder) account(s *statement, list []word, consequence string) (user, group string, ok bool) {
	if len(list) == 0 {
		return "", "", true
	}
	user, group, _ = strings.Cut(list[0].s, ":")
	rest := list[1:]
	if group == "" && len(rest) > 0 {
		group = strings.TrimPrefix(rest[0].s, ":")
		rest = rest[1:]
	}
	if len(rest) > 0 || user == "" || strings.ContainsAny(user+group, "/ \t") {
		b.add(Error, list[0].at, s.keyword(), fmt.Sprintf("%q in %s is not a user and a group; %s", joined(list), s.keyword(), consequence),
			"put a command and its arguments into one pair of quotes; a user and a group may follow")
		return "", "", false
	}
	return user, group, true
}
