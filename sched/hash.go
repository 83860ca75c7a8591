package sched

import (
	"encoding/binary"
	"net/netip"
)

// Scheduler flags of sh and mh (linux/ip_vs.h): 0x08 takes the next server
// where the hashed one is unusable, 0x10 hashes the client's port as well.
const (
	FlagFallback uint32 = 0x08
	FlagPort     uint32 = 0x10
)

// fold is an address as IPVS hashes it: IPv4 as a number, IPv6 as the XOR of
// its four words, all in host order.
func fold(a netip.Addr) uint32 {
	if a.Unmap().Is4() {
		b := a.Unmap().As4()
		return binary.BigEndian.Uint32(b[:])
	}
	b := a.As16()
	var x uint32
	for i := 0; i < 16; i += 4 {
		x ^= binary.BigEndian.Uint32(b[i:])
	}
	return x
}

// bucket is the multiplicative hash of sh and dh over 2^bits buckets.
func bucket(a netip.Addr, port uint16, bits uint8) uint32 {
	return ((fold(a) + uint32(port)) * 0x61C88647) >> (32 - bits)
}

const dhBits = 8

// shTable gives each server as many buckets in a row as its weight, at least
// one, round and round until the table is full. A server without weight keeps
// its bucket and refuses there.
func shTable(order []Dest, bits uint8) []int {
	if len(order) == 0 {
		return nil
	}
	table := make([]int, 0, 1<<bits)
	for at := 0; len(table) < cap(table); at = (at + 1) % len(order) {
		for range min(max(order[at].Server.Weight, 1), int32(cap(table)-len(table))) {
			table = append(table, at)
		}
	}
	return table
}

// dhTable deals the buckets round the list, whatever the weights.
func dhTable(order []Dest) []int {
	if len(order) == 0 {
		return nil
	}
	table := make([]int, 1<<dhBits)
	for i := range table {
		table[i] = i % len(order)
	}
	return table
}

// hashed picks from a table without looking further.
func hashed(order []Dest, table []int, slot uint32, load func(Dest) Load) (int, bool) {
	if len(table) == 0 {
		return 0, false
	}
	at := table[slot]
	return at, eligible(order[at], load(order[at]))
}

// sourceHash is sh. Its fallback probes one full turn, beginning at twice the
// bucket and not at the one after it.
func sourceHash(order []Dest, table []int, flags uint32, c Client, load func(Dest) Load, bits uint8) (int, bool) {
	if len(table) == 0 {
		return 0, false
	}
	h := bucket(c.Addr, c.port(flags), bits)
	if at, ok := hashed(order, table, h, load); ok || flags&FlagFallback == 0 {
		return at, ok
	}
	for i := range table {
		if at, ok := hashed(order, table, (2*h+uint32(i))%uint32(len(table)), load); ok {
			return at, true
		}
	}
	return 0, false
}

// Client is the sender of the packet that opens a flow.
type Client struct {
	Addr netip.Addr
	Port uint16
}

// port is the client's port if the flags hash it.
func (c Client) port(flags uint32) uint16 {
	if flags&FlagPort == 0 {
		return 0
	}
	return c.Port
}
