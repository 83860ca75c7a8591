// Package accept keeps packets to virtual addresses away from this host, as
// RFC 9568 asks of a router whose Accept_Mode is false.
//
// It owns one table of nftables, "inet evenkeel", which Set replaces as a whole:
// whatever an earlier process left, there is no rule twice. What IPVS balances
// is let through, since it has been taken before, and so are neighbour
// solicitations and advertisements.
//
// It never decides which addresses those are, and touches no other table.
//
// The messages are tested for their form, the effect with real packets (netns
// tier).
package accept
