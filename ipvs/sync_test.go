package ipvs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/model"
)

// capturedSync are records as kernels send them, under the id 7.
func capturedSync() map[string]SyncRecord {
	client, virtual := netip.MustParseAddrPort("192.0.2.9:8500"), netip.MustParseAddrPort("198.51.100.34:80")
	server := netip.MustParseAddrPort("10.1.0.1:80")
	tun := uint32(model.TUN)
	return map[string]SyncRecord{
		"00060024 00000082 0001 2134 0050 0050 00000000 00000384 c0000209 c6336422 0a010001": {
			Protocol: model.TCP, Flags: SyncNoOutput | tun, State: 1, Client: client, Virtual: virtual, Server: server, Timeout: 900,
		},
		"00060024 00000182 0004 2134 0050 0050 00000000 00000078 c0000209 c6336422 0a010001": {
			Protocol: model.TCP, Flags: SyncInactive | SyncNoOutput | tun, State: 4, Client: client, Virtual: virtual, Server: server, Timeout: 120,
		},
		"00110024 00000182 0000 2135 0050 0050 00000000 0000012c c0000209 c6336422 0a010001": {
			Protocol: model.UDP, Flags: SyncInactive | SyncNoOutput | tun,
			Client: netip.AddrPortFrom(client.Addr(), 8501), Virtual: virtual, Server: server, Timeout: 300,
		},
		"00060024 00001100 0001 0000 0050 0050 00000000 0000012c c0000209 c6336422 0a010001": {
			Protocol: model.TCP, Flags: SyncTemplate | SyncInactive, State: 1,
			Client: netip.AddrPortFrom(client.Addr(), 0), Virtual: virtual, Server: server, Timeout: 300,
		},
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What kernels sent is read, and written byte for byte.
func TestSyncAsCaptured(t *testing.T) {
	for text, record := range capturedSync() {
		want := unhex(t, "0007002c 01010000"+text)
		got, err := SyncMessage{ID: 7, Records: []SyncRecord{record}}.Append(nil)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("encoded\n% x, %v; captured\n% x", got, err, want)
		}
		m, err := ParseSync(want)
		if err != nil || m.ID != 7 || !slices.Equal(m.Records, []SyncRecord{record}) {
			t.Errorf("%s is read as %+v, %v", text, m, err)
		}
	}
}

func TestSyncOfBothFamilies(t *testing.T) {
	six := SyncRecord{
		Protocol: model.TCP, Flags: uint32(model.DR) | SyncNoOutput, State: 1, FWMark: 7, Timeout: 5,
		Client: netip.MustParseAddrPort("[2001:db8::9]:4000"), Virtual: netip.MustParseAddrPort("[2001:db8::1]:80"),
		Server: netip.MustParseAddrPort("[2001:db8:1::1]:80"),
	}
	m := SyncMessage{ID: 255, Records: []SyncRecord{six}}
	for _, r := range capturedSync() {
		m.Records = append(m.Records, r, six)
	}
	b, err := m.Append([]byte("before"))
	if err != nil || string(b[:6]) != "before" {
		t.Fatalf("Append = %q, %v", b, err)
	}
	got, err := ParseSync(b[6:])
	if err != nil || got.ID != m.ID || !slices.Equal(got.Records, m.Records) {
		t.Errorf("read %+v, %v; want %+v", got, err, m)
	}
	mixed := six
	mixed.Server = netip.MustParseAddrPort("10.0.0.1:80")
	if _, err := (SyncMessage{Records: []SyncRecord{mixed}}).Append(nil); err == nil {
		t.Error("a record of two families is written")
	}
}

// Options are skipped; what is no message says so and never panics.
func TestSyncRefusals(t *testing.T) {
	const record = "00060024 00000082 0001 2134 0050 0050 00000000 00000384 c0000209 c6336422 0a010001"
	withOption := unhex(t, "00070030 01010000"+strings.Replace(record, "0024", "0028", 1)+"42020100")
	if m, err := ParseSync(withOption); err != nil || len(m.Records) != 1 {
		t.Errorf("a record with an option is read as %+v, %v", m, err)
	}
	whole := unhex(t, "0007002c 01010000"+record)
	for n := range whole {
		cut := bytes.Clone(whole[:n])
		if n > 3 {
			cut[3] = byte(n)
		}
		if _, err := ParseSync(cut); !errors.Is(err, ErrSync) {
			t.Errorf("the first %d bytes: %v, want ErrSync", n, err)
		}
	}
	for at, value := range map[int]byte{0: 1, 3: 0x2d, 4: 2, 5: 0, 6: 1, 10: 0x10, 11: 0x20} {
		wrong := bytes.Clone(whole)
		wrong[at] = value
		if _, err := ParseSync(wrong); !errors.Is(err, ErrSync) {
			t.Errorf("byte %d is %#x: %v, want ErrSync", at, value, err)
		}
	}
}
