package lbmaps

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// knownBits is KNOWN_BITS of contract.h.
const knownBits = 18

// Known is the entry of ek_known: a byte for each hash of an address and a port, 1 where one
// of a service or a server has it. The program takes a packet for foreign when neither of
// its ends has its byte set.
type Known [1 << knownBits]byte

// Add sets the byte of an end.
func (k *Known) Add(end netip.AddrPort) { k[KnownEnd(end)] = 1 }

// KnownEnd returns which byte is an end's. It finds it as the program does, from the bytes
// on the wire.
func KnownEnd(end netip.AddrPort) uint32 {
	var addr uint32
	if a := end.Addr().Unmap(); a.Is4() {
		addr = wireIPv4(a)
	} else {
		b := a.As16()
		for at := 0; at < len(b); at += 4 {
			addr ^= binary.NativeEndian.Uint32(b[at:])
		}
	}
	return (addr ^ uint32(wirePort(end.Port()))<<16) * 0x9e3779b1 >> (32 - knownBits)
}

// Known returns all bytes.
func (m *Maps) Known() (*Known, error) {
	k := &Known{}
	if err := m.known.Lookup(uint32(0), k); err != nil {
		return nil, fmt.Errorf("read the known ends: %w", err)
	}
	return k, nil
}

// PutKnown writes the byte of an end, in the map's memory: by the system call a write replaces the
// whole entry.
func (m *Maps) PutKnown(end uint32, known byte) error {
	memory, err := m.known.Memory()
	if err == nil {
		_, err = memory.WriteAt([]byte{known}, int64(end))
	}
	if err != nil {
		return fmt.Errorf("write byte %d of the known ends: %w", end, err)
	}
	return nil
}
