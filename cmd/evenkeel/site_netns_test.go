//go:build netns || vm || interop

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/guest"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// site is a network with a director on which evenkeel runs.
type site struct {
	t       *testing.T
	top     *lab.Topology
	servers []*lab.Server
	dir     string
	pins    string
	file    string
	sock    string
}

// newSite builds a network with three HTTP servers that answer with their name.
func newSite(t *testing.T, build func(*lab.Lab, int) (*lab.Topology, error)) *site {
	t.Helper()
	top, err := build(labtest.New(t), 3)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, top: top, dir: t.TempDir()}
	s.pins = filepath.Join(labtest.BPFFS(t), "evenkeel")
	s.file = filepath.Join(s.dir, "keepalived.conf")
	s.sock = filepath.Join(s.dir, "run", "ek.sock")
	for i := range top.Servers {
		s.servers = append(s.servers, s.serve(i))
	}
	return s
}

func (s *site) serve(i int) *lab.Server {
	s.t.Helper()
	node := s.top.Servers[i]
	srv, err := node.ServeHTTP(":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, node.Name())
	}))
	if err != nil {
		s.t.Fatal(err)
	}
	return srv
}

// patience is how long a server and its checks may take to answer: in a machine
// whose processor is emulated, long.
func patience() time.Duration {
	if os.Getenv(guest.Environment) != "" {
		return time.Minute
	}
	return 3 * time.Second
}

// configure writes a configuration with all servers, and lines for global_defs.
func (s *site) configure(kind string, global ...string) {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n%s\n}\n", strings.Join(global, "\n"))
	fmt.Fprintf(&b, "virtual_server %s 80 {\n  protocol TCP\n  lb_algo rr\n  lb_kind %s\n  delay_loop 1\n", s.top.VIP, kind)
	for i := range s.top.Servers {
		fmt.Fprintf(&b, "  real_server %s 80 {\n    TCP_CHECK {\n      connect_timeout %.0f\n      warmup 0\n    }\n  }\n",
			s.top.ServerAddr(i), (patience() / 3).Seconds())
	}
	b.WriteString("}\n")
	s.write(b.String())
}

func (s *site) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// text returns the configuration.
func (s *site) text() string {
	s.t.Helper()
	text, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// command returns evenkeel with the flags that name this site's files.
func (s *site) command(args ...string) *exec.Cmd {
	if args[0] == "services" && len(args) > 1 && args[1] == "move" {
		return exec.Command("evenkeel", append(args, "--socket", s.sock)...)
	}
	switch args[0] {
	case "run", "stop", "services", "status", "doctor", "explain":
		args = append(args, "--socket", s.sock, "--pin-dir", s.pins)
	case "map":
		args = append(args, "--pin-dir", s.pins)
	case "reload", "checks":
		args = append(args, "--socket", s.sock)
	}
	return exec.Command("evenkeel", args...)
}

// call runs a command on the director to its end.
func (s *site) call(args ...string) labtest.Outcome {
	s.t.Helper()
	return labtest.Run(s.t, s.top.Director, s.command(args...))
}

// want runs a command whose exit code must be as given.
func (s *site) want(code int, args ...string) labtest.Outcome {
	s.t.Helper()
	got := s.call(args...)
	if got.Code != code {
		s.t.Fatalf("evenkeel %v: exit code %d, want %d\n%s%s", args, got.Code, code, got.Stdout, got.Stderr)
	}
	return got
}

// alone makes the daemon one process, so that a kill is its end.
const alone = "--no-supervise"

// start starts a daemon with more flags and waits until it answers.
func (s *site) start(flags ...string) *labtest.Process {
	s.t.Helper()
	p := labtest.Start(s.t, s.top.Director, s.command(append([]string{"run", "-f", s.file, "--log-level", "debug"}, flags...)...))
	s.until("the daemon answers", func() bool {
		if p.Ended() {
			s.t.Fatalf("the daemon ended:\n%s", p.Log())
		}
		return s.call("status").Code == 0
	})
	return p
}

// until waits for something that must come.
func (s *site) until(what string, ok func() bool) {
	s.t.Helper()
	if os.Getenv(guest.Environment) != "" {
		labtest.UntilFor(s.t, 5*time.Minute, what, ok)
		return
	}
	labtest.Until(s.t, what, ok)
}

// status returns the daemon's status.
func (s *site) status() api.Status {
	s.t.Helper()
	var status api.Status
	if err := json.Unmarshal([]byte(s.want(0, "status", "--json").Stdout), &status); err != nil {
		s.t.Fatal(err)
	}
	return status
}

// ready waits until so many servers take flows by a known way.
func (s *site) ready(servers int) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d servers are ready", servers), func() bool {
		svc := s.status().Services
		return len(svc) == 1 && svc[0].ServersAlive == servers && svc[0].Unresolved == 0
	})
}

// requests sends requests to the VIP and returns how many each server
// answered. The empty name counts those that failed.
func (s *site) requests(n int) map[string]int {
	s.t.Helper()
	client := s.top.Client.HTTPClient()
	client.Timeout = patience()
	count := map[string]int{}
	for range n {
		count[fetch(client, fmt.Sprintf("http://%s/", s.top.VIP))]++
	}
	return count
}

func fetch(client *http.Client, url string) string {
	resp, err := client.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(body)
}

func (s *site) balanced(n int) {
	s.t.Helper()
	got := s.requests(3 * n)
	for _, node := range s.top.Servers {
		if got[node.Name()] != n {
			s.t.Errorf("requests by server = %v, want %d each", got, n)
			return
		}
	}
}

func (s *site) pinned() bool {
	_, err := os.Stat(s.pins)
	return err == nil
}
