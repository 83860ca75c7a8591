package announce

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// TestFrames compares with frames that keepalived sent, but for the router
// flag, which keepalived sets only when forwarding is on.
func TestFrames(t *testing.T) {
	mac := MAC{0, 0, 0x5e, 0, 1, 0x33}
	vip4, vip6 := netip.MustParseAddr("10.90.0.100"), netip.MustParseAddr("fd5a::100")
	request, err := appendARP(nil, vip4, mac, false)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := appendARP(nil, vip4, mac, true)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"request", request, "ffffffffffff 00005e000133 0806 0001 0800 06 04 0001 00005e000133 0a5a0064 ffffffffffff 0a5a0064"},
		{"reply", reply, "ffffffffffff 00005e000133 0806 0001 0800 06 04 0002 00005e000133 0a5a0064 00005e000133 0a5a0064"},
		{"advertisement", appendNA(nil, vip6, mac), "333300000001 00005e000133 86dd 60000000 0020 3a ff" +
			"fd5a0000000000000000000000000100 ff020000000000000000000000000001" +
			"8800 SUMM a0000000 fd5a0000000000000000000000000100 02 01 00005e000133"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := strings.ReplaceAll(tt.want, " ", "")
			if at := strings.Index(want, "SUMM"); at >= 0 {
				want = want[:at] + hex.EncodeToString(tt.got[at/2:at/2+2]) + want[at+4:]
			}
			if got := hex.EncodeToString(tt.got); got != want {
				t.Errorf("frame\n %s, want\n %s", got, want)
			}
		})
	}
	if _, err := appendARP(nil, vip6, mac, false); err == nil {
		t.Error("ARP for an IPv6 address = nil error")
	}
}

// TestChecksumOfNA: the sum over message and pseudo header is all ones.
func TestChecksumOfNA(t *testing.T) {
	f := appendNA(nil, netip.MustParseAddr("2001:db8::ffff:1"), MAC{0xfe, 0xff, 1, 2, 3, 4})
	ip := f[14:]
	if got := checksum(ip[8:40], []byte{0, 0, 0, naLen, 0, 0, 0, icmpv6}, ip[40:]); got != 0 {
		t.Errorf("checksum over the frame = %04x, want 0", got)
	}
	if bytes.Equal(ip[42:44], []byte{0, 0}) {
		t.Error("no checksum")
	}
}
