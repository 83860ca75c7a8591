package lbmaps

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bpf"
)

// SweepKeys is how many flows or templates one run of ek_sweep looks at, and
// how many a Sweep reads at once at most. The kernel pauses after each, so this bounds
// how long the sweep holds a CPU: about 0.3 microseconds each.
const SweepKeys = 512

// walkBuckets bounds how many buckets of a shard's hash the kernel walks to read one
// piece, on average: empty ones are some three nanoseconds each.
const walkBuckets = 1 << 17

// Sweeps is the number of maps that are swept: the shards, and after them the
// templates of both families.
const Sweeps = Shards + 2

// SweepKey is a key of any kind of flow or template as ek_sweep_keys holds it.
type SweepKey [40]byte

// Piece is what one step of a Sweep read.
type Piece struct {
	// Live counts those whose time is not over.
	Live uint32
	// Over are the keys of the others, until the next step. They are not more
	// than SweepKeys but for very long buckets of the hash.
	Over []SweepKey
	// Last is set when the map was read to its end.
	Last bool
}

// Sweep reads one of the maps that are swept, piece by piece. It is for one
// goroutine.
type Sweep struct {
	next func(now uint64, all bool) (Piece, error)
}

// Next reads the next piece. With all set each entry that is there counts as over. now
// is the programs' clock (see Now). Entries that come or go meanwhile may be missed.
func (s *Sweep) Next(now uint64, all bool) (Piece, error) { return s.next(now, all) }

// Sweep begins a pass over one of the Sweeps maps.
func (m *Maps) Sweep(i int) *Sweep {
	switch {
	case i < FlowShards:
		return &Sweep{(&pieces[bpf.EkFlowKey, bpf.EkFlow]{table: m.shards[i], lives: flowLives, used: m.usedIn(i)}).next}
	case i < Shards:
		return &Sweep{(&pieces[bpf.EkFlow6Key, bpf.EkFlow]{table: m.shards[i], lives: flowLives, used: m.usedIn(i)}).next}
	case i == Shards:
		return &Sweep{(&pieces[bpf.EkTemplateKey, bpf.EkTemplate]{table: m.templates, lives: templateLives}).next}
	}
	return &Sweep{(&pieces[bpf.EkTemplate6Key, bpf.EkTemplate]{table: m.templates6, lives: templateLives}).next}
}

// usedIn returns a function that reads how many entries of a shard are in use.
func (m *Maps) usedIn(shard int) func() (uint32, error) {
	return func() (uint32, error) {
		var ring bpf.EkHalfRing
		if err := m.halfRings.Lookup(uint32(shard), &ring); err != nil {
			return 0, fmt.Errorf("read %s: %w", bpf.EkMapEkHalfRings, err)
		}
		return ring.Used, nil
	}
}

// pieces reads a map of one kind.
type pieces[K, V any] struct {
	table *ebpf.Map
	lives func(v *V, now uint64) bool
	// used reads how many entries the map has. Nil for a small map.
	used   func() (uint32, error)
	cursor ebpf.MapBatchCursor
	keys   []K
	values []V
	over   []SweepKey
}

func (r *pieces[K, V]) grow(size int) { r.keys, r.values = make([]K, size), make([]V, size) }

// begin makes room for a piece. There is none to read, so no room, where the map is empty;
// and little where its entries are few among many buckets.
func (r *pieces[K, V]) begin() error {
	size := min(SweepKeys, r.table.MaxEntries())
	if r.used != nil {
		used, err := r.used()
		if err != nil {
			return err
		}
		size = pieceSize(used, r.table.MaxEntries())
	}
	r.grow(int(size))
	return nil
}

// pieceSize returns how many entries are read at once of a hash that has room for so many:
// its buckets are as many, rounded up to a power of two.
func pieceSize(used, room uint32) uint32 {
	if used == 0 {
		return 0
	}
	buckets := uint64(1) << bits.Len32(room-1)
	if buckets <= walkBuckets {
		return min(SweepKeys, room)
	}
	return uint32(max(1, min(SweepKeys, uint64(used)*walkBuckets/buckets)))
}

func (r *pieces[K, V]) next(now uint64, all bool) (Piece, error) {
	if r.keys == nil {
		if err := r.begin(); err != nil {
			return Piece{}, err
		}
	}
	if len(r.keys) == 0 {
		return Piece{Last: true}, nil
	}
	n, err := r.table.BatchLookup(&r.cursor, r.keys, r.values, nil)
	for errors.Is(err, unix.ENOSPC) { // a bucket is longer
		r.grow(2 * len(r.keys))
		n, err = r.table.BatchLookup(&r.cursor, r.keys, r.values, nil)
	}
	end := errors.Is(err, ebpf.ErrKeyNotExist)
	if err != nil && !end {
		return Piece{}, fmt.Errorf("read %s: %w", mapName(r.table), err)
	}
	p := Piece{Last: end, Over: r.over[:0]}
	for i := range n {
		if !all && r.lives(&r.values[i], now) {
			p.Live++
			continue
		}
		var key SweepKey
		if _, err := binary.Encode(key[:], binary.NativeEndian, &r.keys[i]); err != nil {
			return Piece{}, fmt.Errorf("read %s: %w", mapName(r.table), err)
		}
		p.Over = append(p.Over, key)
	}
	r.over = p.Over
	return p, nil
}

func flowLives(f *bpf.EkFlow, now uint64) bool {
	return hostFlowWord(f.Now.Word).state < States && f.Expires > now
}

// templateLives is false for a template that outlived its time because of its flows,
// too: the program gives it more.
func templateLives(t *bpf.EkTemplate, now uint64) bool {
	return hostTemplateState(t.Now.Word) == templateLive && t.Expires > now
}

// templateLive is TEMPLATE_LIVE.
const templateLive = 1

// hostTemplateState returns the state in union template_word.
func hostTemplateState(word uint64) uint8 {
	b := wordBytes(word)
	return b[6]
}
