package vrrp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests of checklist section 4.1, packets that we send.

func TestVC001Protocol(t *testing.T) {
	p := encode(t, newCodec(t, base(V3)), 100)
	if p.Protocol != 112 || p.Header[9] != 112 || encode(t, newCodec(t, base6()), 100).Protocol != 112 {
		t.Errorf("protocol %d, header %x", p.Protocol, p.Header)
	}
}

func TestVC002MulticastDestination(t *testing.T) {
	if got := encode(t, newCodec(t, base(V3)), 100).Dst; got != addr("224.0.0.18") {
		t.Errorf("destination %s", got)
	}
	if got := encode(t, newCodec(t, base6()), 100).Dst; got != addr("ff02::12") {
		t.Errorf("destination %s", got)
	}
	other := with(base(V3), func(c *Config) { c.Multicast = addr("224.0.0.19") })
	if got := encode(t, newCodec(t, other), 100).Dst; got != addr("224.0.0.19") {
		t.Errorf("destination %s, want the configured group", got)
	}
}

func TestVC004TTL(t *testing.T) {
	peers := []Peer{{Addr: addr("10.90.0.1")}, {Addr: addr("10.90.0.3")}}
	tests := []struct {
		name string
		cfg  Config
		want uint8
	}{
		{"multicast", base(V3), 255},
		{"IPv6", base6(), 255},
		{"unicast", with(base(V3), func(c *Config) { c.Peers = peers }), 255},
		{"unicast_ttl 64", with(base(V3), func(c *Config) { c.Peers, c.UnicastTTL = peers, 64 }), 64},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, p := range encodeAll(t, newCodec(t, tt.cfg), 100) {
				if p.TTL != tt.want || len(p.Header) > 0 && p.Header[8] != tt.want {
					t.Errorf("ttl %d, header %x, want %d", p.TTL, p.Header, tt.want)
				}
			}
		})
	}
}

func TestVC006SourceIsConfigured(t *testing.T) {
	c := newCodec(t, base(V3))
	if got := encode(t, c, 100); got.Src != addr("10.90.0.2") || !bytes.Equal(got.Header[12:16], []byte{10, 90, 0, 2}) {
		t.Errorf("source %s, header %x", got.Src, got.Header)
	}
	c.SetSource(addr("10.90.0.9"))
	if got := encode(t, c, 100); got.Src != addr("10.90.0.9") {
		t.Errorf("source %s after the change", got.Src)
	}
	c.SetSource(netip.Addr{})
	if err := c.Encode(100, func(Packet) error { return nil }); err == nil {
		t.Error("an advert without a source was sent")
	}
}

func TestVC011TrafficClass(t *testing.T) {
	if got := encode(t, newCodec(t, base(V3)), 100).Header[1]; got != 0xc0 {
		t.Errorf("type of service %#x", got)
	}
}

func TestVC012VersionAndType(t *testing.T) {
	for v, want := range map[Version]byte{V2: 0x21, V3: 0x31} {
		if got := encode(t, newCodec(t, base(v)), 100).Payload[0]; got != want {
			t.Errorf("first byte %#x, want %#x", got, want)
		}
	}
}

// ipv4List returns n addresses.
func ipv4List(n int) []netip.Addr {
	var list []netip.Addr
	for i := range n {
		list = append(list, netip.AddrFrom4([4]byte{10, 91, byte(i >> 8), byte(i)}))
	}
	return list
}

func ipv6List(n int) []netip.Addr {
	list := []netip.Addr{addr("fe80::5a:100")}
	for i := range n - 1 {
		list = append(list, addr(fmt.Sprintf("fd5a::%x", i+1)))
	}
	return list
}

func TestVC013Count(t *testing.T) {
	for _, n := range []int{1, 2, 20, 255} {
		cfg := with(base(V3), func(c *Config) { c.Addresses = ipv4List(n) })
		a, err := Decode(encode(t, newCodec(t, cfg), 100).Payload, false)
		if err != nil || len(a.Addresses) != n || !slices.Equal(a.Addresses, cfg.Addresses) {
			t.Errorf("with %d addresses decoded %d, %v", n, len(a.Addresses), err)
		}
	}
	none := func(c *Config) { c.Addresses = nil }
	wantConfigError(t, with(base(V3), none), "virtual_ipaddress")
	wantConfigError(t, with(base(V2), none), "")
	wantConfigError(t, with(base(V3), func(c *Config) { c.Addresses, c.NoAddresses = nil, true }), "")
	wantConfigError(t, with(base(V3), func(c *Config) { c.Addresses = ipv4List(256) }), "virtual_ipaddress_excluded")
}

