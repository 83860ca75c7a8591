//go:build vm

package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/evenkeel/evenkeel/internal/guest"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// topology is one of the kernel's selftest of IPVS.
type topology struct {
	kind  string
	build func(*lab.Lab, int) (*lab.Topology, error)
}

func topologies() []topology {
	return []topology{{"DR", lab.DR}, {"NAT", lab.NAT}, {"TUN", tunnels}}
}

// tunnels is the network of DR with servers that are the ends of tunnels.
func tunnels(l *lab.Lab, n int) (*lab.Topology, error) {
	top, err := lab.TwoInterfaceDR(l, n)
	if err != nil {
		return nil, err
	}
	for _, s := range top.Servers {
		if _, err := s.Decapsulate(); err != nil {
			return nil, err
		}
	}
	return top, nil
}

// eachTopology runs a test on each, in a machine.
func eachTopology(t *testing.T, test func(*site, topology)) {
	if os.Getenv(guest.Environment) == "" {
		t.Skip("skipped: runs in a machine of make vm")
	}
	for _, tt := range topologies() {
		t.Run(tt.kind, func(t *testing.T) { test(newSite(t, tt.build), tt) })
	}
}

// The topologies of the kernel's selftest of IPVS, with Evenkeel in place of
// ipvsadm: connections are balanced, a dead server leaves, the tables are the
// same in ipvsadm and in evenkeel services, and after the stop nothing is left.
func TestDaemonOnIPVS(t *testing.T) {
	eachTopology(t, func(s *site, tt topology) {
		s.configure(tt.kind, "@evenkeel datapath ipvs")
		s.start()
		s.ready(3)
		s.balanced(4)
		s.agrees()
		if s.pinned() {
			s.t.Error("XDP is started though nothing runs there")
		}
		s.servers[1].Close()
		s.ready(2)
		s.agrees()
		s.servers[1] = s.serve(1)
		s.ready(3)

		// What else is in IPVS stays.
		s.ipvsadm("-A", "-t", "203.0.113.77:77", "-s", "rr")
		s.want(0, "stop")
		if left := s.ipvsadm("-S", "-n"); left != "-A -t 203.0.113.77:77 -s rr\n" {
			s.t.Errorf("after the stop IPVS has\n%s", left)
		}
		s.ipvsadm("-C")
	})
}

// The same in XDP, on this kernel.
func TestXDPTopologies(t *testing.T) {
	eachTopology(t, func(s *site, tt topology) {
		if testing.Short() && tt.kind != "TUN" {
			return // the tier netns has them
		}
		s.configure(tt.kind, "@evenkeel datapath xdp")
		s.start()
		s.ready(3)
		s.balanced(4)
		s.servers[1].Close()
		s.ready(2)
		s.servers[1] = s.serve(1)
		s.ready(3)
		if there := s.ipvsadm("-S", "-n"); there != "" {
			s.t.Errorf("IPVS has\n%s", there)
		}
		s.want(0, "stop")
		if s.pinned() {
			s.t.Error("something is pinned after the stop")
		}
	})
}

// After a crash the services run on, and the next start takes them over as they
// are. Persistence and thresholds come through.
func TestDaemonTakesOverIPVS(t *testing.T) {
	if os.Getenv(guest.Environment) == "" {
		t.Skip("skipped: runs in a machine of make vm")
	}
	s := newSite(t, lab.NAT)
	s.configure("NAT", "@evenkeel datapath ipvs")
	text := strings.Replace(s.text(), "  delay_loop 1\n", "  delay_loop 1\n  persistence_timeout 77\n", 1)
	s.write(strings.Replace(text, " 80 {\n    TCP_CHECK", " 80 {\n    uthreshold 9\n    lthreshold 4\n    TCP_CHECK", 1))
	first := s.start(alone)
	s.ready(3)
	if got := s.requests(6); len(got) != 1 || got[""] != 0 {
		t.Errorf("a persistent client is on %v", got)
	}
	first.End(syscall.SIGKILL)
	if got := s.requests(3); len(got) != 1 || got[""] != 0 {
		t.Errorf("without a daemon the client is on %v", got)
	}
	before := s.ipvsadm("-S", "-n")
	if !strings.Contains(before, "-p 77") {
		t.Errorf("IPVS has\n%s", before)
	}
	s.start()
	s.ready(3)
	if after := s.ipvsadm("-S", "-n"); after != before {
		t.Errorf("taking over changed\n%sinto\n%s", before, after)
	}
	if got := s.ipvsadm("-Ln", "--thresholds"); !regexp.MustCompile(`:80\s+9\s+4\s`).MatchString(got) {
		t.Errorf("thresholds are\n%s", got)
	}
	s.agrees()
	s.want(0, "stop")
}

