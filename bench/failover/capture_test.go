package main

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
)

// frame reads hexadecimal digits, with spaces anywhere.
func frame(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	advertFrame = "01005e000012 02000a5a0001 0800 45c0 0020 0001 0000 ff70 0000 0a5a0001 e0000012 3133c80100640000 0a5a0064"
	garpFrame   = "ffffffffffff 02000a5a0002 0806 0001 0800 06 04 0001 02000a5a0002 0a5a0064 ffffffffffff 0a5a0064"
	arpFrame    = "ffffffffffff 02000a5a0002 0806 0001 0800 06 04 0001 02000a5a0002 0a5a0002 000000000000 0a5a0064"
	echoFrame   = "02000a5a0001 02000a5a0002 0800 45c0 0020 0001 0000 ff01 0000 0a5a0001 0a5a0002 0000000000000000 00000000"
)

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name, frame string
		want        event
		ok          bool
	}{
		{"advert", advertFrame, event{kind: advert, router: 0x33, priority: 200, source: netip.MustParseAddr("10.90.0.1")}, true},
		{"gratuitous ARP", garpFrame, event{kind: announce, addr: netip.MustParseAddr("10.90.0.100")}, true},
		{"ARP that asks", arpFrame, event{}, false},
		{"echo", echoFrame, event{}, false},
		{"cut advert", "01005e000012 02000a5a0001 0800 45c0 0020", event{}, false},
		{"cut ARP", "ffffffffffff 02000a5a0002 0806 0001 0800", event{}, false},
		{"empty", "", event{}, false},
	} {
		got, ok := decode(frame(t, tt.frame))
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%s: %+v, %t, want %+v, %t", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

// TestFilters runs the kernel's filters in Go; the index of the interface is
// the kernel's to fill in, so that of the capture is tested by its later part.
func TestFilters(t *testing.T) {
	for _, tt := range []struct {
		name  string
		prog  []bpf.Instruction
		frame string
		want  bool
	}{
		{"advert", vrrpAndARP(nil)[1:], advertFrame, true},
		{"ARP", vrrpAndARP(nil)[1:], garpFrame, true},
		{"echo", vrrpAndARP(nil)[1:], echoFrame, false},
		{"other protocol", vrrpAndARP(nil)[1:], "ffffffffffff 02000a5a0002 86dd" + strings.Repeat("00", 40), false},
		{"echo reply", echoReplies(), echoFrame, true},
		{"advert for the client", echoReplies(), advertFrame, false},
	} {
		vm, err := bpf.NewVM(tt.prog[max(0, indexOfLoad(tt.prog)):])
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		n, err := vm.Run(frame(t, tt.frame))
		if err != nil || n > 0 != tt.want {
			t.Errorf("%s: passes %d bytes, %v, want some: %t", tt.name, n, err, tt.want)
		}
	}
}

// indexOfLoad returns where the filter begins to look at the frame.
func indexOfLoad(prog []bpf.Instruction) int {
	for n, i := range prog {
		if _, ok := i.(bpf.LoadAbsolute); ok {
			return n
		}
	}
	return -1
}

func TestSince(t *testing.T) {
	// The second and third came in the wrong order.
	c := &capture{events: []event{{at: at(0)}, {at: at(20)}, {at: at(19)}, {at: at(30)}}}
	got := c.since(at(19), func(e event) bool { return !e.at.Equal(at(30)) })
	if len(got) != 2 || !got[0].at.Equal(at(20)) || !got[1].at.Equal(at(19)) {
		t.Errorf("since 19 ms: %+v", got)
	}
}

func TestChecksum(t *testing.T) {
	b := frame(t, "0800 0000 1234 0000 00000001")
	sum := checksum(b)
	b[2], b[3] = byte(sum>>8), byte(sum)
	if checksum(b) != 0 || bytes.Equal(b[2:4], []byte{0, 0}) {
		t.Errorf("checksum %#x does not make the sum zero", sum)
	}
}

func TestConf(t *testing.T) {
	want := `global_defs {
    router_id bench
    vrrp_version 3
}

vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 1
    priority 200
    advert_int 0.1
    virtual_ipaddress {
        10.90.16.1/16
    }
}

vrrp_instance VI_2 {
    state BACKUP
    interface eth0
    virtual_router_id 2
    priority 200
    advert_int 0.1
    virtual_ipaddress {
        10.90.16.2/16
    }
}
`
	if got := (setup{interval: 100 * time.Millisecond, instances: 2, addresses: 1}).conf(200); got != want {
		t.Errorf("configuration:\n%s", got)
	}
	many := setup{interval: time.Second, instances: 1, addresses: 1000}.conf(100)
	if _, after, ok := strings.Cut(many, "excluded {"); strings.Count(many, "/16") != 1000 || !ok || strings.Count(after, "/16") != 1000-inAdvert {
		t.Errorf("1000 addresses: %d, of them excluded: %t", strings.Count(many, "/16"), ok)
	}
	for d, want := range map[time.Duration]string{time.Second: "1", 100 * time.Millisecond: "0.1", 10 * time.Millisecond: "0.01", 10 * time.Second: "10"} {
		if got := seconds(d); got != want {
			t.Errorf("%s = %q, want %q", d, got, want)
		}
	}
}
