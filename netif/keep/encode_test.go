package keep

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestEncodeParse: what is written in a request reads back as the same object.
func TestEncodeParse(t *testing.T) {
	set := full()
	set.Addresses = append(set.Addresses,
		Address{Prefix: netip.MustParsePrefix("10.0.0.1/24"), Link: "eth0", Label: "eth0:1", Scope: 253, Broadcast: netip.MustParseAddr("10.0.0.255")},
		Address{Prefix: netip.MustParsePrefix("10.0.0.1/32"), Link: "eth0", Peer: netip.MustParsePrefix("10.0.0.2/24")},
		Address{Prefix: netip.MustParsePrefix("fe80::1/64"), Link: "eth0", Home: true, NoPrefixRoute: true, ManageTempAddr: true, DetectDuplicates: true, Preferred: 30},
	)
	set.Routes = append(set.Routes,
		Route{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("fe80::9"), Link: "eth0", OnLink: true, TOS: 4, MTU: 1400, AdvMSS: 1300},
		Route{To: netip.MustParsePrefix("::/0"), Metric: 5, Table: 300, Hops: []Hop{
			{Via: netip.MustParseAddr("fd5a::7"), Link: "eth0"}, {Via: netip.MustParseAddr("fd5a::8"), Link: "eth0", Weight: 3}}},
		Route{To: netip.MustParsePrefix("10.0.0.0/8"), Type: RouteLocal, Link: "lo"},
	)
	set.Rules = append(set.Rules,
		Rule{Priority: 7, Mark: 0x10, Mask: 0xf0, TOS: 8, Table: 5000, SuppressPrefixLength: new(uint32)},
		Rule{Priority: 8, IPv6: true, From: netip.MustParsePrefix("fd00::/8"), Action: RuleGoto, Goto: 9},
	)
	all := links{"lo": {1, "lo", true}, "eth0": {2, "eth0", true}}
	for _, it := range set.items() {
		o, err := it.resolve(all)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []message{o.add(), o.del()} {
			c, ok := changeFrom(m.kind, m.body)
			if got, _ := it.resolve(all); !ok && got.ours() || ok && c.id != o.id() {
				t.Errorf("%s: read back as %+v, want %+v", it, c.id, o.id())
			}
		}
		seen, ok := parse(o.id().kind, o.add().body)
		if ok && !o.equal(seen) {
			t.Errorf("%s: read back unequal: %+v", it, seen)
		}
		if !ok {
			t.Errorf("%s: not read back", it)
		}
	}
}

// TestParseCutShort: whatever the bytes, nothing is read beyond their end.
func TestParseCutShort(t *testing.T) {
	all := links{"lo": {1, "lo", true}, "eth0": {2, "eth0", true}}
	r := rand.New(rand.NewPCG(1, 2))
	for _, it := range full().items() {
		o, err := it.resolve(all)
		if err != nil {
			t.Fatal(err)
		}
		whole := o.add().body
		for n := range whole {
			parse(o.id().kind, whole[:n])
			broken := append([]byte(nil), whole...)
			broken[r.IntN(len(broken))] = byte(r.Uint32())
			parse(o.id().kind, broken)
		}
	}
}

func TestEqual(t *testing.T) {
	all := links{"eth0": {2, "eth0", true}}
	base := Address{Prefix: netip.MustParsePrefix("10.0.0.1/24"), Link: "eth0"}
	six := Address{Prefix: netip.MustParsePrefix("fd5a::1/64"), Link: "eth0"}
	with := func(a Address, f func(*Address)) Address { f(&a); return a }
	for _, tt := range []struct {
		name       string
		want, seen Address
		equal      bool
	}{
		{"same", base, base, true},
		{"label", base, with(base, func(a *Address) { a.Label = "x" }), false},
		{"scope", base, with(base, func(a *Address) { a.Scope = 253 }), false},
		{"broadcast", base, with(base, func(a *Address) { a.Broadcast = netip.MustParseAddr("10.0.0.255") }), false},
		{"flag", base, with(base, func(a *Address) { a.NoPrefixRoute = true }), false},
		{"IPv6", six, six, true},
		{"IPv6 length", six, with(six, func(a *Address) { a.Prefix = netip.MustParsePrefix("fd5a::1/128") }), false},
		{"IPv6 detection", six, with(six, func(a *Address) { a.DetectDuplicates = true }), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, _ := tt.want.resolve(all)
			s, _ := tt.seen.resolve(all)
			if got := w.equal(s); got != tt.equal {
				t.Errorf("equal = %t", got)
			}
		})
	}
}
