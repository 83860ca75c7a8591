//go:build netns

package main

import (
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// TestNetNamespace: a daemon that is started elsewhere balances in the network
// namespace that its file names, under the process id that it was started with.
func TestNetNamespace(t *testing.T) {
	s := newSite(t, lab.DR)
	s.configure("DR")
	s.write("net_namespace " + s.top.Director.Namespace() + "\n" + s.text())
	for _, flags := range [][]string{nil, {alone}} {
		p := labtest.Start(t, s.top.Client, s.command(append([]string{"run", "-f", s.file}, flags...)...))
		s.until("the daemon answers", func() bool { return s.call("status").Code == 0 })
		s.ready(3)
		s.balanced(1)
		s.want(0, "stop")
		if code := p.Wait(); code != 0 {
			t.Errorf("the daemon ended with %d", code)
		}
	}
	s.write("net_namespace ek-none-such\n")
	if got := s.want(1, "run", "-f", s.file); !strings.Contains(got.Stderr, "it does not exist; make it by: ip netns add ek-none-such") {
		t.Errorf("without the namespace: %q", got.Stderr)
	}
}
