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
// time. A look-up is the addresses of the map and of the key, in any order, and the call.
func (e entries) foldLookups(s steps) steps {
	entered := s.entered()
	for n := range s[:max(len(s)-2, 0)] {
		name := e.lookedUp(s[n : n+3])
		if name == "" || entered[s[n+1]] || entered[s[n+2]] {
			continue
		}
		s[n].Instruction = asm.LoadMapValue(asm.R0, 0, 0).WithMetadata(s[n].Metadata).WithReference(name)
		s[n+1].gone, s[n+2].gone = true, true
	}
	return s.left()
}

// lookedUp returns the name of the array with one entry that three instructions look up in, or "".
func (e entries) lookedUp(three steps) string {
	if !three[2].IsBuiltinCall() || asm.BuiltinFunc(three[2].Constant) != asm.FnMapLookupElem {
		return ""
	}
	array, key := &three[0].Instruction, &three[1].Instruction
	if array.Dst == asm.R2 {
		array, key = key, array
	}
	if array.Dst != asm.R1 || !array.IsLoadFromMap() || array.Src != asm.PseudoMapFD || !e.isZero(key) {
		return ""
	}
	if name := array.Reference(); e.single[name] {
		return name
	}
	return ""
}

// isZero reports whether an instruction is the address of a key, for a look-up, that is the constant 0.
func (e entries) isZero(key *asm.Instruction) bool {
	if key.Dst != asm.R2 || !key.IsLoadFromMap() || key.Src != asm.PseudoMapValue || key.Reference() != constantSection {
		return false
	}
	zero, at := make([]byte, 4), int(key.Constant>>32)
	return at+len(zero) <= len(e.constants) && bytes.Equal(e.constants[at:at+len(zero)], zero)
}
