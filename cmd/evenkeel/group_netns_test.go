//go:build netns

package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// TestGroupOnLinks: the services of a group share their servers and the checks of
// these, and ha_suspend rests the checks of a service whose address is not here.
func TestGroupOnLinks(t *testing.T) {
	s := newSite(t, lab.NAT)
	elsewhere := netip.MustParseAddr("198.18.77.7")
	var b strings.Builder
	fmt.Fprintf(&b, "virtual_server_group web {\n  %s 80\n  %[1]s 81\n}\n", s.top.VIP)
	block := func(what string, servers int) {
		fmt.Fprintf(&b, "virtual_server %s {\n  protocol TCP\n  lb_algo rr\n  lb_kind NAT\n  ha_suspend\n  delay_loop 1\n  warmup 0\n  retry 0\n  connect_timeout 1\n", what)
		for i := range servers {
			fmt.Fprintf(&b, "  real_server %s 80 {\n    TCP_CHECK {\n    }\n  }\n", s.top.ServerAddr(i))
		}
		b.WriteString("}\n")
	}
	block("group web", 3)
	block(elsewhere.String()+" 80", 1)
	s.write(b.String())
	s.start()

	alive := func(n int) {
		t.Helper()
		s.until(fmt.Sprintf("%d servers are alive in both services", n), func() bool {
			svc := s.status().Services
			return len(svc) == 3 && svc[0].ServersAlive == n && svc[1].ServersAlive == n && svc[0].Unresolved+svc[1].Unresolved == 0
		})
	}
	suspended := func(n int) {
		t.Helper()
		s.until(fmt.Sprintf("%d checks are suspended", n), func() bool { return s.status().Checks.Suspended == n })
	}
	suspended(1)
	if got := s.status().Checks.Total; got != 4 {
		t.Errorf("%d checks, want one for each server of a block, 4", got)
	}
	alive(3)
	s.balanced(2)
	client := s.top.Client.HTTPClient()
	client.Timeout = 3 * time.Second
	seen := make(map[string]bool)
	for range 3 {
		seen[fetch(client, fmt.Sprintf("http://%s:81/", s.top.VIP))] = true
	}
	if len(seen) != 3 || seen[""] {
		t.Errorf("answers on port 81 are from %v, want all three servers", seen)
	}
	if err := s.servers[1].Close(); err != nil {
		t.Fatal(err)
	}
	alive(2)

	prefix := netip.PrefixFrom(elsewhere, 32)
	if err := s.top.Director.AddAddr("lo", prefix); err != nil {
		t.Fatal(err)
	}
	suspended(0)
	if err := s.top.Director.DelAddr("lo", prefix); err != nil {
		t.Fatal(err)
	}
	suspended(1)
}
