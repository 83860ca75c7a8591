package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files in testdata")

// TestGolden compares what the report says about each file of testdata/bad.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.conf")
	if err != nil || len(names) == 0 {
		t.Fatalf("glob = %v, %v", names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			var b strings.Builder
			if err := reportOn(t, name).WriteText(&b); err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(name, ".conf") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("report differs (-want +got), run with -update if it is better:\n%s", diff)
			}
		})
	}
}

// reportOn loads a file and returns its report, usable or not.
func reportOn(t *testing.T, name string) Report {
	t.Helper()
	opts := testOptions()
	opts.Limits.Lines = 100_000 // the default takes a second
	c, err := Load(name, opts)
	if err == nil {
		return c.Report()
	}
	u, ok := errors.AsType[*UnparsableError](err)
	if !ok {
		t.Fatalf("load %s: %v, want an UnparsableError", name, err)
	}
	return u.Report()
}
