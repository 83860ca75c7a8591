//go:build bpf

package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket/layers"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/sched"
)

// twin is a rig with the program without effect on the same maps.
type twin struct {
	*rig
	dry     EkDryObjects
	maps    map[string]*ebpf.Map
	shard   uint32 // entries of one
	buffers map[[2]int]reflect.Value
	seed    maphash.Seed // of sum
}

func newTwin(t *testing.T, flows uint32) *twin {
	t.Helper()
	r := newRig(t, flows, sched.Profile{}, func(spec *ebpf.CollectionSpec) {
		for _, name := range []string{"ek_services", "ek_cursors", "ek_service_stat", "ek_ports"} {
			spec.Maps[name].MaxEntries = 16
		}
		for _, name := range []string{"ek_orders", "ek_tables"} {
			spec.Maps[name].MaxEntries = 32
		}
		spec.Maps["ek_templates"].MaxEntries = 8
		for _, name := range []string{"ek_servers", "ek_tunnels", "ek_server_conns", "ek_server_stats"} {
			spec.Maps[name].MaxEntries = 64
		}
	})
	w := &twin{rig: r, maps: map[string]*ebpf.Map{}, shard: max(flows/16, 1), buffers: map[[2]int]reflect.Value{}, seed: maphash.MakeSeed()}
	all := reflect.ValueOf(r.o.EkMaps)
	for i := range all.NumField() {
		if name := all.Type().Field(i).Tag.Get("ebpf"); name[0] != '.' {
			w.maps[name] = all.Field(i).Interface().(*ebpf.Map)
		}
	}
	spec, err := LoadEkDry()
	if err != nil {
		t.Fatal(err)
	}
	if err := spec.Variables["test_clock"].Set(true); err != nil {
		t.Fatal(err)
	}
	for name := range spec.Maps {
		if m := w.maps[name]; m != nil {
			spec.Maps[name].MaxEntries = m.MaxEntries()
		}
	}
	if err := spec.LoadAndAssign(&w.dry, &ebpf.CollectionOptions{MapReplacements: w.replacements(spec)}); err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { w.dry.Close() })
	w.turn(0)
	return w
}

// replacements are the maps that the program without effect knows.
func (w *twin) replacements(spec *ebpf.CollectionSpec) map[string]*ebpf.Map {
	list := map[string]*ebpf.Map{}
	for name := range spec.Maps {
		if m := w.maps[name]; m != nil {
			list[name] = m
		}
	}
	return list
}

// turn is advance for both programs.
func (w *twin) turn(d time.Duration) {
	w.tb.Helper()
	w.advance(d)
	if err := w.dry.TestNow.Set(uint64(w.now)); err != nil {
		w.tb.Fatal(err)
	}
}

// explain runs a frame without effect. When it would open a flow it is told
// what the maps have room for, and runs again.
func (w *twin) explain(frame []byte) (told EkDryExplanation, verdict uint32, out []byte) {
	w.tb.Helper()
	told, verdict, out = w.runDry(frame, EkDryAssumed{})
	if told.Way != EkDryExplainedWayWAY_NEW && told.HasService == 0 {
		return told, verdict, out
	}
	assume := EkDryAssumed{
		RepliesFull:   flag(w.count(w.o.EkReplies) == w.o.EkReplies.MaxEntries()),
		TemplatesFull: flag(w.count(w.o.EkTemplates) == w.o.EkTemplates.MaxEntries()),
	}
	var shard *ebpf.Map
	if err := w.o.EkFlows.Lookup(told.Shard, &shard); err != nil {
		w.tb.Fatal(err)
	}
	defer shard.Close()
	assume.FlowsFull = flag(w.count(shard) == w.shard)
	return w.runDry(frame, assume)
}

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func (w *twin) count(m *ebpf.Map) (n uint32) {
	w.tb.Helper()
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	all := m.Iterate()
	for all.Next(&key, &value) {
		n++
	}
	if err := all.Err(); err != nil {
		w.tb.Fatal(err)
	}
	return n
}

func (w *twin) runDry(frame []byte, assume EkDryAssumed) (told EkDryExplanation, verdict uint32, out []byte) {
	w.tb.Helper()
	if err := w.dry.Assume.Set(assume); err != nil {
		w.tb.Fatal(err)
	}
	if err := w.dry.Told.Set(EkDryExplanation{}); err != nil {
		w.tb.Fatal(err)
	}
	options := ebpf.RunOptions{
		Data: frame, DataOut: make([]byte, len(frame)+256),
		Context: xdpContext{DataEnd: uint32(len(frame)), Ingress: inside},
	}
	verdict, err := w.dry.EkXdp.Run(&options)
	if err != nil {
		w.tb.Fatal(err)
	}
	if err := w.dry.Told.Get(&told); err != nil {
		w.tb.Fatal(err)
	}
	return told, verdict, options.DataOut
}

