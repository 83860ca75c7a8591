//go:build bpf

package fold

import (
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// scratch are the registers that random programs compute with: of those that calls leave alone, too.
var scratch = []asm.Register{asm.R0, asm.R1, asm.R2, asm.R3, asm.R6, asm.R7}

// randomProgram computes with numbers that are known and some that are not, jumps forward, and does all of
// it three times. It returns a sum of all registers, both halves of it.
func randomProgram(random *rand.Rand) asm.Instructions {
	const length = 60
	some := func() asm.Register { return scratch[random.IntN(len(scratch))] }
	number := func() int64 { return []int64{0, 0, 1, 7, 31, 63, -1, -5, 1 << 30}[random.IntN(9)] }
	operations := []asm.ALUOp{asm.Add, asm.Sub, asm.Mul, asm.Or, asm.And, asm.Xor, asm.Mov, asm.Mov, asm.Mov}
	jumps := []asm.JumpOp{
		asm.JEq, asm.JNE, asm.JGT, asm.JGE, asm.JLT, asm.JLE, asm.JSGT, asm.JSGE, asm.JSLT, asm.JSLE, asm.JSet,
	}
	var program asm.Instructions
	for _, r := range scratch { // the kernel may know what lies on the stack, but nobody here
		program = append(program, asm.Mov.Imm(asm.R0, int32(number())),
			asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord), asm.LoadMem(r, asm.RFP, -8, asm.DWord))
	}
	program = append(program, asm.StoreMem(asm.RFP, -16, asm.R0, asm.DWord), asm.Mov.Imm(asm.R8, 0))
	begins, ends := len(program), len(program)+length
	for len(program) < ends {
		i := asm.Instruction{Dst: some(), Constant: number()}
		source := asm.ImmSource
		if random.IntN(2) == 0 {
			source, i.Src, i.Constant = asm.RegSource, some(), 0
		}
		switch random.IntN(11) {
		case 0, 1:
			class := []asm.Class{asm.JumpClass, asm.Jump32Class}[random.IntN(2)]
			i.OpCode = asm.OpCode(class).SetJumpOp(jumps[random.IntN(len(jumps))]).SetSource(source)
			i.Offset = int16(random.IntN(min(8, ends-len(program))))
		case 2:
			shift := []asm.ALUOp{asm.LSh, asm.RSh, asm.ArSh}[random.IntN(3)]
			i.OpCode, i.Src, i.Constant = asm.OpCode(asm.ALU64Class).SetALUOp(shift), asm.R0, int64(random.IntN(64))
			if random.IntN(2) == 0 {
				i.OpCode, i.Constant = asm.OpCode(asm.ALUClass).SetALUOp(shift), i.Constant/2
			}
		case 3:
			i = []asm.Instruction{asm.StoreMem(asm.RFP, -8, some(), asm.DWord), asm.LoadMem(some(), asm.RFP, -8, asm.DWord)}[random.IntN(2)]
		case 4:
			op := []asm.AtomicOp{asm.FetchAdd, asm.Xchg, asm.CmpXchg}[random.IntN(3)]
			i = op.Mem(asm.RFP, some(), asm.DWord, -16)
			i.Constant = int64(op >> 8) // as the kernel reads it; version 0.22 of the library writes only what stands here
		case 5:
			i = asm.Mov.Imm(some(), int32(number()))
		default:
			class := []asm.Class{asm.ALUClass, asm.ALU64Class}[random.IntN(2)]
			i.OpCode = asm.OpCode(class).SetALUOp(operations[random.IntN(len(operations))]).SetSource(source)
		}
		program = append(program, i)
	}
	program = append(program, asm.Add.Imm(asm.R8, 1),
		asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JLT), Dst: asm.R8, Constant: 3, Offset: int16(begins - ends - 2)})
	for _, r := range scratch[1:] {
		program = append(program, asm.Mul.Imm(asm.R0, 31), asm.Add.Reg(asm.R0, r))
	}
	return append(program, asm.Mov.Reg(asm.R1, asm.R0), asm.RSh.Imm(asm.R1, 32), asm.Xor.Reg(asm.R0, asm.R1), asm.Return())
}

// What is folded does what it did. The kernel's own verdict on the same programs says so: it runs each
// before and after.
func TestProgramsDoWhatTheyDid(t *testing.T) {
	random := rand.New(rand.NewPCG(labtest.Seed(t), 3))
	shorter := 0
	for range 300 {
		program := randomProgram(random)
		after, _ := stepsOf(program).settle(constants{}).instructions()
		want, got := runOf(t, program), runOf(t, after)
		if got != want {
			t.Fatalf("%#x, want %#x, of\n%v\nin place of\n%v", got, want, after, program)
		}
		shorter += len(program) - len(after)
	}
	if shorter == 0 {
		t.Error("nothing was folded")
	}
}

// runOf returns what a program returns.
func runOf(t *testing.T, program asm.Instructions) uint32 {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, Instructions: program, License: "GPL"})
	if err != nil {
		t.Fatalf("%v\n%v", err, program)
	}
	defer p.Close()
	result, _, err := p.Test(make([]byte, 64))
	if err != nil {
		t.Fatal(err)
	}
	return result
}
