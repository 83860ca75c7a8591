package reasons

import (
	"regexp"
	"testing"
)

// mapSize is MAX_REASONS of bpf/include/maps.h.
const mapSize = 64

func TestListIsWellFormed(t *testing.T) {
	word := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	names := map[string]Reason{}
	for _, r := range All() {
		if r == 0 || r >= mapSize {
			t.Errorf("%s has number %d, want 1 to %d", r, r, mapSize-1)
		}
		if !word.MatchString(r.String()) {
			t.Errorf("reason %d has the name %q", r, r)
		}
		if other, ok := names[r.String()]; ok {
			t.Errorf("%d and %d share the name %q", r, other, r)
		}
		names[r.String()] = r
		if r.Text() == "" {
			t.Errorf("%s has no text", r)
		}
		switch r.Verdict() {
		case Pass, Drop, Answer, Forward:
		default:
			t.Errorf("%s has the verdict %q", r, r.Verdict())
		}
	}
	if len(names) == 0 {
		t.Fatal("the list is empty")
	}
}

func TestUnknownReasonNamesItsNumber(t *testing.T) {
	if got := Reason(63).String(); got != "reason_63" {
		t.Errorf("Reason(63) = %q", got)
	}
}
