//go:build netns

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

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
	if got := s.requests(6); got["server2"] != 0 || got[""] != 0 {
		t.Errorf("requests without server2 = %v", got)
	}
	status.Store(200)
	s.ready(3)
	s.balanced(2)
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
		return strings.Contains(s.want(0, "services").stdout, s.top.ServerAddr(1).String()+":80") && strings.Contains(s.want(0, "services").stdout, "   3 ")
	})
	if got := s.requests(10); got["server2"] != 6 {
		t.Errorf("requests by server = %v, want 6 of 10 for server2", got)
	}
}