// sum is a checksum of every byte of every map, of the inner ones too.
func (w *twin) sum() uint64 {
	w.tb.Helper()
	var h maphash.Hash
	h.SetSeed(w.seed)
	for _, name := range slices.Sorted(maps.Keys(w.maps)) {
		w.dump(&h, w.maps[name])
	}
	return h.Sum64()
}

func (w *twin) dump(to io.Writer, m *ebpf.Map) {
	w.tb.Helper()
	if m.Type() == ebpf.ArrayOfMaps {
		for i := range m.MaxEntries() {
			var inner *ebpf.Map
			if m.Lookup(i, &inner) == nil {
				w.dump(to, inner)
				inner.Close()
			}
		}
		return
	}
	cpus, n := 1, int(m.MaxEntries())
	if m.Type() == ebpf.PerCPUArray {
		cpus = ebpf.MustPossibleCPU()
	}
	keys, values := w.buffer(m.KeySize(), n), w.buffer(m.ValueSize(), n*cpus)
	var cursor ebpf.MapBatchCursor
	got, err := m.BatchLookup(&cursor, keys.Interface(), values.Interface(), nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		w.tb.Fatal(err)
	}
	for _, b := range []struct {
		all  reflect.Value
		size uint32
		n    int
	}{{keys, m.KeySize(), got}, {values, m.ValueSize(), got * cpus}} {
		if bytes := int(b.size) * b.n; bytes > 0 {
			_, _ = to.Write(unsafe.Slice((*byte)(b.all.UnsafePointer()), bytes))
		}
	}
}

// buffer is a slice of n arrays of size bytes; the same one each time.
func (w *twin) buffer(size uint32, n int) reflect.Value {
	at := [2]int{int(size), n}
	b, ok := w.buffers[at]
	if !ok {
		b = reflect.MakeSlice(reflect.SliceOf(reflect.ArrayOf(int(size), reflect.TypeFor[byte]())), n, n)
		w.buffers[at] = b
	}
	return b
}

// Each service of the random test has one of these.
var explainedServices = []struct {
	by          EkScheduler
	flags       uint8
	proto       uint8
	persistence time.Duration
	forward     EkForward
}{
	{EkSchedulerSCHED_RR, 0, 6, 0, EkForwardFORWARD_DR},
	{EkSchedulerSCHED_WRR, 0, 6, 0, EkForwardFORWARD_NAT},
	{EkSchedulerSCHED_WLC, 0, 6, 0, EkForwardFORWARD_NAT},
	{EkSchedulerSCHED_SH, 8, 17, 0, EkForwardFORWARD_DR},
	{EkSchedulerSCHED_MH, 0, 17, 0, EkForwardFORWARD_NAT},
	{EkSchedulerSCHED_RR, serviceOnePacket, 17, 0, EkForwardFORWARD_DR},
	{EkSchedulerSCHED_LC, 0, 6, time.Minute, EkForwardFORWARD_NAT},
	{EkSchedulerSCHED_RR, 0, 17, time.Minute, EkForwardFORWARD_DR},
}

const serviceOnePacket = 4

// story makes random services, changes and packets.
type story struct {
	*twin
	*rand.Rand
	answers []frame // of NAT servers to the packets that they got
}

func (s *story) vip(id int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(id)}), 80)
}

func (s *story) serverAddr(slot uint32) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(slot)}), 80+uint16(slot%2))
}

// setUp gives each service four servers.
func (s *story) setUp() {
	for id, svc := range explainedServices {
		s.scheduled(uint32(id), svc.proto, s.vip(id), svc.by, svc.flags)
		if svc.persistence > 0 {
			s.persistent(svc.proto, s.vip(id), svc.persistence, 32)
		}
		s.change(id)
	}
}

// change writes the servers of a service anew, at random, and its order.
func (s *story) change(id int) {
	var order []entry
	var table []uint32
	for i := range uint32(4) {
		slot := uint32(id)*4 + i
		weight := int32(s.IntN(4))
		s.server(slot, uint32(id), s.serverAddr(slot), explainedServices[id].forward, func(e *EkServer) {
			e.Dmac, e.Weight = slotMAC(slot), weight
			switch s.IntN(14) {
			case 0:
				e.Flags = 0
			case 1, 5, 6, 7:
				e.Flags |= serverDeleted
			case 2:
				e.Ifindex, e.Smac = outside, farMAC
			case 3:
				e.Mtu = 45
			case 4:
				e.Forward = EkForwardFORWARD_TUN
			case 8:
				e.Flags |= serverLocal
			}
		})
		order = append(order, entry{slot, weight})
		for range weight {
			table = append(table, slot)
		}
	}
	if explainedServices[id].by == EkSchedulerSCHED_SH {
		table = slices.Repeat(order2slots(order), 64)
	}
	s.publish(uint32(id), nil, table, 0, order...)
}

func order2slots(order []entry) (slots []uint32) {
	for _, e := range order {
		slots = append(slots, e.slot)
	}
	return slots
}

