package bpf

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// addressOf is the address of a constant that lies so many bytes into the section.
func addressOf(to asm.Register, offset int64) asm.Instruction {
	i := asm.LoadImm(to, offset<<32, asm.DWord).WithReference(constantSection)
	i.Src = asm.PseudoMapValue
	return i
}

func TestFoldConstants(t *testing.T) {
	value := map[uint32][]byte{0: {7}, 4: {0xff, 0xff, 0xff, 0xff}, 8: {1, 2, 3, 4, 5, 6, 7, 8}}
	jump := asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JEq).SetSource(asm.ImmSource), Dst: asm.R3, Offset: 2}
	for name, tt := range map[string]struct {
		program asm.Instructions
		at      int
		want    int64
		kept    bool
	}{
		"a byte":             {asm.Instructions{addressOf(asm.R1, 0), asm.LoadMem(asm.R1, asm.R1, 0, asm.Byte), asm.Return()}, 0, 7, false},
		"a word, not signed": {asm.Instructions{addressOf(asm.R1, 4), asm.LoadMem(asm.R1, asm.R1, 0, asm.Word), asm.Return()}, 0, 0xffffffff, false},
		"a jump leads to the load": {asm.Instructions{jump, addressOf(asm.R1, 4), asm.LoadMem(asm.R1, asm.R1, 0, asm.Word), asm.Return()},
			1, 0, true},
		"a part of a constant":      {asm.Instructions{addressOf(asm.R1, 4), asm.LoadMem(asm.R1, asm.R1, 0, asm.Half), asm.Return()}, 0, 0, true},
		"behind its beginning":      {asm.Instructions{addressOf(asm.R1, 4), asm.LoadMem(asm.R1, asm.R1, 1, asm.Byte), asm.Return()}, 0, 0, true},
		"not a constant":            {asm.Instructions{addressOf(asm.R1, 16), asm.LoadMem(asm.R1, asm.R1, 0, asm.Byte), asm.Return()}, 0, 0, true},
		"a size that is not used":   {asm.Instructions{addressOf(asm.R1, 8), asm.LoadMem(asm.R1, asm.R1, 0, asm.DWord), asm.Return()}, 0, 0, true},
		"the address is kept":       {asm.Instructions{addressOf(asm.R1, 0), asm.LoadMem(asm.R2, asm.R1, 0, asm.Byte), asm.Return()}, 0, 0, true},
		"from another address":      {asm.Instructions{addressOf(asm.R1, 0), asm.LoadMem(asm.R1, asm.R2, 0, asm.Byte), asm.Return()}, 0, 0, true},
		"the address and no load":   {asm.Instructions{addressOf(asm.R1, 0), asm.Return()}, 0, 0, true},
		"the address is at the end": {asm.Instructions{asm.Return(), addressOf(asm.R1, 0)}, 1, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			before, size := fmt.Sprint(tt.program), tt.program.Size()
			foldConstants(tt.program, value, binary.NativeEndian)
			if tt.program.Size() != size {
				t.Errorf("%d bytes, want %d: jumps would end elsewhere", tt.program.Size(), size)
			}
			got := tt.program[tt.at]
			if tt.kept {
				if after := fmt.Sprint(tt.program); after != before {
					t.Errorf("%s, want it as it was:\n%s", after, before)
				}
				return
			}
			if got.Constant != tt.want || got.Src != asm.R0 || got.Reference() != "" || got.Dst != asm.R1 {
				t.Errorf("%v, want %d into r1", got, tt.want)
			}
			if nop := tt.program[tt.at+1]; nop.OpCode.JumpOp() != asm.Ja || nop.Offset != 0 || nop.Dst != 0 || nop.Src != 0 {
				t.Errorf("%v in place of the load, want a jump to what follows", nop)
			}
		})
	}
}

// What the compiler makes of a constant is mostly of the shape that is replaced.
func TestFoldConstantsOfTheProgram(t *testing.T) {
	spec, err := LoadEk()
	if err != nil {
		t.Fatal(err)
	}
	addresses := func() (n int) {
		for _, program := range spec.Programs {
			for _, i := range program.Instructions {
				if i.Reference() == constantSection {
					n++
				}
			}
		}
		return n
	}
	before := addresses()
	FoldConstants(spec)
	if after := addresses(); before == 0 || after*4 > before {
		t.Errorf("%d addresses of constants, %d are left, want at most a quarter", before, after)
	}
}
