//go:build netns

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

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
			if got := s.call("doctor", "-f", s.file); got.Code != 0 {
				t.Errorf("doctor ends with %d:\n%s", got.Code, got.Stdout)
			}
			first := s.start(alone)
			s.ready(3)
			s.balanced(4)

			list := s.want(0, "services", "--nosort").Stdout
			if !strings.Contains(list, fmt.Sprintf("TCP  %s:80 rr xdp\n", s.top.VIP)) || strings.Count(list, tt.word) != 3 {
				t.Errorf("services:\n%s", list)
			}
			if flows := s.want(0, "services", "-c").Stdout; strings.Count(flows, s.top.VIP.String()+":80") != 12 {
				t.Errorf("flows of 12 connections:\n%s", flows)
			}
			if stats := s.want(0, "services", "--stats").Stdout; !strings.Contains(stats, "      12") {
				t.Errorf("statistics of 12 connections:\n%s", stats)
			}

			s.explained("flow        new, SYN_RECV", "forward     "+tt.kind)

			if got := s.want(0, "map", "ek_services").Stdout; got != fmt.Sprintf(
				"addr %s port 80 proto 6: id 0 scheduler SCHED_RR flags 0 prefix 32 persistence 0 rate 0 burst 0\n", s.top.VIP) {
				t.Errorf("map ek_services:\n%s", got)
			}
			if got := s.want(0, "map").Stdout; !strings.Contains(got, "ek_flows") {
				t.Errorf("list of maps:\n%s", got)
			}
			s.want(2, "map", "ek_nothing")

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
			if got := s.want(5, "reload"); !strings.Contains(got.Stderr, s.file+":1:") {
				t.Errorf("refused reload says %q", got.Stderr)
			}
			first.Signal(syscall.SIGHUP)
			s.until("the refusal of SIGHUP", func() bool {
				r := s.status().LastRefusal
				return r != nil && r.Cause == "SIGHUP"
			})
			s.balanced(2)
			s.configure(tt.kind, "lvs_timeouts tcp 7", "@evenkeel xdp_mode generic", "@evenkeel xdp_interface eth9")
			if got := s.want(5, "reload"); !strings.Contains(got.Stderr, "eth9 does not exist") {
				t.Errorf("refused reload says %q", got.Stderr)
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
			first.End(syscall.SIGKILL)
			s.balanced(2)
			if got := s.want(0, "services"); !strings.Contains(got.Stderr, "no daemon runs") || strings.Count(got.Stdout, tt.word) != 3 {
				t.Errorf("services without a daemon:\n%s%s", got.Stderr, got.Stdout)
			}
			s.explained("flow        new, SYN_RECV", "forward     "+tt.kind)
			if got := s.want(3, "status"); !strings.Contains(got.Stderr, "runs on, see evenkeel services") {
				t.Errorf("status without a daemon says %q", got.Stderr)
			}
			second := s.start()
			if !s.status().Datapath.Adopted {
				t.Error("the second daemon made a new datapath")
			}
			s.ready(3)
			s.balanced(2)

			// No second daemon beside it.
			if got := s.want(13, "run", "-f", s.file); strings.Count(got.Stderr, "\n") != 1 {
				t.Errorf("a second daemon says:\n%s", got.Stderr)
			}

			// stop --keep leaves the datapath, stop takes it away.
			s.want(0, "stop", "--keep")
			second.Wait()
			s.balanced(1)
			third := s.start()
			if code := third.End(syscall.SIGTERM); code != 0 {
				t.Errorf("SIGTERM: exit code %d", code)
			}
			if s.pinned() {
				t.Error("the stop left pins behind")
			}
			if got := s.want(0, "stop"); !strings.Contains(got.Stdout, "nothing to stop") {
				t.Errorf("stop of nothing says %q", got.Stdout)
			}
		})
	}
}

// explained asks what would become of a new connection, which changes nothing.
func (s *site) explained(lines ...string) {
	s.t.Helper()
	before := s.want(0, "services", "--stats").Stdout
	got := s.want(0, "explain", "tcp", "203.0.113.9:4242", s.top.VIP.String()+":80").Stdout
	for _, line := range append(lines, "result      forward: ") {
		if !strings.Contains(strings.ReplaceAll(got, " ", ""), strings.ReplaceAll(line, " ", "")) {
			s.t.Errorf("explain does not say %q:\n%s", line, got)
		}
	}
	if after := s.want(0, "services", "--stats").Stdout; after != before {
		s.t.Errorf("explain changed the statistics from\n%sto\n%s", before, after)
	}
}

func TestAfterKill(t *testing.T) {
	s := newSite(t, lab.DR)
	s.configure("DR")
	d := s.start(alone)
	s.ready(3)
	d.End(syscall.SIGKILL)

	// A start that cannot be leaves what runs alone.
	s.configure("DR", "@evenkeel xdp_interface eth9")
	s.want(14, "run", "-f", s.file)
	s.write("virtual_server {")
	s.want(4, "run", "-f", s.file)
	s.balanced(2)
	if !s.pinned() {
		t.Fatal("the pins are gone")
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
	if !strings.Contains(got.Stderr, "interface eth0 already runs XDP program") || strings.Count(got.Stderr, "\n") != 1 {
		t.Errorf("says:\n%s", got.Stderr)
	}
	if other.pinned() {
		t.Error("pins are left behind")
	}
	s.ready(3)
	s.balanced(2)
	if got := other.want(1, "doctor", "-f", s.file); !strings.Contains(got.Stdout, "another XDP program") {
		t.Errorf("doctor says:\n%s", got.Stdout)
	}
}
