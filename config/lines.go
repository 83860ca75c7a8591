package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// option is a word that may follow the entry of a line, such as dev in an
// address line, and the number of its arguments.
type option struct {
	args     int
	priority priority
}

// entryOptions are the options by kind of line.
func entryOptions() map[string]map[string]option {
	return map[string]map[string]option{
		"address": addressOptions(),
		"route":   routeOptions(),
		"rule":    ruleOptions(),
		"track":   {"weight": {1, p0}, "reverse": {0, p1}, "noreverse": {0, p1}},
		"peer":    {"min_ttl": {1, p2}, "max_ttl": {1, p2}},
	}
}

func addressOptions() map[string]option {
	return map[string]option{
		"dev": {1, p0}, "label": {1, p0}, "brd": {1, p1}, "broadcast": {1, p1}, "scope": {1, p1},
		"no_track": {0, p1}, "peer": {1, p2}, "track_group": {1, p2}, "use_vmac": {0, p2}, "home": {0, p2},
		"mngtmpaddr": {0, p2}, "noprefixroute": {0, p2}, "autojoin": {0, p2}, "-nodad": {0, p2}, "preferred_lft": {1, p2},
	}
}

func routeOptions() map[string]option {
	o := map[string]option{
		"via": {1, p0}, "gw": {1, p3}, "dev": {1, p0}, "oif": {1, p0}, "src": {1, p0}, "to": {1, p0},
		"table": {1, p1}, "metric": {1, p1}, "priority": {1, p1}, "preference": {1, p1}, "scope": {1, p1},
		"protocol": {1, p2}, "from": {1, p3}, "tos": {1, p3}, "dsfield": {1, p3}, "onlink": {0, p1},
		"features": {1, p3}, "quickack": {1, p3}, "congctl": {1, p3}, "fastopen_no_cookie": {1, p3},
		"ttl-propagate": {1, p3}, "realms": {1, p3}, "pref": {1, p3}, "expires": {1, p3},
		"nexthop": {0, p2}, "weight": {1, p2}, "or": {1, p3}, "add": {0, p3}, "prepend": {0, p3}, "append": {0, p3},
		"vrf": {1, p3}, "no_track": {0, p1}, "track_group": {1, p2}, "inet": {0, p2}, "inet6": {0, p2}, "lock": {0, p2},
	}
	for _, w := range []string{"mtu", "advmss", "rtt", "rttvar", "reordering", "window", "cwnd", "ssthresh", "rto_min", "initcwnd", "initrwnd", "hoplimit"} {
		o[w] = option{1, p2}
	}
	for _, w := range []string{"unicast", "local", "broadcast", "anycast", "multicast", "throw", "unreachable", "prohibit", "blackhole", "default", "any", "all", "default6"} {
		o[w] = option{0, p2}
	}
	return o
}

func ruleOptions() map[string]option {
	o := map[string]option{
		"from": {1, p0}, "to": {1, p0}, "table": {1, p0}, "lookup": {1, p0},
		"priority": {1, p1}, "order": {1, p1}, "preference": {1, p1}, "not": {0, p2}, "iif": {1, p1}, "dev": {1, p1}, "oif": {1, p1},
		"fwmark": {1, p1}, "l3mdev": {0, p2}, "goto": {1, p2}, "nop": {0, p2}, "blackhole": {0, p2}, "prohibit": {0, p2},
		"unreachable": {0, p2}, "type": {1, p2}, "inet": {0, p2}, "inet6": {0, p2}, "no_track": {0, p2}, "track_group": {1, p2},
	}
	for _, w := range []string{"tos", "dsfield", "realms", "tunnel-id", "uidrange", "protocol", "ipproto", "sport", "dport"} {
		o[w] = option{1, p2}
	}
	for _, w := range []string{"suppress_prefixlength", "sup_pl", "suppress_ifgroup", "sup_group"} {
		o[w] = option{1, p3}
	}
	return o
}

// waitingOptions are the options that nothing runs yet.
func waitingOptions() map[string][]string {
	return map[string][]string{
		"address": {"track_group"},
		"route":   append(slices.Sorted(maps.Keys(harmlessRouteWords())), "from", "encap", "or", "vrf", "track_group", "realms"),
		"rule":    {"realms", "tunnel-id", "track_group"},
	}
}

// entry checks a line that is no keyword, such as an address with options.
func (l *linter) entry(s *statement, c *context, outer Status) {
	consequence := lineIgnored
	if c.entries == "address" && c.name != "static_ipaddress" || c.entries == "peer" {
		consequence = instanceLeftOut
	}
	switch {
	case s.block != nil:
		l.often(fault(outer), s, "block inside "+c.name, fmt.Sprintf("there is a block inside %s; %s", c.name, consequence), `check for a missing "}"`)
		s.skip, s.spoils = true, true
	case s.openQuote:
		l.often(fault(outer), s, "open quote in "+c.name, "a quote is not closed; "+consequence, `write a " at the end of the word`)
		s.skip, s.spoils = true, true
	}
	l.undefined(s)
	options := l.options[c.entries]
	if options == nil {
		return
	}
	list := s.words[1:]
	whole := c.entries == "route" || c.entries == "rule" // an unknown word spoils the line
	if whole {
		list = s.words
	}
	for len(list) > 0 {
		w := list[0]
		o, known := options[w.s]
		switch {
		case w.s == "encap": // its words are many and differ by kind
			return
		case known:
			l.useAt(w, c.name, optionStatus(c, w.s, outer), "")
			list = list[min(1+o.args+locked(list), len(list)):]
			continue
		case !whole && !addressLike(w.s):
			l.unknownOption(s, w, c, options)
		}
		list = list[1:]
	}
}

// optionStatus returns what becomes of an option.
func optionStatus(c *context, word string, outer Status) Status {
	if outer == Runs && slices.Contains(waitingOptions()[c.entries], word) {
		return NotYet
	}
	return outer
}

// locked is 1 if "lock" or a family stands between an option and its value.
func locked(list []word) int {
	if len(list) > 2 && (list[1].s == "lock" || list[1].s == "inet" || list[1].s == "inet6") {
		return 1
	}
	return 0
}

// addressLike reports whether s may be an address or a prefix, or a
// placeholder for one.
func addressLike(s string) bool {
	host, _, _ := strings.Cut(s, "/")
	_, err := netip.ParseAddr(host)
	return err == nil || strings.ContainsAny(s, "$.:/")
}

func (l *linter) unknownOption(s *statement, w word, c *context, known map[string]option) {
	hint := ""
	if near := l.nearest(w.s, len(known), maps.Keys(known)); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if c.entries == "track" {
		hint = "write one entry on each line"
	}
	l.oftenAt(Warning, w.at, s.keyword(), w.s+" is not known in "+c.name,
		fmt.Sprintf("%q is not known in a line of %s and is ignored", w.s, c.name), hint)
}
