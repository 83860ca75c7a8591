package drive

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

func TestBatchMedian(t *testing.T) {
	for _, tt := range []struct {
		name    string
		stamps  []uint64
		packets uint32
		want    float64
		ok      bool
	}{
		{"nothing sent", []uint64{0, 0}, 0, 0, false},
		{"one batch begun", []uint64{5, 0}, 1000, 0, false},
		{"one batch", []uint64{1024, 3 * 1024}, 1025, 2, true},
		{"of two batches the slower one", []uint64{0, 1024, 100 * 1024, 101 * 1024}, 3 * 1024, 99, true},
		{"one of four interrupted", []uint64{0, 1024, 100 * 1024, 101 * 1024, 102 * 1024}, 4*1024 + 1, 1, true},
		{"more than there is room for", []uint64{0, 2048, 4096}, 1 << 20, 2, true},
		{"begun anew in the ring", []uint64{9000 * 1024, 3 * 1024, 4 * 1024}, 1 << 20, 1, true},
	} {
		got, ok := batchMedian(tt.stamps, tt.packets)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s: %v %v, want %v %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

// TestHeaderSum makes a checksum of the sum as drive.c does, and adds the whole
// header up: the result of a header that is right is all ones (RFC 1071).
func TestHeaderSum(t *testing.T) {
	for _, reply := range []bool{false, true} {
		ip := []byte{0x45, 0, 0, 46, 0, 1, 0x40, 0, 64, 17, 0xaa, 0xaa, 10, 64, 1, 2, 198, 51, 100, 1}
		client := ip[12:16]
		if reply {
			client = ip[16:20]
		}
		sum := headerSum(ip, reply)
		sum += uint32(binary.NativeEndian.Uint16(client)) + uint32(binary.NativeEndian.Uint16(client[2:]))
		binary.NativeEndian.PutUint16(ip[10:], ^fold(sum))
		var all uint32
		for i := 0; i < len(ip); i += 2 {
			all += uint32(binary.BigEndian.Uint16(ip[i:]))
		}
		if got := fold(all); got != 0xffff {
			t.Errorf("reply %v: the header sums up to %#x, want 0xffff", reply, got)
		}
	}
}

func fold(sum uint32) uint16 {
	sum = sum&0xffff + sum>>16
	return uint16(sum&0xffff + sum>>16)
}

func TestPlanCheck(t *testing.T) {
	good := Plan{Frame: make([]byte, 60), Flows: 4, First: netip.MustParseAddr("10.0.0.1")}
	if err := good.check(); err != nil {
		t.Errorf("a good plan: %v", err)
	}
	for name, change := range map[string]func(*Plan){
		"short frame":      func(p *Plan) { p.Frame = p.Frame[:53] },
		"short IPv6 frame": func(p *Plan) { p.First = netip.MustParseAddr("fd00::1") },
		"three flows":      func(p *Plan) { p.Flows = 3 },
		"no flows":         func(p *Plan) { p.Flows = 0 },
		"a thousand ports": func(p *Plan) { p.Services = 1000 },
		"nobody to send":   func(p *Plan) { p.First = netip.Addr{} },
	} {
		bad := good
		change(&bad)
		if bad.check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestCircle goes around: every line is met once.
func TestCircle(t *testing.T) {
	for _, n := range []uint32{1, 2, 1000} {
		next, seen := circle(n), map[uint32]bool{}
		for at := uint32(0); !seen[at]; at = next[at] {
			seen[at] = true
		}
		if len(seen) != int(n) {
			t.Errorf("of %d lines %d are on the way", n, len(seen))
		}
	}
}
