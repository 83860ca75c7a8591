//go:build bpf

package bpf

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/sched"
)

// A test leaves nothing to the next: whatever was written to a collection, in
// every map and variable, is gone when it is taken again.
func TestClearedRigIsAsNew(t *testing.T) {
	c := constants{1024, sched.Profile{}}
	fresh := load(t, c, small)
	t.Cleanup(fresh.close)
	r := newRig(t, c.flows, c.profile)
	used := r.of
	want := fresh.contents(t)
	for round := range 2 {
		used.soil(t)
		got := used.contents(t)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if bytes.Equal(got[name], want[name]) {
				t.Errorf("round %d: nothing was written to %s: the test sees nothing", round, name)
			}
		}
		used.clear(t)
		got = used.contents(t)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if !bytes.Equal(got[name], want[name]) {
				t.Errorf("round %d: %s is not as new", round, name)
			}
		}
	}
}

// A rig is nobody else's until it is given back, and then the next one's, with
// nothing in it but what every rig begins with.
func TestRigsTakeTurns(t *testing.T) {
	first := newService(t, EkForwardFORWARD_NAT)
	first.send(syn().bytes(t), xdpTX, reasons.ForwardedNAT)
	of := first.of
	second := newService(t, EkForwardFORWARD_NAT)
	if second.of == of {
		t.Fatal("two rigs have one collection")
	}
	second.release()
	first.release()
	third := newRig(t, 1024, sched.Profile{})
	if third.of != of {
		t.Error("what was given back is not used again")
	}
	third.wantConns(0, 0, 0)
	if left := len(keys(t, third.o.EkServices)) + len(keys(t, third.o.EkReplies)); left != 0 {
		t.Errorf("%d services and reply tuples are left", left)
	}
}

// soil writes something to each map and variable.
func (l *loaded) soil(tb testing.TB) {
	tb.Helper()
	for name, m := range l.maps() {
		switch {
		case m == l.o.EkFlows || m == l.o.EkFlows6: // below
		case m.Type() == ebpf.ArrayOfMaps:
			inner, err := ebpf.NewMap(l.tables)
			if err != nil {
				tb.Fatal(err)
			}
			soilMap(tb, name, inner)
			if err := m.Put(m.MaxEntries()-1, inner); err != nil {
				tb.Fatal(err)
			}
			inner.Close()
		default:
			soilMap(tb, name, m)
		}
	}
	for _, shard := range l.shards {
		soilMap(tb, "a shard", shard)
	}
	for i, v := range l.vars() {
		changed := slices.Clone(l.variables[i])
		changed[0] ^= 0xff
		if err := v.Set(changed); err != nil {
			tb.Fatal(err)
		}
	}
}

// soilMap writes to the first and the last place of an array, or to some key.
func soilMap(tb testing.TB, name string, m *ebpf.Map) {
	tb.Helper()
	if m.Type() == ebpf.Hash {
		key, value := bytes.Repeat([]byte{0x5a}, int(m.KeySize())), bytes.Repeat([]byte{0xa5}, int(m.ValueSize()))
		if err := m.Put(key, value); err != nil {
			tb.Fatalf("write to %s: %v", name, err)
		}
		return
	}
	values := cells(m)
	all := cellBytes(values.Len(), m, values.UnsafePointer())
	each := len(all) / int(m.MaxEntries())
	for _, place := range []int{0, int(m.MaxEntries()) - 1} {
		copy(all[place*each:], bytes.Repeat([]byte{0xa5}, each))
	}
	if _, err := m.BatchUpdate(places(m), values.Interface(), nil); err != nil {
		tb.Fatalf("write to %s: %v", name, err)
	}
}

func cellBytes(n int, m *ebpf.Map, at unsafe.Pointer) []byte {
	return unsafe.Slice((*byte)(at), n*int(m.ValueSize()))
}

// contents is what lies in each map, and in the variables.
func (l *loaded) contents(tb testing.TB) map[string][]byte {
	tb.Helper()
	all := map[string][]byte{}
	for name, m := range l.maps() {
		if m.Type() != ebpf.ArrayOfMaps {
			all[name] = content(tb, m)
			continue
		}
		for _, key := range keys(tb, m) {
			var inner *ebpf.Map
			if err := m.Lookup(key, &inner); err != nil {
				tb.Fatal(err)
			}
			all[name] = append(append(all[name], key...), content(tb, inner)...)
			inner.Close()
		}
	}
	for _, v := range l.vars() {
		all["variables"] = append(all["variables"], value(tb, v)...)
	}
	return all
}

// content is what lies in a map: the values of an array, the entries of a hash.
func content(tb testing.TB, m *ebpf.Map) (all []byte) {
	tb.Helper()
	if m.Type() == ebpf.Hash {
		for _, key := range keys(tb, m) {
			v, err := m.LookupBytes(key)
			if err != nil {
				tb.Fatal(err)
			}
			all = append(append(all, key...), v...)
		}
		return all
	}
	var cursor ebpf.MapBatchCursor
	values := cells(m)
	n, err := m.BatchLookup(&cursor, make([]uint32, m.MaxEntries()), values.Interface(), nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) || n != int(m.MaxEntries()) {
		tb.Fatalf("read %s: %d places, %v", m, n, err)
	}
	return cellBytes(values.Len(), m, values.UnsafePointer())
}