// wantConfigError checks that Validate names the word; empty wants none.
func wantConfigError(t *testing.T, cfg Config, word string) {
	t.Helper()
	err := cfg.Validate()
	if word == "" {
		if err != nil {
			t.Errorf("configuration refused: %v", err)
		}
		return
	}
	var ce *ConfigError
	if !errors.As(err, &ce) || !strings.Contains(err.Error(), word) {
		t.Errorf("configuration error is %v, want one about %q", err, word)
	}
	if _, err := New(cfg); err == nil {
		t.Error("New accepts what Validate refuses")
	}
}

func TestVC014NeverFragmented(t *testing.T) {
	wantConfigError(t, with(base6(), func(c *Config) { c.Addresses = ipv6List(90) }), "")
	wantConfigError(t, with(base6(), func(c *Config) { c.Addresses = ipv6List(91) }), "virtual_ipaddress_excluded")
	wantConfigError(t, with(base(V2), func(c *Config) { c.Addresses = ipv4List(255) }), "")
}

func TestVC015IntervalV2(t *testing.T) {
	for _, s := range []time.Duration{1, 255} {
		cfg := with(base(V2), func(c *Config) { c.Interval = s * time.Second })
		if got := encode(t, newCodec(t, cfg), 100).Payload[5]; got != byte(s) {
			t.Errorf("interval field %d, want %d", got, s)
		}
	}
	for _, d := range []time.Duration{500 * time.Millisecond, 256 * time.Second, -time.Second} {
		wantConfigError(t, with(base(V2), func(c *Config) { c.Interval = d }), "advert_int")
	}
}

func TestVC016IntervalV3(t *testing.T) {
	for d, want := range map[time.Duration]uint16{
		10 * time.Millisecond: 1, time.Second: 0x64, 40950 * time.Millisecond: 0xfff,
	} {
		cfg := with(base(V3), func(c *Config) { c.Interval = d })
		if got := binary.BigEndian.Uint16(encode(t, newCodec(t, cfg), 100).Payload[4:]); got != want {
			t.Errorf("interval field %#x for %s, want %#x", got, d, want)
		}
	}
}

func TestVC017IntervalNotRepresentable(t *testing.T) {
	for _, d := range []time.Duration{15 * time.Millisecond, 41 * time.Second} {
		wantConfigError(t, with(base(V3), func(c *Config) { c.Interval = d }), "advert_int")
	}
}

func TestVC018OneFamily(t *testing.T) {
	mixed := []netip.Addr{addr("10.90.0.100"), addr("fd5a::100")}
	wantConfigError(t, with(base(V3), func(c *Config) { c.Addresses = mixed }), "virtual_ipaddress_excluded")
	wantConfigError(t, with(base6(), func(c *Config) { c.Addresses = mixed }), "virtual_ipaddress_excluded")
	wantConfigError(t, with(base(V2), func(c *Config) { c.IPv6 = true }), "version")
}

func TestVC019LinkLocalFirst(t *testing.T) {
	cfg := with(base6(), func(c *Config) {
		c.Addresses = []netip.Addr{addr("fd5a::100"), addr("fd5a::101"), addr("fe80::5a:100")}
	})
	before := slices.Clone(cfg.Addresses)
	a, err := Decode(encode(t, newCodec(t, cfg), 100).Payload, true)
	want := []netip.Addr{addr("fe80::5a:100"), addr("fd5a::100"), addr("fd5a::101")}
	if err != nil || !slices.Equal(a.Addresses, want) {
		t.Errorf("addresses %s, %v, want %s", a.Addresses, err, want)
	}
	if !slices.Equal(cfg.Addresses, before) {
		t.Error("the caller's list was changed")
	}
}

// goldenSender is who sent the vectors of the conformance document.
func goldenSender(v Version) Config {
	return with(base(v), func(c *Config) { c.Source = addr("10.90.0.1") })
}

