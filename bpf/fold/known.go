package fold

import (
	"math"

	"github.com/cilium/ebpf/asm"
)

// fact is what is known of a register.
type fact struct {
	kind  factKind
	value int64 // if isNumber; the offset if isConstant
}

type factKind uint8

const (
	unknown factKind = iota
	isNumber
	isAddress  // in an entry, and never 0
	isConstant // the address of one
)

// facts are what is known of all registers.
type facts [asm.R10 + 1]fact

// carryOn puts constants in place of their loads, numbers that are known in place of the registers that hold
// them, and takes branches that are certain, and returns whether anything changed.
func (s steps) carryOn(c constants) (changed bool) {
	for n, known := range s.follow() {
		if known == nil {
			continue
		}
		i, before := s[n], s[n].OpCode
		if op := before; op.Class() == asm.LdXClass && op.Mode() == asm.MemMode {
			known.read(i, c)
		} else if op.Class() == asm.ALU64Class && op.ALUOp() == asm.Add && op.Source() == asm.ImmSource && known[i.Dst].kind == isConstant {
			known.point(i, c)
		} else if op.Class().IsALU() && op.Source() == asm.RegSource && takesNumber[op.ALUOp()] {
			known.simplify(i, op.Class() == asm.ALUClass)
		} else if op.Class().IsALU() && op.Source() == asm.ImmSource && results[op.ALUOp()] != nil && known[i.Dst].kind == isNumber {
			known.compute(i, op.Class() == asm.ALUClass)
		} else if op.Class().IsJump() && comparisons[op.JumpOp()] != nil {
			known.simplify(i, op.Class() == asm.Jump32Class)
			if taken, certain := known.decide(&i.Instruction); certain {
				i.Instruction = jump(i.Metadata)
				if !taken {
					i.to = s[n+1]
				}
			}
		}
		changed = changed || i.OpCode != before
	}
	return changed
}

// read puts a constant in place of its load.
func (f *facts) read(i *step, c constants) {
	if from := f[i.Src]; from.kind == isConstant {
		if n, ok := c.read(uint32(from.value+int64(i.Offset)), i.OpCode.Size()); ok {
			i.Instruction = asm.LoadImm(i.Dst, n, asm.DWord).WithMetadata(i.Metadata)
		}
	}
}

// point puts the address of a constant in place of a sum with that of another.
func (f *facts) point(i *step, c constants) {
	if from := f[i.Dst]; from.value+i.Constant >= 0 && from.value+i.Constant < int64(c.size) {
		address := asm.LoadMapValue(i.Dst, 0, uint32(from.value+i.Constant))
		i.Instruction = address.WithMetadata(i.Metadata).WithReference(constantSection)
	}
}

// simplify puts a number in place of the second register, if it is known and fits. What is narrow takes
// the lower half of both.
func (f *facts) simplify(i *step, narrow bool) {
	n, width := f[i.Src].value, int64(64)
	if narrow {
		n, width = int64(int32(n)), 32
	}
	if i.OpCode.Source() != asm.RegSource || f[i.Src].kind != isNumber || n != int64(int32(n)) {
		return
	}
	if i.OpCode.Class().IsALU() && isShift(i.OpCode.ALUOp()) && (n < 0 || n >= width) {
		return // the kernel refuses it
	}
	i.OpCode, i.Src, i.Constant = i.OpCode.SetSource(asm.ImmSource), asm.R0, n
}

func isShift(op asm.ALUOp) bool { return op == asm.LSh || op == asm.RSh || op == asm.ArSh }

// takesNumber are the operations that take any number in place of their second register.
var takesNumber = map[asm.ALUOp]bool{
	asm.Add: true, asm.Sub: true, asm.Mul: true, asm.Or: true, asm.And: true, asm.Xor: true, asm.Mov: true,
	asm.LSh: true, asm.RSh: true, asm.ArSh: true,
}

// results are what operations make of two numbers. Of shifts the second is less than the width.
var results = map[asm.ALUOp]func(a, b uint64) uint64{
	asm.Add: func(a, b uint64) uint64 { return a + b },
	asm.Sub: func(a, b uint64) uint64 { return a - b },
	asm.Mul: func(a, b uint64) uint64 { return a * b },
	asm.Or:  func(a, b uint64) uint64 { return a | b },
	asm.And: func(a, b uint64) uint64 { return a & b },
	asm.Xor: func(a, b uint64) uint64 { return a ^ b },
	asm.LSh: func(a, b uint64) uint64 { return a << b },
	asm.RSh: func(a, b uint64) uint64 { return a >> b },
}

