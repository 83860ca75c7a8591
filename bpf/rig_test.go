//go:build bpf

package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/sched"
)

// Verdicts of an XDP program (linux/bpf.h).
const (
	xdpDrop     = 1
	xdpPass     = 2
	xdpTX       = 3
	xdpRedirect = 4
)

// The interface that test packets come in by, which is the loopback device in
// every namespace, and another that replies or requests may leave by.
const (
	inside  = 1
	outside = 7
)

var (
	clientMAC = [6]byte{2, 0, 0, 0, 0, 0xc1}
	ownMAC    = [6]byte{2, 0x11, 0x22, 0x33, 0x44, 0x01} // no byte like another, nor like the client's
	farMAC    = [6]byte{2, 0, 0, 0, 0, 0x02}             // ours on the interface outside
	serverMAC = [6]byte{2, 0, 0, 0, 0, 0x51}
)

// rig is the loaded program with its maps and a clock that tests turn.
type rig struct {
	tb   testing.TB
	o    EkObjects
	of   *loaded // where o comes from; nil when it was given back
	now  time.Duration
	seen [64]uint64 // packets by reason

	known EkKnown     // what ek_known holds
	hot   []EkHotSet  // copies of flows, in place
	hot6  []EkHot6Set // and of IPv6's

	tables    *ebpf.MapSpec // of a scheduler's table
	templates EkSweep       // what the last sweep did to the templates
}

// layoutVersion is LAYOUT_VERSION of contract.h.
const layoutVersion = 14

// newRig returns the program with a flow table of the given size, to follow a
// generation of IPVS. change may change the collection, which is then loaded for
// this test alone.
func newRig(tb testing.TB, flows uint32, p sched.Profile, change ...func(*ebpf.CollectionSpec)) *rig {
	tb.Helper()
	var l *loaded
	if c := (constants{flows, p}); len(change) > 0 {
		l = load(tb, c, change...)
		tb.Cleanup(l.close)
	} else {
		l = take(tb, c)
	}
	r := &rig{tb: tb, o: l.o, tables: l.tables, of: l}
	r.hot, r.hot6 = memory[EkHotSet](tb, r.o.EkHot), memory[EkHot6Set](tb, r.o.EkHot6)
	tb.Cleanup(r.release)
	settings := EkSettings{LayoutVersion: layoutVersion, IcmpPerSecond: 1000}
	copy(settings.Timeout[:], timeouts[:])
	r.put(r.o.EkSettings, uint32(0), settings)
	r.put(r.o.EkPorts, uint32(inside), EkPort{Mac: ownMAC, Enabled: 1, Device: inside, Ifindex: inside})
	r.advance(time.Hour)
	return r
}

// release lets the next rig have the collection. A test that needs many rigs, one
// after the other, calls it; for others its end does.
func (r *rig) release() {
	if r.of != nil {
		r.of.taken = false
	}
	r.of, r.o = nil, EkObjects{}
}

// shrink gives a collection a flow table of another size.
func shrink(tb testing.TB, spec *ebpf.CollectionSpec, flows uint32) {
	tb.Helper()
	spec.Maps["ek_replies"].MaxEntries = flows
	spec.Maps["ek_replies6"].MaxEntries = flows
	spec.Maps["ek_flows"].InnerMap.MaxEntries = max(flows/16, 1)
	spec.Maps["ek_flows6"].InnerMap.MaxEntries = max(flows/16, 1)
	if err := spec.Variables["ring_size"].Set(max(flows/16, 1)); err != nil {
		tb.Fatal(err)
	}
	for _, name := range []string{"ek_half_open", "ek_half_open6"} {
		spec.Maps[name].MaxEntries = max(flows, 16)
	}
	if spec.Maps["ek_hot"] == nil {
		return
	}
	// Few copies of flows, so that flows meet there, and few next hops.
	if err := SetCopies(spec, 2); err != nil {
		tb.Fatal(err)
	}
	spec.Maps["ek_hops"].MaxEntries = 64
	for name, value := range map[string]uint32{"hot_patience": math.MaxUint32, "hop_places": 64} {
		if err := spec.Variables[name].Set(value); err != nil {
			tb.Fatal(err)
		}
	}
}

// timeouts are IPVS's, in seconds by state: TCP's, UDP's, and from 16 on SCTP's.
var timeouts = [32]uint32{
	2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120, 300,
	16: 2, 4, 61, 61, 61, 61, 61, 61, 900, 61, 61, 61, 4, 61,
}

func (r *rig) put(m *ebpf.Map, key, value any) {
	r.tb.Helper()
	if err := m.Put(key, value); err != nil {
		r.tb.Fatalf("write %s: %v", m, err)
	}
}

