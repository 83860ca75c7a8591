//go:build netns

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// patience is how long a test waits for what must come; it is never a
// measure.
const patience = 20 * time.Second

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

// configure writes a configuration with all servers, and lines for global_defs.
func (s *site) configure(kind string, global ...string) {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n%s\n}\n", strings.Join(global, "\n"))
	fmt.Fprintf(&b, "virtual_server %s 80 {\n  protocol TCP\n  lb_algo rr\n  lb_kind %s\n  delay_loop 1\n", s.top.VIP, kind)
	for i := range s.top.Servers {
		fmt.Fprintf(&b, "  real_server %s 80 {\n    TCP_CHECK {\n      connect_timeout 1\n      warmup 0\n    }\n  }\n", s.top.ServerAddr(i))
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

// command returns evenkeel with the flags that name this site's files.
func (s *site) command(args ...string) *exec.Cmd {
	switch args[0] {
	case "run", "stop", "services", "status", "doctor":
		args = append(args, "--socket", s.sock, "--pin-dir", s.pins)
	case "reload":
		args = append(args, "--socket", s.sock)
	}
	return exec.Command("evenkeel", args...)
}

// outcome is how a command ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// call runs a command on the director to its end.
func (s *site) call(args ...string) outcome {
	s.t.Helper()
	cmd := s.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := s.top.Director.Start(cmd); err != nil {
		s.t.Fatal(err)
	}
	_ = cmd.Wait() // the code says it
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// want runs a command whose exit code must be as given.
func (s *site) want(code int, args ...string) outcome {
	s.t.Helper()
	got := s.call(args...)
	if got.code != code {
		s.t.Fatalf("evenkeel %v: exit code %d, want %d\n%s%s", args, got.code, code, got.stdout, got.stderr)
	}
	return got
}

// running is a daemon.
type running struct {
	s    *site
	cmd  *exec.Cmd
	log  *bytes.Buffer
	done chan struct{}
}

// start starts a daemon and waits until it answers.
func (s *site) start() *running {
	s.t.Helper()
	r := &running{s: s, cmd: s.command("run", "-f", s.file, "--log-level", "debug"), log: new(bytes.Buffer), done: make(chan struct{})}
	r.cmd.Stderr = r.log
	if err := s.top.Director.Start(r.cmd); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait() // the state says it
		close(r.done)
	}()
	s.t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // it may have ended
		<-r.done
		if s.t.Failed() {
			s.t.Logf("log of the daemon:\n%s", r.log)
		}
	})
	s.until("the daemon answers", func() bool {
		select {
		case <-r.done:
			s.t.Fatalf("the daemon ended:\n%s", r.log)
		default:
		}
		return s.call("status").code == 0
	})
	return r
}

// signal sends a signal and, for one that ends it, waits for the end.
func (r *running) end(sig os.Signal) int {
	r.s.t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		r.s.t.Fatal(err)
	}
	select {
	case <-r.done:
	case <-time.After(patience):
		r.s.t.Fatalf("the daemon did not end")
	}
	return r.cmd.ProcessState.ExitCode()
}