// compute puts the result in place of an operation with two numbers. What is narrow takes and leaves
// the lower halves.
func (f *facts) compute(i *step, narrow bool) {
	a, b := uint64(f[i.Dst].value), uint64(i.Constant)
	if narrow {
		a, b = a&math.MaxUint32, b&math.MaxUint32
	}
	result := results[i.OpCode.ALUOp()](a, b)
	if narrow {
		result &= math.MaxUint32
	}
	i.Instruction = asm.LoadImm(i.Dst, int64(result), asm.DWord).WithMetadata(i.Metadata)
}

// operands are two numbers that are compared, with their signs and without.
type operands struct {
	a, b             uint64
	signedA, signedB int64
}

// comparisons are the jumps that depend on their operands.
var comparisons = map[asm.JumpOp]func(operands) bool{
	asm.JEq:  func(o operands) bool { return o.a == o.b },
	asm.JNE:  func(o operands) bool { return o.a != o.b },
	asm.JGT:  func(o operands) bool { return o.a > o.b },
	asm.JGE:  func(o operands) bool { return o.a >= o.b },
	asm.JLT:  func(o operands) bool { return o.a < o.b },
	asm.JLE:  func(o operands) bool { return o.a <= o.b },
	asm.JSGT: func(o operands) bool { return o.signedA > o.signedB },
	asm.JSGE: func(o operands) bool { return o.signedA >= o.signedB },
	asm.JSLT: func(o operands) bool { return o.signedA < o.signedB },
	asm.JSLE: func(o operands) bool { return o.signedA <= o.signedB },
	asm.JSet: func(o operands) bool { return o.a&o.b != 0 },
}

// decide returns whether a branch is taken, if that is certain.
func (f *facts) decide(i *asm.Instruction) (taken, certain bool) {
	op := i.OpCode
	if op.Source() != asm.ImmSource {
		return false, false
	}
	d := f[i.Dst]
	if d.kind == isAddress {
		certain = op.Class() == asm.JumpClass && i.Constant == 0 && (op.JumpOp() == asm.JEq || op.JumpOp() == asm.JNE)
		return op.JumpOp() == asm.JNE, certain
	}
	a, b := d.value, int64(int32(i.Constant))
	o := operands{uint64(a), uint64(b), a, b}
	if op.Class() == asm.Jump32Class {
		o = operands{uint64(uint32(a)), uint64(uint32(b)), int64(int32(a)), b}
	}
	return comparisons[op.JumpOp()](o), d.kind == isNumber
}

// after makes the facts those behind an instruction.
func (f *facts) after(i *asm.Instruction) {
	op := i.OpCode
	switch class := op.Class(); {
	case op.IsDWordLoad():
		f[i.Dst] = loaded(i)
	case class.IsALU() && op.ALUOp() == asm.Mov:
		f[i.Dst] = f.moved(i)
	case class == asm.ALU64Class && op.ALUOp() == asm.Add && f.adds(i):
		f[i.Dst] = fact{kind: isAddress}
	case class.IsALU(), class == asm.LdXClass:
		f[i.Dst] = fact{}
	case class == asm.StXClass: // an atomic operation may fetch into any
		if op.Mode() != asm.MemMode {
			f[i.Src], f[i.Dst], f[asm.R0] = fact{}, fact{}, fact{}
		}
	case class == asm.LdClass, class.IsJump() && op.JumpOp() == asm.Call:
		for r := asm.R0; r <= asm.R5; r++ {
			f[r] = fact{}
		}
	}
}

// adds reports whether a sum is one of an address in an entry and a number.
func (f *facts) adds(i *asm.Instruction) bool {
	return f[i.Dst].kind == isAddress || i.OpCode.Source() == asm.RegSource && f[i.Src].kind == isAddress
}

// loaded is what an instruction of two slots makes known.
func loaded(i *asm.Instruction) fact {
	switch {
	case i.Src == asm.PseudoMapValue && i.Reference() == constantSection:
		return fact{isConstant, i.Constant >> 32}
	case i.Src == asm.PseudoMapValue:
		return fact{kind: isAddress}
	case i.Src == asm.R0 && i.Reference() == "":
		return fact{isNumber, i.Constant}
	}
	return fact{}
}

// moved is what a move makes known of where it moves to.
func (f *facts) moved(i *asm.Instruction) fact {
	from := fact{isNumber, int64(int32(i.Constant))}
	if i.OpCode.Source() == asm.RegSource {
		from = f[i.Src]
	}
	if i.OpCode.Class() == asm.ALUClass {
		if from.kind != isNumber {
			return fact{}
		}
		from.value &= math.MaxUint32
	}
	return from
}
