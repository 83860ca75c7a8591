// Package announce tells neighbours which Ethernet address a virtual address
// has: by gratuitous ARP for IPv4 and unsolicited neighbour advertisements for
// IPv6.
//
// It owns the frames, and their pace: an Announcer has a schedule for each link
// on which all bursts share garp_interval and gna_interval, the first round of
// every address comes before the second round of any, and a burst ends with the
// mastership that it belongs to.
//
// It never decides when to announce, nor which addresses, and receives nothing.
//
// Frames and schedules are pure and tested so, the Announcer in virtual time
// against links in memory and on real links (netns tier).
package announce