func TestVC021ChecksumV2(t *testing.T) {
	pass := func(c *Config) { c.Auth = Auth{AuthPass, "s3cretpw"} }
	tests := []struct {
		name     string
		cfg      Config
		priority uint8
		want     string
	}{
		{"none", goldenSender(V2), 200, "2133c80100010c0c 0a5a0064 0000000000000000"},
		{"PASS", with(goldenSender(V2), pass), 200, "2133c80101015e7a 0a5a0064 7333637265747077"},
		{"goodbye", with(goldenSender(V2), pass), 0, "213300010101267b 0a5a0064 7333637265747077"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := encode(t, newCodec(t, tt.cfg), tt.priority).Payload; !bytes.Equal(got, unhex(t, tt.want)) {
				t.Errorf("encoded %x, want %s", got, tt.want)
			}
		})
	}
}

func TestVC022ChecksumV3IPv4(t *testing.T) {
	with10bf := unhex(t, "3133c801006410bf 0a5a0064")
	if got := encode(t, newCodec(t, goldenSender(V3)), 200).Payload; !bytes.Equal(got, with10bf) {
		t.Errorf("encoded %x, want %x", got, with10bf)
	}
	cfg := with(goldenSender(V3), func(c *Config) { c.ChecksumAsV2 = true })
	withfba8 := unhex(t, "3133c8010064fba8 0a5a0064")
	if got := encode(t, newCodec(t, cfg), 200).Payload; !bytes.Equal(got, withfba8) {
		t.Errorf("encoded %x with v3_checksum_as_v2, want %x", got, withfba8)
	}
}

func TestVC023ChecksumV3IPv6(t *testing.T) {
	cfg := with(base6(), func(c *Config) { c.Source = addr("fe80::ff:fe00:5a01") })
	want := unhex(t, "3133c8020064b100 fe8000000000000000000000005a0100 fd5a0000000000000000000000000100")
	if got := encode(t, newCodec(t, cfg), 200).Payload; !bytes.Equal(got, want) {
		t.Errorf("encoded %x, want %x", got, want)
	}
	frr := with(base6(), func(c *Config) {
		c.Source, c.Addresses = addr("fe80::aaaa:1"), []netip.Addr{addr("fd5a::100")}
	})
	want = unhex(t, "3133c80100645f42 fd5a0000000000000000000000000100")
	if got := encode(t, newCodec(t, frr), 200).Payload; !bytes.Equal(got, want) {
		t.Errorf("encoded %x, want %x", got, want)
	}
	// v3_checksum_as_v2 is for IPv4 only.
	frr.ChecksumAsV2 = true
	if got := encode(t, newCodec(t, frr), 200).Payload; !bytes.Equal(got, want) {
		t.Errorf("encoded %x with v3_checksum_as_v2, want %x", got, want)
	}
}

func TestVC024IPv4Header(t *testing.T) {
	c := newCodec(t, base(V3))
	for n := 1; n <= 2; n++ {
		p := encode(t, c, 100)
		h := p.Header
		if len(h) != 20 || h[0] != 0x45 || int(binary.BigEndian.Uint16(h[2:])) != len(h)+len(p.Payload) {
			t.Errorf("header %x before %d bytes", h, len(p.Payload))
		}
		if fold(byteSum(h)) != 0xffff {
			t.Errorf("header checksum of %x is wrong", h)
		}
		if id := binary.BigEndian.Uint16(h[4:]); int(id) != n {
			t.Errorf("identification %d, want %d", id, n)
		}
	}
	c.ipID = 0xffff
	if id := binary.BigEndian.Uint16(encode(t, c, 100).Header[4:]); id != 1 {
		t.Errorf("identification after 65535 is %d; the kernel would replace 0", id)
	}
}

func TestVC025NoAuthentication(t *testing.T) {
	p := encode(t, newCodec(t, base(V2)), 100).Payload
	if p[4] != 0 || !bytes.Equal(p[len(p)-8:], make([]byte, 8)) || len(p) != 20 {
		t.Errorf("advert %x", p)
	}
}

func TestVC026Password(t *testing.T) {
	for secret, want := range map[string]string{
		"s3cretpw": "s3cretpw", "abc": "abc\x00\x00\x00\x00\x00", "twelve-chars": "twelve-c",
	} {
		cfg := with(base(V2), func(c *Config) { c.Auth = Auth{AuthPass, secret} })
		p := encode(t, newCodec(t, cfg), 100).Payload
		if got := string(p[len(p)-8:]); got != want || p[4] != 1 {
			t.Errorf("type %d data %q, want %q", p[4], got, want)
		}
	}
}

