//go:build bpf

package lbmaps

import (
	"errors"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
)

// Small maps, so that limits are near.
const (
	services = 8
	servers  = 2000 // more than one batch
	flows    = 65536
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// load loads the object, with its shards, into real maps.
func load(t testing.TB) (*Maps, *ebpf.Collection) {
	t.Helper()
	labtest.NeedRoot(t)
	spec, err := bpf.LoadEk()
	check(t, err)
	spec.Maps[bpf.EkMapEkServices].MaxEntries = services
	spec.Maps[bpf.EkMapEkServers].MaxEntries = servers
	c, err := ebpf.NewCollection(spec)
	check(t, err)
	t.Cleanup(c.Close)
	for i := range Shards {
		owner, place := ShardOwner(i)
		shard := spec.Maps[owner].InnerMap.Copy()
		shard.MaxEntries = flows / FlowShards
		m, err := ebpf.NewMap(shard)
		check(t, err)
		defer m.Close()
		check(t, c.Maps[owner].Put(place, m))
	}
	m, err := FromCollection(c)
	check(t, err)
	t.Cleanup(func() { check(t, m.Close()) })
	return m, c
}

func fatal(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func TestMapRoundTrips(t *testing.T) {
	m, _ := load(t)
	for name, f := range map[string]func(*rapid.T){
		"server": func(t *rapid.T) {
			slot, want := rapid.Uint32Range(0, servers-1).Draw(t, "slot"), server(t)
			if rapid.Bool().Draw(t, "tunnel") {
				want.Forward, want.Way.Tunnel = model.TUN, addrPort(t).Addr()
				want.Tunnel = model.Tunnel{Type: model.TunnelType(rapid.IntRange(0, 2).Draw(t, "type")), Port: rapid.Uint16().Draw(t, "port")}
			}
			fatal(t, m.PutServer(slot, want))
			got, err := m.Server(slot)
			fatal(t, err)
			same(t, got, want)
		},
		"settings": func(t *rapid.T) {
			want := settings(t)
			fatal(t, m.PutSettings(want))
			got, err := m.Settings()
			fatal(t, err)
			same(t, got, want)
		},
		"cursor": func(t *rapid.T) {
			id, want := rapid.Uint32Range(0, services-1).Draw(t, "id"), cursor(t)
			fatal(t, m.PutCursor(id, want))
			got, err := m.Cursor(id)
			fatal(t, err)
			same(t, got, want)
		},
		"order": func(t *rapid.T) {
			id := rapid.Uint32Range(0, services-1).Draw(t, "id")
			generation := rapid.Uint32().Draw(t, "generation")
			want := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Place {
				return Place{Slot: rapid.Uint32().Draw(t, "slot"), Weight: rapid.Int32().Draw(t, "weight")}
			}), 0, MaxOrder).Draw(t, "places")
			fatal(t, m.PutOrder(id, generation, Order{Places: want}))
			fatal(t, m.PutOrder(id, generation+1, Order{})) // the other half
			got, err := m.Order(id, generation)
			fatal(t, err)
			if !slices.Equal(got, want) {
				t.Fatalf("order is %v, want %v", got, want)
			}
		},
		"services": func(t *rapid.T) {
			want := rapid.MapOfN(rapid.Custom(serviceKey), rapid.Uint32(), 0, services).Draw(t, "services")
			for key, id := range want {
				fatal(t, m.PutService(Service{Key: key, ID: id, Scheduler: "rr"}))
			}
			list, err := m.Services()
			fatal(t, err)
			got := map[model.ServiceKey]uint32{}
			for _, s := range list {
				same(t, s.Scheduler, "rr")
				got[s.Key] = s.ID
				fatal(t, m.DeleteService(s.Key))
			}
			if !maps.Equal(got, want) {
				t.Fatalf("services are %v, want %v", got, want)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { rapid.Check(t, f) })
	}
}

func TestServersAreWalkedInBatches(t *testing.T) {
	m, _ := load(t)
	for slot := uint32(0); slot < servers; slot += 2 {
		check(t, m.PutServer(slot, Server{Service: slot, Server: model.Server{Addr: netip.MustParseAddrPort("192.0.2.1:80")}}))
	}
	seen := 0
	check(t, m.Servers(func(slot uint32, s Server) bool {
		if slot%2 != 0 || s.Service != slot {
			t.Fatalf("slot %d holds %+v", slot, s)
		}
		seen++
		return true
	}))
	same(t, seen, servers/2)
	seen = 0
	check(t, m.Servers(func(uint32, Server) bool { seen++; return seen < 7 }))
	same(t, seen, 7)
}

// putFlow writes what the program would.
func putFlow(t testing.TB, m *Maps, shard int, client netip.AddrPort, w flowWord, expires uint64) {
	t.Helper()
	var v bpf.EkFlow
	v.Now.Word, v.Expires = wireFlowWord(w), expires
	var ring bpf.EkHalfRing
	check(t, m.halfRings.Lookup(uint32(shard), &ring))
	ring.Used++
	check(t, m.halfRings.Put(uint32(shard), ring))
	if shard < FlowShards {
		check(t, m.Shard(shard).Put(bpf.EkFlowKey{
			Caddr: wireIPv4(client.Addr()), Cport: wirePort(client.Port()),
			Vaddr: wireIPv4(netip.MustParseAddr("198.51.100.1")), Vport: wirePort(80), Proto: 17,
		}, v))
		return
	}
	check(t, m.Shard(shard).Put(bpf.EkFlow6Key{
		Caddr: client.Addr().As16(), Cport: wirePort(client.Port()),
		Vaddr: netip.MustParseAddr("2001:db8::1").As16(), Vport: wirePort(80), Proto: 17,
	}, v))
}

// TestFlowsOfAFullTable fills every shard, where batches meet long buckets.
func TestFlowsOfAFullTable(t *testing.T) {
	m, _ := load(t)
	real := model.Server{Addr: netip.MustParseAddrPort("10.0.0.1:8080"), Forward: model.NAT}
	check(t, m.PutServer(5, Server{Server: real}))
	const perShard = 3000
	for shard := range Shards {
		for n := range perShard {
			state := UDP
			if n%3 == 0 {
				state = State(bpf.EkFlowStateFLOW_DEAD)
			}
			addr := netip.AddrFrom4([4]byte{10, byte(shard), byte(n >> 8), byte(n)})
			if shard >= FlowShards {
				addr = netip.AddrFrom16([16]byte{0x20, 1, 14: byte(shard), 15: byte(n), 7: byte(n >> 8)})
			}
			client := netip.AddrPortFrom(addr, uint16(n))
			putFlow(t, m, shard, client, flowWord{server: 5, state: state}, uint64(10+n%2*10))
		}
	}
	seen := map[netip.AddrPort]bool{}
	check(t, m.Flows(15, func(f Flow) bool {
		if f.Server != real.Addr || f.Forward != model.NAT || f.Expires != 5 || f.State != "UDP" {
			t.Fatalf("flow is %+v", f)
		}
		seen[f.Client] = true
		return true
	}))
	same(t, len(seen), Shards*perShard/3) // neither dead nor expired
	calls := 0
	check(t, m.Flows(15, func(Flow) bool { calls++; return false }))
	same(t, calls, 1)
}

// TestSweepReadsPieces reads a table of each family, all of it and once.
func TestSweepReadsPieces(t *testing.T) {
	m, _ := load(t)
	const entries = 3000 // one in three is over, one in three of those a dead one
	for _, shard := range []int{3, FlowShards + 3} {
		for n := range entries {
			addr := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
			if shard >= FlowShards {
				addr = netip.AddrFrom16([16]byte{0x20, 1, 14: byte(n >> 8), 15: byte(n)})
			}
			w, expires := flowWord{state: UDP}, uint64(20)
			switch n % 9 {
			case 0:
				w.state = State(bpf.EkFlowStateFLOW_DEAD)
			case 3, 6:
				expires = 10
			}
			putFlow(t, m, shard, netip.AddrPortFrom(addr, uint16(n)), w, expires)
		}
		for _, all := range []bool{false, true} {
			live, pieces, over := 0, 0, map[SweepKey]bool{}
			table := m.Sweep(shard)
			for last := false; !last; pieces++ {
				p, err := table.Next(15, all)
				check(t, err)
				if n := int(p.Live) + len(p.Over); n > SweepKeys {
					t.Errorf("shard %d: a piece of %d", shard, n)
				}
				for _, key := range p.Over {
					over[key] = true
				}
				live, last = live+int(p.Live), p.Last
			}
			want := map[bool]int{false: entries / 3, true: entries}[all]
			same(t, len(over), want)
			same(t, live, entries-want)
			if pieces < entries/SweepKeys {
				t.Errorf("shard %d was read in %d pieces", shard, pieces)
			}
			for key := range over {
				var f bpf.EkFlow
				check(t, m.Shard(shard).Lookup(key[:m.Shard(shard).KeySize()], &f))
			}
		}
	}
}

// TestSweepLeavesEmptyShards has it not walk the buckets of a shard that counts no entry.
func TestSweepLeavesEmptyShards(t *testing.T) {
	m, _ := load(t)
	for _, shard := range []int{2, FlowShards + 2} {
		addr := netip.MustParseAddr("10.0.0.1")
		if shard >= FlowShards {
			addr = netip.MustParseAddr("2001:db8::2")
		}
		putFlow(t, m, shard, netip.AddrPortFrom(addr, 1), flowWord{state: UDP}, 20)
		for _, used := range []uint32{0, 1} {
			check(t, m.halfRings.Put(uint32(shard), bpf.EkHalfRing{Used: used}))
			p, err := m.Sweep(shard).Next(15, false)
			check(t, err)
			if p.Live != used || !p.Last {
				t.Errorf("shard %d, %d in use: %d live, last is %t", shard, used, p.Live, p.Last)
			}
		}
	}
}

func TestSweepOfTemplates(t *testing.T) {
	m, _ := load(t)
	put := func(table *ebpf.Map, key any, state uint8, expires uint64) {
		t.Helper()
		var v bpf.EkTemplate
		v.Now.Word = bytesWord([8]byte{6: state})
		v.Expires = expires
		check(t, table.Put(key, v))
	}
	for n := range uint32(30) {
		state, expires := uint8(templateLive), uint64(10+n%2*10)
		if n%3 == 0 {
			state++
		}
		put(m.templates, bpf.EkTemplateKey{Caddr: n, Prefix: 32}, state, expires)
		put(m.templates6, bpf.EkTemplate6Key{Caddr: [16]byte{15: byte(n)}, Prefix: 128}, state, expires)
	}
	for _, i := range []int{Shards, Shards + 1} {
		p, err := m.Sweep(i).Next(15, false)
		check(t, err)
		if p.Live != 10 || len(p.Over) != 20 || !p.Last {
			t.Errorf("table %d: %d live, %d over, last is %t", i, p.Live, len(p.Over), p.Last)
		}
	}
}

func TestReplies(t *testing.T) {
	m, _ := load(t)
	want := Reply{
		Protocol: model.TCP,
		Server:   netip.MustParseAddrPort("10.0.0.1:8080"),
		Client:   netip.MustParseAddrPort("192.0.2.9:4711"),
		Virtual:  netip.MustParseAddrPort("198.51.100.1:80"),
	}
	key := bpf.EkReplyKey{
		Saddr: wireIPv4(want.Server.Addr()), Sport: wirePort(want.Server.Port()),
		Caddr: wireIPv4(want.Client.Addr()), Cport: wirePort(want.Client.Port()), Proto: 6,
	}
	check(t, m.replies.Put(key, bpf.EkReply{Vaddr: wireIPv4(want.Virtual.Addr()), Vport: wirePort(want.Virtual.Port())}))
	var got []Reply
	check(t, m.Replies(func(r Reply) bool { got = append(got, r); return true }))
	if !slices.Equal(got, []Reply{want}) {
		t.Errorf("replies are %+v, want %+v", got, want)
	}

	want6 := Reply{
		Protocol: model.UDP,
		Server:   netip.MustParseAddrPort("[2001:db8::2]:8080"),
		Client:   netip.MustParseAddrPort("[2001:db8::9]:4711"),
		Virtual:  netip.MustParseAddrPort("[2001:db8::1]:80"),
	}
	key6 := bpf.EkReply6Key{
		Saddr: wireAddr(want6.Server.Addr()), Sport: wirePort(want6.Server.Port()),
		Caddr: wireAddr(want6.Client.Addr()), Cport: wirePort(want6.Client.Port()), Proto: 17,
	}
	check(t, m.replies6.Put(key6, bpf.EkReply6{Vaddr: wireAddr(want6.Virtual.Addr()), Vport: wirePort(want6.Virtual.Port())}))
	got = nil
	check(t, m.Replies(func(r Reply) bool { got = append(got, r); return true }))
	if !slices.Equal(got, []Reply{want, want6}) {
		t.Errorf("replies are %+v, want %+v", got, []Reply{want, want6})
	}
}

func TestStatisticsAreSummed(t *testing.T) {
	m, _ := load(t)
	cpus := ebpf.MustPossibleCPU()
	counted := make([]bpf.EkStats, cpus)
	packets := make([]uint64, cpus)
	for i := range counted {
		counted[i] = bpf.EkStats{Conns: 1, InPkts: 2, OutPkts: 3, InBytes: 4, OutBytes: uint64(5 + i)}
		packets[i] = 7
	}
	n := uint64(cpus)
	want := model.Counters{Conns: n, InPkts: 2 * n, OutPkts: 3 * n, InBytes: 4 * n, OutBytes: 5*n + n*(n-1)/2}
	check(t, m.serverStats.Put(uint32(3), counted))
	check(t, m.serviceStats.Put(uint32(3), counted))
	check(t, m.reasons.Put(uint32(reasons.ForwardedNAT), packets))
	check(t, m.reasons.Put(uint32(63), packets))
	check(t, m.serverConns.Put(uint32(3), bpf.EkServerConns{Active: 1, Total: 9}))
	for range 2 {
		got, err := m.ServerStats(3)
		check(t, err)
		same(t, got, want)
		got, err = m.ServiceStats(3)
		check(t, err)
		same(t, got, want)
		check(t, m.ResetServer(3))
		check(t, m.ResetService(3))
		want = model.Counters{}
	}
	conns, err := m.Conns(3)
	check(t, err)
	same(t, conns, Conns{})
	// A flow ended before it was counted in.
	check(t, m.serverConns.Put(uint32(3), bpf.EkServerConns{Active: ^uint32(0), Total: ^uint32(0), Persistent: 2}))
	conns, err = m.Conns(3)
	check(t, err)
	same(t, conns, Conns{Persistent: 2})
	check(t, m.ResetServer(3))
	counts, err := m.Reasons()
	check(t, err)
	same(t, counts[reasons.ForwardedNAT], 7*n)
	same(t, counts[reasons.Reason(63)], 7*n)
	same(t, len(counts), len(reasons.All())+1)
}

func TestPorts(t *testing.T) {
	m, _ := load(t)
	want := map[uint32]Port{
		1:     {MAC: [6]byte{1}, Enabled: true, Device: 1, Ifindex: 1},
		7:     {MAC: [6]byte{3}, Device: 7, Ifindex: 1, VLAN: 100},
		40000: {MAC: [6]byte{2}, Enabled: true, Device: 40001, Ifindex: 40001},
	}
	check(t, m.PutPort(1, Port{MAC: [6]byte{1}, Enabled: true})) // the rest is filled in
	check(t, m.PutPort(7, want[7]))
	check(t, m.PutPort(40000, Port{MAC: [6]byte{2}, Enabled: true, Device: 40001}))
	check(t, m.PutPort(9, want[7]))
	check(t, m.PutPort(9, Port{}))
	got, err := m.Ports()
	check(t, err)
	if !maps.Equal(got, want) {
		t.Errorf("ports are %v, want %v", got, want)
	}
	if err := m.PutPort(1<<20, Port{}); !errors.Is(err, unix.E2BIG) {
		t.Errorf("port beyond the map: %v, want E2BIG", err)
	}
}

func TestVLANs(t *testing.T) {
	m, _ := load(t)
	want := map[Tag]uint32{{Ifindex: 2, VLAN: 100}: 9, {Ifindex: 2, VLAN: 4094}: 10}
	for tag, device := range want {
		check(t, m.PutVLAN(tag, device))
	}
	gone := Tag{Ifindex: 3, VLAN: 100}
	check(t, m.PutVLAN(gone, 11))
	check(t, m.DeleteVLAN(gone))
	check(t, m.DeleteVLAN(gone))
	got, err := m.VLANs()
	check(t, err)
	if !maps.Equal(got, want) {
		t.Errorf("VLANs are %v, want %v", got, want)
	}
}

func TestErrorsNameTheirObject(t *testing.T) {
	m, _ := load(t)
	big := make([]Place, MaxOrder+1)
	for name, err := range map[string]error{
		"service [192.0.2.1]:tcp:80: lblc": m.PutService(Service{Key: model.ServiceKey{Protocol: model.TCP, Addr: netip.MustParseAddrPort("192.0.2.1:80")}, Scheduler: "lblc"}),
		"order of service 2: 257 servers":  m.PutOrder(2, 0, Order{Places: big}),
		"positions: ":                      m.PutPositions(make([]uint32, 1+len(bpf.EkPositions{}.Position))),
		"to slot 2000":                     m.PutServer(servers, Server{}),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not say %q", err, name)
		}
	}
	for i := range uint32(services) {
		check(t, m.PutService(Service{Key: model.ServiceKey{Addr: netip.AddrPortFrom(netip.IPv6Loopback(), uint16(i))}, Scheduler: "rr"}))
	}
	err := m.PutService(Service{Scheduler: "rr"})
	if !errors.Is(err, unix.E2BIG) {
		t.Errorf("one service too many: %v, want E2BIG", err)
	}
	check(t, m.DeleteService(model.ServiceKey{Addr: netip.MustParseAddrPort("192.0.2.77:7")}))
}

