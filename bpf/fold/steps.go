package fold

import (
	"slices"

	"github.com/cilium/ebpf/asm"
)

// step is an instruction that knows where it jumps to, so that others may be taken out.
type step struct {
	asm.Instruction
	to   *step // nil if it is no jump
	gone bool  // it is to be taken out
}

type steps []*step

func stepsOf(program asm.Instructions) steps {
	s := make(steps, 0, len(program))
	at := make(map[asm.RawInstructionOffset]*step, len(program))
	for i := program.Iterate(); i.Next(); {
		s = append(s, &step{Instruction: *i.Ins})
		at[i.Offset] = s[i.Index]
	}
	for i := program.Iterate(); i.Next(); {
		if to, jumps := jumpTarget(i.Ins, i.Offset); jumps {
			s[i.Index].to = at[to]
		}
	}
	return s
}

// jumpTarget returns where an instruction at an offset jumps to, if it does.
func jumpTarget(i *asm.Instruction, at asm.RawInstructionOffset) (to asm.RawInstructionOffset, jumps bool) {
	op := i.OpCode
	if !op.Class().IsJump() || op.JumpOp() == asm.Call || op.JumpOp() == asm.Exit {
		return 0, false
	}
	distance := int64(i.Offset)
	if isLongJump(op) {
		distance = i.Constant
	}
	return asm.RawInstructionOffset(int64(at) + 1 + distance), true
}

// isLongJump reports whether a jump has its distance in place of a constant.
func isLongJump(op asm.OpCode) bool { return op.Class() == asm.Jump32Class && op.JumpOp() == asm.Ja }

// instructions returns the program with the distances of its jumps, and false if one is too far.
func (s steps) instructions() (program asm.Instructions, ok bool) {
	at := make(map[*step]asm.RawInstructionOffset, len(s))
	var end asm.RawInstructionOffset
	for _, i := range s {
		at[i] = end
		end += i.Width()
	}
	program = make(asm.Instructions, 0, len(s))
	for _, i := range s {
		if i.to != nil {
			distance := int64(at[i.to]) - int64(at[i]) - 1
			switch {
			case isLongJump(i.OpCode):
				i.Constant = distance
			case distance != int64(int16(distance)):
				return nil, false
			default:
				i.Offset = int16(distance)
			}
		}
		program = append(program, i.Instruction)
	}
	return program, true
}

// jump is one that is always taken.
func jump(m asm.Metadata) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Metadata: m}
}

// jumps returns how many jumps lead to each step.
func (s steps) jumps() map[*step]int {
	jumps := make(map[*step]int)
	for _, i := range s {
		if i.to != nil {
			jumps[i.to]++
		}
	}
	return jumps
}

// entered returns the steps that are jumped to, or called.
func (s steps) entered() map[*step]bool {
	entered, jumps := make(map[*step]bool), s.jumps()
	for _, i := range s {
		entered[i] = jumps[i] > 0 || i.Symbol() != ""
	}
	return entered
}

// left returns the steps without those that are gone. What led to one of them leads to what comes
// after it.
func (s steps) left() steps {
	after := make(map[*step]*step)
	var next *step
	for _, i := range slices.Backward(s) {
		if !i.gone {
			next = i
		}
		after[i] = next
	}
	left := make(steps, 0, len(s))
	for _, i := range s {
		if i.gone {
			continue
		}
		if i.to != nil {
			i.to = after[i.to]
		}
		left = append(left, i)
	}
	return left
}

// goesOn reports whether the next instruction may come after a step.
func (i *step) goesOn() bool {
	op := i.OpCode
	return !op.Class().IsJump() || op.JumpOp() != asm.Exit && op.JumpOp() != asm.Ja
}

// reached returns the steps that some way leads to from the first, without jumps to the next one. The kernel
// refuses a program with others.
func (s steps) reached() steps {
	at, functions := s.places(), make(map[string]int)
	for n, i := range s {
		i.gone = true
		if name := i.Symbol(); name != "" {
			functions[name] = n
		}
	}
	for open := []int{0}; len(open) > 0; {
		n := open[len(open)-1]
		open = open[:len(open)-1]
		if n >= len(s) || !s[n].gone {
			continue
		}
		s[n].gone = false
		if to := s[n].to; to != nil {
			open = append(open, at[to])
		}
		if s[n].IsFunctionReference() {
			open = append(open, functions[s[n].Reference()])
		}
		if s[n].goesOn() {
			open = append(open, n+1)
		}
	}
	s = s.left()
	for n, i := range s[:max(len(s)-1, 0)] {
		i.gone = i.to == s[n+1] && i.Symbol() == ""
	}
	return s.left()
}

// places returns where each step lies.
func (s steps) places() map[*step]int {
	at := make(map[*step]int, len(s))
	for n, i := range s {
		at[i] = n
	}
	return at
}
