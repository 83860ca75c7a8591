//go:build netns

package acceptance

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// needBPFTool skips a test where there is none.
func needBPFTool(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("bpftool"); err != nil {
		t.Skip("skipped: needs bpftool")
	}
}

// bpftool runs bpftool and returns what it prints.
func bpftool(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("bpftool", args...)
	out, err := cmd.Output()
	if err != nil {
		text := err.Error()
		if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // exec wraps nothing around it
			text += ": " + string(exit.Stderr)
		}
		t.Fatalf("%s: %s", cmd, text)
	}
	return string(out)
}

// bpftoolJSON runs bpftool -j and reads what it prints.
func bpftoolJSON[T any](t *testing.T, args ...string) T {
	t.Helper()
	out := bpftool(t, append([]string{"-j"}, args...)...)
	var value T
	if err := json.Unmarshal([]byte(out), &value); err != nil {
		t.Fatalf("bpftool -j %v prints no JSON: %v\n%s", args, err, out)
	}
	return value
}

// attachment is what bpftool shows of a pinned link.
type attachment struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Program int    `json:"prog_id"`
}

// attachment returns what is pinned for an interface, and compares its program
// with the one that the kernel runs there.
func (s *site) attachment(ifname string) attachment {
	s.t.Helper()
	a := bpftoolJSON[attachment](s.t, "link", "show", "pinned", filepath.Join(s.pins, "links", ifname))
	link, err := s.top.Director.Netlink().LinkByName(ifname)
	if err != nil {
		s.t.Fatal(err)
	}
	if xdp := link.Attrs().Xdp; a.Type != "xdp" || xdp == nil || int(xdp.ProgId) != a.Program {
		s.t.Errorf("the link of %s is %+v, and the interface runs %+v", ifname, a, xdp)
	}
	return a
}

// entry is a map's entry as bpftool -j prints it with BTF.
type entry struct {
	Formatted struct {
		Key   json.RawMessage `json:"key"`
		Value json.RawMessage `json:"value"`
		// Values has one value for each CPU.
		Values []struct {
			CPU   int             `json:"cpu"`
			Value json.RawMessage `json:"value"`
		} `json:"values"`
	} `json:"formatted"`
}

// dump returns the entries of a pinned map.
func (s *site) dump(name string) []entry {
	s.t.Helper()
	return bpftoolJSON[[]entry](s.t, "map", "dump", "pinned", filepath.Join(s.pins, "maps", name))
}

func (s *site) entries(name string) int { s.t.Helper(); return len(s.dump(name)) }

// entriesOfFlows counts the entries of all shards, dead ones included.
func (s *site) entriesOfFlows() int {
	s.t.Helper()
	sum := 0
	for shard := range 16 {
		sum += s.entries(fmt.Sprintf("ek_flows_%02d", shard))
	}
	return sum
}

func (s *site) decode(raw json.RawMessage, into any) {
	s.t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		s.t.Fatalf("bpftool prints %s: %v", raw, err)
	}
}
