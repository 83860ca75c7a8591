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
	constants := make(map[int64]bool)
	for _, v := range spec.Variables {
		if v.SectionName == constantSection {
			constants[int64(v.Offset)<<32] = true
		}
	}
	addresses := func() (n int) {
		for _, program := range spec.Programs {
			for _, i := range program.Instructions {
				if i.Reference() == constantSection && constants[i.Constant] {
					n++
				}
			}
		}
		return n
	}
	before := addresses()
	Fold(spec)
	if after := addresses(); before == 0 || after*4 > before {
		t.Errorf("%d addresses of constants, %d are left, want at most a quarter", before, after)
	}
}

// entryOf is the address of a map, where its look-up expects it.
func entryOf(name string, to asm.Register) asm.Instruction {
	return asm.LoadMapPtr(to, 0).WithReference(name)
}

func TestFoldLookups(t *testing.T) {
	single := map[string]bool{"one": true, "many": false}
	one, key, lookup, end := entryOf("one", asm.R1), addressOf(asm.R2, 0), asm.FnMapLookupElem.Call(), asm.Return()
	jump := func(op asm.JumpOp, of asm.Register, to int64, over int16) asm.Instruction {
		return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.ImmSource), Dst: of, Constant: to, Offset: over}
	}
	into := func(over int16) asm.Instruction { return jump(asm.JEq, asm.R3, 0, over) }
	entry := asm.LoadMapValue(asm.R0, 0, 0).WithReference("one")
	nop := nothing(asm.Metadata{})
	way := nop
	way.Offset = 5
	for name, tt := range map[string]struct {
		program asm.Instructions
		want    asm.Instructions // nil: as it was
	}{
		"the map first":                {asm.Instructions{one, key, lookup, end}, asm.Instructions{entry, nop, nop, nop, end}},
		"the key first":                {asm.Instructions{key, one, lookup, end}, asm.Instructions{entry, nop, nop, nop, end}},
		"at the end":                   {asm.Instructions{one, key, lookup}, asm.Instructions{entry, nop, nop, nop}},
		"two":                          {asm.Instructions{one, key, lookup, one, key, lookup}, asm.Instructions{entry, nop, nop, nop, entry, nop, nop, nop}},
		"a jump to the beginning":      {asm.Instructions{into(0), one, key, lookup, end}, asm.Instructions{into(0), entry, nop, nop, nop, end}},
		"gone if nothing is found":     {asm.Instructions{one, key, lookup, jump(asm.JEq, asm.R0, 0, 5), end}, asm.Instructions{entry, nop, nop, nop, nop, end}},
		"gone if something is found":   {asm.Instructions{one, key, lookup, jump(asm.JNE, asm.R0, 0, 5), end}, asm.Instructions{entry, nop, nop, nop, way, end}},
		"a test of something else":     {asm.Instructions{one, key, lookup, jump(asm.JEq, asm.R6, 0, 5), end}, asm.Instructions{entry, nop, nop, nop, jump(asm.JEq, asm.R6, 0, 5), end}},
		"a test against another value": {asm.Instructions{one, key, lookup, jump(asm.JEq, asm.R0, 1, 5), end}, asm.Instructions{entry, nop, nop, nop, jump(asm.JEq, asm.R0, 1, 5), end}},
		"another test":                 {asm.Instructions{one, key, lookup, jump(asm.JGT, asm.R0, 0, 5), end}, asm.Instructions{entry, nop, nop, nop, jump(asm.JGT, asm.R0, 0, 5), end}},
		"a jump to the test": {asm.Instructions{into(5), one, key, lookup, jump(asm.JEq, asm.R0, 0, 5), end},
			asm.Instructions{into(5), entry, nop, nop, nop, jump(asm.JEq, asm.R0, 0, 5), end}},
		"a jump to the second address": {asm.Instructions{into(2), one, key, lookup, end}, nil},
		"a jump to the call":           {asm.Instructions{into(4), one, key, lookup, end}, nil},
		"many entries":                 {asm.Instructions{entryOf("many", asm.R1), key, lookup, end}, nil},
		"a write":                      {asm.Instructions{one, key, asm.FnMapUpdateElem.Call(), end}, nil},
		"not the map looked in":        {asm.Instructions{entryOf("one", asm.R3), key, lookup, end}, nil},
		"not the key":                  {asm.Instructions{one, addressOf(asm.R3, 0), lookup, end}, nil},
		"something between":            {asm.Instructions{one, key, asm.Mov.Imm(asm.R3, 1), lookup, end}, nil},
		"no call":                      {asm.Instructions{end, one, key}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == nil {
				tt.want = tt.program
			}
			got := foldLookups(tt.program, single)
			if len(got) != len(tt.want) {
				t.Fatalf("%v, want\n%v", got, tt.want)
			}
			for i, want := range tt.want {
				if got[i].Reference() != want.Reference() || fmt.Sprintf("%#x %d %d %d %d", got[i].OpCode, got[i].Dst, got[i].Src, got[i].Offset, got[i].Constant) !=
					fmt.Sprintf("%#x %d %d %d %d", want.OpCode, want.Dst, want.Src, want.Offset, want.Constant) {
					t.Errorf("instruction %d is %v, want %v", i, got[i], want)
				}
			}
			if size := tt.program.Size(); got.Size() != size {
				t.Errorf("%d bytes, want %d: jumps would end elsewhere", got.Size(), size)
			}
		})
	}
}

// No look-up of the program in an array with one entry is of another shape.
func TestFoldLookupsOfTheProgram(t *testing.T) {
	spec, err := LoadEk()
	if err != nil {
		t.Fatal(err)
	}
	single := singles(spec)
	pointers := func() (n int) {
		for _, program := range spec.Programs {
			for _, i := range program.Instructions {
				if i.Src == asm.PseudoMapFD && single[i.Reference()] {
					n++
				}
			}
		}
		return n
	}
	before := pointers()
	Fold(spec)
	if after := pointers(); before == 0 || after != 0 {
		t.Errorf("%d look-ups in arrays with one entry, %d are left, want none", before, after)
	}
}
