//go:build bpf

package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/sched"
)

// world is the program and the model of IPVS side by side: the same operations
// and packets for both, and every counter of both compared after each. The maps
// that tests read and write often lie in their memory, so that a step costs one
// system call, its packet's.
type world struct {
	*rig
	ipvs *ipvs

	conns        []EkServerConns
	serverStats  []EkStats
	serviceStats []EkStats
	reasonTotals []uint64
	cursors      []EkCursor
	orders       []EkOrder
	positions    []EkPositions
	tables       [][]tableEntry // by index in ek_tables
	shards4      []*ebpf.Map
	shards6      []*ebpf.Map

	steps   int
	history [24]string // the last steps
	out     []byte
	vips    int // given to sequences
}

// tableEntry is a place of an array of words, which lie eight bytes apart.
type tableEntry struct{ slot, _ uint32 }

// The sizes of a world.
const (
	worldServers  = 4096
	worldServices = 512
)

func newWorld(tb testing.TB, p sched.Profile, tables int) *world {
	tb.Helper()
	w := &world{ipvs: newIPVS(p, worldServers, worldServices), out: make([]byte, 4096)}
	w.rig = newRig(tb, 1<<14, p, func(spec *ebpf.CollectionSpec) {
		for name, size := range map[string]uint32{
			"ek_server_conns": worldServers, "ek_server_stats": worldServers, "ek_service_stat": worldServices,
			"ek_reasons": 64, "ek_cursors": worldServices, "ek_orders": 2 * worldServices, "ek_positions": 1,
		} {
			m := spec.Maps[name]
			// One CPU runs the program, so what is per CPU needs to be there once.
			m.Type, m.MaxEntries, m.Flags = ebpf.Array, size, m.Flags|unix.BPF_F_MMAPABLE
		}
		spec.Maps["ek_servers"].MaxEntries = worldServers
		spec.Maps["ek_tunnels"].MaxEntries = worldServers
		spec.Maps["ek_tables"].MaxEntries = 2 * worldServices
		spec.Maps["ek_tables"].InnerMap.Flags |= unix.BPF_F_MMAPABLE
	})
	w.conns, w.serverStats = memory[EkServerConns](tb, w.o.EkServerConns), memory[EkStats](tb, w.o.EkServerStats)
	w.serviceStats, w.reasonTotals = memory[EkStats](tb, w.o.EkServiceStat), memory[uint64](tb, w.o.EkReasons)
	w.cursors, w.orders = memory[EkCursor](tb, w.o.EkCursors), memory[EkOrder](tb, w.o.EkOrders)
	w.positions = memory[EkPositions](tb, w.o.EkPositions)
	w.makeTables(2 * tables)
	settings := EkSettings{LayoutVersion: layoutVersion, IcmpPerSecond: 1 << 30}
	copy(settings.Timeout[:], timeouts[:])
	w.put(w.o.EkSettings, uint32(0), settings)
	w.ipvs.now = w.now
	keep := func(to *[]*ebpf.Map) func(*ebpf.Map) {
		return func(m *ebpf.Map) {
			kept, err := m.Clone()
			if err != nil {
				tb.Fatal(err)
			}
			tb.Cleanup(func() { kept.Close() })
			*to = append(*to, kept)
		}
	}
	w.shards(w.o.EkFlows, keep(&w.shards4))
	w.shards(w.o.EkFlows6, keep(&w.shards6))
	return w
}

// memory is the content of an array, or of the array that is its one entry, as the program sees it.
func memory[T any](tb testing.TB, m *ebpf.Map) []T {
	tb.Helper()
	var t T
	n := max(int(m.MaxEntries()), int(m.MaxEntries()*m.ValueSize())/int(unsafe.Sizeof(t)))
	size := (int(unsafe.Sizeof(t))*n + unix.Getpagesize() - 1) &^ (unix.Getpagesize() - 1)
	raw, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		tb.Fatalf("map %s into memory: %v", m, err)
	}
	tb.Cleanup(func() {
		if err := unix.Munmap(raw); err != nil {
			tb.Error(err)
		}
	})
	return unsafe.Slice((*T)(unsafe.Pointer(&raw[0])), n)
}

// makeTables gives the first n places of ek_tables a table of full length, which
// are then written without a system call.
func (w *world) makeTables(n int) {
	w.tb.Helper()
	var places, fds []uint32
	for i := range n {
		spec := w.rig.tables.Copy()
		spec.MaxEntries, spec.Contents = sched.MaxTable, nil
		inner, err := ebpf.NewMap(spec)
		if err != nil {
			w.tb.Fatal(err)
		}
		w.tables = append(w.tables, memory[tableEntry](w.tb, inner))
		w.tb.Cleanup(func() { inner.Close() })
		places, fds = append(places, uint32(i)), append(fds, uint32(inner.FD()))
	}
	if _, err := w.o.EkTables.BatchUpdate(places, fds, nil); err != nil {
		w.tb.Fatal(err)
	}
}

