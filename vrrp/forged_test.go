package vrrp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
)

// target is a router without goroutines, at which packets are thrown.
type target struct {
	t      testing.TB
	cfg    Config
	runner *Runner
	now    time.Time
	deeds  int // what it sent or asked for
}

func (x *target) Do(string, string, Action) { x.deeds++ }
func (x *target) Send(Packet) error         { x.deeds++; return nil }
func (x *target) Pending() (Packet, bool)   { return Packet{}, false }
func (x *target) Take() (Packet, bool)      { return Packet{}, false }
func (x *target) Watch(func())              {}

// newTarget returns a master, or the backup of a master that is not among the
// senders of the captures.
func newTarget(t testing.TB, cfg Config, role State) *target {
	t.Helper()
	x := &target{t: t, now: time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)}
	var err error
	x.runner, err = NewRunner(Options{Members: []Member{{Config: cfg, Conn: x}}, Effects: x})
	if err != nil {
		t.Fatal(err)
	}
	x.cfg = x.instance().Config()
	x.runner.carryOut(x.runner.group.StartAll(x.now, []Start{{}}, nil))
	if role == Backup {
		other := addr("10.90.0.66")
		if cfg.IPv6 {
			other = addr("fe80::66")
		}
		x.runner.step(x.now, 0, Heard{Source: other, Priority: 250, Interval: x.cfg.Interval})
	}
	for state, _ := x.instance().State(); state != role; state, _ = x.instance().State() {
		x.now, _ = x.runner.group.Next()
		x.runner.tick(x.now)
	}
	x.runner.flush()
	return x
}

func (x *target) instance() *Instance { return &x.runner.group.members[0] }

// throw lets a packet arrive and says whether it was taken. One that is refused
// may change one counter and nothing else, one that is taken must be good, and
// its effect is bounded.
func (x *target) throw(p Packet) (taken bool) {
	x.t.Helper()
	before := *x.instance()
	x.deeds = 0
	x.runner.packet(x.now, 0, p)
	x.runner.flush()
	after := *x.instance()
	if after.dropped != before.dropped {
		x.refused(p, before, after)
		return false
	}
	if fault := faultOf(x.cfg, p); fault != "" {
		x.t.Fatalf("taken: %s\n%+v", fault, p)
	}
	if after.counts[AdvertsReceived] != before.counts[AdvertsReceived]+1 {
		x.t.Fatalf("neither taken nor refused: %+v", p)
	}
	x.bounded(p, before, after)
	return true
}

func (x *target) refused(p Packet, before, after Instance) {
	x.t.Helper()
	moved := uint64(0)
	for d := range after.dropped {
		moved += after.dropped[d] - before.dropped[d]
	}
	after.dropped = before.dropped
	if moved != 1 || x.deeds > 0 || !reflect.DeepEqual(before, after) {
		x.t.Fatalf("a refused packet moved %d counters and made %d deeds\nbefore %+v\nafter  %+v\n%+v", moved, x.deeds, before, after, p)
	}
}

func (x *target) bounded(p Packet, before, after Instance) {
	x.t.Helper()
	longest := 10 * x.cfg.Interval
	if after.masterInterval > longest {
		x.t.Fatalf("it runs on an interval of %s: %+v", after.masterInterval, p)
	}
	down := DownInterval(x.cfg.Version, x.cfg.Priority, longest, 3)
	if next, ok := after.Next(); !ok || next.Sub(x.now) > down {
		x.t.Fatalf("nothing is due for %s: %+v", next.Sub(x.now), p)
	}
	sender := messageOf(p)[2]
	beats := sender > x.cfg.Priority || sender == x.cfg.Priority && x.cfg.Source.Less(p.Src)
	switch {
	case before.state == Backup && after.state != Backup:
		x.t.Fatalf("an advert made a backup %s: %+v", after.state, p)
	case before.state == Master && (after.state == Master) == beats:
		x.t.Fatalf("a master became %s: %+v", after.state, p)
	}
}

func messageOf(p Packet) []byte {
	if p.Protocol == ProtocolAH {
		return p.Payload[ahLen:]
	}
	return p.Payload
}

// faultOf says why a packet must not be taken, by the words of the RFCs and not
// by the code. It leaves out what an authentication header proves.
func faultOf(cfg Config, p Packet) string {
	size, tail, group := 4, 0, addr("224.0.0.18")
	if cfg.IPv6 {
		size, group = 16, addr("ff02::12")
	}
	if cfg.Version == V2 {
		tail = 8
	}
	if (p.Protocol == ProtocolAH) != (cfg.Auth.Type == AuthAH) || p.Protocol == ProtocolAH && len(p.Payload) < ahLen {
		return "another protocol"
	}
	msg := messageOf(p)
	if len(msg) < 8 || len(msg) != 8+size*int(msg[3])+tail || msg[3] == 0 {
		return "length and count do not fit"
	}
	whole := msg
	if cfg.Version == V3 {
		whole = append(pseudoBytes(PseudoHeader{p.Src, p.Dst}, len(msg)), msg...)
	}
	var secret [8]byte
	copy(secret[:], cfg.Auth.Secret)
	interval := time.Duration(binary.BigEndian.Uint16(msg[4:])&0xfff) * 10 * time.Millisecond
	if cfg.Version == V2 {
		interval = time.Duration(msg[5]) * time.Second
	}
	switch {
	case p.TTL != 255:
		return "from beyond the link"
	case p.Dst != group:
		return "to another destination"
	case p.Src == cfg.Source:
		return "our own"
	case msg[0] != byte(cfg.Version)<<4|1:
		return "another version or type"
	case msg[1] != cfg.VRID:
		return "another virtual router"
	case slowSum(whole) != 0xffff:
		return "bad checksum"
	case interval == 0, cfg.Version == V2 && interval != cfg.Interval:
		return "bad interval"
	case cfg.Version == V2 && msg[4] != byte(cfg.Auth.Type):
		return "another authentication"
	case cfg.Auth.Type == AuthPass && !bytes.Equal(msg[len(msg)-8:], secret[:]):
		return "bad password"
	case cfg.Version == V2 && msg[2] != PriorityOwner && !sameAddresses(cfg.Addresses, msg[8:len(msg)-8]):
		return "other addresses"
	}
	return ""
}

