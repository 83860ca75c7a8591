package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// guestProgram runs a test binary in a machine (internal/guest/command).
const guestProgram = "bin/guest"

// packed are the programs that tests call in the machine, and the variables
// that they read.
const packed = "-tool ipvsadm -env EVENKEEL_PARITY_STEPS,EVENKEEL_PARITY_SEED"

// exitNoKernel is its exit status when a kernel is not to be had.
const exitNoKernel = 251

// machine is one place of the tier vm: a lane and a kernel.
type machine struct {
	lane, kernel string
	// filter selects among the tests of tag vm by the names that the
	// package comment of internal/guest explains.
	filter string
	// program says that the packet tests of the XDP program run there too,
	// in their short form: an emulated processor is slow.
	program bool
}

func (m machine) String() string {
	return fmt.Sprintf("vm %s %s", m.lane, m.kernel)
}

// machines returns the places in the order in which they run, quick ones
// first. User-mode-linux has no JIT, without which the XDP program does not load.
func machines() []machine {
	return []machine{
		{lane: "fast", kernel: "uml", filter: "-skip=^Test(XDP|Counted)"},
		{lane: "normal", kernel: "6.12", filter: "-skip=^TestCounted", program: true},
		{lane: "normal", kernel: "6.1", filter: "-skip=^TestCounted", program: true},
		{lane: "normal", kernel: "newest", filter: "-skip=^TestCounted", program: true},
	}
}

// commands returns what to run in the machine.
func (m machine) commands(t tier, files []testFile, guest string) []command {
	base := command{
		"test", "-json", "-count=1", "-timeout=" + t.timeout.String(),
		fmt.Sprintf("-exec=%s -lane %s -kernel %s -timeout %s %s", guest, m.lane, m.kernel, t.timeout, packed),
	}
	byDir := make(map[string][]string)
	for _, f := range files {
		if f.tier == t.name {
			byDir[f.dir] = append(byDir[f.dir], f.tests...)
		}
	}
	cmds := taggedCommands(append(base[:len(base):len(base)], m.filter), t.tag, byDir)
	if m.program {
		cmds = append(cmds, append(base[:len(base):len(base)], "-short", "-tags=bpf", "-run=^Test", "./bpf"))
	}
	return cmds
}

// runMachine fetches the kernel and runs the commands. A kernel that is not
// to be had is a skip.
func runMachine(ctx context.Context, t tier, m machine, files []testFile, out io.Writer) []result {
	fmt.Fprintf(out, "== %s\n", m)
	kernel := result{tier: t.name, pkg: module + kernels, test: m.kernel}
	guest, err := filepath.Abs(guestProgram)
	if err == nil {
		var said []byte
		said, err = exec.CommandContext(ctx, guest, "-fetch", "-lane", m.lane, "-kernel", m.kernel).CombinedOutput()
		kernel.text = strings.TrimSpace(string(said))
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == exitNoKernel {
		kernel.outcome = skipped
		return []result{kernel}
	}
	if err != nil {
		kernel.outcome = failed
		kernel.text += "\n" + err.Error() + "\n"
		fmt.Fprintf(out, "FAIL %s\n%s", kernel.name(), indent(kernel.text))
		return []result{kernel}
	}
	fmt.Fprintln(out, kernel.text)
	var results []result
	for _, cmd := range m.commands(t, files, guest) {
		results = append(results, runCommand(ctx, m.String(), cmd, out)...)
	}
	return results
}
