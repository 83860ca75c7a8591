package config

import (
	"strings"
)

// priority is how common a keyword is in real files.
type priority string

// The priorities: in nearly every file, in serious deployments, rare,
// obsolete.
const (
	p0 priority = "P0"
	p1 priority = "P1"
	p2 priority = "P2"
	p3 priority = "P3"
)

// keyword is one row of the language.
type keyword struct {
	name string
	// args are the arguments as a manual writes them: mandatory ones first,
	// optional ones in brackets, ... for any number. COMMAND and REGEX take
	// the raw line; BOOL is true, on, yes, false, off or no.
	args     string
	priority priority
	status   Status
	// block names the context that its braces open, or is empty.
	block string
	// note says about an old word what to write today.
	note string
	// vital is set for a keyword whose block must not run if its line cannot be
	// used, since the default would be something else than the user wrote.
	vital bool
	// many is set for a keyword that may stand in its block more than once,
	// first for one of which the first one counts and not the last.
	many, first bool
	// own is set for Evenkeel's words, which belong on @evenkeel lines.
	own bool

	// What args say: raw is set for a keyword that takes the raw line. least is
	// how many arguments it needs and most how many it takes, -1 for any number.
	// language.add sets them.
	raw         bool
	least, most int
}

// takesRaw reports whether args are a raw line.
func takesRaw(args string) bool {
	first := strings.TrimPrefix(args, "[")
	return strings.HasPrefix(first, "COMMAND") || strings.HasPrefix(first, "REGEX")
}

// arity returns how many arguments args stand for at least and at most.
func arity(args string) (least, most int) {
	if takesRaw(args) {
		if strings.HasPrefix(args, "[") {
			return 0, -1
		}
		return 1, -1
	}
	optional := false
	for f := range strings.FieldsSeq(args) {
		if f == "..." || f == "[...]" {
			return least, -1
		}
		optional = optional || f[0] == '['
		if !optional {
			least++
		}
		most++
	}
	return least, most
}

// context is the words that may stand in one kind of block.
type context struct {
	name string
	// entries is the kind of lines that the block holds instead of keywords,
	// such as address; it names their options. Empty for keywords.
	entries  string
	keywords map[string]*keyword
}

// language is every context by name; the top level is "".
type language map[string]*context

// newLanguage returns the language of keepalived 2.4 with Evenkeel's words.
func newLanguage() language {
	l := make(language)
	l.add("", topLevelKeywords())
	l.add("global_defs", globalKeywords(), globalVRRPKeywords(), globalSystemKeywords(), ownGlobalKeywords())
	addVRRPContexts(l)
	addServiceContexts(l)
	for name, entries := range map[string]string{
		"notification_email": "name", "group": "name", "interfaces": "name", "interface_up_down_delays": "name",
		"linkbeat_interfaces": "name", "virtual_server_group": "name", "unicast_peer": "peer",
		"static_ipaddress": "address", "virtual_ipaddress": "address", "static_routes": "route", "virtual_routes": "route",
		"static_rules": "rule", "virtual_rules": "rule", "track_*": "track",
	} {
		l[name] = &context{name: name, entries: entries}
	}
	return l
}

func (l language) add(name string, rows ...[]keyword) {
	c := &context{name: name, keywords: make(map[string]*keyword)}
	for _, list := range rows {
		for _, k := range list {
			k.raw = takesRaw(k.args)
			k.least, k.most = arity(k.args)
			c.keywords[k.name] = &k
		}
	}
	l[name] = c
}

// contextsOf returns the names of the blocks that know a word, in no order.
func (l language) contextsOf(word string) []string {
	var names []string
	for name, c := range l {
		if k, ok := c.keywords[word]; ok && k.note == "" {
			names = append(names, name)
		}
	}
	return names
}
