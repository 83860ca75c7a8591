//go:build bpf

package drive

import (
	"net/netip"
	"testing"
)

// TestSendTimes sends to the loopback interface, which takes no such frames: what is timed
// are the packets between looks at the clock, of each run by itself.
func TestSendTimes(t *testing.T) {
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	frame := make([]byte, Headers(false)+6)
	p := Plan{Frame: frame, Flows: 1, First: netip.MustParseAddr("192.0.2.1")}
	if err := d.SetLive(p, Live{Interface: 1}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ turns, timed int }{{1000, 960}, {300, 256}, {40, 0}} {
		sent, err := d.Send(tt.turns, 64)
		if err != nil {
			t.Fatal(err)
		}
		if sent.Packets != tt.turns || sent.Timed != tt.timed || (sent.Took > 0) != (tt.timed > 0) || (sent.Each() > 0) != (tt.timed > 0) {
			t.Errorf("%d turns: %+v, want %d timed", tt.turns, sent, tt.timed)
		}
	}
}
