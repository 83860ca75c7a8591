//go:build interop

package demo

import (
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// TestDemoWithKeepalived plays the story with keepalived as the second director,
// which reads the same file.
func TestDemoWithKeepalived(t *testing.T) {
	labtest.Keepalived(t, "")
	r := playScript(t, "--peer", "keepalived")
	if n := len(r.Claims); n != 27 || r.Peer != PeerKeepalived {
		t.Errorf("%d claims with %s, want 27 with keepalived", n, r.Peer)
	}
	pinged := 0
	for _, p := range r.Phases {
		pinged += p.Pings - p.PingsFailed
	}
	if pinged < 2*probesOfPhase {
		t.Errorf("%d pings were answered, want those of two phases at least", pinged)
	}
	if len(r.Handovers) != 3 || r.Handovers[0].Failed == 0 {
		t.Errorf("changes of master: %+v, want three, and requests that failed at the first", r.Handovers)
	}
}
