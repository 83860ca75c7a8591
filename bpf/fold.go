package bpf

import (
	"encoding/binary"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// constantSection is where what the programs declare as const volatile lies.
const constantSection = ".rodata"

// Fold writes into the instructions of a collection what is certain once all its constants are set: the
// constants themselves, and where the entry of an array with one entry lies. The kernel's
// verifier follows their values but leaves the loads and look-ups, of which the way of an
// established flow's packet has several. Where the compiler put something else than
// such a load or look-up, it stays.
func Fold(spec *ebpf.CollectionSpec) {
	values, entries := make(map[uint32][]byte), entriesOf(spec)
	for _, v := range spec.Variables {
		if v.SectionName == constantSection {
			values[v.Offset] = v.Value
		}
	}
	for _, program := range spec.Programs {
		foldConstants(program.Instructions, values, spec.ByteOrder)
		program.Instructions = entries.foldLookups(program.Instructions)
	}
}

// foldConstants replaces the address of a constant, and the load from it into the same
// register, by the value and an instruction that does nothing, so that no jump needs another
// distance. values are the constants by their offset.
func foldConstants(program asm.Instructions, values map[uint32][]byte, order binary.ByteOrder) {
	entered := jumpTargets(program)
	for i := program.Iterate(); i.Next() && i.Index+1 < len(program); {
		address, load := i.Ins, &program[i.Index+1]
		if !loadsFrom(address, load) || entered[i.Offset+address.Width()] > 0 {
			continue
		}
		value, ok := constantOf(values[uint32(address.Constant>>32)], load.OpCode.Size(), order)
		if !ok {
			continue
		}
		address.Src, address.Constant = asm.R0, value
		*address = address.WithReference("")
		*load = nothing(load.Metadata)
	}
}

// loadsFrom reports whether an instruction is the address of a constant, and the next one the load
// of it, after which the address is gone.
func loadsFrom(address, load *asm.Instruction) bool {
	return address.OpCode.IsDWordLoad() && address.Src == asm.PseudoMapValue && address.Reference() == constantSection &&
		load.OpCode.Class() == asm.LdXClass && load.OpCode.Mode() == asm.MemMode && load.Offset == 0 &&
		load.Src == address.Dst && load.Dst == address.Dst
}

// constantOf returns what a load of a size makes of a constant.
func constantOf(value []byte, size asm.Size, order binary.ByteOrder) (int64, bool) {
	if len(value) != size.Sizeof() {
		return 0, false
	}
	switch len(value) {
	case 1:
		return int64(value[0]), true
	case 4:
		return int64(order.Uint32(value)), true
	}
	return 0, false
}

// jumpTargets returns how many jumps lead to the instruction at each offset.
func jumpTargets(program asm.Instructions) map[asm.RawInstructionOffset]int {
	targets := make(map[asm.RawInstructionOffset]int)
	for i := program.Iterate(); i.Next(); {
		if to, jumps := jumpTarget(i.Ins, i.Offset); jumps {
			targets[to]++
		}
	}
	return targets
}

// jumpTarget returns where an instruction at an offset jumps to, if it does.
func jumpTarget(i *asm.Instruction, at asm.RawInstructionOffset) (to asm.RawInstructionOffset, jumps bool) {
	op := i.OpCode
	if !op.Class().IsJump() || op.JumpOp() == asm.Call || op.JumpOp() == asm.Exit {
		return 0, false
	}
	distance := int64(i.Offset)
	if op.Class() == asm.Jump32Class && op.JumpOp() == asm.Ja {
		distance = i.Constant
	}
	return asm.RawInstructionOffset(int64(at) + 1 + distance), true
}

// nothing is a jump to the next instruction, which the kernel leaves out.
func nothing(m asm.Metadata) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Metadata: m}
}
