// Package failover runs the VRRP part of a configuration: it joins the election
// (vrrp) to sockets, addresses, announcements, tracked things and notices.
//
// It owns the translation of the model, one Runner for each sync group or lone
// instance, and what lies between the parts: which interface an address goes to,
// which source address adverts get, when an address that has come into place is
// announced, how long a router that has stopped goes on serving, what a
// restarted process may take up where it left off, and what a reload keeps.
//
// It never decides an election, writes to the kernel itself, or reads a
// configuration file.
//
// Translation, source addresses and memory are tested by tables; whole routers
// in network namespaces, with each other (netns tier). Package test/conformance
// runs them beside keepalived and FRR.
package failover
