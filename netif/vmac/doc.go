// Package vmac gives virtual routers their own Ethernet address, by a macvlan
// interface on the link below.
//
// It owns the macvlan and the settings of the kernel that make it behave like
// the only place where the virtual address lives: a Manager makes the interface
// or takes over a right one, changes settings of the parent once for all its
// interfaces, and puts them back with the last one.
//
// It never adds an address, sends a frame, or touches an interface that it would
// not have made so.
//
// Settings are tested as a plan over a table, the rest on real links (netns
// tier).
package vmac