func TestVC027AuthenticationHeader(t *testing.T) {
	// Bytes are compared with keepalived's in TestCaptures.
	cfg := with(base(V2), func(c *Config) { c.Auth = Auth{AuthAH, "s3cretpw"} })
	sender := newCodec(t, cfg)
	receiver := newCodec(t, with(cfg, func(c *Config) { c.Source = addr("10.90.0.1") }))
	first := sender.seq
	for seq := first + 1; seq <= first+3; seq++ {
		p := encode(t, sender, 100)
		if p.Protocol != 51 || p.Payload[0] != 112 || !bytes.Equal(p.Payload[4:8], p.Src.AsSlice()) {
			t.Fatalf("header %x", p.Payload[:ahLen])
		}
		if got := be32(p.Payload[ahSeq:]); got != seq {
			t.Errorf("sequence number %d, want %d", got, seq)
		}
		if _, err := receiver.Check(p, netip.Addr{}); err != nil {
			t.Errorf("refused: %v", err)
		}
	}
	// keepalived takes no number at or below the highest that it knows.
	receiver.seq = 0
	if _, err := receiver.Check(encode(t, sender, 100), netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	if got := be32(encode(t, receiver, 100).Payload[ahSeq:]); got != first+5 {
		t.Errorf("receiver goes on with sequence number %d, want %d", got, first+5)
	}
	// A process that crashed a year after its start, having answered many
	// adverts, is believed at once.
	started := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	year := 365 * 24 * time.Hour
	if used := firstSequence(started) + uint32(2*year/second); firstSequence(started.Add(year)) <= used {
		t.Errorf("a restart begins at %d, after %d", firstSequence(started.Add(year)), used)
	}
	unicast := func(c *Config) { c.Peers = []Peer{{Addr: addr("10.90.0.1")}, {Addr: addr("10.90.0.3")}} }
	for _, p := range encodeAll(t, newCodec(t, with(cfg, unicast)), 100) {
		peer := newCodec(t, with(cfg, func(c *Config) {
			c.Source, c.Peers = p.Dst, []Peer{{Addr: p.Src}}
		}))
		p.TTL = 60
		p.Header[8] = 60 // routed
		if _, err := peer.Check(p, netip.Addr{}); err != nil {
			t.Errorf("unicast to %s refused: %v", p.Dst, err)
		}
	}
}

func TestVC028NoAuthenticationInV3(t *testing.T) {
	wantConfigError(t, with(base(V3), func(c *Config) { c.Auth = Auth{AuthPass, "x"} }), "authentication")
	wantConfigError(t, with(base(V2), func(c *Config) { c.Auth = Auth{Type: AuthPass} }), "auth_pass")
	wantConfigError(t, with(base(V2), func(c *Config) { c.Auth = Auth{Type: 7, Secret: "x"} }), "auth_type")
}

func TestVC029TypeIsAdvertisement(t *testing.T) {
	for _, cfg := range []Config{base(V2), base(V3), base6()} {
		for _, priority := range []uint8{0, 1, 100, 255} {
			if got := encode(t, newCodec(t, cfg), priority).Payload[0] & 0xf; got != 1 {
				t.Errorf("type %d", got)
			}
		}
	}
}

func TestAppendDatagram(t *testing.T) {
	p := encode(t, newCodec(t, base(V3)), 100)
	again, err := ParseIPv4(p.AppendDatagram(nil))
	if err != nil || !bytes.Equal(again.Payload, p.Payload) || again.Src != p.Src || again.Dst != p.Dst {
		t.Errorf("parsed %+v, %v, want %+v", again, err, p)
	}
}

// TestEncodeDoesNotAllocate: the path of each advert of a master.
func TestEncodeDoesNotAllocate(t *testing.T) {
	for _, cfg := range []Config{base(V3), base6(), base(V2)} {
		c := newCodec(t, cfg)
		send := func(Packet) error { return nil }
		n := testing.AllocsPerRun(100, func() {
			if err := c.Encode(100, send); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%v allocations for an advert of version %d", n, cfg.Version)
		}
	}
}
