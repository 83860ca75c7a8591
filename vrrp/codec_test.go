package vrrp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// TestCaptures: each advert that keepalived and FRR sent passes the checks of
// a router of theirs, and is what this package would have sent.
func TestCaptures(t *testing.T) {
	count := map[string]int{}
	codecs := map[string]*Codec{}
	for _, c := range captures(t) {
		count[c.file]++
		name := fmt.Sprintf("%s#%d", c.file, count[c.file])
		cfg := senderConfig(t, c.packet)

		receiver := codecs[c.file]
		if receiver == nil {
			other := cfg
			other.Source = addr("10.90.0.77")
			if cfg.IPv6 {
				other.Source = addr("fe80::77")
			}
			receiver = newCodec(t, other)
			codecs[c.file] = receiver
		}
		h, err := receiver.Check(c.packet, netip.Addr{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if h.Source != c.packet.Src || h.Interval != time.Second || h.OtherAddresses {
			t.Errorf("%s: heard %+v", name, h)
		}
		wantSameBytes(t, name, cfg, h.Priority, c.packet)
	}
	if len(count) != 13 {
		t.Errorf("%d captures, want 13", len(count))
	}
}

func wantSameBytes(t *testing.T, name string, cfg Config, priority uint8, want Packet) {
	t.Helper()
	codec := newCodec(t, cfg)
	if len(want.Header) > 0 {
		codec.ipID = binary.BigEndian.Uint16(want.Header[4:]) - 1
	}
	if want.Protocol == ProtocolAH {
		codec.seq = be32(want.Payload[ahSeq:]) - 1
	}
	got := encode(t, codec, priority)
	if !bytes.Equal(got.Payload, want.Payload) {
		t.Errorf("%s: encoded\n%x, captured\n%x", name, got.Payload, want.Payload)
	}
	if got.TTL != want.TTL || got.Dst != want.Dst || got.Protocol != want.Protocol {
		t.Errorf("%s: to %s protocol %d ttl %d, captured to %s protocol %d ttl %d",
			name, got.Dst, got.Protocol, got.TTL, want.Dst, want.Protocol, want.TTL)
	}
	if len(want.Header) > 0 && want.Header[6]&0x40 == 0 { // FRR forbids fragments
		if !bytes.Equal(got.Header, want.Header) {
			t.Errorf("%s: header\n%x, captured\n%x", name, got.Header, want.Header)
		}
	}
}

// TestDropsHaveNames: the closed list prints.
func TestDropsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Drops() {
		name := d.String()
		if name == "" || seen[name] {
			t.Errorf("drop %d is called %q", d, name)
		}
		seen[name] = true
	}
	for _, c := range Counters() {
		name := c.String()
		if name == "" || seen[name] {
			t.Errorf("counter %d is called %q", c, name)
		}
		seen[name] = true
	}
}

func TestDropError(t *testing.T) {
	tests := []struct {
		err  DropError
		want string
	}{
		{DropError{Drop: DropTTL, Got: 64, Want: 255}, "ip_ttl_err: 64, want 255"},
		{DropError{Drop: DropAuthInvalid, Got: 3}, "invalid_authtype: 3"},
		{DropError{Drop: DropChecksum}, "checksum_err"},
		{DropError{Drop: DropUnicastSource, Detail: "from 10.0.0.9"}, "unicast_src_err: from 10.0.0.9"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("error is %q, want %q", got, tt.want)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	good := Advert{Version: V3, VRID: 1, Interval: time.Second, Addresses: []netip.Addr{addr("10.0.0.1")}}
	tests := []struct {
		name   string
		change func(*Advert)
	}{
		{"version 4", func(a *Advert) { a.Version = 4 }},
		{"fraction of a centisecond", func(a *Advert) { a.Interval = 15 * time.Millisecond }},
		{"41 s", func(a *Advert) { a.Interval = 41 * time.Second }},
		{"half a second in version 2", func(a *Advert) { a.Version, a.Interval = V2, time.Second/2 }},
		{"two families", func(a *Advert) { a.Addresses = append(a.Addresses, addr("fd00::1")) }},
		{"IPv6 in version 2", func(a *Advert) { a.Version, a.Addresses = V2, []netip.Addr{addr("fd00::1")} }},
		{"256 addresses", func(a *Advert) { a.Addresses = slices.Repeat(a.Addresses, 256) }},
		{"no address at all", func(a *Advert) { a.Addresses = []netip.Addr{{}} }},
	}
	if _, err := good.Append(nil, PseudoHeader{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := good
			a.Addresses = slices.Clone(a.Addresses)
			tt.change(&a)
			if b, err := a.Append([]byte("x"), PseudoHeader{}); err == nil || string(b) != "x" {
				t.Errorf("Append = %x, %v, want an error and nothing appended", b, err)
			}
		})
	}
}

// wantDrop checks that err refuses for the wanted reason.
func wantDrop(t *testing.T, err error, want Drop) {
	t.Helper()
	var drop *DropError
	if !errors.As(err, &drop) || drop.Drop != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

// slowSum adds bit by bit, as a reference for the checksum.
func slowSum(b []byte) uint16 {
	var sum uint16
	add := func(word uint16) {
		var carry uint16
		for bit := range 16 {
			x, y := sum>>bit&1, word>>bit&1
			total := x + y + carry
			sum = sum&^(1<<bit) | total&1<<bit
			carry = total >> 1
		}
		if carry == 1 { // end-around
			for bit := 0; ; bit++ {
				if sum>>bit&1 == 0 {
					sum |= 1 << bit
					break
				}
				sum &^= 1 << bit
			}
		}
	}
	for ; len(b) >= 2; b = b[2:] {
		add(binary.BigEndian.Uint16(b))
	}
	return sum
}

func pseudoBytes(ph PseudoHeader, length int) []byte {
	var b []byte
	b = append(append(b, ph.Src.AsSlice()...), ph.Dst.AsSlice()...)
	if ph.Src.Is4() {
		return append(b, 0, ProtocolVRRP, byte(length>>8), byte(length))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	return append(b, 0, 0, 0, ProtocolVRRP)
}

// FuzzDecode (VC068): nothing panics, what decodes encodes to the same advert,
// and the checksum agrees with a bitwise one.
func FuzzDecode(f *testing.F) {
	for _, c := range captures(f) {
		msg := c.packet.Payload
		if c.packet.Protocol == ProtocolAH {
			msg = msg[ahLen:]
		}
		f.Add(msg, c.packet.Src.Is6())
	}
	f.Fuzz(func(t *testing.T, b []byte, ipv6 bool) {
		a, err := Decode(b, ipv6)
		if err != nil {
			var drop *DropError
			if !errors.As(err, &drop) {
				t.Fatalf("error %v is no DropError", err)
			}
			return
		}
		ph := PseudoHeader{addr("10.90.0.1"), addr("224.0.0.18")}
		if ipv6 {
			ph = PseudoHeader{addr("fe80::1"), addr("ff02::12")}
		}
		again, err := a.Append(nil, ph)
		if err != nil {
			t.Fatal(err)
		}
		if a.Version == V2 {
			ph = PseudoHeader{}
		}
		if !VerifyChecksum(again, ph) {
			t.Fatalf("checksum of %x is wrong", again)
		}
		whole := again
		if ph.Src.IsValid() {
			whole = append(pseudoBytes(ph, len(again)), again...)
		}
		if slowSum(whole) != 0xffff {
			t.Fatalf("bitwise sum of %x is %x", whole, slowSum(whole))
		}
		if same := bytes.Clone(b); a.Version == V2 || b[4]&0xf0 == 0 {
			copy(same[6:8], again[6:8])
			if !bytes.Equal(same, again) {
				t.Fatalf("encoded %x, was %x", again, b)
			}
		}
		back, err := Decode(again, ipv6)
		if err != nil || back.Priority != a.Priority || !slices.Equal(back.Addresses, a.Addresses) {
			t.Fatalf("decoded again %+v, %v, was %+v", back, err, a)
		}
	})
}

// FuzzCheck (VC067): a codec refuses or accepts any packet and never panics;
// what it accepts has a right checksum.
func FuzzCheck(f *testing.F) {
	for _, c := range captures(f) {
		f.Add(c.packet.AppendDatagram(nil), uint8(len(c.packet.Header)/20))
	}
	configs := []Config{
		base6(),
		base(V3),
		with(base(V2), func(c *Config) { c.Auth = Auth{AuthAH, "s3cretpw"} }),
		with(base(V2), func(c *Config) { c.Auth = Auth{AuthPass, "s3cretpw"} }),
		base(V2),
		with(base(V3), func(c *Config) { c.Peers = []Peer{{Addr: addr("10.90.0.1"), MinTTL: 200}} }),
	}
	f.Fuzz(func(t *testing.T, b []byte, which uint8) {
		cfg := configs[int(which)%len(configs)]
		p := Packet{Src: addr("fe80::1"), Dst: addr("ff02::12"), TTL: 255, Protocol: ProtocolVRRP, Payload: b}
		if !cfg.IPv6 {
			var err error
			if p, err = ParseIPv4(b); err != nil {
				return
			}
		}
		p.VRID()
		h, err := newCodec(t, cfg).Check(p, netip.Addr{})
		if err != nil {
			return
		}
		msg := p.Payload
		if p.Protocol == ProtocolAH {
			msg = msg[ahLen:]
		}
		a, err := Decode(msg, cfg.IPv6)
		if err != nil || a.Priority != h.Priority || a.VRID != cfg.VRID {
			t.Fatalf("heard %+v in %+v, %v", h, a, err)
		}
	})
}