// note remembers a step for the report of a failure.
func (w *world) note(format string, args ...any) {
	w.history[w.steps%len(w.history)] = fmt.Sprintf("%d: ", w.steps) + fmt.Sprintf(format, args...)
	w.steps++
}

// fail reports the steps before a difference, too.
func (w *world) fail(format string, args ...any) {
	w.tb.Helper()
	for i := range w.history {
		if line := w.history[(w.steps+i)%len(w.history)]; line != "" {
			w.tb.Log(line)
		}
	}
	w.tb.Fatalf(format, args...)
}

// send runs a packet through both and compares its fate, the frame that leaves
// and the counters.
func (w *world) send(f frame) fate {
	w.tb.Helper()
	in := f.bytes(w.tb)
	want := w.ipvs.take(f, ipSize(in))
	w.note("%s > %s proto %d %q ttl %d: %s by server %d", f.src, f.dst, f.proto, f.flags, f.ttl, want.reason, want.slot)
	options := ebpf.RunOptions{Data: in, DataOut: w.out, Context: xdpContext{DataEnd: uint32(len(in)), Ingress: inside}}
	verdict, err := w.o.EkXdp.Run(&options)
	if err != nil {
		w.tb.Fatalf("run a frame of %d bytes: %v", len(in), err)
	}
	w.compareFate(want, verdict)
	if expect := w.leaves(f, in, want); expect != nil && !bytes.Equal(options.DataOut, expect) {
		w.fail("%s: sent\n% x, want\n% x", want.reason, options.DataOut, expect)
	}
	w.compare()
	if want.flow != nil {
		w.compareFlow(want.flow)
	}
	return want
}

// compareFate compares the verdict, and the one reason that was counted.
func (w *world) compareFate(want fate, verdict uint32) {
	w.tb.Helper()
	for i, total := range w.reasonTotals {
		if total != w.ipvs.reasons[i] && reasons.Reason(i) != want.reason {
			w.fail("verdict %d because of %s, want %s by server %d", verdict, reasons.Reason(i), want.reason, want.slot)
		}
	}
	expect := map[reasons.Verdict]uint32{reasons.Pass: xdpPass, reasons.Drop: xdpDrop, reasons.Answer: xdpTX, reasons.Forward: xdpTX}
	if verdict != expect[want.reason.Verdict()] {
		w.fail("verdict %d because of %s", verdict, want.reason)
	}
}

// compare holds every counter of every server and service, used or not, and all
// reasons against the model's.
func (w *world) compare() {
	w.tb.Helper()
	different(w, "flows of server", w.conns, w.ipvs.conns)
	different(w, "packets of server", w.serverStats, w.ipvs.serverStats)
	different(w, "packets of service", w.serviceStats, w.ipvs.serviceStats)
	different(w, "reason", w.reasonTotals, w.ipvs.reasons[:])
}

func different[T comparable](w *world, what string, got, want []T) {
	if bytes.Equal(raw(got), raw(want)) {
		return
	}
	w.tb.Helper()
	for i := range got {
		if got[i] != want[i] {
			w.fail("%s %d: %+v, want %+v (%+v)", what, i, got[i], want[i], w.ipvs.dests[uint32(i)])
		}
	}
	w.fail("%s: the bytes between the values differ", what)
}

// raw is the memory of a slice.
func raw[T any](s []T) []byte {
	var t T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(t)))
}

// pass lets time go by for both, with the sweep at its end.
func (w *world) pass(d time.Duration) {
	w.tb.Helper()
	w.note("%v go by", d)
	flows, templates := w.ipvs.pass(d)
	w.advance(d)
	if got := w.sweep(); int(got.Expired) != flows || int(got.Seen) != len(w.ipvs.flows) {
		w.fail("%d flows ended and %d live, want %d and %d", got.Expired, got.Seen, flows, len(w.ipvs.flows))
	}
	if got := w.templates; int(got.Expired) != templates || int(got.Seen) != len(w.ipvs.templates) {
		w.fail("%d templates ended and %d live, want %d and %d", got.Expired, got.Seen, templates, len(w.ipvs.templates))
	}
	w.collect()
	w.compare()
}

// collect forgets the deleted servers whose flows are all gone.
func (w *world) collect() {
	for _, slot := range w.ipvs.state.Collect(func(slot uint32) bool {
		return w.ipvs.conns[slot].Total == 0 && w.ipvs.conns[slot].Persistent == 0
	}) {
		delete(w.ipvs.dests, slot)
	}
}

// apply carries an operation out on both. Operations that sched refuses change
// nothing; it says whether this one was carried out.
func (w *world) apply(op sched.Op) bool {
	w.tb.Helper()
	w.note("%s, upper %d, lower %d, %+v", op, op.Server.Upper, op.Server.Lower, op.Service)
	change, err := w.ipvs.state.Apply(op)
	switch {
	case errors.Is(err, sched.ErrTableTooLong):
		return false
	case err != nil:
		w.fail("%v", err)
	}
	w.write(change)
	w.compare()
	return true
}