// What a dead daemon left in IPVS is listed as ipvsadm does, and a stop deletes
// it by the file; services of others stay.
func TestIPVSWithoutADaemon(t *testing.T) {
	if os.Getenv(guest.Environment) == "" {
		t.Skip("skipped: runs in a machine of make vm")
	}
	s := newSite(t, lab.NAT)
	s.configure("NAT", "@evenkeel datapath ipvs")
	first := s.start(alone)
	s.ready(3)
	first.End(syscall.SIGKILL)
	s.agrees()
	if got := s.want(0, "services"); !strings.Contains(got.Stderr, "no daemon runs; read from the kernel's IPVS") {
		t.Errorf("services says %q", got.Stderr)
	}
	s.requests(1)
	if got := s.want(0, "services", "-c").Stdout; !strings.Contains(got, s.top.VIP.String()+":80") {
		t.Errorf("the flows are\n%s", got)
	}
	s.ipvsadm("-A", "-t", "203.0.113.77:77", "-s", "rr")
	if got := s.want(0, "stop"); !strings.Contains(got.Stdout, "in the kernel's IPVS: 2 services") {
		t.Errorf("stop says %q", got.Stdout)
	}
	if got := s.want(0, "stop", "-f", s.file); !strings.Contains(got.Stdout, "deleted from the kernel's IPVS: 1 service\n") {
		t.Errorf("stop by the file says %q", got.Stdout)
	}
	if left := s.ipvsadm("-S", "-n"); left != "-A -t 203.0.113.77:77 -s rr\n" {
		t.Errorf("after the stop IPVS has\n%s", left)
	}
	s.ipvsadm("-C")
}

func (s *site) ipvsadm(args ...string) string {
	s.t.Helper()
	got := labtest.Run(s.t, s.top.Director, exec.Command("ipvsadm", args...))
	if got.Code != 0 {
		s.t.Fatalf("ipvsadm %v: exit code %d\n%s%s", args, got.Code, got.Stdout, got.Stderr)
	}
	return strings.ReplaceAll(got.Stdout, " \n", "\n")
}

// agrees compares ipvsadm's list with evenkeel's, but for the word that says
// where a service runs and the kernel's heading.
func (s *site) agrees() {
	s.t.Helper()
	list := func() (theirs, ours string) {
		_, theirs, _ = strings.Cut(s.ipvsadm("-Ln"), "\n")
		ours = s.want(0, "services").Stdout
		ours = regexp.MustCompile(` ipvs( \(.*\))?\n`).ReplaceAllString(ours, "\n")
		spaces := regexp.MustCompile(` +\n`)
		return spaces.ReplaceAllString(theirs, "\n"), spaces.ReplaceAllString(ours, "\n")
	}
	// Connections end between two looks.
	var theirs, ours string
	s.until("ipvsadm and evenkeel services agree", func() bool {
		theirs, ours = list()
		return theirs == ours
	})
	if !strings.Contains(ours, fmt.Sprintf("TCP  %s:80 rr", s.top.VIP)) {
		s.t.Errorf("services:\n%s", ours)
	}
}
