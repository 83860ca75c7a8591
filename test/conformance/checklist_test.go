package conformance

import "strings"

// levels are those of the items in order: M must, S should, Y may in the RFC; X
// an extension that everybody ships, O a rule of our own.
func levels() []string {
	return strings.Fields(`
		M M M M M M M M M X O M M O M M O M M X M M M M M X X O M O
		M M M M M M M M M M M M X X X M M M O S M M X S M O X O O O O O O M S S O O
		M M M M M M M M O M O O M M M X X O O O
		M M M M M M M X M M M M M M M M X O M S M M X M M X M S O
		M M X X O M M M M M M M O M S O O M O O M M S
		M M M X O
		Y O O O O O O`)
}

// elsewhere says of items that are not run here where they are tested, or why
// not.
func elsewhere() map[int]string {
	return map[int]string{
		68:  "fuzz targets of package vrrp",
		80:  "only tests of the core: nobody sets the clock of the machine here",
		117: "tests of the core; `evenkeel vrrp` shows the reasons",
		134: "tests of package failover",
		140: "not built: a load balancer is not the hosts' router",
		145: "tests of package netif/accept",
		146: "not built: sending both versions; item 33 counts the other one",
		147: "`TestPairs`",
		148: "`TestPairs`",
		149: "the model check of package vrrp",
		150: "`TestMigration`",
		151: "`TestPairs`; the old sums by tests of the core",
	}
}

// said puts what was seen into better words than a test has.
func said() map[string]map[int]string {
	return map[string]map[int]string{
		"evenkeel": {
			125: "the kernel takes packets to the virtual MAC in any state; a packet filter that shuts it would have to open before the first packet of each takeover",
			136: "the virtual MAC's interface has no address that the kernel could take, as RFC 3376 section 4.2.13 allows",
		},
		"keepalived": {
			19:  "the order of the file",
			47:  "interval 0 is taken, the address drops and returns",
			52:  "drops another list in version 3 too",
			53:  "still compares the list",
			66:  "one line for each",
			87:  "no owner for 40.95 s times three",
			114: "a reload with a second instance of the VRID ends the daemon",
			125: "the kernel takes packets to the virtual MAC in any state",
			127: "R only when the host forwards",
			128: "R only when the host forwards",
			133: "in some runs the loser leaves in silence, and the client stays with it",
			136: "the virtual MAC's interface has no address",
		},
		"frr": {
			14:  "91 addresses leave in fragments",
			16:  "an owner does not start as master, see 89",
			19:  "the order of the file",
			47:  "interval 0 is taken, and no adverts leave any more",
			52:  "another list is taken in version 2 too",
			71:  "the skew is cut to whole centiseconds",
			72:  "the skew is cut to whole centiseconds",
			77:  "the skew is cut to whole centiseconds",
			78:  "in some runs it takes over early",
			81:  "the skew is cut to whole centiseconds",
			83:  "the skew is cut to whole centiseconds",
			87:  "no owner for 40.95 s times three",
			89:  "waits as any backup",
			97:  "waits as any backup",
			104: "no answer",
			109: "stays master of an interface that is down",
			110: "stays master of an interface that is down",
			116: "silent",
			125: "the kernel takes packets to the virtual MAC in any state",
			128: "R only when the host forwards",
			131: "the first IPv6 advert leaves after the announcement",
		},
	}
}
