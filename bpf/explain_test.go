//go:build bpf

package bpf

import (
	"errors"
	"hash/maphash"
	"io"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/sched"
)

// twin is a rig with the program without effect on the same maps.
type twin struct {
	*rig
	dry     EkDryObjects
	maps    map[string]*ebpf.Map
	shard   uint32                 // entries of one
	inner   map[string][]*ebpf.Map // of the arrays of maps, as long as they hold
	buffers map[[2]int]reflect.Value
	seed    maphash.Seed // of sum
}

func newTwin(t *testing.T, flows uint32) *twin {
	t.Helper()
	r := newRig(t, flows, sched.Profile{}, func(spec *ebpf.CollectionSpec) {
		for _, name := range []string{"ek_services", "ek_cursors", "ek_service_stat", "ek_ports"} {
			spec.Maps[name].MaxEntries = uint32(explained)
		}
		for _, name := range []string{"ek_orders", "ek_tables"} {
			spec.Maps[name].MaxEntries = 2 * uint32(explained)
		}
		spec.Maps["ek_templates"].MaxEntries = 3
		spec.Maps["ek_templates6"].MaxEntries = 3
		for _, name := range []string{"ek_servers", "ek_tunnels", "ek_server_conns", "ek_server_stats"} {
			spec.Maps[name].MaxEntries = 4 * uint32(explained)
		}
	})
	w := &twin{rig: r, maps: map[string]*ebpf.Map{}, shard: max(flows/16, 1), buffers: map[[2]int]reflect.Value{}, seed: maphash.MakeSeed(), inner: map[string][]*ebpf.Map{}}
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
	replies, templates, flows := w.o.EkReplies, w.o.EkTemplates, w.innerOf("ek_flows")
	if told.V6 != 0 {
		replies, templates, flows = w.o.EkReplies6, w.o.EkTemplates6, w.innerOf("ek_flows6")
	}
	return w.runDry(frame, EkDryAssumed{
		RepliesFull:   flag(w.count(replies) == replies.MaxEntries()),
		TemplatesFull: flag(w.count(templates) == templates.MaxEntries()),
		FlowsFull:     flag(w.count(flows[told.Shard]) == w.shard),
	})
}

// innerOf opens what is in an array of maps, once.
func (w *twin) innerOf(name string) []*ebpf.Map {
	w.tb.Helper()
	if w.inner[name] == nil {
		for i := range w.maps[name].MaxEntries() {
			var inner *ebpf.Map
			if w.maps[name].Lookup(i, &inner) == nil {
				w.inner[name] = append(w.inner[name], inner)
			}
		}
		w.tb.Cleanup(func() { w.forget(name) })
	}
	return w.inner[name]
}

// forget closes what innerOf opened: the maps in the array are replaced.
func (w *twin) forget(name string) {
	for _, inner := range w.inner[name] {
		inner.Close()
	}
	delete(w.inner, name)
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
		if w.maps[name].Type() != ebpf.ArrayOfMaps {
			w.dump(&h, w.maps[name])
			continue
		}
		for _, inner := range w.innerOf(name) {
			w.dump(&h, inner)
		}
	}
	return h.Sum64()
}

func (w *twin) dump(to io.Writer, m *ebpf.Map) {
	w.tb.Helper()
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
