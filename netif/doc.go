// Package netif knows the links, routes and neighbours of one network
// namespace.
//
// It owns the answer to "where do frames to this server leave, and with which
// addresses": a Resolver keeps next hops warm, without traffic, and reports
// each change. It lists links, chooses those that an XDP program belongs on,
// and reads the settings that doctor looks at. It is the only importer of
// netlink outside the IPVS datapath and the labs.
//
// It never decides what to do about a change, loads no program, and does not
// write to the kernel beyond the neighbour entries that it manages. Those
// carry Protocol, so that they are recognised later, and entries of other
// owners are read and left alone.
//
// The Resolver reaches the kernel through Surface. One table of tests runs
// against a fake surface (unit tier, virtual time) and against real namespaces
// (netns tier).
package netif
