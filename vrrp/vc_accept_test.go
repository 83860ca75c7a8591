package vrrp

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestVC050IntervalV3(t *testing.T) {
	p := sent(t, with(base(V3), func(c *Config) { c.Interval = time.Second / 2 }), 200)
	h, err := newCodec(t, base(V3)).Check(p, netip.Addr{})
	if err != nil || h.Interval != time.Second/2 {
		t.Fatalf("heard %+v, %v", h, err)
	}
	b := newBench(t, base(V3))
	out := b.give(h)
	if b.inst.Count(OtherInterval) != 1 || !slices.ContainsFunc(out, func(a Action) bool { return a.Warning == WarnInterval }) {
		t.Errorf("counted %d, actions %v", b.inst.Count(OtherInterval), out)
	}
}

func TestVC051ReservedBits(t *testing.T) {
	p := sent(t, base(V3), 200)
	p.Payload[4] |= 0xf0
	h, err := newCodec(t, base(V3)).Check(repair(p), netip.Addr{})
	if err != nil || h.Interval != time.Second {
		t.Errorf("heard %+v, %v", h, err)
	}
}

func TestVC052AddressList(t *testing.T) {
	lists := map[string][]netip.Addr{
		"another":  {addr("10.90.0.101")},
		"more":     {addr("10.90.0.100"), addr("10.90.0.101")},
		"repeated": {addr("10.90.0.100"), addr("10.90.0.100")},
	}
	for name, list := range lists {
		t.Run(name, func(t *testing.T) {
			other := func(c *Config) { c.Addresses = list }
			_, err := newCodec(t, base(V2)).Check(sent(t, with(base(V2), other), 200), netip.Addr{})
			wantDrop(t, err, DropAddressList)
			h, err := newCodec(t, base(V2)).Check(sent(t, with(base(V2), other), 255), netip.Addr{})
			if err != nil || !h.OtherAddresses {
				t.Errorf("of the owner heard %+v, %v", h, err)
			}
			h, err = newCodec(t, base(V3)).Check(sent(t, with(base(V3), other), 200), netip.Addr{})
			if err != nil || !h.OtherAddresses {
				t.Errorf("in version 3 heard %+v, %v", h, err)
			}
			b := newBench(t, base(V3))
			b.give(h)
			if b.inst.Count(OtherAddresses) != 1 {
				t.Errorf("counted %d", b.inst.Count(OtherAddresses))
			}
		})
	}
	// The order does not matter.
	two := with(base(V2), func(c *Config) { c.Addresses = ipv4List(2) })
	turned := with(two, func(c *Config) { c.Addresses = []netip.Addr{two.Addresses[1], two.Addresses[0]} })
	if h, err := newCodec(t, two).Check(sent(t, turned, 200), netip.Addr{}); err != nil || h.OtherAddresses {
		t.Errorf("other order: heard %+v, %v", h, err)
	}
}

func TestVC053SkipCheckAddresses(t *testing.T) {
	skip := with(base(V2), func(c *Config) { c.SkipCheckAddresses = true })
	p := sent(t, with(base(V2), func(c *Config) { c.Addresses = ipv4List(1) }), 200)
	codec := newCodec(t, skip)
	_, err := codec.Check(p, addr("10.90.0.3"))
	wantDrop(t, err, DropAddressList)
	if h, err := codec.Check(p, addr("10.90.0.1")); err != nil || h.OtherAddresses {
		t.Errorf("of the known master heard %+v, %v", h, err)
	}
}

func TestVC054OwnerIgnoresAdverts(t *testing.T) {
	owner := with(base(V3), func(c *Config) { c.Priority = 255 })
	if _, err := newCodec(t, owner).Check(sent(t, base(V3), 255), netip.Addr{}); err != nil {
		t.Errorf("refused by default: %v", err)
	}
	deaf := with(owner, func(c *Config) { c.OwnerIgnoreAdverts = true })
	_, err := newCodec(t, deaf).Check(sent(t, base(V3), 255), netip.Addr{})
	wantDrop(t, err, DropOwner)
	notOwner := with(base(V3), func(c *Config) { c.OwnerIgnoreAdverts = true })
	if _, err := newCodec(t, notOwner).Check(sent(t, base(V3), 255), netip.Addr{}); err != nil {
		t.Errorf("refused though not owner: %v", err)
	}
}

