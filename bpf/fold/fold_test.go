package fold

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/evenkeel/evenkeel/bpf"
)

// addressOf is the address of a constant that lies so many bytes into the section.
func addressOf(to asm.Register, offset int64) asm.Instruction {
	i := asm.LoadImm(to, offset<<32, asm.DWord).WithReference(constantSection)
	i.Src = asm.PseudoMapValue
	return i
}

// folded is a program after something was done to it.
func folded(program asm.Instructions, do func(steps) steps) asm.Instructions {
	after, _ := do(stepsOf(slices.Clone(program))).instructions()
	return after
}

// wantProgram checks what became of a program.
func wantProgram(t *testing.T, got, want asm.Instructions) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%v, want\n%v", got, want)
	}
	for i := range want {
		if plain(got[i]) != plain(want[i]) {
			t.Errorf("instruction %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestConstants(t *testing.T) {
	c := constants{map[uint32][]byte{0: {7}, 4: {0xff, 0xff, 0xff, 0xff}, 8: {1, 2, 3, 4, 5, 6, 7, 8}}, 20, binary.NativeEndian}
	end := asm.Return()
	number := func(n int64) asm.Instruction { return asm.LoadImm(asm.R0, n, asm.DWord) }
	load := func(from asm.Register, offset int16, size asm.Size) asm.Instruction {
		return asm.LoadMem(asm.R0, from, offset, size)
	}
	for name, tt := range map[string]struct{ program, want asm.Instructions }{
		"a byte":             {asm.Instructions{addressOf(asm.R0, 0), load(asm.R0, 0, asm.Byte), end}, asm.Instructions{number(7), end}},
		"a word, not signed": {asm.Instructions{addressOf(asm.R0, 4), load(asm.R0, 0, asm.Word), end}, asm.Instructions{number(0xffffffff), end}},
		"into another register": {asm.Instructions{addressOf(asm.R1, 0), asm.Mov.Imm(asm.R0, 3), load(asm.R1, 0, asm.Byte), end},
			asm.Instructions{number(7), end}},
		"behind another":     {asm.Instructions{addressOf(asm.R1, 0), load(asm.R1, 4, asm.Word), end}, asm.Instructions{number(0xffffffff), end}},
		"a jump over it":     {asm.Instructions{jumpIf(asm.JEq, asm.R1, 1, 3), addressOf(asm.R0, 4), load(asm.R0, 0, asm.Word), end}, asm.Instructions{jumpIf(asm.JEq, asm.R1, 1, 2), number(0xffffffff), end}},
		"a jump to the load": {asm.Instructions{jumpIf(asm.JEq, asm.R1, 1, 2), addressOf(asm.R0, 4), load(asm.R0, 0, asm.Word), end}, nil},
		"a sum":              {asm.Instructions{addressOf(asm.R0, 4), asm.Add.Imm(asm.R0, -4), load(asm.R0, 0, asm.Byte), end}, asm.Instructions{number(7), end}},
		"a sum that is passed": {asm.Instructions{addressOf(asm.R1, 4), asm.Add.Imm(asm.R1, 12), asm.FnGetPrandomU32.Call(), end},
			asm.Instructions{addressOf(asm.R1, 16), asm.FnGetPrandomU32.Call(), end}},
		"a sum behind the last":     {asm.Instructions{addressOf(asm.R1, 16), asm.Add.Imm(asm.R1, 4), asm.FnGetPrandomU32.Call(), end}, nil},
		"half of a sum":             {asm.Instructions{addressOf(asm.R1, 4), asm.Add.Imm32(asm.R1, 4), asm.FnGetPrandomU32.Call(), end}, nil},
		"a sum before the first":    {asm.Instructions{addressOf(asm.R1, 0), asm.Add.Imm(asm.R1, -1), asm.FnGetPrandomU32.Call(), end}, nil},
		"a part of one":             {asm.Instructions{addressOf(asm.R0, 4), load(asm.R0, 0, asm.Half), end}, nil},
		"behind its beginning":      {asm.Instructions{addressOf(asm.R0, 4), load(asm.R0, 1, asm.Byte), end}, nil},
		"none":                      {asm.Instructions{addressOf(asm.R0, 16), load(asm.R0, 0, asm.Byte), end}, nil},
		"a size not used":           {asm.Instructions{addressOf(asm.R0, 8), load(asm.R0, 0, asm.DWord), end}, nil},
		"another's address":         {asm.Instructions{addressOf(asm.R0, 0).WithReference(".bss"), load(asm.R0, 0, asm.Byte), end}, nil},
		"an address that is passed": {asm.Instructions{addressOf(asm.R1, 0), asm.FnGetPrandomU32.Call(), end}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == nil {
				tt.want = tt.program
			}
			wantProgram(t, folded(tt.program, func(s steps) steps { return s.settle(c) }), tt.want)
		})
	}
}

// What the compiler makes of a constant is mostly of the shape that is replaced.
func TestConstantsOfTheProgram(t *testing.T) {
	spec, err := bpf.LoadEk()
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
	Collection(spec)
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

func TestLookups(t *testing.T) {
	e := entries{single: map[string]bool{"one": true, "many": false}, constants: []byte{0, 0, 0, 0, 1, 0, 0, 0, 0, 0}}
	one, key, lookup, end := entryOf("one", asm.R1), addressOf(asm.R2, 0), asm.FnMapLookupElem.Call(), asm.Return()
	keep := asm.StoreMem(asm.RFP, -16, asm.R0, asm.DWord)
	into := func(over int16) asm.Instruction { return jumpIf(asm.JEq, asm.R3, 0, over) }
	outside := addressOf(asm.R2, 0).WithReference(".bss")
	entry := asm.LoadMapValue(asm.R0, 0, 0).WithReference("one")
	for name, tt := range map[string]struct{ program, want asm.Instructions }{
		"the map first": {asm.Instructions{one, key, lookup, end}, asm.Instructions{entry, end}},
		"the key first": {asm.Instructions{key, one, lookup, end}, asm.Instructions{entry, end}},
		"two":           {asm.Instructions{one, key, lookup, keep, one, key, lookup, end}, asm.Instructions{entry, keep, entry, end}},
		"something between": {asm.Instructions{one, keep, key, asm.StoreMem(asm.RFP, -8, asm.R6, asm.DWord), lookup, end},
			asm.Instructions{keep, asm.StoreMem(asm.RFP, -8, asm.R6, asm.DWord), entry, end}},
		"a jump to the beginning": {asm.Instructions{into(0), one, key, lookup, end}, asm.Instructions{into(0), entry, end}},
		"a jump over it":          {asm.Instructions{into(5), one, key, lookup, end}, asm.Instructions{into(2), entry, end}},
		"the beginning of a function": {asm.Instructions{one.WithSymbol("f"), key, lookup, end},
			asm.Instructions{jump(asm.Metadata{}).WithSymbol("f"), entry, end}},
		"a map that others ask for, too": {asm.Instructions{one, asm.Mov.Reg(asm.R6, asm.R1), key, lookup, asm.Add.Reg(asm.R0, asm.R6), end},
			asm.Instructions{one, asm.Mov.Reg(asm.R6, asm.R1), entry, asm.Add.Reg(asm.R0, asm.R6), end}},
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
		"a key that moves on":          {asm.Instructions{one, key, asm.Add.Imm(asm.R2, 4), lookup, end}, nil},
		"a key that is loaded":         {asm.Instructions{one, key, asm.LoadMem(asm.R2, asm.RFP, -8, asm.DWord), lookup, end}, nil},
		"a map that is loaded":         {asm.Instructions{one, asm.LoadMem(asm.R1, asm.RFP, -8, asm.DWord), key, lookup, end}, nil},
		"another map meanwhile":        {asm.Instructions{one, entryOf("many", asm.R1), key, lookup, end}, nil},
		"a call between":               {asm.Instructions{one, key, asm.FnKtimeGetNs.Call(), lookup, end}, nil},
		"a fetch between":              {asm.Instructions{one, key, asm.FetchAdd.Mem(asm.RFP, asm.R1, asm.DWord, -8), lookup, end}, nil},
		"no call":                      {asm.Instructions{end, one, key}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := stepsOf(slices.Clone(tt.program))
			e.foldLookups(got)
			if tt.want == nil {
				tt.want = tt.program
			} else {
				got = got.needed() // what was put there for it
			}
			program, _ := got.instructions()
			wantProgram(t, program, tt.want)
		})
	}
}

// What follows from what is known, and what is of no use then.
func TestSettle(t *testing.T) {
	end, mov := asm.Return(), asm.Mov.Imm
	entry := asm.LoadMapValue(asm.R0, 0, 0).WithReference("one")
	wide := asm.LoadImm(asm.R1, 1<<40, asm.DWord)
	call := asm.FnKtimeGetNs.Call()
	register := func(op asm.JumpOp, dst, src asm.Register, over int16) asm.Instruction {
		return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.RegSource), Dst: dst, Src: src, Offset: over}
	}
	narrow := func(i asm.Instruction) asm.Instruction {
		i.OpCode = i.OpCode&^7 | asm.OpCode(asm.Jump32Class)
		return i
	}
	store := asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord)
	for name, tt := range map[string]struct{ program, want asm.Instructions }{
		"a branch that is never taken": {asm.Instructions{mov(asm.R1, 0), jumpIf(asm.JNE, asm.R1, 0, 1), mov(asm.R0, 1), end},
			asm.Instructions{mov(asm.R0, 1), end}},
		"a branch that is always taken": {asm.Instructions{mov(asm.R0, 2), mov(asm.R1, 0), jumpIf(asm.JEq, asm.R1, 0, 1), mov(asm.R0, 1), end},
			asm.Instructions{mov(asm.R0, 2), end}},
		"a branch on an entry": {asm.Instructions{entry, jumpIf(asm.JNE, asm.R0, 0, 1), end, asm.LoadMem(asm.R0, asm.R0, 0, asm.Word), end},
			asm.Instructions{entry, asm.LoadMem(asm.R0, asm.R0, 0, asm.Word), end}},
		"a branch on a place in an entry": {asm.Instructions{entry, asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), asm.Add.Reg(asm.R2, asm.R0), jumpIf(asm.JEq, asm.R2, 0, 1), mov(asm.R0, 1), end},
			asm.Instructions{mov(asm.R0, 1), end}},
		"half of a number": {asm.Instructions{wide, narrow(jumpIf(asm.JEq, asm.R1, 0, 1)), end, mov(asm.R0, 1), end},
			asm.Instructions{mov(asm.R0, 1), end}},
		"a sign": {asm.Instructions{mov(asm.R1, -1), jumpIf(asm.JSLT, asm.R1, 0, 1), end, jumpIf(asm.JGT, asm.R1, 5, 1), end, mov(asm.R0, 1), end},
			asm.Instructions{mov(asm.R0, 1), end}},
		"a half without its sign": {asm.Instructions{asm.Mov.Imm32(asm.R1, -1), jumpIf(asm.JSLT, asm.R1, 0, 1), mov(asm.R0, 1), end},
			asm.Instructions{mov(asm.R0, 1), end}},
		"a result": {asm.Instructions{mov(asm.R0, 7), asm.LSh.Imm(asm.R0, 33), asm.Sub.Imm(asm.R0, 1), end},
			asm.Instructions{asm.LoadImm(asm.R0, 7<<33-1, asm.DWord), end}},
		"a narrow result": {asm.Instructions{mov(asm.R0, 1), asm.Sub.Imm32(asm.R0, 2), asm.RSh.Imm(asm.R0, 1), end},
			asm.Instructions{asm.LoadImm(asm.R0, 1<<31-1, asm.DWord), end}},
		"a result of halves": {asm.Instructions{asm.LoadImm(asm.R0, 1<<32|8, asm.DWord), asm.RSh.Imm32(asm.R0, 1), end},
			asm.Instructions{asm.LoadImm(asm.R0, 4, asm.DWord), end}},
		"a result that is cut off": {asm.Instructions{mov(asm.R0, -1), asm.LSh.Imm32(asm.R0, 4), end},
			asm.Instructions{asm.LoadImm(asm.R0, 0xfffffff0, asm.DWord), end}},
		"a second operand": {asm.Instructions{asm.LoadMem(asm.R0, asm.R1, 0, asm.Word), mov(asm.R2, 7), asm.RSh.Reg(asm.R0, asm.R2), end},
			asm.Instructions{asm.LoadMem(asm.R0, asm.R1, 0, asm.Word), asm.RSh.Imm(asm.R0, 7), end}},
		"a comparison with a register": {asm.Instructions{asm.LoadMem(asm.R0, asm.R1, 0, asm.Word), mov(asm.R2, 7), register(asm.JEq, asm.R0, asm.R2, 1), mov(asm.R0, 1), end},
			asm.Instructions{asm.LoadMem(asm.R0, asm.R1, 0, asm.Word), jumpIf(asm.JEq, asm.R0, 7, 1), mov(asm.R0, 1), end}},
		"over a call": {asm.Instructions{mov(asm.R6, 0), call, jumpIf(asm.JNE, asm.R6, 0, 1), mov(asm.R0, 1), end},
			asm.Instructions{call, mov(asm.R0, 1), end}},
		"a number of both ways": {
			asm.Instructions{
				jumpIf(asm.JEq, asm.R2, 0, 2), mov(asm.R1, 7), jumpIf(asm.Ja, asm.R0, 0, 1), mov(asm.R1, 7),
				jumpIf(asm.JNE, asm.R1, 7, 2), mov(asm.R0, 1), end, mov(asm.R0, 2), end,
			},
			asm.Instructions{mov(asm.R0, 1), end},
		},
		"a number that a loop keeps": {asm.Instructions{mov(asm.R6, 0), call, jumpIf(asm.JNE, asm.R6, 0, 1), jumpIf(asm.JEq, asm.R0, 5, -3), end},
			asm.Instructions{call, jumpIf(asm.JEq, asm.R0, 5, -2), end}},
		"a number on the only way there": {
			asm.Instructions{mov(asm.R6, 0), jumpIf(asm.JEq, asm.R6, 0, 1), mov(asm.R6, 1), jumpIf(asm.JEq, asm.R6, 0, 1), mov(asm.R0, 1), mov(asm.R0, 2), end},
			asm.Instructions{mov(asm.R0, 2), end},
		},
		"the beginning of a function": {asm.Instructions{mov(asm.R1, 0).WithSymbol("f"), mov(asm.R0, 1), end},
			asm.Instructions{jump(asm.Metadata{}).WithSymbol("f"), mov(asm.R0, 1), end}},
		"a number that does not fit":     {asm.Instructions{wide, asm.LoadMem(asm.R0, asm.R2, 0, asm.Word), asm.Add.Reg(asm.R0, asm.R1), end}, nil},
		"a shift that is too far":        {asm.Instructions{mov(asm.R1, 64), asm.LoadMem(asm.R0, asm.R2, 0, asm.Word), asm.LSh.Reg(asm.R0, asm.R1), end}, nil},
		"a number that a call loses":     {asm.Instructions{mov(asm.R1, 0), asm.FnGetPrandomU32.Call(), jumpIf(asm.JNE, asm.R1, 0, 1), mov(asm.R0, 1), end}, nil},
		"a number of one way of two":     {asm.Instructions{jumpIf(asm.JEq, asm.R2, 0, 1), mov(asm.R1, 0), jumpIf(asm.JNE, asm.R1, 0, 1), mov(asm.R0, 1), end}, nil},
		"a number that a fetch replaces": {asm.Instructions{mov(asm.R1, 0), asm.FetchAdd.Mem(asm.RFP, asm.R1, asm.DWord, -8), jumpIf(asm.JNE, asm.R1, 0, 1), mov(asm.R0, 1), end}, nil},
		"a number that a swap replaces":  {asm.Instructions{mov(asm.R0, 0), asm.CmpXchg.Mem(asm.RFP, asm.R1, asm.DWord, -8), jumpIf(asm.JNE, asm.R0, 0, 1), mov(asm.R0, 1), end}, nil},
		"a number that a load replaces": {asm.Instructions{mov(asm.R1, 0), asm.LoadMem(asm.R1, asm.RFP, -8, asm.DWord), jumpIf(asm.JNE, asm.R1, 0, 1), mov(asm.R0, 1), end},
			asm.Instructions{asm.LoadMem(asm.R1, asm.RFP, -8, asm.DWord), jumpIf(asm.JNE, asm.R1, 0, 1), mov(asm.R0, 1), end}},
		"the last register that a call loses": {asm.Instructions{mov(asm.R5, 0), asm.FnGetPrandomU32.Call(), jumpIf(asm.JNE, asm.R5, 0, 1), mov(asm.R0, 1), end}, nil},
		"half of an address":                  {asm.Instructions{entry, asm.Mov.Reg32(asm.R2, asm.R0), jumpIf(asm.JEq, asm.R2, 0, 1), mov(asm.R0, 1), end}, nil},
		"a branch on half of an address":      {asm.Instructions{entry, narrow(jumpIf(asm.JEq, asm.R0, 0, 1)), mov(asm.R0, 1), end}, nil},
		"a shift with its sign":               {asm.Instructions{mov(asm.R0, -8), asm.ArSh.Imm(asm.R0, 1), end}, nil},
		"a number that a loop changes":        {asm.Instructions{mov(asm.R6, 0), call, jumpIf(asm.JEq, asm.R6, 3, 2), asm.Add.Imm(asm.R6, 1), jumpIf(asm.Ja, asm.R0, 0, -4), end}, nil},
		"another number by another way":       {asm.Instructions{mov(asm.R1, 0), jumpIf(asm.JEq, asm.R2, 0, 1), mov(asm.R1, 1), jumpIf(asm.JNE, asm.R1, 0, 1), mov(asm.R0, 1), end}, nil},
		"a number that is stored":             {asm.Instructions{mov(asm.R1, 0), store, mov(asm.R0, 1), end}, nil},
		"an address that may be another":      {asm.Instructions{entry, jumpIf(asm.JEq, asm.R0, 1, 1), mov(asm.R0, 1), end}, nil},
		"a number that may be passed":         {asm.Instructions{mov(asm.R1, 0), asm.FnGetPrandomU32.Call(), end}, nil},
		"a number that is not passed":         {asm.Instructions{mov(asm.R1, 0), call, end}, asm.Instructions{call, end}},
		"a branch far away": {asm.Instructions{jumpIf(asm.JEq, asm.R1, 0, 3), mov(asm.R0, 1), jumpIf(asm.Ja, asm.R0, 0, 3), end, mov(asm.R0, 2), end,
			asm.Add.Imm(asm.R0, 5), end}, asm.Instructions{jumpIf(asm.JEq, asm.R1, 0, 3), asm.LoadImm(asm.R0, 6, asm.DWord), end, mov(asm.R0, 2), end}},
		"a loop that is entered in the middle": {
			asm.Instructions{
				jumpIf(asm.JEq, asm.R1, 0, 4), jumpIf(asm.JEq, asm.R1, 1, 6), mov(asm.R0, 1), end,
				asm.Add.Imm(asm.R1, 3), asm.Add.Imm(asm.R1, 1), jumpIf(asm.JEq, asm.R1, 9, -5), jumpIf(asm.Ja, asm.R0, 0, 2),
				mov(asm.R0, 2), end, asm.Add.Imm(asm.R1, 2), jumpIf(asm.Ja, asm.R0, 0, -8),
			},
			asm.Instructions{
				jumpIf(asm.JEq, asm.R1, 0, 4), jumpIf(asm.JEq, asm.R1, 1, 7), mov(asm.R0, 1), end,
				asm.Add.Imm(asm.R1, 3), asm.Add.Imm(asm.R1, 1), jumpIf(asm.JEq, asm.R1, 9, -5),
				asm.Add.Imm(asm.R1, 2), jumpIf(asm.Ja, asm.R0, 0, -5), mov(asm.R0, 2), end,
			},
		},
		"a function that nobody calls": {asm.Instructions{mov(asm.R0, 1).WithSymbol("f"), end, mov(asm.R0, 2).WithSymbol("g"), end},
			asm.Instructions{mov(asm.R0, 1).WithSymbol("f"), end}},
		"where two ways meet": {asm.Instructions{jumpIf(asm.JEq, asm.R1, 0, 2), mov(asm.R0, 1), jumpIf(asm.Ja, asm.R0, 0, 1), mov(asm.R0, 2), end}, nil},
		"a loop":              {asm.Instructions{mov(asm.R1, 0), asm.Add.Imm(asm.R1, 1), jumpIf(asm.JLT, asm.R1, 5, -2), mov(asm.R0, 1), end}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == nil {
				tt.want = tt.program
			}
			wantProgram(t, folded(tt.program, func(s steps) steps { return s.settle(constants{}) }), tt.want)
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
	if len(got.single) != 4 {
		t.Errorf("%d maps, want 4", len(got.single))
	}
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
		spec, err := ebpf.LoadCollectionSpec("../" + file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = spec
	}
	return all
}

// No look-up of the program in an array with one entry is left.
func TestLookupsOfTheProgram(t *testing.T) {
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
		Collection(spec)
		if after := pointers(); before == 0 || after != 0 {
			t.Errorf("%s: %d look-ups in arrays with one entry, %d are left, want none", file, before, after)
		}
	}
}

// The kernel refuses a program with instructions that no way leads to.
func TestNothingIsLeftUnreachable(t *testing.T) {
	for file, spec := range specs(t) {
		Collection(spec)
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