// until waits for something that must come.
func (s *site) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			s.t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// status returns the daemon's status.
func (s *site) status() api.Status {
	s.t.Helper()
	var status api.Status
	if err := json.Unmarshal([]byte(s.want(0, "status", "--json").stdout), &status); err != nil {
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
	client.Timeout = 3 * time.Second
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

func TestLifeOfADaemon(t *testing.T) {
	for _, tt := range []struct {
		kind, word string
		build      func(*lab.Lab, int) (*lab.Topology, error)
	}{
		{"DR", "Route", lab.DR},
		{"NAT", "Masq", lab.NAT},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			s := newSite(t, tt.build)
			s.configure(tt.kind)
			if got := s.call("doctor", "-f", s.file); got.code != 0 {
				t.Errorf("doctor ends with %d:\n%s", got.code, got.stdout)
			}
			first := s.start()
			s.ready(3)
			s.balanced(4)

			list := s.want(0, "services", "--nosort").stdout
			if !strings.Contains(list, fmt.Sprintf("TCP  %s:80 rr xdp\n", s.top.VIP)) || strings.Count(list, tt.word) != 3 {
				t.Errorf("services:\n%s", list)
			}
			if flows := s.want(0, "services", "-c").stdout; strings.Count(flows, s.top.VIP.String()+":80") != 12 {
				t.Errorf("flows of 12 connections:\n%s", flows)
			}
			if stats := s.want(0, "services", "--stats").stdout; !strings.Contains(stats, "      12") {
				t.Errorf("statistics of 12 connections:\n%s", stats)
			}

			// A server dies and returns.
			s.servers[1].Close()
			s.ready(2)
			if got := s.requests(6); got["server2"] != 0 || got[""] != 0 {
				t.Errorf("requests without server2 = %v", got)
			}
			s.serve(1)
			s.ready(3)
			s.balanced(2)

			// A bad reload is refused and the status says why.
			good, err := os.ReadFile(s.file)
			if err != nil {
				t.Fatal(err)
			}
			s.write("virtual_server {")
			if got := s.want(5, "reload"); !strings.Contains(got.stderr, s.file+":1:") {
				t.Errorf("refused reload says %q", got.stderr)
			}
			if err := first.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			s.until("the refusal of SIGHUP", func() bool {
				r := s.status().LastRefusal
				return r != nil && r.Cause == "SIGHUP"
			})
			s.balanced(2)
			s.configure(tt.kind, "lvs_timeouts tcp 7", "@evenkeel xdp_mode generic", "@evenkeel xdp_interface eth9")
			if got := s.want(5, "reload"); !strings.Contains(got.stderr, "eth9 does not exist") {
				t.Errorf("refused reload says %q", got.stderr)
			}
			s.balanced(2)

			// A good one is applied, that of the datapath's settings too.
			s.configure(tt.kind, "lvs_timeouts tcp 7", "@evenkeel xdp_mode generic")
			s.want(0, "reload")
			for _, i := range s.status().Datapath.Interfaces {
				if i.Mode != "generic" {
					t.Errorf("after the reload: %+v", i)
				}
			}
			s.balanced(2)
			s.write(string(good))
			s.want(0, "reload")

			// The daemon is killed: packets flow on, the list is read from
			// the pins, and the next one takes over.
			first.end(syscall.SIGKILL)
			s.balanced(2)
			if got := s.want(0, "services"); !strings.Contains(got.stderr, "no daemon runs") || strings.Count(got.stdout, tt.word) != 3 {
				t.Errorf("services without a daemon:\n%s%s", got.stderr, got.stdout)
			}
			if got := s.want(3, "status"); !strings.Contains(got.stderr, "runs on, see evenkeel services") {
				t.Errorf("status without a daemon says %q", got.stderr)
			}
			second := s.start()
			if !s.status().Datapath.Adopted {
				t.Error("the second daemon made a new datapath")
			}
			s.ready(3)
			s.balanced(2)

			// No second daemon beside it.
			if got := s.want(13, "run", "-f", s.file); strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("a second daemon says:\n%s", got.stderr)
			}

			// stop --keep leaves the datapath, stop takes it away.
			s.want(0, "stop", "--keep")
			<-second.done
			s.balanced(1)
			third := s.start()
			if code := third.end(syscall.SIGTERM); code != 0 {
				t.Errorf("SIGTERM: exit code %d", code)
			}
			if s.pinned() {
				t.Error("the stop left pins behind")
			}
			if got := s.want(0, "stop"); !strings.Contains(got.stdout, "nothing to stop") {
				t.Errorf("stop of nothing says %q", got.stdout)
			}
		})
	}
}

func TestStopAfterKill(t *testing.T) {
	s := newSite(t, lab.DR)
	s.configure("DR")
	s.start().end(syscall.SIGKILL)
	if !s.pinned() {
		t.Fatal("the kill took the pins away")
	}
	s.want(0, "stop")
	if s.pinned() {
		t.Error("stop left pins behind")
	}
}

func TestStartThatCannotBe(t *testing.T) {
	s := newSite(t, lab.DR)
	tests := []struct {
		name   string
		global string
		args   []string
		code   int
		says   []string
	}{
		{"missing interface", "@evenkeel xdp_interface eth9", nil, 14, []string{"eth9 does not exist", "have: eth0, lo", "@evenkeel xdp_interface"}},
		{"loopback", "@evenkeel xdp_interface lo", nil, 14, []string{"lo", "no Ethernet"}},
		{"no bpf file system", "", []string{"--pin-dir", t.TempDir() + "/evenkeel"}, 12, []string{"mount -t bpf bpf"}},
		{"socket", "", []string{"--socket", "/proc/nothing/ek.sock"}, 15, []string{"/proc/nothing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			s.configure("DR", tt.global)
			cmd := s.command("run", "-f", s.file, "--log-level", "error")
			cmd.Args = append(cmd.Args, tt.args...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := s.top.Director.Start(cmd); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the code says it
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if strings.Count(stderr.String(), "\n") != 1 {
				t.Errorf("not one line:\n%s", &stderr)
			}
			for _, want := range tt.says {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q does not say %q", &stderr, want)
				}
			}
			if s.pinned() {
				t.Error("pins are left behind")
			}
		})
	}
}

func TestInterfaceWithAnotherProgram(t *testing.T) {
	s := newSite(t, lab.DR)
	s.configure("DR")
	// Another Evenkeel with other pins serves as the other program.
	s.start()
	other := *s
	other.pins, other.sock = filepath.Join(labtest.BPFFS(t), "evenkeel"), filepath.Join(s.dir, "other", "ek.sock")
	got := other.want(14, "run", "-f", s.file, "--log-level", "error")
	if !strings.Contains(got.stderr, "interface eth0 already runs XDP program") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("says:\n%s", got.stderr)
	}
	if other.pinned() {
		t.Error("pins are left behind")
	}
	s.ready(3)
	s.balanced(2)
	if got := other.want(1, "doctor", "-f", s.file); !strings.Contains(got.stdout, "another XDP program") {
		t.Errorf("doctor says:\n%s", got.stdout)
	}
}
