package bpf

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// foldLookups writes the address of the entry in place of each look-up in an array with one entry, whose
// key can only be 0. The kernel writes eight instructions in its place, and would hold the key
// against the size each time. A look-up is the addresses of the map and of the key, in any order,
// and the call; where a test whether something was found is next, there is none any more.
func foldLookups(program asm.Instructions, single map[string]bool) asm.Instructions {
	entered := jumpTargets(program)
	folded := make(asm.Instructions, 0, len(program))
	skip := 0
	for i := program.Iterate(); i.Next(); {
		if skip > 0 {
			skip--
			continue
		}
		rest := program[i.Index:]
		name := lookedUp(rest, single)
		key := i.Offset + i.Ins.Width()
		if name == "" || entered[key] || entered[key+rest[1].Width()] {
			folded = append(folded, *i.Ins)
			continue
		}
		entry := asm.LoadMapValue(asm.R0, 0, 0).WithMetadata(i.Ins.Metadata).WithReference(name)
		folded = append(folded, entry, nothing(asm.Metadata{}), nothing(asm.Metadata{}), nothing(rest[2].Metadata))
		skip = 2
		if len(rest) > 3 {
			if test, ok := found(rest[3]); ok && !entered[key+rest[1].Width()+1] {
				folded = append(folded, test)
				skip = 3
			}
		}
	}
	return folded
}

// lookedUp returns the name of the array with one entry that the first three instructions look up in, or "".
func lookedUp(program asm.Instructions, single map[string]bool) string {
	if len(program) < 3 || !program[2].IsBuiltinCall() || asm.BuiltinFunc(program[2].Constant) != asm.FnMapLookupElem {
		return ""
	}
	array, key := &program[0], &program[1]
	if array.Dst == asm.R2 {
		array, key = key, array
	}
	if !array.IsLoadFromMap() || array.Src != asm.PseudoMapFD || array.Dst != asm.R1 || !key.OpCode.IsDWordLoad() || key.Dst != asm.R2 || !single[array.Reference()] {
		return ""
	}
	return array.Reference()
}

// found returns what a test of the entry's address against 0 does when that is not 0, if the instruction is one.
func found(test asm.Instruction) (asm.Instruction, bool) {
	op := test.OpCode
	if op.Class() != asm.JumpClass || op.Source() != asm.ImmSource || test.Dst != asm.R0 || test.Constant != 0 {
		return test, false
	}
	switch op.JumpOp() {
	case asm.JEq:
		return nothing(test.Metadata), true
	case asm.JNE:
		always := nothing(test.Metadata)
		always.Offset = test.Offset
		return always, true
	}
	return test, false
}

// singles are the names of the arrays with one entry.
func singles(spec *ebpf.CollectionSpec) map[string]bool {
	names := make(map[string]bool)
	for name, m := range spec.Maps {
		names[name] = m.Type == ebpf.Array && m.MaxEntries == 1
	}
	return names
}
