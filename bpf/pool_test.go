//go:build bpf

package bpf

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf/fold"
	"github.com/evenkeel/evenkeel/sched"
)

// loaded is a collection in the kernel that tests take in turns: to load the
// program takes a second, and where the processor is emulated ten, most of it the
// verifier's. What a test finds is always what a new load would have: the maps are
// cleared when one is taken, so that it does not matter how the last test ended.
type loaded struct {
	constants constants
	o         EkObjects
	tables    *ebpf.MapSpec // of a scheduler's table
	shards    []*ebpf.Map   // of flows, both families
	variables [][]byte      // as loaded
	taken     bool
}

// constants is what is chosen when the program is loaded.
type constants struct {
	flows   uint32
	profile sched.Profile
}

// pool has the collections that were loaded so far, for the life of the test
// binary. The tests of this package do not run in parallel.
var pool []*loaded

// take returns a collection that nobody else has, and that is as if new.
func take(tb testing.TB, c constants) *loaded {
	tb.Helper()
	for _, l := range pool {
		if l.constants == c && !l.taken {
			l.clear(tb)
			l.taken = true
			return l
		}
	}
	l := load(tb, c, small)
	l.taken = true
	pool = append(pool, l)
	return l
}

// small makes the maps small of which tests use little, so that to clear them
// takes no time.
func small(spec *ebpf.CollectionSpec) {
	const services, servers, ports = 16, 512, 64
	for size, names := range map[uint32][]string{
		ports:        {"ek_ports"},
		services:     {"ek_services", "ek_cursors", "ek_service_stat", "ek_limits", "ek_overload"},
		2 * services: {"ek_orders", "ek_tables"}, // two of each service
		servers:      {"ek_servers", "ek_tunnels", "ek_server_conns", "ek_server_stats"},
	} {
		for _, name := range names {
			spec.Maps[name].MaxEntries = size
		}
	}
}

// load loads the program to follow a generation of IPVS. change may change the
// collection.
func load(tb testing.TB, c constants, change ...func(*ebpf.CollectionSpec)) *loaded {
	tb.Helper()
	spec, err := LoadEk()
	if err != nil {
		tb.Fatal(err)
	}
	for name, value := range map[string]bool{
		"test_clock": true, "old_overhead": c.profile.OldOverhead, "old_thresholds": c.profile.OldThresholds,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			tb.Fatal(err)
		}
	}
	if err := spec.Variables["tick_rate"].Set(uint32(1000)); err != nil {
		tb.Fatal(err)
	}
	shrink(tb, spec, c.flows)
	for _, f := range change {
		f(spec)
	}
	fold.Collection(spec)
	l := &loaded{constants: c, tables: spec.Maps["ek_tables"].InnerMap}
	if err := spec.LoadAndAssign(&l.o, nil); err != nil {
		var refused *ebpf.VerifierError
		if errors.As(err, &refused) {
			tb.Fatalf("%+v", refused)
		}
		tb.Fatal(err)
	}
	l.fillShards(tb, l.o.EkFlows, spec.Maps["ek_flows"].InnerMap)
	l.fillShards(tb, l.o.EkFlows6, spec.Maps["ek_flows6"].InnerMap)
	for _, v := range l.vars() {
		l.variables = append(l.variables, value(tb, v))
	}
	return l
}

// fillShards makes the maps that the flows of a family lie in.
func (l *loaded) fillShards(tb testing.TB, outer *ebpf.Map, spec *ebpf.MapSpec) {
	tb.Helper()
	var places, fds []uint32
	for i := range uint32(16) {
		inner, err := ebpf.NewMap(spec)
		if err != nil {
			tb.Fatal(err)
		}
		l.shards = append(l.shards, inner)
		places, fds = append(places, i), append(fds, uint32(inner.FD()))
	}
	// At once, since the kernel waits for running programs in each call.
	if _, err := outer.BatchUpdate(places, fds, nil); err != nil {
		tb.Fatal(err)
	}
}

func (l *loaded) close() {
	for _, shard := range l.shards {
		shard.Close()
	}
	l.o.Close()
}

// maps are all maps of the collection, by name.
func (l *loaded) maps() map[string]*ebpf.Map {
	list := map[string]*ebpf.Map{}
	all := reflect.ValueOf(l.o.EkMaps)
	for i := range all.NumField() {
		list[all.Type().Field(i).Tag.Get("ebpf")] = all.Field(i).Interface().(*ebpf.Map)
	}
	return list
}

// vars are the variables that can change.
func (l *loaded) vars() (list []*ebpf.Variable) {
	all := reflect.ValueOf(l.o.EkVariables)
	for i := range all.NumField() {
		if v := all.Field(i).Interface().(*ebpf.Variable); !v.ReadOnly() {
			list = append(list, v)
		}
	}
	return list
}

func value(tb testing.TB, v *ebpf.Variable) []byte {
	tb.Helper()
	bytes := make([]byte, v.Size())
	if err := v.Get(bytes); err != nil {
		tb.Fatal(err)
	}
	return bytes
}

// clear makes the collection what it was when it was loaded.
func (l *loaded) clear(tb testing.TB) {
	tb.Helper()
	for name, m := range l.maps() {
		switch m.Type() {
		case ebpf.Array, ebpf.PerCPUArray:
			zero(tb, m)
		case ebpf.Hash:
			empty(tb, m)
		case ebpf.ArrayOfMaps:
			if m != l.o.EkFlows && m != l.o.EkFlows6 {
				empty(tb, m)
			}
		default:
			tb.Fatalf("clear %s: nobody said how to clear a map of type %s", name, m.Type())
		}
	}
	for _, shard := range l.shards {
		empty(tb, shard)
	}
	for i, v := range l.vars() {
		if err := v.Set(l.variables[i]); err != nil {
			tb.Fatal(err)
		}
	}
}

// zero clears an array.
func zero(tb testing.TB, m *ebpf.Map) {
	tb.Helper()
	if _, err := m.BatchUpdate(places(m), cells(m).Interface(), nil); err != nil {
		tb.Fatalf("clear %s: %v", m, err)
	}
}

// places are the keys of an array.
func places(m *ebpf.Map) []uint32 {
	all := make([]uint32, m.MaxEntries())
	for i := range all {
		all[i] = uint32(i)
	}
	return all
}

// cells has room for all values of an array.
func cells(m *ebpf.Map) reflect.Value {
	n, size := int(m.MaxEntries()), int(m.ValueSize())
	if m.Type() == ebpf.PerCPUArray {
		n *= ebpf.MustPossibleCPU()
	}
	return reflect.MakeSlice(reflect.SliceOf(reflect.ArrayOf(size, reflect.TypeFor[byte]())), n, n)
}

// empty deletes all entries of a map.
func empty(tb testing.TB, m *ebpf.Map) {
	tb.Helper()
	for _, key := range keys(tb, m) {
		if err := m.Delete(key); err != nil {
			tb.Fatalf("clear %s: %v", m, err)
		}
	}
}

// keys returns the keys under which a map has something.
func keys(tb testing.TB, m *ebpf.Map) (list [][]byte) {
	tb.Helper()
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	all := m.Iterate()
	for all.Next(&key, &value) {
		list = append(list, slices.Clone(key))
	}
	if err := all.Err(); err != nil {
		tb.Fatal(err)
	}
	return list
}
