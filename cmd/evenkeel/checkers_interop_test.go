//go:build interop

package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// realCheck is a checker, its real server, and what it cannot see of that.
type realCheck struct {
	name, kind, options string
	// blind are the steps that change nothing for it: TCP_CHECK does not see
	// what a server says, nor that its process is stopped.
	blind []string
}

// The steps of TestCheckersOnRealServers.
const (
	stepStart       = "start"
	stepSlow        = "slow: stopped 0.8 s of each 1.3 s"
	stepWrong       = "wrong answer"
	stepRight       = "right again"
	stepHalfOpen    = "half-open: connections are accepted, nobody answers"
	stepOn          = "it goes on"
	stepUnreachable = "link down"
	stepReachable   = "link up"
	stepDown        = "down: its process is killed"
)

func realChecks() []realCheck {
	port := func(n int, more string) string { return fmt.Sprintf("connect_port %d\n%s", n, more) }
	url := "url {\npath /health\nstatus_code 200\n}\n"
	return []realCheck{
		{"nginx", "HTTP_GET", port(webPort, url), nil},
		{"nginx, connection only", "TCP_CHECK", port(webPort, ""), []string{stepWrong, stepHalfOpen}},
		{"nginx, self-signed", "SSL_GET", port(selfSignedPort, url), nil},
		{"nginx, expired", "SSL_GET", port(expiredPort, url), nil},
		{"haproxy", "HTTP_GET", port(proxyPort, url), nil},
		{"openssl, expired", "SSL_GET", port(tlsPort, "url {\npath /\n}\n"), []string{stepWrong}},
		{"mail", "SMTP_CHECK", port(mailPort, ""), nil},
		{"dnsmasq", "DNS_CHECK", port(dnsPort, "type A\nname up.test\n"), nil},
		// A query for up.test, and an answer without an error.
		{"dnsmasq, raw", "UDP_CHECK", port(dnsPort, "payload 12340100000100000000000002757004746573740000010001\nrequire_reply 1234XX80\n"), nil},
		{"ping", "PING_CHECK", "", []string{stepWrong}},
	}
}

// firstPort is the port of the first virtual server; its real server has it,
// too, so that logs tell them apart.
const firstPort = 9001

// checkersConf is the file that both read. A try takes up to 5 s, a second one
// follows after 1 s, and the next round 2 s later.
func checkersConf(s *site) string {
	var b strings.Builder
	b.WriteString("global_defs {\n@evenkeel xdp_mode generic\n}\n")
	for i, c := range realChecks() {
		protocol := "TCP"
		if c.kind == "DNS_CHECK" || c.kind == "UDP_CHECK" {
			protocol = "UDP"
		}
		port := firstPort + i
		fmt.Fprintf(&b, "virtual_server %s %d {\nlb_algo rr\nlb_kind DR\nprotocol %s\nreal_server %s %d {\n%s {\n%s", s.top.VIP, port, protocol, s.top.ServerAddr(0), port, c.kind, c.options)
		b.WriteString("connect_timeout 5\nretry 1\ndelay_before_retry 1\ndelay_loop 2\nwarmup 0\nalpha\n}\n}\n}\n")
	}
	return b.String()
}

// verdicts reads from a log what became of each server so far: u for up, d for
// down. pattern finds a word and the port; up is the word of servers that go up.
func verdicts(log string, pattern *regexp.Regexp, up string) []string {
	out := make([]string, len(realChecks()))
	for _, m := range pattern.FindAllStringSubmatch(log, -1) {
		i, err := strconv.Atoi(m[2])
		if err != nil || i < firstPort || i >= firstPort+len(out) {
			continue
		}
		turn := "d"
		if m[1] == up {
			turn = "u"
		}
		out[i-firstPort] += turn
	}
	return out
}

// judges are the two whose verdicts are compared.
type judges struct {
	site         *site
	ours, theirs *labtest.Process
}

func (j judges) verdicts() (ours, theirs []string) {
	return verdicts(j.ours.Log(), regexp.MustCompile(`event="server (up|down)".* server=\S+:(\d+)`), "up"),
		verdicts(j.theirs.Log(), regexp.MustCompile(`(Adding|Removing) service \[\S+\]:\w+:(\d+) `), "Adding")
}

