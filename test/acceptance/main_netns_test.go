//go:build netns

package acceptance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// TestMain removes the programs that the tests built. Called as the helper of
// TestBadInput, the test binary takes rights away from itself and then becomes
// the program under test.
func TestMain(m *testing.M) {
	if way := os.Getenv(confineVariable); way != "" {
		fmt.Fprintln(os.Stderr, confineAndExec(way, os.Args[1:]))
		os.Exit(confineFailed)
	}
	code := m.Run()
	if err := built.remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// built are the programs that were built in this run of the tests.
var built programs

// programs builds each version of evenkeel once.
type programs struct {
	mu       sync.Mutex // guards the fields below, and the building
	dir      string
	versions map[string]string // paths
}

// program returns the path of evenkeel with this version.
func program(t *testing.T, version string) string {
	t.Helper()
	path, err := built.build(version)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (p *programs) build(version string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if path, ok := p.versions[version]; ok {
		return path, nil
	}
	if p.dir == "" {
		dir, err := os.MkdirTemp("", "evenkeel-acceptance")
		if err != nil {
			return "", err
		}
		p.dir, p.versions = dir, map[string]string{}
		// Others than root run it, too.
		if err := os.Chmod(dir, 0o755); err != nil {
			return "", err
		}
	}
	path := filepath.Join(p.dir, "evenkeel-"+version)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+version, "-o", path, "../../cmd/evenkeel")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build evenkeel: %w\n%s", err, out)
	}
	p.versions[version] = path
	return path, nil
}

func (p *programs) remove() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dir == "" {
		return nil
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return errors.Join(errors.New("remove built programs"), err)
	}
	return nil
}
