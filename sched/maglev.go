package sched

import (
	"math/bits"
	"net/netip"
)

// mhPrimes are the table sizes by CONFIG_IP_VS_MH_TAB_INDEX from 8 on.
var mhPrimes = [...]uint32{251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071}

const (
	mhDefaultIndex = 12
	mhKey1         = 2654435761
	mhKey2         = 2654446892
)

// mhHash is the kernel's hsiphash of one word on a 64-bit machine: SipHash-1-3
// cut to 32 bits, with both key words the same.
func mhHash(a netip.Addr, port uint16, offset uint32, key uint64) uint32 {
	return uint32(sipHash13(uint64(offset+uint32(port)+fold(a)), key, key))
}

// sipHash13 hashes the four low bytes of x.
func sipHash13(x, k0, k1 uint64) uint64 {
	v0, v1 := k0^0x736f6d6570736575, k1^0x646f72616e646f6d
	v2, v3 := k0^0x6c7967656e657261, k1^0x7465646279746573
	round := func() {
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
	}
	last := uint64(4)<<56 | x&0xffffffff
	v3 ^= last
	round()
	v0 ^= last
	v2 ^= 0xff
	round()
	round()
	round()
	return v0 ^ v1 ^ v2 ^ v3
}

func (p Profile) mhSize() uint32 {
	index := p.MHIndex
	if index == 0 {
		index = mhDefaultIndex
	}
	return mhPrimes[index-8]
}

// mhTable fills the Maglev table: round the list, each server takes as many
// free slots of its own permutation as it has turns.
func mhTable(order []Dest, p Profile) []int {
	size := p.mhSize()
	turns := mhTurns(order, p)
	type walk struct{ at, skip uint32 }
	walks := make([]walk, len(order))
	total := uint32(0)
	for i, d := range order {
		addr, port := d.Server.Addr.Addr(), d.Server.Addr.Port()
		walks[i] = walk{
			at:   mhHash(addr, port, 0, mhKey1) % size,
			skip: mhHash(addr, port, 0, mhKey2)%(size-1) + 1,
		}
		total += turns[i]
	}
	if total == 0 {
		return nil
	}
	table := make([]int, size)
	for i := range table {
		table[i] = -1
	}
	for filled := uint32(0); ; {
		for i := range order {
			for range turns[i] {
				w := &walks[i]
				for table[w.at] >= 0 {
					w.at = (w.at + w.skip) % size
				}
				table[w.at] = i
				if filled++; filled == size {
					return table
				}
			}
		}
	}
}

// mhTurns is how many slots each server takes in a row: its last weight over
// the common divisor, scaled down so that the greatest fits, but at least one.
func mhTurns(order []Dest, p Profile) []uint32 {
	var divisor, top int32
	for _, d := range order {
		divisor = gcd(d.LastWeight, divisor)
		top = max(top, d.LastWeight)
	}
	turns := make([]uint32, len(order))
	if top == 0 {
		return turns
	}
	index := p.MHIndex
	if index == 0 {
		index = mhDefaultIndex
	}
	shift := max(0, bits.Len32(uint32(top/divisor))-int(index)/2)
	for i, d := range order {
		if d.LastWeight > 0 {
			turns[i] = max(uint32(d.LastWeight/divisor)>>shift, 1)
		}
	}
	return turns
}

// maglev is mh. Its fallback hashes again with another offset each time.
func maglev(order []Dest, table []int, flags uint32, c Client, load func(Dest) Load) (int, bool) {
	if len(table) == 0 {
		return 0, false
	}
	size, port := uint32(len(table)), c.port(flags)
	h := mhHash(c.Addr, port, 0, mhKey1) % size
	if at, ok := hashed(order, table, h, load); ok || flags&FlagFallback == 0 {
		return at, ok
	}
	for k := range size {
		slot := mhHash(c.Addr, port, (k+h)%size, mhKey1) % size
		if at, ok := hashed(order, table, slot, load); ok {
			return at, true
		}
	}
	return 0, false
}
