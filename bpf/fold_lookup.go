package bpf

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
// time. A look-up is the addresses of the map and of the key, in any order, and the call; where a
// test whether something was found comes next, or after reads from the stack, there is none any more.
func (e entries) foldLookups(program asm.Instructions) asm.Instructions {
	entered := jumpTargets(program)
	folded := make(asm.Instructions, 0, len(program))
	skip := 0
	for i := program.Iterate(); i.Next(); {
		if skip > 0 {
			skip--
			continue
		}
		rest := program[i.Index:]
		name := e.lookedUp(rest)
		second := i.Offset + i.Ins.Width() // slots: two, two and one
		call := second + 2
		if name == "" || entered[second] > 0 || entered[call] > 0 {
			folded = append(folded, *i.Ins)
			continue
		}
		entry := asm.LoadMapValue(asm.R0, 0, 0).WithMetadata(i.Ins.Metadata).WithReference(name)
		folded = append(folded, entry, nothing(asm.Metadata{}), nothing(asm.Metadata{}), nothing(rest[2].Metadata))
		reloads := reloaded(rest[3:], call+1, entered)
		folded = append(folded, rest[3:3+reloads]...)
		skip = 2 + reloads
		test := call + 1 + asm.RawInstructionOffset(reloads)
		if len(rest) > 3+reloads && entered[test] == 0 {
			if way, ok := found(rest[3+reloads], test, entered); ok {
				folded = append(folded, way)
				skip++
			}
		}
	}
	return folded
}

// reloaded returns how many instructions from an offset on only read from the stack what a call might
// have lost, and are not jumped to.
func reloaded(program asm.Instructions, at asm.RawInstructionOffset, entered map[asm.RawInstructionOffset]int) (n int) {
	for _, i := range program {
		if i.OpCode.Class() != asm.LdXClass || i.Src != asm.RFP || i.Dst == asm.R0 || entered[at] > 0 {
			break
		}
		n++
		at++
	}
	return n
}

// lookedUp returns the name of the array with one entry that the first three instructions look up in, or "".
func (e entries) lookedUp(program asm.Instructions) string {
	if len(program) < 3 || !program[2].IsBuiltinCall() || asm.BuiltinFunc(program[2].Constant) != asm.FnMapLookupElem {
		return ""
	}
	array, key := &program[0], &program[1]
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

// found returns what a test of the entry's address against 0 does when that is not 0, if the
// instruction, which lies at an offset, is one. entered has how often each offset is jumped to: a
// way that nothing else leads to stays, since the kernel refuses a program with instructions that
// it cannot reach.
func found(test asm.Instruction, at asm.RawInstructionOffset, entered map[asm.RawInstructionOffset]int) (asm.Instruction, bool) {
	op, after := test.OpCode, at+1
	if op.Class() != asm.JumpClass || op.Source() != asm.ImmSource || test.Dst != asm.R0 || test.Constant != 0 {
		return test, false
	}
	away, _ := jumpTarget(&test, at)
	switch {
	case op.JumpOp() == asm.JEq && entered[away] > 1:
		entered[away]--
		return nothing(test.Metadata), true
	case op.JumpOp() == asm.JNE && entered[after] > 0:
		always := nothing(test.Metadata)
		always.Offset = test.Offset
		return always, true
	}
	return test, false
}
