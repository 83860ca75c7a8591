//go:build netns || interop

package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// program builds evenkeel, once for all tests, into programDir.
var (
	programDir string
	program    = sync.OnceValues(buildProgram)
)

func buildProgram() (path string, err error) {
	if programDir, err = os.MkdirTemp("", "evenkeel-demo-test"); err != nil {
		return "", err
	}
	path = filepath.Join(programDir, "evenkeel")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/evenkeel").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build evenkeel: %w\n%s", err, out)
	}
	return path, nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(programDir) // of nothing when no test needed it
	os.Exit(code)
}

// command returns the demo's command line under a name of this process, which
// is cleaned up when the test ends.
func command(t *testing.T, args ...string) (cmd *exec.Cmd, name string) {
	t.Helper()
	labtest.NeedRoot(t)
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	name = fmt.Sprintf("%s-test%d", DefaultName, os.Getpid())
	t.Cleanup(func() {
		if removed, err := Clean(name); err != nil || len(removed) > 0 {
			t.Errorf("the test left %q, %v", removed, err)
		}
	})
	return exec.Command(path, append([]string{"demo", "--name", name}, args...)...), name
}

// traces lists everything on this machine that carries the demo's name.
func traces(t *testing.T, name string) []string {
	t.Helper()
	found := leftovers(name)
	if _, err := os.Lstat(runDir(name)); err == nil {
		found = append(found, runDir(name))
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte(runDir(name))) {
			found = append(found, "process "+strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	for _, d := range newPlan(name, "", PeerEvenkeel).directors {
		if _, err := os.Lstat(d.socket()); err == nil {
			found = append(found, "socket "+d.socket())
		}
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(mounts, []byte(name)) {
		found = append(found, "mounts")
	}
	return found
}

// wantNoTraces fails the test for each trace of the demo.
func wantNoTraces(t *testing.T, name string) {
	t.Helper()
	for _, trace := range traces(t, name) {
		t.Errorf("left behind: %s", trace)
	}
}

// playScript plays a scripted demo and returns its report, in which every claim
// holds.
func playScript(t *testing.T, args ...string) (r Report) {
	t.Helper()
	cmd, name := command(t, append(args, "--script", "--json")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("the demo ended with %v\n%s", err, &stderr)
	}
	wantNoTraces(t, name)
	dec := json.NewDecoder(bytes.NewReader(out))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		t.Fatalf("read report: %v\n%s", err, out)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		t.Error("there is more than the report on standard output")
	}
	if !r.Held || r.Error != "" {
		t.Errorf("held %t, error %q", r.Held, r.Error)
	}
	for _, c := range r.Claims {
		if !c.Held {
			t.Errorf("%s: did not hold: %s", c.Claim, c.Measured)
		}
	}
	return r
}
