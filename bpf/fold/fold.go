package fold

import (
	"encoding/binary"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// constantSection is where what the programs declare as const volatile lies.
const constantSection = ".rodata"

// Collection writes into the instructions of a collection what is certain once all its constants are set: the
// constants themselves, and where the entry of an array with one entry lies. What follows from that is
// carried on, and what no packet needs then is taken out. The kernel's verifier follows all this too, but
// leaves the loads, the look-ups and what was computed for branches that are never taken, of which the
// way of an established flow's packet has several. Where the compiler put something else than such a
// load or look-up, it stays.
func Collection(spec *ebpf.CollectionSpec) {
	entries := entriesOf(spec)
	c := constants{make(map[uint32][]byte), len(entries.constants), spec.ByteOrder}
	for _, v := range spec.Variables {
		if v.SectionName == constantSection {
			c.values[v.Offset] = v.Value
		}
	}
	for _, program := range spec.Programs {
		s := stepsOf(program.Instructions)
		entries.foldLookups(s)
		if shorter, ok := s.settle(c).instructions(); ok {
			program.Instructions = shorter
		}
	}
}

// settle carries on what is known and takes out what is of no use, until nothing changes.
func (s steps) settle(c constants) steps {
	for {
		known := s.carryOn(c)
		left := s.reached().needed().straight()
		if !known && len(left) == len(s) {
			return left
		}
		s = left
	}
}

// constants are what the programs of a collection read, and is set before they are loaded.
type constants struct {
	values map[uint32][]byte // by offset
	size   int               // of the section
	order  binary.ByteOrder
}

// read returns what a load of a size makes of the constant at an offset.
func (c constants) read(offset uint32, size asm.Size) (int64, bool) {
	value := c.values[offset]
	if len(value) != size.Sizeof() {
		return 0, false
	}
	switch len(value) {
	case 1:
		return int64(value[0]), true
	case 4:
		return int64(c.order.Uint32(value)), true
	}
	return 0, false
}
