package lbmaps

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// batchSize is how many entries one system call fetches, at first. A hash
// returns whole buckets, so a bucket must fit.
const batchSize = 1024

// walk calls yield with each entry of a hash or array until it returns false.
// Entries that come or go meanwhile may be missed.
func walk[K, V any](m *ebpf.Map, yield func(K, V) bool) error {
	var cursor ebpf.MapBatchCursor
	size := min(batchSize, int(m.MaxEntries()))
	keys, values := make([]K, size), make([]V, size)
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		if errors.Is(err, unix.ENOSPC) {
			size *= 2
			keys, values = make([]K, size), make([]V, size)
			continue
		}
		end := errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !end {
			return fmt.Errorf("read %s: %w", mapName(m), err)
		}
		for i := range n {
			if !yield(keys[i], values[i]) {
				return nil
			}
		}
		if end {
			return nil
		}
	}
}

// mapName is what errors call a map.
func mapName(m *ebpf.Map) string {
	info, err := m.Info()
	if err != nil {
		return m.String()
	}
	return info.Name
}
