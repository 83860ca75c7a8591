package conformance

import (
	"encoding/json"
	"os"
	"testing"
)

// results are what came out for one router.
type results struct {
	Version string          `json:"version,omitempty"`
	Items   map[int]outcome `json:"items"`
}

// outcome is what came out of one item.
type outcome struct {
	// Verdict is holds, differs, or no option.
	Verdict string `json:"verdict"`
	// Note says what was seen, or what is missing.
	Note string `json:"note,omitempty"`
}

// The verdicts.
const (
	holds    = "holds"
	differs  = "differs"
	noOption = "no option"
)

const resultsFile = "testdata/results.json"

// readResults returns the committed results by router.
func readResults(t testing.TB) map[string]results {
	t.Helper()
	b, err := os.ReadFile(resultsFile)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]results)
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatalf("%s: %v", resultsFile, err)
	}
	return all
}

func writeResults(t testing.TB, all map[string]results) {
	t.Helper()
	b, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(resultsFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
