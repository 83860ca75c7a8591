package bpf

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
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

func jumpIf(op asm.JumpOp, of asm.Register, to int64, over int16) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.ImmSource), Dst: of, Constant: to, Offset: over}
}

func TestFoldLookups(t *testing.T) {
	e := entries{single: map[string]bool{"one": true, "many": false}, constants: []byte{0, 0, 0, 0, 1, 0, 0, 0, 0, 0}}
	one, key, lookup, end := entryOf("one", asm.R1), addressOf(asm.R2, 0), asm.FnMapLookupElem.Call(), asm.Return()
	into := func(over int16) asm.Instruction { return jumpIf(asm.JEq, asm.R3, 0, over) }
	outside := addressOf(asm.R2, 0).WithReference(".bss")
	reload, lost := asm.LoadMem(asm.R1, asm.RFP, -8, asm.DWord), asm.LoadMem(asm.R0, asm.RFP, -8, asm.DWord)
	other := asm.LoadMem(asm.R1, asm.R6, -8, asm.DWord)
	entry, nop := asm.LoadMapValue(asm.R0, 0, 0).WithReference("one"), nothing(asm.Metadata{})
	// What a test leads to, and what another jump that leads there too may look like.
	none, some, always := jumpIf(asm.JEq, asm.R0, 0, 1), jumpIf(asm.JNE, asm.R0, 0, 1), nop
	always.Offset = 1
	for name, tt := range map[string]struct {
		program asm.Instructions
		want    asm.Instructions // nil: as it was
	}{
		"the map first":           {asm.Instructions{one, key, lookup, end}, asm.Instructions{entry, nop, nop, nop, end}},
		"the key first":           {asm.Instructions{key, one, lookup, end}, asm.Instructions{entry, nop, nop, nop, end}},
		"at the end":              {asm.Instructions{one, key, lookup}, asm.Instructions{entry, nop, nop, nop}},
		"two":                     {asm.Instructions{one, key, lookup, one, key, lookup}, asm.Instructions{entry, nop, nop, nop, entry, nop, nop, nop}},
		"a jump to the beginning": {asm.Instructions{into(0), one, key, lookup, end}, asm.Instructions{into(0), entry, nop, nop, nop, end}},
		"the beginning of a function": {asm.Instructions{one.WithSymbol("f"), key, lookup, end},
			asm.Instructions{entry.WithSymbol("f"), nop, nop, nop, end}},
		"a way if nothing is found": {asm.Instructions{into(7), one, key, lookup, none, end, end},
			asm.Instructions{into(7), entry, nop, nop, nop, nop, end, end}},
		"a way if something is found": {asm.Instructions{into(6), one, key, lookup, some, end, end},
			asm.Instructions{into(6), entry, nop, nop, nop, always, end, end}},
		"the only way if nothing is found": {asm.Instructions{one, key, lookup, none, end, end},
			asm.Instructions{entry, nop, nop, nop, none, end, end}},
		"the only way, of two": {asm.Instructions{one, key, lookup, jumpIf(asm.JEq, asm.R0, 0, 7), one, key, lookup, none, end, end},
			asm.Instructions{entry, nop, nop, nop, nop, entry, nop, nop, nop, none, end, end}},
		"the only way on if nothing is found": {asm.Instructions{one, key, lookup, some, end, end},
			asm.Instructions{entry, nop, nop, nop, some, end, end}},
		"a way if nothing is found, after reads from the stack": {asm.Instructions{into(9), one, key, lookup, reload, reload, none, end, end},
			asm.Instructions{into(9), entry, nop, nop, nop, reload, reload, nop, end, end}},
		"a jump to a read from the stack": {asm.Instructions{into(6), into(8), one, key, lookup, reload, none, end, end},
			asm.Instructions{into(6), into(8), entry, nop, nop, nop, reload, none, end, end}},
		"a jump to the test after one": {asm.Instructions{into(7), into(8), one, key, lookup, reload, none, end, end},
			asm.Instructions{into(7), into(8), entry, nop, nop, nop, reload, none, end, end}},
		"a read from the stack into the pointer": {asm.Instructions{into(8), one, key, lookup, lost, none, end, end},
			asm.Instructions{into(8), entry, nop, nop, nop, lost, none, end, end}},
		"a read from elsewhere": {asm.Instructions{into(8), one, key, lookup, other, none, end, end},
			asm.Instructions{into(8), entry, nop, nop, nop, other, none, end, end}},
		"a test of something else": {asm.Instructions{into(7), one, key, lookup, jumpIf(asm.JEq, asm.R6, 0, 1), end, end},
			asm.Instructions{into(7), entry, nop, nop, nop, jumpIf(asm.JEq, asm.R6, 0, 1), end, end}},
		"a test against another value": {asm.Instructions{into(7), one, key, lookup, jumpIf(asm.JEq, asm.R0, 1, 1), end, end},
			asm.Instructions{into(7), entry, nop, nop, nop, jumpIf(asm.JEq, asm.R0, 1, 1), end, end}},
		"another test": {asm.Instructions{into(7), one, key, lookup, jumpIf(asm.JGT, asm.R0, 0, 1), end, end},
			asm.Instructions{into(7), entry, nop, nop, nop, jumpIf(asm.JGT, asm.R0, 0, 1), end, end}},
		"a jump to the test": {asm.Instructions{into(6), into(7), one, key, lookup, none, end, end},
			asm.Instructions{into(6), into(7), entry, nop, nop, nop, none, end, end}},
		"a jump to the second address": {asm.Instructions{into(2), one, key, lookup, end}, nil},
		"a jump to the call":           {asm.Instructions{into(4), one, key, lookup, end}, nil},
		"many entries":                 {asm.Instructions{entryOf("many", asm.R1), key, lookup, end}, nil},
		"a key that is 1":              {asm.Instructions{one, addressOf(asm.R2, 4), lookup, end}, nil},
		"a key behind the constants":   {asm.Instructions{one, addressOf(asm.R2, 8), lookup, end}, nil},
		"a key that may change":        {asm.Instructions{one, outside, lookup, end}, nil},
		"a key that is a number":       {asm.Instructions{one, asm.LoadImm(asm.R2, 0, asm.DWord), lookup, end}, nil},
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
			got := e.foldLookups(tt.program)
			if len(got) != len(tt.want) {
				t.Fatalf("%v, want\n%v", got, tt.want)
			}
			for i, want := range tt.want {
				if plain(got[i]) != plain(want) {
					t.Errorf("instruction %d is %v, want %v", i, got[i], want)
				}
			}
			if size := tt.program.Size(); got.Size() != size {
				t.Errorf("%d bytes, want %d: jumps would end elsewhere", got.Size(), size)
			}
		})
	}
}