// packet is of a few clients, so that most meet a flow sooner or later.
func (s *story) packet() []byte {
	id := s.IntN(len(explainedServices) + 1)
	f := frame{from: clientMAC, to: ownMAC, dst: s.vip(id), proto: 6, flags: []string{"S", "S", "S", "A", "FA", "R", "SA", "PA", ""}[s.IntN(9)]}
	f.src = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(s.IntN(6))}), uint16(1000+s.IntN(12)))
	if id < len(explainedServices) {
		f.proto = explainedServices[id].proto
	}
	if s.IntN(4) == 0 { // as a server would answer
		f.from, f.src, f.dst = serverMAC, s.serverAddr(uint32(id*4+s.IntN(4))), f.src
		if n := len(s.answers); n > 0 {
			answered := s.answers[s.IntN(n)]
			f.proto, f.src, f.dst = answered.proto, answered.src, answered.dst
		}
	}
	switch s.IntN(40) {
	case 0:
		f.ttl = 1
	case 1:
		f.to = clientMAC
	case 2:
		f.proto = 1
	case 3:
		f.src = netip.AddrPortFrom(f.src.Addr(), 20)
	case 4, 5, 6, 7, 8, 9:
		f.payload = "long enough for a small MTU"
		if s.IntN(2) == 0 {
			f.ip = func(ip *layers.IPv4) { ip.Flags = 0 }
		}
	}
	return f.bytes(s.tb)
}

// answerTo is the tuple of a server's answer.
func (s *story) answerTo(told EkDryExplanation) frame {
	var addr [4]byte
	binary.NativeEndian.PutUint32(addr[:], told.Key.Caddr)
	return frame{
		proto: told.Key.Proto, src: s.serverAddr(told.Server),
		dst: netip.AddrPortFrom(netip.AddrFrom4(addr), wire16(told.Key.Cport)),
	}
}

// between lets something happen.
func (s *story) between() {
	switch s.IntN(20) {
	case 0:
		s.change(s.IntN(len(explainedServices)))
	case 1:
		s.turn(time.Duration(s.IntN(90)) * time.Second)
	case 2:
		s.sweep()
	}
}

// What explain says is what then happens, byte for byte and counter for
// counter, and saying it changes nothing.
func TestExplainIsWhatHappens(t *testing.T) {
	const cases = 10000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := &story{twin: newTwin(t, 64), Rand: rand.New(rand.NewPCG(seed, 0))}
	s.setUp()
	happened := map[reasons.Reason]int{}
	onOneCPU(t, func() {
		for i := range cases {
			s.between()
			in := s.packet()
			before := s.sum()
			told, verdict, out := s.explain(in)
			if s.sum() != before {
				t.Fatalf("case %d: explaining % x changed a map", i, in)
			}
			gotVerdict, gotOut := s.run(in)
			why := s.reason()
			happened[why]++
			if gotVerdict != verdict || uint32(why) != told.Reason || !bytes.Equal(gotOut, out) {
				t.Fatalf("case %d: told verdict %d because of %s and % x, then it was %d because of %s and % x",
					i, verdict, reasons.Reason(told.Reason), out, gotVerdict, why, gotOut)
			}
			s.compare(i, told, why)
			if why == reasons.ForwardedNAT {
				s.answers = append(s.answers, s.answerTo(told))
			}
		}
	})
	t.Log(happened)
	for _, want := range []reasons.Reason{
		reasons.NotOurMAC, reasons.OtherProtocol, reasons.NoService, reasons.NoFlow, reasons.SourcePort20, reasons.ServerDeleted,
		reasons.NoNextHop, reasons.FlowTableFull, reasons.TooBig, reasons.TemplatesFull, reasons.PortUnreachable,
		reasons.TimeExceeded, reasons.FragNeeded, reasons.ForwardedDR, reasons.ForwardedNAT, reasons.ForwardedReply,
		reasons.ForwardedTUN, reasons.LocalServer,
	} {
		if happened[want] == 0 {
			t.Errorf("no case ended in %s", want)
		}
	}
}

// compare looks at the flow that is there after the packet.
func (s *story) compare(i int, told EkDryExplanation, why reasons.Reason) {
	s.tb.Helper()
	if told.Way == EkDryExplainedWayWAY_NONE || told.Way == EkDryExplainedWayWAY_ONE_PACKET ||
		why == reasons.FlowTableFull || why == reasons.ServerDeleted {
		return
	}
	key := EkFlowKey{
		Caddr: told.Key.Caddr, Vaddr: told.Key.Vaddr, Cport: told.Key.Cport, Vport: told.Key.Vport, Proto: told.Key.Proto,
	}
	flow, _, err := s.flow(key)
	if err != nil {
		s.tb.Fatalf("case %d: %v", i, err)
	}
	if flow.Now.Word != told.Becomes.Word {
		s.tb.Fatalf("case %d: the flow is %+v, told %+v", i, unpack(flow.Now.Word), unpack(told.Becomes.Word))
	}
	if told.HasServer == 0 || unpack(flow.Now.Word).server != told.Server {
		s.tb.Fatalf("case %d: the flow went to server %d, told %d", i, unpack(flow.Now.Word).server, told.Server)
	}
}
