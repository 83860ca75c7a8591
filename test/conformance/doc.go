// Package conformance holds a router to the checklist of
// docs/vrrp-conformance.md on the wire: evenkeel, keepalived or FRR, the same
// items for each.
//
// An item starts the router in a network namespace with a configuration, sends
// it adverts made by hand, and looks at the frames that leave, the addresses and
// the states. What came out for each router is in testdata/results.json, from
// which the table in the document is made. A unit test holds the table to that
// file. In the interop tier evenkeel is run against it, so neither can say what
// is not so; EVENKEEL_CONFORMANCE=keepalived, frr or all runs the others, and
// EVENKEEL_CONFORMANCE_RECORD=1 writes file and table anew.
//
// An item that comes out otherwise than recorded is run up to two times more, one
// by one: on a busy machine this process may be late itself.
//
// Mixed pairs with keepalived and FRR, and adverts that are damaged, forged or
// repeated, are tests of their own.
//
// It owns no code that is part of the program.
package conformance
