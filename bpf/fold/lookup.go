package fold

import (
	"bytes"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// entries are the maps whose look-ups need none.
type entries struct {
	// single has the names of the arrays with one entry.
	single map[string]bool
	// constants are the bytes of constantSection, where keys lie.
	constants []byte
}

func entriesOf(spec *ebpf.CollectionSpec) entries {
	e := entries{single: make(map[string]bool)}
	for name, m := range spec.Maps {
		e.single[name] = m.Type == ebpf.Array && m.MaxEntries == 1
	}
	if m := spec.Maps[constantSection]; m != nil && len(m.Contents) == 1 {
		e.constants, _ = m.Contents[0].Value.([]byte)
	}
	return e
}

// foldLookups writes the address of the entry in place of each look-up in an array with one entry. The
// kernel writes eight instructions in its place, and would hold the key against the size each
// time. What put the addresses of the map and of the key where a look-up expects them stays, for needed to
// take out.
func (e entries) foldLookups(s steps) {
	entered := s.entered()
	for n, i := range s {
		if !i.IsBuiltinCall() || asm.BuiltinFunc(i.Constant) != asm.FnMapLookupElem {
			continue
		}
		array, key := s.passed(n, asm.R1, entered), s.passed(n, asm.R2, entered)
		if array == nil || key == nil || !array.IsLoadFromMap() || array.Src != asm.PseudoMapFD || !e.isZero(key) {
			continue
		}
		if name := array.Reference(); e.single[name] {
			i.Instruction = asm.LoadMapValue(asm.R0, 0, 0).WithMetadata(i.Metadata).WithReference(name)
		}
	}
}

// passed returns what put into a register what a call finds there, or nil if that is not the only way there.
func (s steps) passed(call int, r asm.Register, entered map[*step]bool) *step {
	for n := call; n > 0 && !entered[s[n]]; n-- {
		switch i := s[n-1]; {
		case !i.onlyComputes() && !i.stores():
			return nil
		case i.Dst == r && i.onlyComputes():
			return i
		}
	}
	return nil
}

// isZero reports whether an instruction is the address of a key, for a look-up, that is the constant 0.
func (e entries) isZero(key *step) bool {
	if !key.IsLoadFromMap() || key.Src != asm.PseudoMapValue || key.Reference() != constantSection {
		return false
	}
	zero, at := make([]byte, 4), int(key.Constant>>32)
	return at+len(zero) <= len(e.constants) && bytes.Equal(e.constants[at:at+len(zero)], zero)
}
