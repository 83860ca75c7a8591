package accept

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// wellFormed walks the attributes of b and fails on lengths that do not fit.
func wellFormed(t *testing.T, b []byte, depth int) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 4 {
			t.Fatalf("%d bytes behind the last attribute", len(b))
		}
		length, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		padded := (length + 3) &^ 3
		if length < 4 || padded > len(b) {
			t.Fatalf("attribute of %d bytes in %d", length, len(b))
		}
		if kind&0x8000 != 0 {
			wellFormed(t, b[4:length], depth+1)
		}
		b = b[padded:]
	}
}

func TestMessages(t *testing.T) {
	var addrs []netip.Addr
	for i := range 2 * perMessage {
		addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	addrs = append(addrs, netip.MustParseAddr("fd5a::1"))
	list := append(emptied(), table(addrs)...)
	for _, m := range list {
		if m.kind>>8 != subsystem || len(m.body)%4 != 0 {
			t.Errorf("message %x of %d bytes", m.kind, len(m.body))
		}
		wellFormed(t, m.body[4:], 0)
	}
	// Two for the table as it was, table, two sets, three lists, chain, four
	// rules.
	if len(list) != 2+1+2+3+1+4 {
		t.Errorf("%d messages", len(list))
	}
}
