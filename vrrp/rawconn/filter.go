package rawconn

import (
	"golang.org/x/net/bpf"

	"github.com/evenkeel/evenkeel/vrrp"
)

// Where the kernel's filter finds the VRID: behind the IPv4 header, whose
// length it reads from the packet, or at the start of what a raw IPv6 socket
// hands to its filter; behind the authentication header under protocol 51.
const (
	vridAt        = 1
	authHeaderLen = 24
	// whole lets a packet pass uncut.
	whole = 1 << 18
)

// vridSet is a set of virtual router IDs.
type vridSet [8]uint32

func (s *vridSet) add(vrid uint8) { s[vrid>>5] |= 1 << (vrid & 31) }

func (s *vridSet) has(vrid uint8) bool { return s[vrid>>5]&(1<<(vrid&31)) != 0 }

// program returns a filter that passes packets for the virtual routers in s,
// and those too short to name one, which somebody has to count.
func (s *vridSet) program(ipv6 bool, protocol uint8) []bpf.Instruction {
	at := uint32(vridAt)
	if protocol == vrrp.ProtocolAH {
		at += authHeaderLen
	}
	prog := []bpf.Instruction{bpf.LoadConstant{Dst: bpf.RegX}}
	if !ipv6 {
		prog = []bpf.Instruction{bpf.LoadMemShift{}}
	}
	prog = append(prog,
		// Too short?
		bpf.TXA{},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: at},
		bpf.StoreScratch{Src: bpf.RegA, N: 0},
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.StoreScratch{Src: bpf.RegX, N: 1},
		bpf.LoadScratch{Dst: bpf.RegX, N: 0},
		bpf.JumpIfX{Cond: bpf.JumpGreaterThan, SkipTrue: 1},
		bpf.RetConstant{Val: whole},
		// The bit of the VRID.
		bpf.LoadScratch{Dst: bpf.RegX, N: 1},
		bpf.LoadIndirect{Off: at, Size: 1},
		bpf.StoreScratch{Src: bpf.RegA, N: 0},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 31},
		bpf.TAX{},
		bpf.LoadConstant{Dst: bpf.RegA, Val: 1},
		bpf.ALUOpX{Op: bpf.ALUOpShiftLeft},
		bpf.TAX{},
		// The word of the VRID.
		bpf.LoadScratch{Dst: bpf.RegA, N: 0},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 5},
	)
	for word, bits := range s {
		if bits == 0 {
			continue
		}
		prog = append(prog,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(word), SkipFalse: 4},
			bpf.LoadConstant{Dst: bpf.RegA, Val: bits},
			bpf.JumpIfX{Cond: bpf.JumpBitsSet, SkipTrue: 1},
			bpf.RetConstant{},
			bpf.RetConstant{Val: whole},
		)
	}
	return append(prog, bpf.RetConstant{})
}
