//go:build bpf

package bpf

import (
	_ "embed"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/evenkeel/evenkeel/bpf/fold"
)

// bounds has a line for each program: its name, and the most instructions that
// a verifier may follow in it. A kernel refuses a million.
//
//go:embed testdata/verifier.txt
var bounds string

// stackLimit is what all frames of a chain of calls may have together.
const stackLimit = 512

// TestVerifierBounds loads every program and reads in the verifier's log how
// much it had to follow. What grows past its bound fails here before some other
// kernel refuses it; the stack is counted as 6.1 counts it, which rounds each
// frame up to 32 bytes where later ones round to 16, but where the kernel tells
// the sum itself.
func TestVerifierBounds(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root to load programs")
	}
	most := readBounds(t)
	costs := map[string]cost{}
	for prefix, load := range map[string]func() (*ebpf.CollectionSpec, error){"": LoadEk, "dry ": LoadEkDry} {
		spec, err := load()
		if err != nil {
			t.Fatal(err)
		}
		shrink(t, spec, 1024) // small maps
		if prefix == "" {
			fold.Collection(spec) // as what runs is loaded
		}
		for name, c := range verify(t, spec) {
			costs[prefix+name] = c
		}
	}
	t.Logf("%-14s %8s %12s %8s %6s", "program", "size", "verified", "bound", "stack")
	for _, name := range slices.Sorted(maps.Keys(costs)) {
		c := costs[name]
		t.Logf("%-14s %8d %12d %8d %6d", name, c.size, c.verified, most[name], c.stack)
		switch bound, ok := most[name]; {
		case !ok:
			t.Errorf("testdata/verifier.txt has no bound for %s", name)
		case c.verified > bound:
			t.Errorf("the verifier followed %d instructions of %s, the bound is %d", c.verified, name, bound)
		}
		if c.stack > stackLimit {
			t.Errorf("the stacks of %s add up to %d bytes, kernel 6.1 takes %d", name, c.stack, stackLimit)
		}
		delete(most, name)
	}
	if len(most) > 0 {
		t.Errorf("testdata/verifier.txt has bounds for programs that are gone: %v", most)
	}
}

func readBounds(t *testing.T) map[string]int {
	t.Helper()
	most := map[string]int{}
	for line := range strings.Lines(bounds) {
		name, number, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || name[0] == '#' {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		most[name] = n
	}
	return most
}

// cost is what a program costs the verifier.
type cost struct {
	size     int // instructions as loaded
	verified int // instructions followed on all ways
	stack    int // bytes, of the deepest chain of calls
}

// verify loads a collection and returns the costs of its programs.
func verify(t *testing.T, spec *ebpf.CollectionSpec) map[string]cost {
	t.Helper()
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats}})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	defer c.Close()
	costs := map[string]cost{}
	for name, p := range c.Programs {
		said := p.VerifierLog
		followed := regexp.MustCompile(`(?m)^processed (\d+) insns`).FindStringSubmatch(said)
		depths := regexp.MustCompile(`(?m)^stack depth (max )?([\d+]+)`).FindStringSubmatch(said)
		if followed == nil || depths == nil {
			t.Fatalf("the log of %s tells neither instructions nor stack: %s", name, said)
		}
		ins := spec.Programs[name].Instructions
		stack, err := strconv.Atoi(depths[2])
		if depths[1] == "" { // a kernel that does not add them up
			stack, err = deepest(ins, strings.Split(depths[2], "+"))
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n, _ := strconv.Atoi(followed[1]) // digits
		costs[name] = cost{size: len(ins), verified: n, stack: stack}
	}
	return costs
}

// deepest adds up the frames of the deepest chain of calls. The kernel tells the
// depths in the order in which the functions stand in the program.
func deepest(ins asm.Instructions, depths []string) (int, error) {
	var order []string
	calls := map[string][]string{}
	for i := range ins {
		if ins[i].Symbol() != "" {
			order = append(order, ins[i].Symbol())
		}
		if ins[i].IsFunctionReference() {
			in := order[len(order)-1]
			calls[in] = append(calls[in], ins[i].Reference())
		}
	}
	if len(order) != len(depths) {
		return 0, fmt.Errorf("%d functions and %d frames", len(order), len(depths))
	}
	frames := map[string]int{}
	for i, name := range order {
		n, err := strconv.Atoi(depths[i])
		if err != nil {
			return 0, err
		}
		frames[name] = (max(n, 1) + 31) / 32 * 32
	}
	var chain func(string) int
	chain = func(name string) int {
		below := 0
		for _, called := range calls[name] {
			below = max(below, chain(called))
		}
		return frames[name] + below
	}
	return chain(order[0]), nil
}
