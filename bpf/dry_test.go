package bpf

import (
	"testing"

	"github.com/cilium/ebpf/asm"
)

// The program without effect cannot have one: it calls nothing that changes a
// map, and has no instruction that changes memory for several CPUs.
func TestDryProgramHasNoEffect(t *testing.T) {
	spec, err := LoadEkDry()
	if err != nil {
		t.Fatal(err)
	}
	if len(spec.Programs) != 1 {
		t.Errorf("%d programs, want ek_xdp alone", len(spec.Programs))
	}
	if found := effects(spec.Programs[EkDryProgEkXdp].Instructions); len(found) != 0 {
		t.Errorf("the program without effect has:\n%s", found)
	}
	if spec, err = LoadEk(); err != nil {
		t.Fatal(err)
	}
	if found := effects(spec.Programs[EkProgEkXdp].Instructions); len(found) == 0 {
		t.Error("no effect found in the program that forwards: the test sees nothing")
	}
	if spec.Variables["told"] != nil {
		t.Error("the program that forwards tells what it decides")
	}
}

// effects returns the instructions that change what others see.
func effects(program asm.Instructions) asm.Instructions {
	var found asm.Instructions
	for _, ins := range program {
		helper := asm.BuiltinFunc(ins.Constant)
		changes := helper == asm.FnMapUpdateElem || helper == asm.FnMapDeleteElem || helper == asm.FnRedirect
		if ins.IsBuiltinCall() && changes || ins.OpCode.Class() == asm.StXClass && ins.OpCode.Mode() == asm.AtomicMode {
			found = append(found, ins)
		}
	}
	return found
}

// A barrier is an atomic addition on the stack. Without the sum that it fetches it would be
// none on arm64, where the JIT makes of it an instruction that orders nothing.
func TestBarriersFetch(t *testing.T) {
	spec, err := LoadEk()
	if err != nil {
		t.Fatal(err)
	}
	barriers := 0
	for name, program := range spec.Programs {
		for _, ins := range program.Instructions {
			if ins.OpCode.Class() != asm.StXClass || ins.OpCode.Mode() != asm.AtomicMode || ins.Dst != asm.R10 {
				continue
			}
			barriers++
			if ins.OpCode.AtomicOp() != asm.FetchAdd {
				t.Errorf("%s: %v orders nothing", name, ins)
			}
		}
	}
	if barriers == 0 {
		t.Error("no barrier found: the test sees nothing")
	}
}
