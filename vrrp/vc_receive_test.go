package vrrp

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// The tests of checklist section 4.2, packets that we receive. Each starts
// from a packet that is accepted and spoils it.

// sent returns what another router with the same configuration sends.
func sent(t testing.TB, cfg Config, priority uint8) Packet {
	t.Helper()
	cfg.Source = addr("10.90.0.1")
	if cfg.IPv6 {
		cfg.Source = addr("fe80::ff:fe00:5a01")
	}
	if len(cfg.Peers) > 0 {
		cfg.Peers = []Peer{{Addr: addr("10.90.0.2")}}
	}
	return encode(t, newCodec(t, cfg), priority)
}

// repair computes the checksums anew after a field was changed.
func repair(p Packet) Packet {
	msg := p.Payload
	ph := PseudoHeader{p.Src, p.Dst}
	if msg[0]>>4 == 2 {
		ph = PseudoHeader{}
	}
	msg[6], msg[7] = 0, 0
	binary.BigEndian.PutUint16(msg[6:], ^ph.sum(msg))
	return p
}

// spoil is one way to make a packet wrong.
type spoil struct {
	name   string
	cfg    Config
	change func(*Packet)
	want   Drop
}

func runSpoils(t *testing.T, list []spoil) {
	t.Helper()
	for _, tt := range list {
		t.Run(tt.name, func(t *testing.T) {
			codec := newCodec(t, tt.cfg)
			p := sent(t, tt.cfg, 200)
			if _, err := codec.Check(p, netip.Addr{}); err != nil {
				t.Fatalf("refused before it was spoiled: %v", err)
			}
			p = sent(t, tt.cfg, 200)
			tt.change(&p)
			_, err := newCodec(t, tt.cfg).Check(p, netip.Addr{})
			wantDrop(t, err, tt.want)
		})
	}
}

// set writes one byte of the message and repairs the checksum.
func set(at int, value byte) func(*Packet) {
	return func(p *Packet) {
		p.Payload[at] = value
		repair(*p)
	}
}

func pass(c *Config) { c.Auth = Auth{AuthPass, "s3cretpw"} }
func ah(c *Config)   { c.Auth = Auth{AuthAH, "s3cretpw"} }

func TestVC031TTL(t *testing.T) {
	ttl := func(n uint8) func(*Packet) { return func(p *Packet) { p.TTL = n } }
	runSpoils(t, []spoil{
		{"254", base(V3), ttl(254), DropTTL},
		{"1", base(V2), ttl(1), DropTTL},
	})
}

func TestVC032HopLimit(t *testing.T) {
	runSpoils(t, []spoil{{"64", base6(), func(p *Packet) { p.TTL = 64 }, DropTTL}})
}

func TestVC033Version(t *testing.T) {
	for _, v := range []Version{V2, V3} {
		p := sent(t, base(V2+V3-v), 200)
		_, err := newCodec(t, base(v)).Check(p, netip.Addr{})
		wantDrop(t, err, DropVersion)
	}
	runSpoils(t, []spoil{{"4", base(V3), set(0, 0x41), DropVersion}})
}

func TestVC034Type(t *testing.T) {
	var list []spoil
	for _, v := range []Version{V2, V3} {
		for _, typ := range []byte{0, 2, 7, 15} {
			list = append(list, spoil{"type", base(v), set(0, byte(v)<<4|typ), DropType})
		}
	}
	runSpoils(t, list)
}

func TestVC035ShorterThanHeader(t *testing.T) {
	for _, cfg := range []Config{base(V2), base(V3), base6(), with(base(V2), ah)} {
		whole := sent(t, cfg, 200)
		for n := range whole.Payload {
			p := clonePacket(whole)
			p.Payload = p.Payload[:n:n]
			_, err := newCodec(t, cfg).Check(p, netip.Addr{})
			wantDrop(t, err, DropLength)
			_, ok := p.VRID()
			if want := n > 1 && p.Protocol == ProtocolVRRP || n > ahLen+1; ok != want {
				t.Errorf("VRID of %d bytes: %v, want %v", n, ok, want)
			}
		}
	}
}

func TestVC036CountTooHigh(t *testing.T) {
	runSpoils(t, []spoil{
		{"20 of 1", base(V3), set(3, 20), DropLength},
		{"2 of 1 with the password behind", with(base(V2), pass), set(3, 2), DropLength},
	})
}

func TestVC037TrailingBytes(t *testing.T) {
	var list []spoil
	for _, n := range []int{1, 4, 400} {
		list = append(list, spoil{"trailing", base(V3), func(p *Packet) {
			p.Payload = append(p.Payload, make([]byte, n)...)
		}, DropLength})
	}
	runSpoils(t, list)
	// Ethernet padding lies beyond the length of the IP header.
	p := sent(t, base(V3), 200)
	padded := append(p.AppendDatagram(nil), make([]byte, 14)...)
	got, err := ParseIPv4(padded)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newCodec(t, base(V3)).Check(got, netip.Addr{}); err != nil {
		t.Errorf("padded advert refused: %v", err)
	}
}

func flip(p *Packet) { p.Payload[6] ^= 0x12; p.Payload[7] ^= 0x34 }

func TestVC038ChecksumV2(t *testing.T) {
	runSpoils(t, []spoil{
		{"none", base(V2), flip, DropChecksum},
		{"PASS", with(base(V2), pass), flip, DropChecksum},
	})
}

