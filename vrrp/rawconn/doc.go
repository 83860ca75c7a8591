// Package rawconn carries VRRP adverts over sockets of the kernel.
//
// A Hub owns the sockets of one network namespace. All instances on one
// interface and of one family share a socket, one membership per group and one
// kernel filter on their virtual router IDs; each has a Conn with a bounded
// queue of its own, so that none waits for another. A link may go away and come
// back: the Hub is told by Refresh and opens what is missing. Adverts from a
// virtual MAC leave as raw frames through the link that the interface stands on.
//
// It hands on what arrived: source, destination, TTL and bytes. It never judges
// an advert, computes a checksum, chooses a source address, or makes an
// interface.
//
// Filters, queues and frames are tested without privilege, the sockets in
// network namespaces (netns tier), and with keepalived and tshark at the other
// end (interop tier).
package rawconn