// plain is all that counts of an instruction.
func plain(i asm.Instruction) string {
	return fmt.Sprintf("%#x %d %d %d %d %q %q", i.OpCode, i.Dst, i.Src, i.Offset, i.Constant, i.Reference(), i.Symbol())
}

func TestEntriesOf(t *testing.T) {
	got := entriesOf(&ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{
		"one": {Type: ebpf.Array, MaxEntries: 1}, "two": {Type: ebpf.Array, MaxEntries: 2},
		"cpus": {Type: ebpf.PerCPUArray, MaxEntries: 1}, "hash": {Type: ebpf.Hash, MaxEntries: 1},
	}})
	for name, single := range got.single {
		if single != (name == "one") {
			t.Errorf("%s has one entry in one place: %t", name, single)
		}
	}
}

// specs are the program for processors of either byte order.
func specs(t *testing.T) map[string]*ebpf.CollectionSpec {
	t.Helper()
	all := map[string]*ebpf.CollectionSpec{}
	for _, file := range []string{"ek_bpfel.o", "ek_bpfeb.o"} {
		spec, err := ebpf.LoadCollectionSpec(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = spec
	}
	return all
}

// No look-up of the program in an array with one entry is of another shape.
func TestFoldLookupsOfTheProgram(t *testing.T) {
	for file, spec := range specs(t) {
		single := entriesOf(spec).single
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
			t.Errorf("%s: %d look-ups in arrays with one entry, %d are left, want none", file, before, after)
		}
	}
}

// The kernel refuses a program with instructions that no way leads to.
func TestFoldLeavesNothingUnreachable(t *testing.T) {
	for file, spec := range specs(t) {
		Fold(spec)
		for name, program := range spec.Programs {
			if n := unreachable(program.Instructions); n != 0 {
				t.Errorf("%s, %s: no way leads to %d instructions", file, name, n)
			}
		}
	}
	if n := unreachable(asm.Instructions{jumpIf(asm.Ja, asm.R0, 0, 1), asm.Mov.Imm(asm.R0, 1), asm.Return()}); n != 1 {
		t.Errorf("%d of an instruction that is jumped over, want 1", n)
	}
}

// unreachable counts the instructions that no way from the beginning of a function leads to.
func unreachable(program asm.Instructions) int {
	at := map[asm.RawInstructionOffset]int{}
	var open []int
	for i := program.Iterate(); i.Next(); {
		at[i.Offset] = i.Index
		if i.Index == 0 || i.Ins.Symbol() != "" {
			open = append(open, i.Index)
		}
	}
	offsets := make([]asm.RawInstructionOffset, len(program))
	for offset, i := range at {
		offsets[i] = offset
	}
	seen := map[int]bool{}
	for len(open) > 0 {
		i := open[len(open)-1]
		open = open[:len(open)-1]
		if seen[i] || i >= len(program) {
			continue
		}
		seen[i] = true
		op := program[i].OpCode.JumpOp()
		if !program[i].OpCode.Class().IsJump() {
			op = asm.InvalidJumpOp
		}
		if to, jumps := jumpTarget(&program[i], offsets[i]); jumps {
			open = append(open, at[to])
		}
		if op == asm.Exit || op == asm.Ja {
			continue
		}
		open = append(open, i+1)
	}
	return len(program) - len(seen)
}
