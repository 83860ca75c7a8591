package keep

import (
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// TestEncodeParse: what is written in a request reads back as the same object.
func TestEncodeParse(t *testing.T) {
	set := full()
	set.Addresses = append(set.Addresses,
		model.Address{Prefix: prefix("10.0.0.1/24"), Interface: "eth0", Label: "eth0:1", Scope: 253, Broadcast: ip("10.0.0.255")},
		model.Address{Prefix: prefix("10.0.0.1/32"), Interface: "eth0", Peer: prefix("10.0.0.2/24")},
		model.Address{Prefix: prefix("fe80::1/64"), Interface: "eth0", Home: true, NoPrefixRoute: true, ManageTemporary: true, DAD: true, PreferredLifetime: 30 * time.Second},
	)
	set.Routes = append(set.Routes,
		model.Route{Type: 1, Table: 254, Dst: prefix("0.0.0.0/0"), Via: ip("fe80::9"), Interface: "eth0", OnLink: true, TOS: 4,
			Metrics: model.RouteMetrics{MTU: 1400, MTULock: true, AdvMSS: 1300, RTT: 10 * time.Millisecond, RTOMin: time.Second, InitCwnd: 20}},
		model.Route{Type: 1, Dst: prefix("::/0"), Metric: 5, Table: 300, NextHops: []model.RouteNextHop{
			{Via: ip("fd5a::7"), Interface: "eth0"}, {Via: ip("fd5a::8"), Interface: "eth0", Weight: 3}}},
		model.Route{Type: unix.RTN_LOCAL, Table: 255, Dst: prefix("10.0.0.0/8"), Interface: "lo", ScopeSet: true, Scope: 254},
	)
	length, group := uint8(0), uint32(7)
	set.Rules = append(set.Rules,
		model.Rule{Priority: 7, Mark: 0x10, Mask: 0xf0, TOS: 8, Action: 1, Table: 5000, SuppressPrefixLength: &length, SuppressGroup: &group},
		model.Rule{Priority: 8, IPv6: true, From: prefix("fd00::/8"), Action: unix.FR_ACT_GOTO, Goto: 9, L3MDev: true},
		model.Rule{Priority: 9, IPProtocol: 6, SourcePorts: model.PortRange{First: 1, Last: 2}, DestinationPorts: model.PortRange{First: 80, Last: 80},
			UIDs: &model.UIDRange{First: 0, Last: 1000}, Action: 1, Table: 10},
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
	base := model.Address{Prefix: prefix("10.0.0.1/24"), Interface: "eth0"}
	six := model.Address{Prefix: prefix("fd5a::1/64"), Interface: "eth0"}
	with := func(a model.Address, f func(*model.Address)) model.Address { f(&a); return a }
	for _, tt := range []struct {
		name       string
		want, seen model.Address
		equal      bool
	}{
		{"same", base, base, true},
		{"label", base, with(base, func(a *model.Address) { a.Label = "x" }), false},
		{"scope", base, with(base, func(a *model.Address) { a.Scope = 253 }), false},
		{"broadcast", base, with(base, func(a *model.Address) { a.Broadcast = ip("10.0.0.255") }), false},
		{"flag", base, with(base, func(a *model.Address) { a.NoPrefixRoute = true }), false},
		{"IPv6", six, six, true},
		{"IPv6 length", six, with(six, func(a *model.Address) { a.Prefix = prefix("fd5a::1/128") }), false},
		{"IPv6 detection", six, with(six, func(a *model.Address) { a.DAD = true }), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, _ := address(tt.want).resolve(all)
			s, _ := address(tt.seen).resolve(all)
			if got := w.equal(s); got != tt.equal {
				t.Errorf("equal = %t", got)
			}
		})
	}
}
