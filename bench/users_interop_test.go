//go:build interop

package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/internal/lab"
)

// buildProgram builds evenkeel and returns where it is. It skips the test where what the users
// level needs is missing.
func buildProgram(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"nginx", "wrk"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("skipped: %s is not installed", tool)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root")
	}
	program := filepath.Join(t.TempDir(), "evenkeel")
	build := exec.Command("go", "build", "-o", program, "../cmd/evenkeel")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build evenkeel: %v\n%s", err, out)
	}
	return program
}

// TestUsers sends a little load through the real daemon: everything must be
// measured, and with nothing changing nothing may fail.
func TestUsers(t *testing.T) {
	program := buildProgram(t)
	figures, skipped, err := Users(t.Context(), program, Options{Rounds: 1, Short: true})
	if err != nil || len(skipped) > 0 {
		t.Fatalf("%v, not measured: %v", err, skipped)
	}
	for _, f := range figures {
		if f.Level != figure.Users || len(f.Values) != 1 {
			t.Errorf("not measured: %+v", f)
			continue
		}
		if isCount := strings.HasPrefix(f.Name, errorsSeen); !isCount && f.Values[0] <= 0 {
			t.Errorf("nothing measured: %+v", f)
		}
	}
}

// A client's connections reach both servers past the balancer as through it: percentiles of
// clients that have a server each are no yardstick for those of clients that share two.
func TestUsersSpread(t *testing.T) {
	s, err := newUsersSite(buildProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	const clients = 64 // of which a fair coin leaves a side less than eight once in a billion
	for _, balanced := range []bool{false, true} {
		to := s.web(balanced)
		for range clients {
			c, err := s.top.Client.Dial(t.Context(), "tcp4", to.String())
			if err != nil {
				t.Fatalf("to %s: %v", to, err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatalf("to %s: %v", to, err)
			}
			if _, err := c.Read(make([]byte, 1)); err != nil { // the server has it
				t.Fatalf("to %s: %v", to, err)
			}
		}
		port := directHTTP
		if balanced {
			port = httpPort
		}
		for _, n := range s.top.Servers {
			if got := openAt(t, n, port); got < 8 {
				t.Errorf("to %s: %s has %d of %d connections", to, n.Name(), got, clients)
			}
		}
	}
}

// openAt counts a node's open TCP connections at one of its ports.
func openAt(t *testing.T, n *lab.Node, port int) int {
	t.Helper()
	var table []byte
	err := n.Do(func() (err error) {
		table, err = os.ReadFile("/proc/thread-self/net/tcp")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const state = "01" // TCP_ESTABLISHED
	count := 0
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line) // number, local, remote, state
		if strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && f[3] == state {
			count++
		}
	}
	return count
}
