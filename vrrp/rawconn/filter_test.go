package rawconn

import (
	"testing"

	"golang.org/x/net/bpf"

	"github.com/evenkeel/evenkeel/vrrp"
)

// datagram returns the bytes that a filter of the kind sees, with the given
// VRID and n bytes behind the IP header.
func datagram(ipv6 bool, protocol uint8, options int, vrid uint8, n int) []byte {
	var b []byte
	if !ipv6 {
		b = make([]byte, 20+4*options)
		b[0] = 0x45 + byte(options)
	}
	payload := make([]byte, n)
	at := 1
	if protocol == vrrp.ProtocolAH {
		at += authHeaderLen
	}
	if n > at {
		payload[at] = vrid
	}
	return append(b, payload...)
}

func passes(t *testing.T, vm *bpf.VM, b []byte) bool {
	t.Helper()
	n, err := vm.Run(b)
	if err != nil {
		t.Fatal(err)
	}
	if n != 0 && n < len(b) {
		t.Fatalf("cut to %d of %d bytes", n, len(b))
	}
	return n > 0
}

func TestFilterPassesItsRouters(t *testing.T) {
	sets := map[string][]uint8{
		"none":      nil,
		"one":       {51},
		"ends":      {1, 255},
		"one word":  {32, 33, 63},
		"each word": {7, 40, 70, 100, 130, 170, 200, 250},
	}
	kinds := []struct {
		name     string
		ipv6     bool
		protocol uint8
		options  int
	}{
		{"IPv4", false, vrrp.ProtocolVRRP, 0},
		{"IPv4 with options", false, vrrp.ProtocolVRRP, 10},
		{"IPv6", true, vrrp.ProtocolVRRP, 0},
		{"authentication header", false, vrrp.ProtocolAH, 0},
	}
	for name, list := range sets {
		for _, kind := range kinds {
			t.Run(name+"/"+kind.name, func(t *testing.T) {
				var set vridSet
				for _, vrid := range list {
					set.add(vrid)
				}
				vm, err := bpf.NewVM(set.program(kind.ipv6, kind.protocol))
				if err != nil {
					t.Fatal(err)
				}
				for vrid := range 256 {
					b := datagram(kind.ipv6, kind.protocol, kind.options, uint8(vrid), 60)
					if got, want := passes(t, vm, b), set.has(uint8(vrid)); got != want {
						t.Errorf("VRID %d passes: %t, want %t", vrid, got, want)
					}
				}
			})
		}
	}
}

// TestFilterPassesShortPackets: somebody has to count them.
func TestFilterPassesShortPackets(t *testing.T) {
	var set vridSet
	set.add(51)
	for _, ipv6 := range []bool{false, true} {
		vm, err := bpf.NewVM(set.program(ipv6, vrrp.ProtocolVRRP))
		if err != nil {
			t.Fatal(err)
		}
		for n, want := range []bool{true, true, false} {
			b := datagram(ipv6, vrrp.ProtocolVRRP, 0, 99, n)
			if len(b) == 0 {
				continue // the VM refuses what the kernel never hands over
			}
			if got := passes(t, vm, b); got != want {
				t.Errorf("IPv6 %t, %d bytes for VRID 99 pass: %t, want %t", ipv6, n, got, want)
			}
		}
	}
}

// TestFilterFits: the kernel takes 4096 instructions.
func TestFilterFits(t *testing.T) {
	var set vridSet
	for vrid := range 256 {
		set.add(uint8(vrid))
	}
	prog, err := bpf.Assemble(set.program(false, vrrp.ProtocolVRRP))
	if err != nil {
		t.Fatal(err)
	}
	if len(prog) > 64 {
		t.Errorf("%d instructions", len(prog))
	}
}