func sameAddresses(want []netip.Addr, b []byte) bool {
	for n := 0; n < len(b); n += 4 {
		if !slices.Contains(want, netip.AddrFrom4([4]byte(b[n:]))) {
			return false
		}
	}
	return len(b) == 4*len(want)
}

// targets are the configurations of the captures, with an address that is among
// none of their senders.
func targets() []Config {
	four := func(c Config) Config { c.Source = addr("10.90.0.77"); return c }
	six := base6()
	six.Source = addr("fe80::77")
	return []Config{
		six,
		four(base(V3)),
		four(with(base(V2), func(c *Config) { c.Auth = Auth{AuthAH, "s3cretpw"} })),
		four(with(base(V2), func(c *Config) { c.Auth = Auth{AuthPass, "s3cretpw"} })),
		four(base(V2)),
	}
}

// bytesOf returns a captured packet as packetOf takes it.
func bytesOf(p Packet) []byte {
	if p.Src.Is4() {
		return p.AppendDatagram(nil)
	}
	src, dst := p.Src.As16(), p.Dst.As16()
	return append(append(append([]byte{p.TTL}, src[:]...), dst[:]...), p.Payload...)
}

// packetOf returns the packet in bytes that came from the wire: for IPv4 all of
// them, for IPv6 what the kernel tells of the header in front of the message.
func packetOf(b []byte, ipv6 bool) (Packet, bool) {
	if !ipv6 {
		p, err := ParseIPv4(b)
		return p, err == nil
	}
	if len(b) < 33 {
		return Packet{}, false
	}
	return Packet{
		TTL: b[0], Src: netip.AddrFrom16([16]byte(b[1:17])), Dst: netip.AddrFrom16([16]byte(b[17:33])),
		Protocol: ProtocolVRRP, Payload: b[33:],
	}, true
}

// FuzzForged (VC067): no packet changes anything at a master or a backup unless
// it is good; then its effect is bounded. An authenticated one is taken once.
func FuzzForged(f *testing.F) {
	for _, c := range captures(f) {
		for which, cfg := range targets() {
			if cfg.IPv6 == c.packet.Src.Is6() {
				f.Add(bytesOf(c.packet), uint8(which))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, which uint8) {
		cfg := targets()[int(which)%len(targets())]
		p, ok := packetOf(b, cfg.IPv6)
		if !ok {
			return
		}
		for _, role := range []State{Master, Backup} {
			x := newTarget(t, cfg, role)
			first := x.throw(p)
			if again := x.throw(p); first && again && cfg.Auth.Type == AuthAH {
				t.Fatalf("an authentication header was taken twice: %+v", p)
			}
		}
	})
}

// TestForged: each capture with each bit of its message flipped, cut at each
// length, and with random changes is refused by who would take it as it is.
func TestForged(t *testing.T) {
	const seed = 0x67
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %#x", seed)
	taken, thrown, seen := 0, 0, map[string]bool{}
	for _, c := range captures(t) {
		key := c.file + c.packet.Src.String()
		if seen[key] {
			continue
		}
		seen[key] = true
		cfg := senderConfig(t, c.packet)
		cfg.Priority, cfg.Source = 100, addr("10.90.0.77")
		if cfg.IPv6 {
			cfg.Source = addr("fe80::77")
		}
		for _, role := range []State{Master, Backup} {
			x := newTarget(t, cfg, role)
			for _, bad := range damaged(random, c.packet) {
				thrown++
				if x.throw(bad) {
					t.Fatalf("%s: %s took %+v", c.file, role, bad)
				}
			}
			if x.throw(c.packet) {
				taken++
			} else {
				t.Errorf("%s: %s refused the advert as it is", c.file, role)
			}
		}
	}
	if taken < 26 || thrown < 2000 {
		t.Errorf("%d packets thrown, %d adverts taken", thrown, taken)
	}
	t.Logf("%d packets thrown", thrown)
}

// damaged returns copies of a packet that must not be taken.
func damaged(random *rand.Rand, p Packet) (list []Packet) {
	add := func(change func(*Packet)) {
		q := clonePacket(p)
		change(&q)
		list = append(list, q)
	}
	for n := range p.Payload {
		add(func(q *Packet) { q.Payload = q.Payload[:n] })
		for bit := range 8 {
			add(func(q *Packet) { q.Payload[n] ^= 1 << bit })
		}
	}
	for range 100 {
		add(func(q *Packet) { q.Payload[random.IntN(len(q.Payload))] ^= byte(1 + random.IntN(254)) })
		add(func(q *Packet) { q.Payload = append(q.Payload, make([]byte, 1+random.IntN(64))...) })
		add(func(q *Packet) { q.TTL = byte(random.IntN(255)) })
	}
	if p.Protocol == ProtocolVRRP { // an authentication header covers Header, where it is unchanged
		add(func(q *Packet) {
			q.Dst = addr("224.0.0.19")
			if q.Src.Is6() {
				q.Dst = addr("ff02::13")
			}
		})
	}
	return list
}
