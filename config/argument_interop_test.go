//go:build interop

package config

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// codeOfEach prints the exit code of keepalived's test of each file that is
// named on its input.
const codeOfEach = `
ip link add eth0 type veth peer name peer0
while read -r file; do
	keepalived -t -f "$file" > /dev/null 2>&1
	echo "$? $file"
done
`

// argumentFrames are configurations with a place for a line in each block, where
// % is.
func argumentFrames() map[string]string {
	frames := map[string]string{
		"":               "%\n",
		"global_defs":    "global_defs {\n%\n}\n",
		"virtual_server": "virtual_server 192.0.2.1 80 {\nprotocol TCP\n%\nreal_server 198.51.100.1 80 {\n}\n}\n",
		"real_server":    "virtual_server 192.0.2.1 80 {\nprotocol TCP\nreal_server 198.51.100.1 80 {\n%\n}\n}\n",
	}
	maps.Copy(frames, checkFrames())
	maps.Copy(frames, vrrpFrames())
	return frames
}

// TestMissingArgumentsAsKeepalived: keepalived ends at once (2) when some words
// lack their argument, and complains (5) of others. Ours makes the same
// difference.
func TestMissingArgumentsAsKeepalived(t *testing.T) {
	labtest.Keepalived(t, "2.2.7")
	dir := t.TempDir()
	ours := make(map[string]bool)
	var paths []string
	for name, c := range newLanguage() {
		frame, ok := argumentFrames()[name]
		if !ok {
			continue
		}
		for _, k := range c.keywords {
			if k.least == 0 || k.own {
				continue
			}
			line := k.name
			if k.block != "" {
				line += " {\n}"
			}
			path := filepath.Join(dir, fmt.Sprintf("%s.%s", name, k.name))
			if err := os.WriteFile(path, []byte(strings.Replace(frame, "%", line, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := Load(path, Options{})
			ends := func(d Diagnostic) bool { return d.Keepalived == Ends }
			ours[path] = err == nil && slices.ContainsFunc(cfg.Diagnostics, ends)
			paths = append(paths, path)
		}
	}
	cmd := exec.Command("unshare", "--net", "--mount", "sh", "-c", codeOfEach)
	cmd.Stdin = strings.NewReader(strings.Join(paths, "\n") + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run keepalived: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		code, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		if (code == "2") != ours[path] {
			t.Errorf("%s without its argument: keepalived's exit code is %s, we end: %v", filepath.Base(path), code, ours[path])
		}
	}
}
