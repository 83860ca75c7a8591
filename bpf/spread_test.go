//go:build bpf

package bpf

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/sched"
)

// Nearly every flow finds a place for its copy where half of the places are enough for all, however alike the
// clients are: at random 4 in 100 of IPv4's flows find none then, and 1 in 100 of IPv6's.
func TestCopiesSpread(t *testing.T) {
	const flows = 512
	eachFamily(t, func(t *testing.T, six family) {
		kinds := map[string]func(n uint16) netip.AddrPort{
			"ports":     func(n uint16) netip.AddrPort { return netip.AddrPortFrom(six.of(client).Addr(), 2000+n) },
			"both":      func(n uint16) netip.AddrPort { return numbered(six, n, 6, 14) },
			"with port": func(n uint16) netip.AddrPort { return netip.AddrPortFrom(numbered(six, n, 14).Addr(), n|0x800) },
		}
		if six { // IPv4's addresses have one place for a number
			kinds["last byte"] = func(n uint16) netip.AddrPort { return numbered(six, n, 14) }
			kinds["/64"] = func(n uint16) netip.AddrPort { return numbered(six, n, 6) }
			kinds["high"] = func(n uint16) netip.AddrPort { return numbered(six, n, 8) }
		}
		for name, client := range kinds {
			if testing.Short() && name != "both" {
				continue // minutes on an emulated processor
			}
			r := newRig(t, 32*flows, sched.Profile{}, func(spec *ebpf.CollectionSpec) {
				if err := SetCopies(spec, 8); err != nil { // 1024 places for either family
					t.Fatal(err)
				}
			})
			r.serve(six, EkForwardFORWARD_DR)
			var acks [][]byte
			for n := range uint16(flows) {
				f := six.syn().with(func(f *frame) { f.src = client(n) })
				r.send(f.bytes(t), xdpTX, reasons.ForwardedDR)
				acks = append(acks, f.flag("A").bytes(t))
			}
			for range 2 {
				for _, ack := range acks {
					r.send(ack, xdpTX, reasons.ForwardedDR)
				}
				r.advance(20 * time.Millisecond)
			}
			if got, least := len(r.copies()), flows*92/100; got < least {
				t.Errorf("%s: %d of %d flows have a copy, want at least %d", name, got, flows, least)
			}
		}
	})
}

// numbered is a client's address with a number at some bytes of it, or of IPv4's at the end.
func numbered(six family, n uint16, at ...int) netip.AddrPort {
	if !six {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), 4000)
	}
	addr := six.of(client).Addr().As16()
	for _, at := range at {
		binary.BigEndian.PutUint16(addr[at:], n)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(addr), 4000)
}
