package lbmaps

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bpf"
)

// SweepKeys is how many flows or templates one run of ek_sweep looks at, and
// how many a Sweep reads at once. The kernel pauses after each, so this bounds
// how long the sweep holds a CPU: about 0.3 microseconds each.
const SweepKeys = 512

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
		return newSweep[bpf.EkFlowKey](m.shards[i], flowLives)
	case i < Shards:
		return newSweep[bpf.EkFlow6Key](m.shards[i], flowLives)
	case i == Shards:
		return newSweep[bpf.EkTemplateKey](m.templates, templateLives)
	}
	return newSweep[bpf.EkTemplate6Key](m.templates6, templateLives)
}

func newSweep[K, V any](m *ebpf.Map, lives func(v *V, now uint64) bool) *Sweep {
	r := &pieces[K, V]{table: m, lives: lives}
	r.grow(min(SweepKeys, int(m.MaxEntries())))
	return &Sweep{r.next}
}

// pieces reads a map of one kind.
type pieces[K, V any] struct {
	table  *ebpf.Map
	lives  func(v *V, now uint64) bool
	cursor ebpf.MapBatchCursor
	keys   []K
	values []V
	over   []SweepKey
}

func (r *pieces[K, V]) grow(size int) { r.keys, r.values = make([]K, size), make([]V, size) }

func (r *pieces[K, V]) next(now uint64, all bool) (Piece, error) {
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
