package vrrp

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// base is an instance like those of the captures, of priority 100.
func base(v Version) Config {
	return Config{
		Name:      "VI_1",
		VRID:      51,
		Version:   v,
		Priority:  100,
		Addresses: []netip.Addr{addr("10.90.0.100")},
		Source:    addr("10.90.0.2"),
	}
}

// base6 is the same over IPv6.
func base6() Config {
	c := base(V3)
	c.IPv6 = true
	c.Addresses = []netip.Addr{addr("fe80::5a:100"), addr("fd5a::100")}
	c.Source = addr("fe80::ff:fe00:5a02")
	return c
}

// with returns c changed by f.
func with(c Config, f func(*Config)) Config {
	f(&c)
	return c
}

func newCodec(t testing.TB, cfg Config) *Codec {
	t.Helper()
	c, err := NewCodec(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// encode returns the only packet that the codec sends, as its own copy.
func encode(t testing.TB, c *Codec, priority uint8) Packet {
	t.Helper()
	list := encodeAll(t, c, priority)
	if len(list) != 1 {
		t.Fatalf("%d packets sent, want 1", len(list))
	}
	return list[0]
}

func encodeAll(t testing.TB, c *Codec, priority uint8) []Packet {
	t.Helper()
	var list []Packet
	err := c.Encode(priority, func(p Packet) error {
		list = append(list, clonePacket(p))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func clonePacket(p Packet) Packet {
	p.Header, p.Payload = slices.Clone(p.Header), slices.Clone(p.Payload)
	return p
}

// captured is one advert of a capture file.
type captured struct {
	file   string
	at     time.Duration
	packet Packet
}

// captures returns the adverts of all files in testdata.
func captures(t testing.TB) []captured {
	t.Helper()
	files, err := filepath.Glob("testdata/*.pcap")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	var list []captured
	for _, file := range files {
		list = append(list, readPcap(t, file)...)
	}
	return list
}

// readPcap reads a little-endian capture of Ethernet frames.
func readPcap(t testing.TB, file string) []captured {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	unit := time.Microsecond
	switch binary.LittleEndian.Uint32(b) {
	case 0xa1b2c3d4:
	case 0xa1b23c4d:
		unit = time.Nanosecond
	default:
		t.Fatalf("%s is no little-endian pcap", file)
	}
	var list []captured
	for b = b[24:]; len(b) >= 16; {
		at := time.Duration(binary.LittleEndian.Uint32(b))*time.Second + time.Duration(binary.LittleEndian.Uint32(b[4:]))*unit
		n := binary.LittleEndian.Uint32(b[8:])
		frame := b[16 : 16+n]
		b = b[16+n:]
		if p, ok := fromFrame(frame); ok {
			list = append(list, captured{filepath.Base(file), at, p})
		}
	}
	return list
}

// fromFrame returns the advert in an Ethernet frame.
func fromFrame(frame []byte) (Packet, bool) {
	body := frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		p, err := ParseIPv4(body)
		return p, err == nil
	case 0x86dd:
		if body[6] != ProtocolVRRP {
			return Packet{}, false
		}
		length := binary.BigEndian.Uint16(body[4:])
		return Packet{
			Src:      netip.AddrFrom16([16]byte(body[8:24])),
			Dst:      netip.AddrFrom16([16]byte(body[24:40])),
			TTL:      body[7],
			Protocol: ProtocolVRRP,
			Payload:  body[40 : 40+length],
		}, true
	}
	return Packet{}, false
}

// senderConfig returns the configuration of who sent p.
func senderConfig(t testing.TB, p Packet) Config {
	t.Helper()
	msg := p.Payload
	if p.Protocol == ProtocolAH {
		msg = msg[ahLen:]
	}
	a, err := Decode(msg, p.Src.Is6())
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Name:      "VI_1",
		VRID:      a.VRID,
		Version:   a.Version,
		IPv6:      p.Src.Is6(),
		Priority:  max(a.Priority, 1),
		Interval:  a.Interval,
		Addresses: a.Addresses,
		Source:    p.Src,
		Auth:      Auth{Type: a.AuthType},
	}
	if a.AuthType != AuthNone {
		cfg.Auth.Secret = "s3cretpw"
	}
	return cfg
}

// bench plays an instance in virtual time.
type bench struct {
	t     *testing.T
	start time.Time
	now   time.Time
	inst  Instance
	done  []deed
}

// deed is an action with the time since the start of the bench.
type deed struct {
	at time.Duration
	Action
}

// newBench returns a bench with an instance that has been started.
func newBench(t *testing.T, cfg Config) *bench {
	t.Helper()
	b := newIdleBench(t, cfg)
	b.give(Start{})
	return b
}

func newIdleBench(t *testing.T, cfg Config) *bench {
	t.Helper()
	i, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	return &bench{t: t, start: start, now: start, inst: i}
}

// give lets ev happen now and returns the actions.
func (b *bench) give(ev Event) []Action {
	b.t.Helper()
	var out []Action
	b.inst, out = b.inst.Step(b.now, ev, nil)
	for _, a := range out {
		b.done = append(b.done, deed{b.now.Sub(b.start), a})
	}
	return out
}

// hear lets an advert of version 3 with the instance's own interval arrive.
func (b *bench) hear(from string, priority uint8) []Action {
	b.t.Helper()
	return b.hearEvery(from, priority, b.inst.cfg.Interval)
}

func (b *bench) hearEvery(from string, priority uint8, interval time.Duration) []Action {
	b.t.Helper()
	return b.give(Heard{Source: addr(from), Priority: priority, Interval: interval})
}

// run lets d pass, with a tick at each deadline.
func (b *bench) run(d time.Duration) {
	b.t.Helper()
	end := b.now.Add(d)
	for {
		next, ok := b.inst.Next()
		if !ok || next.After(end) {
			break
		}
		if next.After(b.now) {
			b.now = next
		}
		b.give(Tick{})
		if again, ok := b.inst.Next(); ok && !again.After(b.now) {
			b.t.Fatalf("deadline %s is still due after its tick", again.Sub(b.start))
		}
	}
	b.now = end
}

// sleep lets d pass while the process does not run.
func (b *bench) sleep(d time.Duration) { b.now = b.now.Add(d) }

func (b *bench) elapsed() time.Duration { return b.now.Sub(b.start) }

// forget forgets what was done.
func (b *bench) forget() { b.done = nil }

// of returns what was done of one kind.
func (b *bench) of(kind ActionKind) []deed {
	var list []deed
	for _, d := range b.done {
		if d.Kind == kind {
			list = append(list, d)
		}
	}
	return list
}

func (b *bench) wantState(want State) {
	b.t.Helper()
	if got, _ := b.inst.State(); got != want {
		b.t.Fatalf("state after %s is %s (%s), want %s", b.elapsed(), got, b.inst.Reason(), want)
	}
}

func (b *bench) wantReason(want ReasonCode) {
	b.t.Helper()
	if got := b.inst.Reason().Code; got != want {
		b.t.Errorf("reason is %s (%s), want %s", got, b.inst.Reason(), want)
	}
}

// wantMasterAfter runs until the instance is master and checks when.
func (b *bench) wantMasterAfter(want time.Duration) {
	b.t.Helper()
	from := b.now
	b.run(want + time.Minute)
	state, since := b.inst.State()
	if got := since.Sub(from); state != Master || got != want {
		b.t.Fatalf("state is %s since %s, want MASTER after %s", state, got, want)
	}
}

// kinds returns the kinds of the actions in order, without warnings.
func kinds(list []Action) []ActionKind {
	var k []ActionKind
	for _, a := range list {
		if a.Kind != Warn {
			k = append(k, a.Kind)
		}
	}
	return k
}

func wantKinds(t *testing.T, got []Action, want ...ActionKind) {
	t.Helper()
	if !slices.Equal(kinds(got), want) {
		t.Errorf("actions are %v, want %v", kinds(got), want)
	}
}

// master returns a bench whose instance has just become master.
func masterBench(t *testing.T, cfg Config) *bench {
	t.Helper()
	b := newBench(t, cfg)
	b.run(b.inst.down())
	b.wantState(Master)
	b.forget()
	return b
}
