package fold

import "github.com/cilium/ebpf/asm"

// registers is a set of them, a bit for each.
type registers uint16

func register(r asm.Register) registers { return 1 << r }

// passed are the registers that a call may read, and lost those that it leaves undefined, or with
// its result.
const (
	passed registers = 1<<asm.R1 | 1<<asm.R2 | 1<<asm.R3 | 1<<asm.R4 | 1<<asm.R5
	lost             = passed | 1<<asm.R0
)

// passes are the registers that the kernel's functions read which most packets call; for others all are
// taken as read.
var passes = map[asm.BuiltinFunc]registers{
	asm.FnJiffies64:         0,
	asm.FnGetSmpProcessorId: 0,
	asm.FnKtimeGetNs:        0,
	asm.FnKtimeGetCoarseNs:  0,
	asm.FnMapLookupElem:     1<<asm.R1 | 1<<asm.R2,
	asm.FnRedirect:          1<<asm.R1 | 1<<asm.R2,
	asm.FnXdpAdjustHead:     1<<asm.R1 | 1<<asm.R2,
}

// called returns the registers that a call reads.
func called(i *asm.Instruction) registers {
	if i.IsBuiltinCall() {
		if read, ok := passes[asm.BuiltinFunc(i.Constant)]; ok {
			return read
		}
	}
	return passed
}

// needed returns the steps without those that only compute what nobody reads.
func (s steps) needed() steps {
	at := s.places()
	live := make([]registers, len(s)+1) // before each
	for changed := true; changed; {
		changed = false
		for n := len(s) - 1; n >= 0; n-- {
			now := s[n].before(s.behind(n, at, live))
			changed = changed || now != live[n]
			live[n] = now
		}
	}
	for n, i := range s {
		if !i.onlyComputes() || s.behind(n, at, live)&register(i.Dst) != 0 {
			continue
		}
		if i.gone = i.Symbol() == ""; !i.gone { // others know it by its name; the kernel takes such a jump out
			i.Instruction, i.to = jump(i.Metadata).WithReference(""), s[n+1]
		}
	}
	return s.left()
}

// behind returns the registers that are read after a step.
func (s steps) behind(n int, at map[*step]int, live []registers) (read registers) {
	if s[n].goesOn() {
		read = live[n+1]
	}
	if s[n].to != nil {
		read |= live[at[s[n].to]]
	}
	return read
}

// before returns the registers that are read from a step on, of which those behind it are known.
func (i *step) before(behind registers) registers {
	op, dst, src := i.OpCode, register(i.Dst), register(i.Src)
	switch class := op.Class(); {
	case op.IsDWordLoad():
		return behind &^ dst
	case class == asm.LdXClass:
		return behind&^dst | src
	case class == asm.StClass:
		return behind | dst
	case class == asm.StXClass && op.Mode() == asm.MemMode:
		return behind | dst | src
	case class == asm.StXClass: // an atomic operation may compare with R0
		return behind | dst | src | register(asm.R0)
	case class.IsALU():
		return i.beforeComputing(behind)
	case op.JumpOp() == asm.Call:
		return behind&^lost | called(&i.Instruction)
	case op.JumpOp() == asm.Exit:
		return register(asm.R0)
	case op.JumpOp() == asm.Ja:
		return behind
	case class.IsJump() && op.Source() == asm.ImmSource:
		return behind | dst
	}
	return behind | dst | src
}

func (i *step) beforeComputing(behind registers) registers {
	op, read := i.OpCode, behind
	if op.ALUOp() == asm.Mov {
		read &^= register(i.Dst)
	} else {
		read |= register(i.Dst)
	}
	if op.Source() == asm.RegSource && op.ALUOp() != asm.Swap {
		read |= register(i.Src)
	}
	return read
}

// onlyComputes reports whether a step does nothing but write its register.
func (i *step) onlyComputes() bool {
	return i.OpCode.IsDWordLoad() || i.OpCode.Class().IsALU() || i.OpCode.Class() == asm.LdXClass
}

// stores reports whether a step writes to memory, and to no register.
func (i *step) stores() bool {
	class := i.OpCode.Class()
	return class == asm.StClass || class == asm.StXClass && i.OpCode.Mode() == asm.MemMode
}
