package lbmaps

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// knownBits is KNOWN_BITS of contract.h.
const knownBits = 18

// Known are the words of ek_known: a bit for each address and port that is a
// service's or a server's. The program takes a packet for foreign when neither of
// its ends has its bit.
type Known [1 << knownBits / 64]uint64

// Add sets the bit of an end.
func (k *Known) Add(end netip.AddrPort) {
	word, mask := KnownBit(end)
	k[word] |= mask
}

// KnownBit returns the word that the bit of an end is in, and the bit as a mask. It
// finds it as the program does, from the bytes on the wire.
func KnownBit(end netip.AddrPort) (word uint32, mask uint64) {
	var addr uint32
	if a := end.Addr().Unmap(); a.Is4() {
		addr = wireIPv4(a)
	} else {
		b := a.As16()
		for at := 0; at < len(b); at += 4 {
			addr ^= binary.NativeEndian.Uint32(b[at:])
		}
	}
	bit := (addr ^ uint32(wirePort(end.Port()))<<16) * 0x9e3779b1 >> (32 - knownBits)
	return bit / 64, 1 << (bit % 64)
}

// Known returns all words.
func (m *Maps) Known() (*Known, error) {
	k := &Known{}
	err := walk(m.known, func(at uint32, bits uint64) bool {
		k[at] = bits
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read the known ends: %w", err)
	}
	return k, nil
}

// PutKnown replaces one word. A packet sees all of it changed or nothing.
func (m *Maps) PutKnown(word uint32, bits uint64) error {
	if err := m.known.Put(word, bits); err != nil {
		return fmt.Errorf("write word %d of the known ends: %w", word, err)
	}
	return nil
}
