//go:build bpf

package bench

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bench/figure"
)

// pinned loads and pins an XDP program.
func pinned(t *testing.T, instructions ...asm.Instruction) Other {
	t.Helper()
	var c cleanup
	t.Cleanup(func() { _ = c.Close() })
	dir, err := c.mountPins()
	if err != nil {
		t.Fatal(err)
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, AttachType: ebpf.AttachXDP, Instructions: instructions, License: "MIT"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	o := Other{"other", filepath.Join(dir, "other")}
	if err := p.Pin(o.Pin); err != nil {
		t.Fatal(err)
	}
	return o
}

// verdict always gives the same one.
func verdict(v int32) []asm.Instruction {
	return []asm.Instruction{asm.Mov.Imm(asm.R0, v), asm.Return()}
}

// toOurs sends back what goes to the addresses of the cases, and passes on all else. It puts
// some bytes in front, as a tunnel does.
func toOurs() []asm.Instruction {
	const (
		v4, v6 = 14 + 16, 14 + 24 // where the destination is
		grown  = 20
	)
	addr4, addr6 := vip.Addr().As4(), vip6.Addr().As16()
	return []asm.Instruction{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 54),
		asm.JGT.Reg(asm.R4, asm.R3, "pass"),
		asm.LoadMem(asm.R5, asm.R2, 14, asm.Byte),
		asm.JEq.Imm(asm.R5, 0x45, "four"),
		asm.LoadMem(asm.R5, asm.R2, v6+5, asm.Byte),
		asm.JNE.Imm(asm.R5, int32(addr6[5]), "pass"),
		asm.LoadMem(asm.R5, asm.R2, v6+4, asm.Byte),
		asm.JEq.Imm(asm.R5, int32(addr6[4]), "ours"),
		asm.Ja.Label("pass"),
		asm.LoadMem(asm.R5, asm.R2, v4, asm.Byte).WithSymbol("four"),
		asm.JNE.Imm(asm.R5, int32(addr4[0]), "pass"),
		asm.Mov.Reg(asm.R1, asm.R6).WithSymbol("ours"),
		asm.Mov.Imm(asm.R2, -grown),
		asm.FnXdpAdjustHead.Call(),
		asm.Mov.Imm(asm.R0, xdpTX),
		asm.Return(),
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"),
		asm.Return(),
	}
}

// TestOtherProgram measures a small program beside ours: the figures of both, and their ratio, must be
// there, with what became of the packets.
func TestOtherProgram(t *testing.T) {
	o := Options{Rounds: 2, Packets: 3000, MostFlows: 1 << 10, Beside: []Other{pinned(t, toOurs()...)}}.withDefaults()
	list := oneOfEach(slices.DeleteFunc(cases(o.MostFlows), func(c Case) bool { return !c.common || c.Flows == 1 }))
	figures, err := measureAll(t.Context(), list, o)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]figure.Figure{}
	for _, f := range figures {
		named[f.Name] = f
	}
	for _, c := range list {
		theirs, want := named[newComparison(c, rival{name: "other"}).cost.Name], "XDP_TX"
		if c.Path == pathForeign {
			want = "XDP_PASS"
		}
		if len(theirs.Values) != o.Rounds || len(theirs.Yardstick) != o.Rounds || theirs.Of != "other" || theirs.Note != want {
			t.Errorf("%s: %+v, want %d values and %s", c.Name(), theirs, o.Rounds, want)
		}
		if ours := named[c.Name()]; len(ours.Values) != o.Rounds || ours.Of != "" || c.counted() != (len(ours.Memory) == o.Rounds) {
			t.Errorf("%s: %+v", c.Name(), ours)
		}
		// A round in which the program took no time has no ratio; here one with so few
		// packets may be that.
		if ratio, ok := named[c.Name()+" / other"]; ok && ratio.Unit != "x" {
			t.Errorf("%s: %+v", c.Name(), ratio)
		}
	}
}

// TestOtherVerdict has programs do something else with the packets: no figure comes of it.
func TestOtherVerdict(t *testing.T) {
	d, err := drive.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	for _, tt := range []struct {
		c       Case
		verdict int32
		want    string
	}{
		{cases(1)[0], xdpPass, "other gives another verdict than the case is about: XDP_PASS, want XDP_TX"},
		{cases(1)[0], xdpDrop, "XDP_DROP, want XDP_TX"},
		{cases(1)[0], xdpAborted, "XDP_ABORTED, want XDP_TX"},
		{foreign(pathForeign, vip), xdpTX, "XDP_TX, want XDP_PASS"},
	} {
		rivals, shut, err := openOthers([]Other{pinned(t, verdict(tt.verdict)...)})
		if err != nil {
			t.Fatal(err)
		}
		r, b := &run{driver: d, c: tt.c, packets: 100}, newComparison(tt.c, rivals[0])
		if err = r.openBeside(t.Context(), b); err == nil {
			_, err = r.compare(b)
		}
		if !errors.Is(err, ErrVerdict) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("verdict %d in %s: %v, want %q", tt.verdict, tt.c.Name(), err, tt.want)
		}
		if err := shut(); err != nil {
			t.Error(err)
		}
	}
}

// TestOtherNothing asks for programs that are not there, or cannot be driven.
func TestOtherNothing(t *testing.T) {
	var c cleanup
	t.Cleanup(func() { _ = c.Close() })
	dir, err := c.mountPins()
	if err != nil {
		t.Fatal(err)
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, Instructions: verdict(0), License: "MIT"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Pin(filepath.Join(dir, "filter")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"nothing": "open other at ", "filter": "want XDP"} {
		if _, _, err := openOthers([]Other{{"other", filepath.Join(dir, name)}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