func TestOpen(t *testing.T) {
	m, c := load(t)
	dir := labtest.BPFFS(t)
	if _, err := Open(dir, true); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("opening nothing: %v", err)
	}
	for name, pinned := range m.ByName() {
		check(t, pinned.Pin(filepath.Join(dir, name)))
	}
	for i := range Shards {
		check(t, m.Shard(i).Pin(filepath.Join(dir, ShardName(i))))
	}
	want := Server{Server: model.Server{Addr: netip.MustParseAddrPort("192.0.2.1:80")}}
	check(t, m.PutServer(1, want))
	same(t, m.Limits(), Limits{Services: services, Servers: servers, Flows: flows, Replies: c.Maps[bpf.EkMapEkReplies].MaxEntries()})

	for _, readOnly := range []bool{false, true} {
		opened, err := Open(dir, readOnly)
		check(t, err)
		got, err := opened.Server(1)
		check(t, err)
		same(t, got, want)
		check(t, opened.Servers(func(uint32, Server) bool { return true }))
		check(t, opened.Flows(0, func(Flow) bool { return true }))
		err = opened.PutServer(2, want)
		if denied := errors.Is(err, unix.EPERM); denied != readOnly {
			t.Errorf("write with read only %t: %v", readOnly, err)
		}
		check(t, opened.Close())
	}
}
