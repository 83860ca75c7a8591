// Package loader runs virtual services in XDP: it loads, pins, attaches and
// upgrades the program, and turns operations into writes to its maps.
//
// All that runs is pinned below one directory of a bpf file system, so packets
// are forwarded whether or not a daemon lives:
//
//	maps/<name>      the maps; ek_flows_00 to ek_flows_15 hold the flows
//	progs/<name>     the programs, as they were loaded last
//	links/<ifname>   one attachment for each interface
//
// Start adopts what is pinned, or makes it, and puts the program of this
// version in place of the one that runs, by one atomic exchange for each
// interface. A lock on the directory keeps a second daemon out and ends with
// its holder, however that dies. The directory maps is made elsewhere and
// renamed, so it is there whole or not at all; programs and links are repaired by the
// next start.
//
// XDP is the datapath. Every operation is a few map writes in such an order
// that a packet in between meets the service before or after it, never a half
// of it, and that a start after a crash in between can tell what was meant:
// a server is whole before an order names it, a service is written last and deleted
// first, and a server leaves the order before it is marked as deleted. What
// no order names was removed; its slot is kept until its flows are over.
//
// Apply waits at most Options.ResolveWait, once for all operations of a call, for the
// next hops of servers that are new, so it belongs on a goroutine that
// neither checks servers nor takes part in elections.
//
// Explain runs a second build of the program, which decides the same and writes
// to no map, on one packet, and says what it decided.
//
// The package reads no configuration, judges no server, and writes nothing to
// the network but the attachments; next hops come from a Resolver.
//
// Tests in tier bpf use a bpf file system of their own and send no packets but
// through BPF_PROG_TEST_RUN; those in tier netns attach to links of a lab.
package loader
