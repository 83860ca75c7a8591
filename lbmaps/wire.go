package lbmaps

import (
	"encoding/binary"
	"net/netip"
)

// wireAddr returns the 16 bytes of an address, IPv4 as v4-mapped.
func wireAddr(a netip.Addr) [16]byte {
	if !a.IsValid() {
		return [16]byte{}
	}
	return a.As16()
}

// hostAddr is the other way; all zero bytes are no address.
func hostAddr(b [16]byte) netip.Addr {
	if b == ([16]byte{}) {
		return netip.Addr{}
	}
	return netip.AddrFrom16(b).Unmap()
}

// wirePort returns the number whose bytes in memory are the port in network
// order.
func wirePort(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

// hostPort is the other way, which is the same.
func hostPort(wire uint16) uint16 { return wirePort(wire) }

// wireIPv4 returns the number whose bytes in memory are the address in network
// order. The address must be IPv4, also as v4-mapped.
func wireIPv4(a netip.Addr) uint32 {
	b := a.Unmap().As4()
	return binary.NativeEndian.Uint32(b[:])
}

func hostIPv4(wire uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], wire)
	return netip.AddrFrom4(b)
}

func hostIPv4Port(addr uint32, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(hostIPv4(addr), hostPort(port))
}

// hostIPv6Port does not unmap: in a key of IPv6 a v4-mapped address is just that.
func hostIPv6Port(addr [16]byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(addr), hostPort(port))
}

// A union of a 64-bit word and a struct is a word in Go. These give it the
// bytes that the struct has in memory, and back.
func wordBytes(word uint64) (b [8]byte) {
	binary.NativeEndian.PutUint64(b[:], word)
	return b
}

func bytesWord(b [8]byte) uint64 { return binary.NativeEndian.Uint64(b[:]) }
