//go:build netns

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/ipvs"
)

// On a kernel without IPVS a file that asks for it does not start, and one with
// a service that needs it runs the others and says why that one does not.
func TestKernelWithoutIPVS(t *testing.T) {
	if found, err := ipvs.Probe(); err == nil {
		t.Skipf("skipped: needs a kernel without IPVS; %s", found)
	}
	s := newSite(t, lab.DR)
	s.configure("DR", "@evenkeel datapath ipvs")
	got := s.want(exitNoIPVS, "run", "-f", s.file)
	last := got.Stderr[strings.LastIndexByte(strings.TrimRight(got.Stderr, "\n"), '\n')+1:]
	for _, word := range []string{"datapath ipvs", "module ip_vs", "CONFIG_IP_VS"} {
		if !strings.Contains(last, word) {
			t.Errorf("the last line %q does not say %q", last, word)
		}
	}
	if s.pinned() {
		t.Error("a start that failed has pinned something")
	}

	s.configure("DR")
	s.write(s.text() + fmt.Sprintf("virtual_server %s 81 {\n  protocol TCP\n  lb_algo lblcr\n  lb_kind DR\n  real_server %s 81 {\n  }\n}\n",
		s.top.VIP, s.top.ServerAddr(0)))
	p := s.start()
	if !strings.Contains(p.Log(), "no fallback: services run in XDP or not at all") {
		t.Errorf("the log does not say that there is no fallback:\n%s", p.Log())
	}
	s.until("three servers are ready", func() bool {
		all := s.status().Services
		return all[0].ServersAlive == 3 && all[0].Unresolved == 0
	})
	s.balanced(2)
	status := s.status()
	if left := status.Services[1]; left.Datapath != "none" || left.Reason != "needs IPVS (scheduler lblcr), which this kernel does not have" {
		t.Errorf("the service with lblcr = %+v", left)
	}
	if i := status.Datapath.IPVS; i.Running || !strings.Contains(i.Detail, "module ip_vs") {
		t.Errorf("status of IPVS = %+v", i)
	}
	s.want(0, "stop")
}
