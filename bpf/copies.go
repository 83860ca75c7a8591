package bpf

import (
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// MostSets is the binary logarithm of how many sets of copies (hot.h) the program can reach: IPv6's, half as
// many, are 512 MiB then, as far as the kernel lets a program look into one entry.
const MostSets = 21

// SetCopies gives a collection 2^sets sets of copies of IPv4's flows, and half as many of IPv6's.
func SetCopies(spec *ebpf.CollectionSpec, sets int) error {
	if sets < 2 || sets > MostSets {
		return fmt.Errorf("2^%d sets of copies: want 2^2 to 2^%d", sets, MostSets)
	}
	for name, n := range map[string]uint32{EkMapEkHot: 1 << sets, EkMapEkHot6: 1 << (sets - 1)} {
		if err := setElements(spec.Maps[name], n); err != nil {
			return fmt.Errorf("map %s: %w", name, err)
		}
	}
	if err := spec.Variables[EkVarHotShift].Set(uint32(64 - sets)); err != nil {
		return fmt.Errorf("set %s: %w", EkVarHotShift, err)
	}
	return nil
}

// Sets returns the binary logarithm of how many sets of copies a map of IPv4's has, whichever version made it.
func Sets(hot *ebpf.Map) int {
	sets := 0
	for size := hot.ValueSize() / uint32(unsafe.Sizeof(EkHotSet{})); size > 1; size /= 2 {
		sets++
	}
	return sets
}

// setElements makes the value of a map, a struct with one array in it, one of n elements.
func setElements(m *ebpf.MapSpec, n uint32) error {
	value, ok := m.Value.(*btf.Struct)
	if !ok || len(value.Members) != 1 {
		return fmt.Errorf("its value is %v, want a struct with one member", m.Value)
	}
	array, ok := value.Members[0].Type.(*btf.Array)
	if !ok {
		return fmt.Errorf("its value has %v, want an array", value.Members[0].Type)
	}
	element := m.ValueSize / array.Nelems
	resized, elements := *value, *array
	elements.Nelems = n
	resized.Size, resized.Members = n*element, []btf.Member{{Name: value.Members[0].Name, Type: &elements}}
	m.Value, m.ValueSize = &resized, n*element
	return nil
}