func TestVC055OwnPacket(t *testing.T) {
	for _, cfg := range []Config{base(V3), base6()} {
		p := encode(t, newCodec(t, cfg), 100)
		_, err := newCodec(t, cfg).Check(p, netip.Addr{})
		wantDrop(t, err, DropOwn)
		p.Src = p.Src.WithZone("eth0")
		_, err = newCodec(t, cfg).Check(p, netip.Addr{})
		wantDrop(t, err, DropOwn)
	}
}

// unicast is an instance with one peer, the sender of sent.
func unicast(v Version) Config {
	return with(base(v), func(c *Config) { c.Peers = []Peer{{Addr: addr("10.90.0.1")}} })
}

func TestVC056UnicastAndMulticast(t *testing.T) {
	_, err := newCodec(t, base(V2)).Check(sent(t, unicast(V2), 200), netip.Addr{})
	wantDrop(t, err, DropDestination)
	_, err = newCodec(t, base(V3)).Check(sent(t, unicast(V3), 200), netip.Addr{})
	wantDrop(t, err, DropDestination)
	_, err = newCodec(t, unicast(V3)).Check(sent(t, base(V3), 200), netip.Addr{})
	wantDrop(t, err, DropDestination)
}

func TestVC057UnicastSource(t *testing.T) {
	strict := func(c *Config) { c.CheckUnicastSource = true }
	window := func(c *Config) { c.Peers[0].MinTTL, c.Peers[0].MaxTTL = 250, 254 }
	from := func(a string, ttl uint8) Packet {
		p := sent(t, unicast(V2), 200)
		p.Src, p.TTL = addr(a), ttl
		return p
	}
	tests := []struct {
		name   string
		change func(*Config)
		packet Packet
		want   Drop // DropLength stands for none
	}{
		{"stranger", func(*Config) {}, from("10.90.0.9", 64), DropLength},
		{"stranger, check_unicast_src", strict, from("10.90.0.9", 255), DropUnicastSource},
		{"peer, check_unicast_src", strict, from("10.90.0.1", 64), DropLength},
		{"peer below its window", window, from("10.90.0.1", 249), DropTTL},
		{"peer above its window", window, from("10.90.0.1", 255), DropTTL},
		{"peer within its window", window, from("10.90.0.1", 250), DropLength},
		{"stranger beside a window", window, from("10.90.0.9", 252), DropUnicastSource},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := unicast(V2)
			tt.change(&cfg)
			_, err := newCodec(t, cfg).Check(tt.packet, netip.Addr{})
			if tt.want != DropLength {
				wantDrop(t, err, tt.want)
			} else if err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func TestVC058IPOptions(t *testing.T) {
	p := sent(t, base(V3), 200)
	b := append([]byte{}, p.Header...)
	b[0] = 0x46
	b = append(append(b, 1, 1, 1, 1), p.Payload...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	got, err := ParseIPv4(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newCodec(t, base(V3)).Check(got, netip.Addr{}); err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestVC059HeaderLength(t *testing.T) {
	whole := sent(t, base(V3), 200).AppendDatagram(nil)
	for _, first := range []byte{0x40, 0x44, 0x4f, 0x65} {
		b := slices.Clone(whole)
		b[0] = first
		_, err := ParseIPv4(b)
		wantDrop(t, err, DropLength)
	}
	for n := range whole {
		_, err := ParseIPv4(whole[:n])
		wantDrop(t, err, DropLength)
	}
	other := slices.Clone(whole)
	other[9] = 6
	_, err := ParseIPv4(other)
	wantDrop(t, err, DropProtocol)
}

func TestVC060Fragments(t *testing.T) {
	whole := sent(t, base(V3), 200).AppendDatagram(nil)
	for _, flags := range []uint16{0x2000, 0x0001, 0x1fff} {
		b := slices.Clone(whole)
		binary.BigEndian.PutUint16(b[6:], flags)
		_, err := ParseIPv4(b)
		wantDrop(t, err, DropFragment)
	}
	binary.BigEndian.PutUint16(whole[6:], 0x4000) // FRR's "don't fragment"
	if _, err := ParseIPv4(whole); err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestVC064PriorityZeroCounted(t *testing.T) {
	b := newBench(t, base(V3))
	b.hear("10.90.0.1", 0)
	if got := b.inst.Count(PriorityZeroReceived); got != 1 {
		t.Errorf("counted %d", got)
	}
}

// TestVC065CountersMatch: each refusal moves its counter, and no other, by one.
func TestVC065CountersMatch(t *testing.T) {
	b := newBench(t, base(V3))
	before := b.inst
	for n, d := range Drops() {
		for range n + 1 {
			b.give(Refused{d})
		}
	}
	for n, d := range Drops() {
		if got := b.inst.Dropped(d); got != uint64(n+1) {
			t.Errorf("%s is %d, want %d", d, got, n+1)
		}
		if before.Dropped(d) != 0 {
			t.Errorf("%s of the instance before the step changed", d)
		}
	}
	b.wantState(Backup)
}

// TestVC066LogLimit: one line for each reason and sender in 60 s, and bounded
// memory under forged senders.
func TestVC066LogLimit(t *testing.T) {
	var l limiter
	now := time.Now()
	lines := 0
	for n := range 3650 * 30 {
		if l.allow(logKey{0, "checksum_err", addr("10.90.0.9")}, dropPause, now) {
			lines++
		}
		forged := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		if l.allow(logKey{0, "ip_ttl_err", forged}, dropPause, now) {
			lines++
		}
		now = now.Add(time.Second / 3650)
	}
	if lines >= 200 || lines < 2 {
		t.Errorf("%d lines in 30 s", lines)
	}
	if len(l.until) > logKinds+1 {
		t.Errorf("%d kinds remembered", len(l.until))
	}
	if now = now.Add(dropPause); !l.allow(logKey{0, "checksum_err", addr("10.90.0.9")}, dropPause, now) {
		t.Error("nothing is logged after the pause")
	}
}

func TestVC146OtherVersionCounted(t *testing.T) {
	_, err := newCodec(t, base(V3)).Check(sent(t, base(V2), 200), netip.Addr{})
	wantDrop(t, err, DropVersion)
}

// TestVC151OldUnicastChecksum: a peer that is keepalived 1.3.6 is detected and
// answered in kind.
func TestVC151OldUnicastChecksum(t *testing.T) {
	old := sent(t, unicast(V3), 200)
	a, err := Decode(old.Payload, false)
	if err != nil {
		t.Fatal(err)
	}
	group := PseudoHeader{old.Src, MulticastGroup(false)}
	if old.Payload, err = a.Append(nil, group); err != nil {
		t.Fatal(err)
	}
	codec := newCodec(t, unicast(V3))
	if p := encode(t, codec, 100); !VerifyChecksum(p.Payload, PseudoHeader{p.Src, p.Dst}) {
		t.Error("first advert does not cover the real destination")
	}
	if _, err := codec.Check(old, netip.Addr{}); err != nil {
		t.Errorf("refused: %v", err)
	}
	if p := encode(t, codec, 100); !VerifyChecksum(p.Payload, PseudoHeader{p.Src, MulticastGroup(false)}) {
		t.Error("the old peer is not answered in kind")
	}
	never := with(unicast(V3), func(c *Config) { c.NeverOldChecksum = true })
	_, err = newCodec(t, never).Check(old, netip.Addr{})
	wantDrop(t, err, DropChecksum)
}

// TestCheckOrder: with several faults, the first in keepalived's order counts.
func TestCheckOrder(t *testing.T) {
	cfg := with(base(V2), pass)
	p := sent(t, cfg, 200)
	codec := func() *Codec { return newCodec(t, cfg) }
	p.Dst = addr("10.90.0.2")
	p.Payload[6] ^= 0xff
	p.Payload = append(p.Payload, 0)
	steps := []struct {
		want Drop
		cure func()
	}{
		{DropVRID, func() { p.Payload[1] = 51 }},
		{DropTTL, func() { p.TTL = 255 }},
		{DropVersion, func() { p.Payload[0] = 0x25 }},
		{DropAuthInvalid, func() { p.Payload[4] = 0 }},
		{DropAuthMismatch, func() { p.Payload[4] = 1 }},
		{DropAuthFailure, func() { p.Payload[19] = 'w' }},
		{DropInterval, func() { p.Payload[5] = 1 }},
		{DropType, func() { p.Payload[0] = 0x21 }},
		{DropLength, func() { p.Payload = p.Payload[:20] }},
		{DropChecksum, func() { repair(p) }},
		{DropDestination, func() { p.Dst = MulticastGroup(false) }},
		{DropAddressList, func() { p.Payload[11] = 100; repair(p) }},
	}
	p.Payload[1], p.TTL, p.Payload[0], p.Payload[4] = 99, 64, 0x35, 9
	p.Payload[19], p.Payload[5], p.Payload[11] = 'x', 9, 101
	// A version 3 message ends before the password.
	for _, s := range steps {
		_, err := codec().Check(p, netip.Addr{})
		wantDrop(t, err, s.want)
		s.cure()
	}
	if _, err := codec().Check(p, netip.Addr{}); err != nil {
		t.Errorf("refused after all cures: %v", err)
	}
}