func TestVC039ChecksumV3IPv4(t *testing.T) {
	asV2 := func(c *Config) { c.ChecksumAsV2 = true }
	runSpoils(t, []spoil{
		{"wrong", base(V3), flip, DropChecksum},
		{"wrong, v3_checksum_as_v2", with(base(V3), asV2), flip, DropChecksum},
		{"the other reading", base(V3), func(p *Packet) {
			*p = sent(t, with(base(V3), asV2), 200)
		}, DropChecksumMode},
	})
	// keepalived with v3_checksum_as_v2 tolerates the other reading too.
	if _, err := newCodec(t, with(base(V3), asV2)).Check(sent(t, base(V3), 200), netip.Addr{}); err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestVC040ChecksumV3IPv6(t *testing.T) {
	runSpoils(t, []spoil{{"wrong", base6(), flip, DropChecksum}})
}

func TestVC041VRID(t *testing.T) {
	runSpoils(t, []spoil{{"99", base(V3), set(1, 99), DropVRID}})
	for _, cfg := range []Config{base(V3), with(base(V2), ah)} {
		if vrid, ok := sent(t, cfg, 200).VRID(); !ok || vrid != 51 {
			t.Errorf("VRID %d, %v", vrid, ok)
		}
	}
}

func TestVC042AuthType(t *testing.T) {
	cfg := with(base(V2), pass)
	runSpoils(t, []spoil{
		{"none to PASS", cfg, set(4, 0), DropAuthMismatch},
		{"AH to PASS", cfg, set(4, 2), DropAuthMismatch},
		{"3 to PASS", cfg, set(4, 3), DropAuthInvalid},
		{"PASS to none", base(V2), set(4, 1), DropAuthMismatch},
		{"3 to none", base(V2), set(4, 3), DropAuthInvalid},
	})
}

func TestVC043WrongPassword(t *testing.T) {
	runSpoils(t, []spoil{{"last byte", with(base(V2), pass), set(19, 'x'), DropAuthFailure}})
}

func TestVC044PasswordMissing(t *testing.T) {
	runSpoils(t, []spoil{{"32-byte IP", with(base(V2), pass), func(p *Packet) { p.Payload = p.Payload[:12] }, DropLength}})
}

func TestVC045AuthenticationHeader(t *testing.T) {
	cfg := with(base(V2), ah)
	resign := func(p *Packet) { signAH(*p, cfg.Auth.key()) }
	runSpoils(t, []spoil{
		{"none", cfg, func(p *Packet) {
			p.Protocol, p.Payload = ProtocolVRRP, p.Payload[ahLen:]
		}, DropAuthFailure},
		{"bad ICV", cfg, func(p *Packet) { p.Payload[ahICV] ^= 1 }, DropAuthFailure},
		{"another secret", cfg, func(p *Packet) {
			*p = sent(t, with(base(V2), func(c *Config) { c.Auth = Auth{AuthAH, "other"} }), 200)
		}, DropAuthFailure},
		{"field changed under the ICV", cfg, func(p *Packet) { p.Payload[ahLen+2] = 255 }, DropAuthFailure},
		{"SPI is not the source", cfg, func(p *Packet) { p.Payload[ahSPI+3] = 77; resign(p) }, DropAuthFailure},
		{"another next header", cfg, func(p *Packet) { p.Payload[0] = 6; resign(p) }, DropAuthFailure},
		{"to an instance without", base(V2), func(p *Packet) { *p = sent(t, cfg, 200) }, DropAuthMismatch},
		{"to version 3", base(V3), func(p *Packet) {
			p.Protocol, p.Payload = ProtocolAH, append(make([]byte, ahLen), p.Payload...)
		}, DropAuthMismatch},
	})

	codec := newCodec(t, cfg)
	p := sent(t, cfg, 200)
	if _, err := codec.Check(p, netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	_, err := codec.Check(p, netip.Addr{})
	wantDrop(t, err, DropReplay)
	// Another sender counts for itself.
	other := encode(t, newCodec(t, with(cfg, func(c *Config) { c.Source = addr("10.90.0.3") })), 200)
	if _, err := codec.Check(other, netip.Addr{}); err != nil {
		t.Errorf("first advert of another router refused: %v", err)
	}
	for n := range byte(3 * maxSenders) {
		if err := codec.checkSequence([4]byte{10, 1, 1, n}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if len(codec.senders) > maxSenders {
		t.Errorf("%d senders remembered", len(codec.senders))
	}
}

func TestVC046CountZero(t *testing.T) {
	for _, v := range []Version{V2, V3} {
		none := with(base(v), func(c *Config) { c.Addresses, c.NoAddresses = nil, true })
		p := sent(t, none, 255)
		_, err := newCodec(t, base(v)).Check(p, netip.Addr{})
		wantDrop(t, err, DropAddressList)
		if _, err := newCodec(t, none).Check(p, netip.Addr{}); err != nil {
			t.Errorf("refused with no_virtual_ipaddress: %v", err)
		}
	}
}

func TestVC047IntervalZeroV3(t *testing.T) {
	runSpoils(t, []spoil{{"zero", base(V3), func(p *Packet) {
		p.Payload[4], p.Payload[5] = 0, 0
		repair(*p)
	}, DropInterval}})
}

func TestVC048IntervalV2(t *testing.T) {
	runSpoils(t, []spoil{{"2 s to 1 s", base(V2), set(5, 2), DropInterval}})
}

func TestVC049IntervalZeroV2(t *testing.T) {
	runSpoils(t, []spoil{{"Junos fast-interval", base(V2), set(5, 0), DropInterval}})
}