// advance turns the program's clock on.
func (r *rig) advance(d time.Duration) {
	r.tb.Helper()
	r.now += d
	if err := r.o.TestNow.Set(uint64(r.now)); err != nil {
		r.tb.Fatal(err)
	}
}

func mapped(a netip.Addr) [16]byte { return netip.AddrFrom16(a.As16()).As16() }

// wire16 and wire32 turn values into the form in which Go reads network order
// from a map.
func wire16(v uint16) uint16 { return v<<8 | v>>8 }

func wire32(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// service makes id answer to a virtual address, by rr.
func (r *rig) service(id uint32, proto uint8, vip netip.AddrPort) {
	r.tb.Helper()
	r.scheduled(id, proto, vip, EkSchedulerSCHED_RR, 0)
}

// scheduled makes id answer to a virtual address by a scheduler with flags.
func (r *rig) scheduled(id uint32, proto uint8, vip netip.AddrPort, by EkScheduler, flags uint8) {
	r.tb.Helper()
	key := EkServiceKey{Addr: mapped(vip.Addr()), Port: wire16(vip.Port()), Proto: proto}
	r.know(vip)
	r.put(r.o.EkServices, key, EkService{Id: id, Scheduler: by, Flags: flags})
}

// know sets the byte of a service's or a server's end, without which a packet is
// foreign.
func (r *rig) know(end netip.AddrPort) {
	r.tb.Helper()
	var addr uint32
	for b := end.Addr().Unmap().AsSlice(); len(b) > 0; b = b[4:] {
		addr ^= binary.NativeEndian.Uint32(b)
	}
	known := &r.known.End[(addr^uint32(wire16(end.Port()))<<16)*0x9e3779b1>>14]
	if *known == 0 {
		*known = 1
		r.put(r.o.EkKnown, uint32(0), &r.known)
	}
}

// persistent gives the service of a virtual address persistence.
func (r *rig) persistent(proto uint8, vip netip.AddrPort, timeout time.Duration, prefix uint8) {
	r.tb.Helper()
	key := EkServiceKey{Addr: mapped(vip.Addr()), Port: wire16(vip.Port()), Proto: proto}
	var svc EkService
	if err := r.o.EkServices.Lookup(key, &svc); err != nil {
		r.tb.Fatal(err)
	}
	svc.Persistence, svc.Prefix = uint32(timeout/time.Second), prefix
	r.put(r.o.EkServices, key, svc)
}

// server fills a slot with a resolved server of a service.
func (r *rig) server(slot, service uint32, addr netip.AddrPort, forward EkForward, change ...func(*EkServer)) {
	r.tb.Helper()
	s := EkServer{
		Addr: mapped(addr.Addr()), Port: wire16(addr.Port()), Forward: forward, Flags: serverResolved,
		Weight: 1, Service: service, Ifindex: inside, Dmac: serverMAC, Smac: ownMAC,
	}
	for _, c := range change {
		c(&s)
	}
	r.know(addr)
	r.put(r.o.EkServers, slot, s)
}

// Flags of a server, from contract.h.
const (
	serverDeleted  = 1
	serverResolved = 2
	serverLocal    = 4
)

// order publishes the slots as the service's list, moving a cursor that stands
// at p to position[p] (nil: where it stands).
func (r *rig) order(service uint32, position []uint32, slots ...entry) {
	r.tb.Helper()
	r.publish(service, position, nil, 0, slots...)
}

// publish is order with the scheduler's table.
func (r *rig) publish(service uint32, position, table []uint32, lowest uint32, slots ...entry) {
	r.tb.Helper()
	var cursor EkCursor
	if err := r.o.EkCursors.Lookup(service, &cursor); err != nil {
		r.tb.Fatal(err)
	}
	next := uint32(cursor.Word>>32) + 1
	var o EkOrder
	o.Count = uint32(len(slots))
	for i, s := range slots {
		o.Entry[i].Server, o.Entry[i].Weight = s.slot, s.weight
		o.Entry[i].Next = ^uint32(0)
		for n := range slots {
			if at := (i + n) % len(slots); slots[at].weight > 0 {
				o.Entry[i].Next = uint32(at)
				break
			}
		}
	}
	o.TableCount, o.TableLowest = uint32(len(table)), lowest
	r.put(r.o.EkOrders, service*2+next&1, o)
	r.table(service*2+next&1, table)
	var moved EkPositions
	for p := range moved.Position {
		moved.Position[p] = uint32(p)
	}
	copy(moved.Position[:], position)
	r.put(r.o.EkPositions, uint32(0), moved)
	arg := EkPublish{Service: service}
	if ret, err := r.o.EkPublish.Run(&ebpf.RunOptions{Context: &arg, ContextOut: &arg}); err != nil || ret != 0 {
		r.tb.Fatalf("publish: %d, %v", int32(ret), err)
	}
	if arg.Generation != next {
		r.tb.Fatalf("published generation %d, want %d", arg.Generation, next)
	}
}

// table puts a scheduler's table of its own size into ek_tables.
func (r *rig) table(index uint32, slots []uint32) {
	r.tb.Helper()
	if len(slots) == 0 {
		return
	}
	spec := r.tables.Copy()
	spec.MaxEntries = uint32(len(slots))
	spec.Contents = nil
	inner, err := ebpf.NewMap(spec)
	if err != nil {
		r.tb.Fatal(err)
	}
	defer inner.Close()
	places := make([]uint32, len(slots))
	for i := range places {
		places[i] = uint32(i)
	}
	if _, err := inner.BatchUpdate(places, slots, nil); err != nil {
		r.tb.Fatal(err)
	}
	r.put(r.o.EkTables, index, inner)
}

type entry struct {
	slot   uint32
	weight int32
}

// xdpContext is struct xdp_md.
type xdpContext struct {
	Data, DataEnd, DataMeta, Ingress, Queue, Egress uint32
}

// run sends one frame through the program.
func (r *rig) run(frame []byte) (verdict uint32, out []byte) {
	r.tb.Helper()
	verdict, out, err := r.try(frame)
	if err != nil {
		r.tb.Fatal(err)
	}
	return verdict, out
}

// try is run for goroutines, which cannot end the test.
func (r *rig) try(frame []byte) (verdict uint32, out []byte, err error) {
	options := ebpf.RunOptions{
		Data:    frame,
		DataOut: make([]byte, len(frame)+256),
		Context: xdpContext{DataEnd: uint32(len(frame)), Ingress: inside},
	}
	verdict, err = r.o.EkXdp.Run(&options)
	if err != nil {
		return 0, nil, fmt.Errorf("run a frame of %d bytes: %w", len(frame), err)
	}
	return verdict, options.DataOut, nil
}

// reason returns the one reason counted since the last call; it fails when
// there is none or more than one.
func (r *rig) reason() reasons.Reason {
	r.tb.Helper()
	var found []reasons.Reason
	for reason, total := range r.reasons() {
		for range total - r.seen[reason] {
			found = append(found, reasons.Reason(reason))
		}
		r.seen[reason] = total
	}
	if len(found) != 1 {
		r.tb.Fatalf("reasons counted for one packet: %v", found)
	}
	return found[0]
}

// reasons returns the packets of each reason, over all CPUs.
func (r *rig) reasons() (totals [64]uint64) {
	r.tb.Helper()
	cpus := ebpf.MustPossibleCPU()
	var cursor ebpf.MapBatchCursor
	keys, values := make([]uint32, len(totals)), make([]uint64, len(totals)*cpus)
	n, err := r.o.EkReasons.BatchLookup(&cursor, keys, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		r.tb.Fatal(err)
	}
	for i, key := range keys[:n] {
		for _, v := range values[i*cpus : (i+1)*cpus] {
			totals[key] += v
		}
	}
	return totals
}

// send runs a frame and checks what became of it.
func (r *rig) send(frame []byte, verdict uint32, reason reasons.Reason) []byte {
	r.tb.Helper()
	got, out := r.run(frame)
	if why := r.reason(); got != verdict || why != reason {
		r.tb.Fatalf("verdict %d because of %s, want %d because of %s", got, why, verdict, reason)
	}
	return out
}

// goesUp sends a frame that the kernel gets as it came.
func (r *rig) goesUp(frame []byte, because reasons.Reason) {
	r.tb.Helper()
	if out := r.send(frame, xdpPass, because); !bytes.Equal(out, frame) {
		r.tb.Errorf("the kernel gets\n% x\nof\n% x", out, frame)
	}
}

// conns returns a server's counters.
func (r *rig) conns(slot uint32) (c EkServerConns) {
	r.tb.Helper()
	if err := r.o.EkServerConns.Lookup(slot, &c); err != nil {
		r.tb.Fatal(err)
	}
	return c
}

func (r *rig) wantConns(slot, active, total uint32) {
	r.tb.Helper()
	if got := r.conns(slot); got.Active != active || got.Total != total {
		r.tb.Fatalf("server %d has %d active of %d flows, want %d of %d", slot, got.Active, got.Total, active, total)
	}
}

// stats returns the totals of a server or a service over all CPUs.
func (r *rig) stats(m *ebpf.Map, index uint32) (sum EkStats) {
	r.tb.Helper()
	var perCPU []EkStats
	if err := m.Lookup(index, &perCPU); err != nil {
		r.tb.Fatal(err)
	}
	for _, s := range perCPU {
		sum.Conns += s.Conns
		sum.InPkts += s.InPkts
		sum.OutPkts += s.OutPkts
		sum.InBytes += s.InBytes
		sum.OutBytes += s.OutBytes
	}
	return sum
}

// sweep looks at the whole table once.
func (r *rig) sweep() (sum EkSweep) {
	r.tb.Helper()
	sum = r.sweepFlows(0)
	r.templates = EkSweep{}
	sweepBy[EkTemplateKey, EkTemplate](r, r.o.EkSweepTmpl, r.o.EkTemplates, EkSweep{}, &r.templates)
	sweepBy[EkTemplate6Key, EkTemplate](r, r.o.EkSweepTmpl6, r.o.EkTemplates6, EkSweep{}, &r.templates)
	return sum
}

// sweepFlows looks at all flows; leaving is as in EkSweep.
func (r *rig) sweepFlows(leaving uint32) (sum EkSweep) {
	r.tb.Helper()
	arg := EkSweep{Leaving: leaving}
	r.shards(r.o.EkFlows, func(m *ebpf.Map) {
		sweepBy[EkFlowKey, EkFlow](r, r.o.EkSweep, m, arg, &sum)
		arg.Shard++
	})
	arg.Shard = 0
	r.shards(r.o.EkFlows6, func(m *ebpf.Map) {
		sweepBy[EkFlow6Key, EkFlow](r, r.o.EkSweep6, m, arg, &sum)
		arg.Shard++
	})
	return sum
}

// sweepBy has a program look at all that is in a map, and adds up what it did.
func sweepBy[K, V any](r *rig, program *ebpf.Program, m *ebpf.Map, arg EkSweep, sum *EkSweep) {
	r.tb.Helper()
	var cursor ebpf.MapBatchCursor
	keys, values := make([]K, sweepKeys), make([]V, sweepKeys)
	for end := false; !end; {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		if end = errors.Is(err, ebpf.ErrKeyNotExist); err != nil && !end {
			r.tb.Fatal(err)
		}
		if n == 0 {
			continue
		}
		places, wire := make([]uint32, n), make([][40]byte, n)
		for i := range n {
			places[i] = uint32(i)
			if _, err := binary.Encode(wire[i][:], binary.NativeEndian, &keys[i]); err != nil {
				r.tb.Fatal(err)
			}
		}
		if _, err := r.o.EkSweepKeys.BatchUpdate(places, wire, nil); err != nil {
			r.tb.Fatal(err)
		}
		arg.Keys = uint32(n)
		var got EkSweep
		if ret, err := program.Run(&ebpf.RunOptions{Context: &arg, ContextOut: &got}); err != nil || ret != 0 {
			r.tb.Fatalf("%s, shard %d: %d, %v", program, arg.Shard, int32(ret), err)
		}
		sum.Seen += got.Seen
		sum.Expired += got.Expired
		sum.Removed += got.Removed
	}
}

// sweepKeys is SWEEP_KEYS of contract.h.
const sweepKeys = 512

// shards calls visit for each map of a family's flow table.
func (r *rig) shards(outer *ebpf.Map, visit func(*ebpf.Map)) {
	r.tb.Helper()
	for i := range uint32(16) {
		var shard *ebpf.Map
		if err := outer.Lookup(i, &shard); err != nil {
			r.tb.Fatal(err)
		}
		visit(shard)
		shard.Close()
	}
}

// entries calls visit with each entry of the flow tables.
func (r *rig) entries(visit func(EkFlow)) {
	r.tb.Helper()
	r.shards(r.o.EkFlows, func(m *ebpf.Map) {
		var key EkFlowKey
		var f EkFlow
		for it := m.Iterate(); it.Next(&key, &f); {
			visit(f)
		}
	})
	r.shards(r.o.EkFlows6, func(m *ebpf.Map) {
		var key EkFlow6Key
		var f EkFlow
		for it := m.Iterate(); it.Next(&key, &f); {
			visit(f)
		}
	})
}

// flow finds the entry of a tuple.
func (r *rig) flow(key EkFlowKey) (found EkFlow, shard *ebpf.Map, err error) {
	err = fmt.Errorf("flow %+v: %w", key, ebpf.ErrKeyNotExist)
	r.shards(r.o.EkFlows, func(m *ebpf.Map) {
		var f EkFlow
		if m.Lookup(key, &f) == nil {
			found, err = f, nil
			shard, _ = m.Clone()
		}
	})
	if shard != nil {
		r.tb.Cleanup(func() { shard.Close() })
	}
	return found, shard, err
}

// word is the content of a flow's word.
type word struct {
	server     uint32
	generation uint16
	state      EkFlowState
	flags      uint8
}

func unpack(w uint64) word {
	return word{uint32(w), uint16(w >> 32), EkFlowState(w >> 48), uint8(w >> 56)}
}

func (w word) pack() uint64 {
	return uint64(w.server) | uint64(w.generation)<<32 | uint64(w.state)<<48 | uint64(w.flags)<<56
}
