//go:build netns

package acceptance

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// holdings is what a process holds.
type holdings struct{ descriptors, children, zombies int }

// holdingsOf counts what the daemon has open and started.
func holdingsOf(t *testing.T, pid int) holdings {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	h := holdings{descriptors: len(open)}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		list, _ := os.ReadFile(f) // a thread may have ended
		for _, child := range strings.Fields(string(list)) {
			h.children++
			stat, _ := os.ReadFile("/proc/" + child + "/stat")
			if _, after, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(after, "Z") {
				h.zombies++
			}
		}
	}
	return h
}

// hungPatience is how long some rounds of checks that hang may take.
const hungPatience = 5 * time.Minute

// Where the second server takes connections and datagrams that it never answers.
const silentPort = 7070

// hang makes the second server accept and receive, and nothing more.
func (s *site) hang() {
	s.t.Helper()
	address := fmt.Sprintf(":%d", silentPort)
	l, err := s.top.Servers[1].Listen("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := s.top.Servers[1].ListenPacket("udp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Close(); c.Close() })
}

// hungConf has a server that answers, and of each kind of check so many that
// hang.
func (s *site) hungConf(each int, script string) conf {
	silent := fmt.Sprintf("connect_port %d\n connect_timeout 2\n retry 0\n warmup 0", silentPort)
	kinds := []string{
		"HTTP_GET {\n " + silent + "\n url {\n path /\n status_code 200\n }\n}",
		"SSL_GET {\n " + silent + "\n url {\n path /\n status_code 200\n }\n}",
		"SMTP_CHECK {\n " + silent + "\n}",
		"DNS_CHECK {\n " + silent + "\n type A\n name example.org\n}",
		"UDP_CHECK {\n " + silent + "\n payload 00\n require_reply\n}",
		"MISC_CHECK {\n misc_path \"" + script + "\"\n misc_timeout 2\n user root\n warmup 0\n}",
	}
	c := s.goodConf()
	for k, kind := range kinds {
		hung := serviceConf{at: netip.AddrPortFrom(s.top.VIP, uint16(81+k)), kind: "NAT"}
		for n := range each {
			hung.servers = append(hung.servers, serverConf{s.server(1, uint16(1000+n)), []string{kind}})
		}
		c.services = append(c.services, hung)
	}
	return c
}

// goodConf has a server that answers, and may take long to.
func (s *site) goodConf() conf {
	lines := []string{"TCP_CHECK {\n connect_timeout 60\n warmup 0\n}"}
	return conf{services: []serviceConf{{at: netip.AddrPortFrom(s.top.VIP, 80), kind: "NAT", servers: []serverConf{{s.server(0, 80), lines}}}}}
}

// stubborn writes a script that never ends, nor when it is asked to.
func (s *site) stubborn() string {
	s.t.Helper()
	path := filepath.Join(s.dir, "stubborn.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\ntrap '' TERM\nsleep 1000 &\nwhile :; do wait; sleep 1000; done\n"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// rounds waits until each of the checks that hang was tried so often, and returns
// what the checks are then. The daemon has to answer all the while.
func (s *site) rounds(hung int, n uint64) (good api.Check, all api.Checks) {
	s.t.Helper()
	labtest.UntilFor(s.t, hungPatience, "every check that hangs was tried", func() bool {
		all = s.checks()
		if len(all.Servers) != 1+hung {
			s.t.Fatalf("%d servers are checked, want %d", len(all.Servers), 1+hung)
		}
		for _, server := range all.Servers[1:] {
			if server.Checks[0].Tries < n {
				return false
			}
		}
		return true
	})
	for _, server := range all.Servers[1:] {
		// A check that could not be made, for want of descriptors, changes nothing.
		if c := server.Checks[0]; server.Up && c.Failed > 0 || c.Successes > 0 {
			s.t.Fatalf("%s, which hangs, is up: %+v", server.Server, c)
		}
	}
	if !all.Servers[0].Up {
		s.t.Errorf("the server that answers is down: %s", all.Servers[0].Reason)
	}
	return all.Servers[0].Checks[0], all
}

// TestHungServers: servers that accept and never answer, and scripts that never
// end, keep neither the daemon nor other checks waiting, and leave nothing
// behind.
func TestHungServers(t *testing.T) {
	s := newSite(t, lab.NAT, 2)
	s.hang()
	if _, err := s.top.Servers[0].ServeTCPEcho(":80"); err != nil {
		t.Fatal(err)
	}
	script := s.stubborn()
	s.write(s.goodConf().String())
	p := s.start("--no-supervise")
	s.tried(1)
	before := holdingsOf(t, p.PID())

	s.write(s.hungConf(12, script).String())
	s.want(0, "reload")
	const rounds = 3
	since := s.goodTries()
	// Progress is compared, not time: what hangs is tried every three seconds
	// at most, and the other server every second.
	if good, _ := s.rounds(6*12, rounds); good.Tries-since <= rounds {
		t.Errorf("the server that answers was tried %d times while those that hang were tried %d times", good.Tries-since, rounds)
	}
	s.write(s.goodConf().String())
	s.want(0, "reload")
	s.holdsNoMore(p, before)
}

// TestFewDescriptors: with more servers that hang than the daemon may have
// descriptors, checks wait for each other, and everything else goes on.
func TestFewDescriptors(t *testing.T) {
	s := newSite(t, lab.NAT, 2)
	s.hang()
	if _, err := s.top.Servers[0].ServeTCPEcho(":80"); err != nil {
		t.Fatal(err)
	}
	s.write(s.goodConf().String())
	const limit = 400 // the maps take more than a hundred
	run := append(s.args("run"), "--no-supervise")
	p := labtest.Start(t, s.top.Director, exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, limit), "sh", s.path}, run...)...))
	labtest.Until(t, "the daemon answers", func() bool {
		if p.Ended() {
			t.Fatalf("the daemon ended:\n%s", p.Log())
		}
		return s.call("status").Code == 0
	})
	s.tried(1)
	before := holdingsOf(t, p.PID())

	s.write(s.hungConf(80, s.stubborn()).String()) // 480
	s.want(0, "reload")
	since := s.goodTries()
	good, all := s.rounds(6*80, 2)
	if all.MaxInFlight != limit/4 {
		t.Errorf("%d checks may be under way, want %d", all.MaxInFlight, limit/4)
	}
	if good.Tries == since {
		t.Error("the server that answers was not tried while others hung")
	}
	s.write(s.goodConf().String())
	labtest.Until(t, "the file is read", func() bool { return s.call("reload").Code == 0 })
	since = s.goodTries()
	s.tried(since + 2)
	s.holdsNoMore(p, before)
}

// checks asks the daemon for the state of its checks.
func (s *site) checks() api.Checks {
	s.t.Helper()
	all, err := api.NewClient(s.sock).Checks(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// goodTries returns how often the server that answers was tried.
func (s *site) goodTries() uint64 {
	s.t.Helper()
	return s.checks().Servers[0].Checks[0].Tries
}

// tried waits until it was tried so often.
func (s *site) tried(n uint64) {
	s.t.Helper()
	labtest.Until(s.t, "the server that answers is tried", func() bool { return s.goodTries() >= n })
}

// holdsNoMore waits until the daemon has given back what checks took.
func (s *site) holdsNoMore(p *labtest.Process, before holdings) {
	s.t.Helper()
	var now holdings
	labtest.UntilFor(s.t, hungPatience, "nothing is left of the checks that hung", func() bool {
		now = holdingsOf(s.t, p.PID())
		return now.descriptors <= before.descriptors && now.children == 0 && now.zombies == 0
	})
}