// TestCheckersOnRealServers runs the real daemon and keepalived on one director,
// with one file, and takes their real servers through all that may become of
// one. Both must say the same of each, step by step; how long each took for it
// is in the log.
func TestCheckersOnRealServers(t *testing.T) {
	s := newSite(t, lab.DR)
	s.write(checkersConf(s))
	keepalived := labtest.KeepalivedCheckers(t, s.file)
	servers := startRealServers(t, s.top.Servers[0], s.top.ServerAddr(0))
	j := judges{site: s, ours: s.start(), theirs: labtest.Start(t, s.top.Director, keepalived)}
	// keepalived's children end with it by SIGTERM only.
	t.Cleanup(func() { j.theirs.End(syscall.SIGTERM) })

	setLink := func(up bool) func() {
		return func() {
			if err := s.top.ServerIfs[0].SetUp(up); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := make([]string, len(realChecks()))
	for _, step := range []struct {
		name, turn string
		do         func()
	}{
		{stepStart, "u", func() {}},
		{stepSlow, "", func() { j.slow(servers) }},
		{stepWrong, "d", func() { servers.setRight(false) }},
		{stepRight, "u", func() { servers.setRight(true) }},
		{stepHalfOpen, "d", func() { servers.signal(syscall.SIGSTOP, false) }},
		{stepOn, "u", func() { servers.signal(syscall.SIGCONT, true) }},
		{stepUnreachable, "d", setLink(false)},
		{stepReachable, "u", setLink(true)},
		{stepDown, "d", func() { servers.signal(syscall.SIGKILL, false) }},
	} {
		for i, c := range realChecks() {
			if !slices.Contains(c.blind, step.name) && !strings.HasSuffix(want[i], step.turn) {
				want[i] += step.turn
			}
		}
		began := time.Now()
		step.do()
		j.compare(step.name, began, want)
	}
}

// compare waits until both have said what is wanted, and logs when each did.
func (j judges) compare(step string, began time.Time, want []string) {
	t := j.site.t
	t.Helper()
	var said [2][]string
	var at [2][]time.Duration
	at[0], at[1] = make([]time.Duration, len(want)), make([]time.Duration, len(want))
	patience := time.Now().Add(90 * time.Second)
	for {
		missing := false
		said[0], said[1] = j.verdicts()
		for k := range said {
			for i := range want {
				switch {
				case said[k][i] != want[i]:
					missing = true
				case at[k][i] == 0:
					at[k][i] = time.Since(began)
				}
			}
		}
		if !missing || time.Now().After(patience) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	for i, c := range realChecks() {
		t.Logf("%-20.20s %-10s %-22s ours %-3s after %4.1f s, keepalived's %-3s after %4.1f s", step, c.kind, c.name,
			lastOf(said[0][i]), at[0][i].Seconds(), lastOf(said[1][i]), at[1][i].Seconds())
		if said[0][i] != want[i] || said[1][i] != want[i] {
			t.Errorf("%s: of %s (%s) we say %q and keepalived %q, want %q", step, c.name, c.kind, said[0][i], said[1][i], want[i])
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

func lastOf(turns string) string {
	switch {
	case strings.HasSuffix(turns, "u"):
		return "up"
	case turns != "":
		return "down"
	}
	return "-"
}

// slow makes the servers slow for three tries of each of our checks.
func (j judges) slow(servers *realServers) {
	t := j.site.t
	t.Helper()
	before := j.tries()
	labtest.UntilFor(t, 3*time.Minute, "three tries of each check on slow servers", func() bool {
		servers.signal(syscall.SIGSTOP, true)
		time.Sleep(800 * time.Millisecond)
		servers.signal(syscall.SIGCONT, true)
		for i, n := range j.tries() {
			if n < before[i]+3 {
				return false
			}
		}
		return true
	})
}

func (j judges) tries() []uint64 {
	t := j.site.t
	t.Helper()
	var all api.Checks
	if err := json.Unmarshal([]byte(j.site.want(0, "checks", "--json").Stdout), &all); err != nil {
		t.Fatal(err)
	}
	var tries []uint64
	for _, s := range all.Servers {
		tries = append(tries, s.Checks[0].Tries)
	}
	if len(tries) != len(realChecks()) {
		t.Fatalf("%d checks run, want %d", len(tries), len(realChecks()))
	}
	return tries
}
