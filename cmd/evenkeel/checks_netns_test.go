//go:build netns

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/lab"
)

// configureChecks writes a configuration whose servers all have the checks of
// a text.
func (s *site) configureChecks(checks string) {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "virtual_server %s 80 {\n  protocol TCP\n  lb_algo wrr\n  lb_kind DR\n  delay_loop 1\n  warmup 0\n  retry 0\n  connect_timeout 1\n", s.top.VIP)
	for i := range s.top.Servers {
		fmt.Fprintf(&b, "  real_server %s 80 {\n%s\n}\n", s.top.ServerAddr(i), strings.ReplaceAll(checks, "%d", fmt.Sprint(i+1)))
	}
	b.WriteString("}\n")
	s.write(b.String())
}

// TestHTTPChecks: a wrong status or body takes a server out, a right one
// brings it back.
func TestHTTPChecks(t *testing.T) {
	s := newSite(t, lab.DR)
	var status atomic.Int32
	status.Store(200)
	if err := s.servers[1].Close(); err != nil {
		t.Fatal(err)
	}
	node := s.top.Servers[1]
	if _, err := node.ServeHTTP(":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" && r.Host == "check.example" {
			w.WriteHeader(int(status.Load()))
		}
		fmt.Fprint(w, node.Name())
	})); err != nil {
		t.Fatal(err)
	}
	s.configureChecks(`HTTP_GET {
		virtualhost check.example
		url {
			path /health
			status_code 200-204
			regex "^server[0-9]$"
		}
	}`)
	s.start()
	s.ready(3)
	s.balanced(2)

	status.Store(503)
	s.ready(2)
	s.evidence("DOWN since ", "status 503, want 200-204", `sent      GET /health HTTP/1.0\r\n`, "received  HTTP/1.0 503 Service Unavailable")
	if got := s.requests(6); got["server2"] != 0 || got[""] != 0 {
		t.Errorf("requests without server2 = %v", got)
	}
	status.Store(200)
	s.ready(3)
	s.balanced(2)
}

// evidence checks that the command checks says why a server is down, in words
// that all of texts are in.
func (s *site) evidence(texts ...string) {
	s.t.Helper()
	got := s.want(0, "checks", "--down")
	for _, text := range texts {
		if !strings.Contains(got.Stdout, text) {
			s.t.Errorf("evenkeel checks does not say %q:\n%s", text, got.Stdout)
		}
	}
	var all api.Checks
	if err := json.Unmarshal([]byte(s.want(0, "checks", "--down", "--json").Stdout), &all); err != nil {
		s.t.Fatal(err)
	}
	if len(all.Servers) != 1 || all.Servers[0].Up || all.Servers[0].Checks[0].LastFailure == nil {
		s.t.Errorf("evenkeel checks --json has %+v", all.Servers)
	}
}

// TestMiscChecks: a script's exit status takes a server out and in, and with
// misc_dynamic sets its weight.
func TestMiscChecks(t *testing.T) {
	s := newSite(t, lab.DR)
	script := filepath.Join(s.dir, "check.sh")
	exit := func(server, code int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.dir, fmt.Sprintf("exit%d", server)), fmt.Appendf(nil, "%d\n", code), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\nread code < %s/exit$1\nexit $code\n", s.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range s.top.Servers {
		exit(i+1, 0)
	}
	s.configureChecks(fmt.Sprintf("MISC_CHECK {\nmisc_path \"%s '%%d'\"\nmisc_dynamic\nmisc_timeout 5\nuser root\n}", script))
	s.start()
	s.ready(3)
	exit(2, 1)
	s.ready(2)
	exit(2, 5)
	s.ready(3)
	s.until("server2 has the weight 3", func() bool {
		return strings.Contains(s.want(0, "services").Stdout, s.top.ServerAddr(1).String()+":80") && strings.Contains(s.want(0, "services").Stdout, "   3 ")
	})
	if got := s.requests(10); got["server2"] != 6 {
		t.Errorf("requests by server = %v, want 6 of 10 for server2", got)
	}
}

// TestOtherChecks: a server that does not answer a checker is out, and comes
// in when it does.
func TestOtherChecks(t *testing.T) {
	for _, tt := range []struct {
		name, checks string
		// answer makes a server pass.
		answer func(*testing.T, *lab.Node)
	}{
		{"UDP_CHECK", "UDP_CHECK {\nconnect_port 7\npayload 0102\nrequire_reply 01XX\n}", func(t *testing.T, n *lab.Node) {
			if _, err := n.ServeUDPEcho(":7"); err != nil {
				t.Fatal(err)
			}
		}},
		{"SSL_GET", "SSL_GET {\nconnect_port 443\nurl {\npath /\nstatus_code 202\n}\n}", answerTLS},
		{"SMTP_CHECK", "SMTP_CHECK {\nhelo_name lb.example\nhost {\nconnect_port 25\n}\n}", answerSMTP},
		{"DNS_CHECK", "DNS_CHECK {\nconnect_port 53\ntype A\nname example.org\n}", answerDNS},
		{"PING_CHECK", "PING_CHECK {\n}", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, lab.DR)
			answer := tt.answer
			if answer == nil {
				setEcho(t, s.top.Servers[1], false)
				answer = func(t *testing.T, n *lab.Node) { setEcho(t, n, true) }
			}
			answer(t, s.top.Servers[0])
			answer(t, s.top.Servers[2])
			s.configureChecks(tt.checks)
			s.start()
			s.ready(2)
			if got := s.requests(4); got["server2"] != 0 || got[""] != 0 {
				t.Errorf("requests without server2 = %v", got)
			}
			answer(t, s.top.Servers[1])
			s.ready(3)
			s.balanced(1)
		})
	}
}

func setEcho(t *testing.T, n *lab.Node, on bool) {
	t.Helper()
	value := "1"
	if on {
		value = "0"
	}
	if err := n.SetSysctl("net/ipv4/icmp_echo_ignore_all", value); err != nil {
		t.Fatal(err)
	}
}

func listen(t *testing.T, n *lab.Node, addr string) net.Listener {
	t.Helper()
	l, err := n.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // it may be closed
	return l
}

func answerTLS(t *testing.T, n *lab.Node) {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	if err := srv.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	srv.Listener = listen(t, n, ":443")
	srv.StartTLS()
	t.Cleanup(srv.Close)
}

func answerSMTP(t *testing.T, n *lab.Node) {
	t.Helper()
	l := listen(t, n, ":25")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "220 here\r\n")
			lines := bufio.NewScanner(c)
			for lines.Scan() {
				code := 221
				if lines.Text() == "HELO lb.example" {
					code = 250
				}
				fmt.Fprintf(c, "%d ok\r\n", code)
			}
			_ = c.Close() // nothing follows
		}
	}()
}

// answerDNS answers each query without a record.
func answerDNS(t *testing.T, n *lab.Node) {
	t.Helper()
	c, err := n.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // it may be closed
	go func() {
		buf := make([]byte, 512)
		for {
			got, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			buf[2] |= 0x80                    // a response
			_, _ = c.WriteTo(buf[:got], from) // the next query comes anyway
		}
	}()
}
