package lbmaps

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/bpf/reasons"
)

// ErrNoMap is returned for a name that no map has.
var ErrNoMap = errors.New("no such map")

// Shape is what a map looks like.
type Shape struct {
	Name string `json:"name"`
	// Type is the kernel's word, such as Hash.
	Type string `json:"type"`
	// Key and Value are C types.
	Key        string `json:"key"`
	Value      string `json:"value"`
	MaxEntries uint32 `json:"max_entries"`
	// Maps is how many maps lie in it; 0 for a map of values.
	Maps uint32 `json:"maps,omitempty"`
}

// Entry is one entry of a map, decoded by its BTF types.
type Entry struct {
	// Place is the index of the map that it lies in, for a map of maps.
	Place *uint32 `json:"place,omitempty"`
	Key   any     `json:"key"`
	// Value is nil for a map with a value for each CPU.
	Value any `json:"value,omitempty"`
	// CPUs has one value for each possible CPU.
	CPUs []any `json:"cpus,omitempty"`
}

// Names returns the names of all maps, sorted.
func Names() []string { return slices.Sorted(maps.Keys(new(Maps).named())) }

// Shapes describes all maps, by name.
func (m *Maps) Shapes() ([]Shape, error) {
	spec, err := bpf.LoadEk()
	if err != nil {
		return nil, fmt.Errorf("read the types of the maps: %w", err)
	}
	var list []Shape
	all := m.ByName()
	for _, name := range Names() {
		entries := all[name]
		s := Shape{Name: name, Type: entries.Type().String(), MaxEntries: entries.MaxEntries()}
		typed := spec.Maps[name]
		if typed.InnerMap != nil {
			s.Maps = entries.MaxEntries()
			s.MaxEntries = typed.InnerMap.MaxEntries
			if inner, err := firstInner(entries); err == nil {
				s.MaxEntries = inner.MaxEntries()
				inner.Close()
			}
			typed = typed.InnerMap
		}
		s.Key, s.Value = TypeName(typed.Key), TypeName(typed.Value)
		list = append(list, s)
	}
	return list, nil
}

func firstInner(outer *ebpf.Map) (inner *ebpf.Map, err error) {
	return inner, outer.Lookup(uint32(0), &inner)
}

// Dump calls yield with each entry of a map until it returns false; a map of
// maps gives the entries of all its maps. Without all, the entries of arrays
// that are zero are left out. The error wraps ErrNoMap.
func (m *Maps) Dump(name string, all bool, yield func(Entry) bool) error {
	from, ok := m.ByName()[name]
	if !ok {
		return fmt.Errorf("read %s: %w", name, ErrNoMap)
	}
	spec, err := bpf.LoadEk()
	if err != nil {
		return fmt.Errorf("read the types of the maps: %w", err)
	}
	d := dumper{name: name, key: spec.Maps[name].Key, value: spec.Maps[name].Value, all: all, yield: yield}
	if spec.Maps[name].InnerMap == nil {
		_, err := d.dump(from)
		return err
	}
	d.key, d.value = spec.Maps[name].InnerMap.Key, spec.Maps[name].InnerMap.Value
	return d.dumpInner(from)
}

// dumper decodes the entries of one map.
type dumper struct {
	name       string
	key, value btf.Type
	place      *uint32
	all        bool
	yield      func(Entry) bool
}

func (d *dumper) dumpInner(outer *ebpf.Map) error {
	for place := range outer.MaxEntries() {
		var inner *ebpf.Map
		err := outer.Lookup(place, &inner)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s, map %d: %w", d.name, place, err)
		}
		d.place = &place
		more, err := d.dump(inner)
		if err = errors.Join(err, inner.Close()); err != nil || !more {
			return err
		}
	}
	return nil
}

// dump reports whether the reader wants more.
func (d *dumper) dump(m *ebpf.Map) (bool, error) {
	key := make([]byte, m.KeySize())
	perCPU := m.Type() == ebpf.PerCPUArray
	var value []byte
	var cpus [][]byte
	all := m.Iterate()
	next := func() bool {
		if perCPU {
			return all.Next(&key, &cpus)
		}
		return all.Next(&key, &value)
	}
	for next() {
		if !perCPU {
			cpus = [][]byte{value}
		}
		// In a map of maps, a table of servers, 0 is the first server.
		if m.Type() != ebpf.Hash && d.place == nil && !d.all && allZero(cpus) {
			continue
		}
		if !d.yield(d.entry(key, cpus, perCPU)) {
			return false, nil
		}
	}
	if err := all.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return false, fmt.Errorf("read %s: %w", d.name, err)
	}
	return true, nil
}

func allZero(values [][]byte) bool {
	for _, v := range values {
		for _, b := range v {
			if b != 0 {
				return false
			}
		}
	}
	return true
}

func (d *dumper) entry(key []byte, cpus [][]byte, perCPU bool) Entry {
	e := Entry{Place: d.place, Key: decode(d.key, key)}
	if d.name == bpf.EkMapEkReasons {
		if number, ok := e.Key.(uint64); ok {
			e.Key = Fields{{"number", number}, {"name", reasons.Reason(number).String()}}
		}
	}
	if !perCPU {
		e.Value = decode(d.value, cpus[0])
		return e
	}
	for _, v := range cpus {
		e.CPUs = append(e.CPUs, decode(d.value, v))
	}
	return e
}
