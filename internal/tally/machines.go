package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// guestProgram runs a test binary in a machine (internal/guest/command).
const guestProgram = "bin/guest"

// packed are the programs that tests call in the machine, and the variables
// that they read.
const (
	tools  = "ipvsadm"
	packed = "-tool " + tools + " -env EVENKEEL_PARITY_STEPS,EVENKEEL_PARITY_SEED"
)

// exitNoMachine is its exit status when no such machine can run here: its
// kernel is not to be had, or does not start.
const exitNoMachine = 251

// machine is one place of the tier vm: a lane and a kernel.
type machine struct {
	lane, kernel string
	// kinds are the tests that run there, by the names that the package
	// comment of internal/guest explains.
	kinds []kind
	// short asks tests for their short form.
	short bool
	// program says that the packet tests of the XDP program run there too, in
	// their short form.
	program bool
}

// kind is what the name of a test of tag vm says about where it runs.
type kind int

const (
	everywhere kind = iota
	withJIT         // TestXDP...
	counted         // TestCounted...
)

func kindOf(test string) kind {
	switch {
	case strings.HasPrefix(test, "TestXDP"):
		return withJIT
	case strings.HasPrefix(test, "TestCounted"):
		return counted
	}
	return everywhere
}

func (m machine) String() string {
	return fmt.Sprintf("vm %s %s", m.lane, m.kernel)
}

// machines returns the places in the order in which they run, quick ones
// first. User-mode-linux has no JIT, without which the XDP program does not load.
// In the lane counted there is no other load, so that long histories fit between
// two time-outs.
func machines() []machine {
	return []machine{
		{lane: "fast", kernel: "uml", kinds: []kind{everywhere}},
		{lane: "normal", kernel: "6.12", kinds: []kind{everywhere, withJIT}, program: true},
		{lane: "normal", kernel: "6.1", kinds: []kind{everywhere, withJIT}, program: true},
		{lane: "normal", kernel: "newest", kinds: []kind{everywhere, withJIT}, program: true},
		{lane: "counted", kernel: "6.12", kinds: []kind{counted}},
		{lane: "counted", kernel: "6.1", kinds: []kind{counted}},
		{lane: "counted", kernel: "newest", kinds: []kind{counted}},
	}
}

// shortMachines returns the places of the tier vm-short, which is for every run
// of CI: all tests at native speed, and those that need the JIT on one kernel, in
// virtual time: on a busy host an emulated machine answers checks too late.
func shortMachines() []machine {
	return []machine{
		{lane: "fast", kernel: "uml", kinds: []kind{everywhere}, short: true},
		{lane: "counted", kernel: "6.12", kinds: []kind{withJIT, counted}, short: true},
	}
}

// commands returns what to run in the machine.
func (m machine) commands(t tier, files []testFile, guest string) []command {
	base := command{
		"test", "-json", "-count=1", "-timeout=" + t.timeout.String(),
		fmt.Sprintf("-exec=%s -lane %s -kernel %s -timeout %s %s", guest, m.lane, m.kernel, t.timeout, packed),
	}
	if m.short {
		base = append(base, "-short")
	}
	byDir := make(map[string][]string)
	for _, f := range files {
		for _, test := range f.tests {
			tooLong := m.short && strings.HasPrefix(test, "TestXDPLong") // a daemon's start takes a minute there
			if f.tier == t.files && slices.Contains(m.kinds, kindOf(test)) && !tooLong {
				byDir[f.dir] = append(byDir[f.dir], test)
			}
		}
	}
	cmds := taggedCommands(base, t.tag, byDir)
	if m.program {
		cmds = append(cmds, append(base[:len(base):len(base)], "-short", "-tags=bpf", "./bpf"))
	}
	return cmds
}

// runMachine fetches the kernel and runs the commands. A machine that cannot
// run here is a skip.
func runMachine(ctx context.Context, t tier, m machine, files []testFile, out io.Writer) []result {
	fmt.Fprintf(out, "== %s\n", m)
	kernel := result{tier: t.name, pkg: module + kernels, test: m.kernel}
	guest, err := filepath.Abs(guestProgram)
	if err == nil {
		var said []byte
		said, err = exec.CommandContext(ctx, guest, "-try", "-lane", m.lane, "-kernel", m.kernel, "-tool", tools).CombinedOutput()
		kernel.text = strings.TrimSpace(string(said))
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == exitNoMachine {
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
	began := time.Now()
	var results []result
	for _, cmd := range m.commands(t, files, guest) {
		results = append(results, runCommand(ctx, m.String(), cmd, out)...)
	}
	fmt.Fprintf(out, "%s took %v\n", m, time.Since(began).Round(time.Second))
	return results
}
