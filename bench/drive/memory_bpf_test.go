//go:build bpf

package drive

import "testing"

// TestMemory walks the lines as the program does: all must be on the way.
func TestMemory(t *testing.T) {
	const lines = 1 << 13 // more than one call writes
	m, err := NewMemory(lines)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	if each, err := m.Read(lines); err != nil || each <= 0 {
		t.Errorf("reads of %v ns, %v", each, err)
	}
	var line DriveLine
	seen := map[uint32]bool{}
	for at := uint32(0); !seen[at]; at = line.Next {
		seen[at] = true
		if err := m.objects.Lines.Lookup(at, &line); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != lines {
		t.Errorf("%d lines are on the way, want %d", len(seen), lines)
	}
}
