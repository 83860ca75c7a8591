package lbmaps

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
)

// Cursor is where a service's scheduler stands.
type Cursor struct {
	// Position is the index after the server chosen last, 0 before the first.
	Position uint32
	// Generation counts the orders published. Its lowest bit says which half
	// of the orders is valid.
	Generation uint32
}

func wireCursor(c Cursor) bpf.EkCursor {
	var b [8]byte
	binary.NativeEndian.PutUint32(b[:4], c.Position)
	binary.NativeEndian.PutUint32(b[4:], c.Generation)
	return bpf.EkCursor{Word: bytesWord(b)}
}

func hostCursor(c bpf.EkCursor) Cursor {
	b := wordBytes(c.Word)
	return Cursor{
		Position:   binary.NativeEndian.Uint32(b[:4]),
		Generation: binary.NativeEndian.Uint32(b[4:]),
	}
}

// Cursor returns where the service with this id stands.
func (m *Maps) Cursor(id uint32) (Cursor, error) {
	var c bpf.EkCursor
	if err := m.cursors.Lookup(id, &c); err != nil {
		return Cursor{}, fmt.Errorf("read cursor %d: %w", id, err)
	}
	return hostCursor(c), nil
}

// PutCursor sets a cursor. Only for a service that no packet can find: the
// program moves cursors by compare-and-swap.
func (m *Maps) PutCursor(id uint32, c Cursor) error {
	if err := m.cursors.Put(id, wireCursor(c)); err != nil {
		return fmt.Errorf("write cursor %d: %w", id, err)
	}
	return nil
}

// Place is one place of a service's order.
type Place struct {
	// Slot is the server's index in the maps of servers.
	Slot   uint32
	Weight int32
}

// orderIndex is the place of one of a service's two orders in ek_orders.
func orderIndex(id, generation uint32) uint32 { return id*2 + generation%2 }

// Order returns the order that a generation of the cursor names, newest server
// first. It may be longer than MaxOrder says only if somebody else wrote it;
// then it is cut.
func (m *Maps) Order(id, generation uint32) ([]Place, error) {
	var order bpf.EkOrder
	if err := m.orders.Lookup(orderIndex(id, generation), &order); err != nil {
		return nil, fmt.Errorf("read order of service %d: %w", id, err)
	}
	places := make([]Place, 0, min(order.Count, MaxOrder))
	for _, e := range order.Entry[:min(order.Count, MaxOrder)] {
		places = append(places, Place{Slot: e.Server, Weight: e.Weight})
	}
	return places, nil
}

// Order is what a scheduler decides by.
type Order struct {
	// Places are the servers, newest first, at most MaxOrder.
	Places []Place
	// Table is the table of wrr, sh, dh or mh, as slots; at most MaxTable.
	Table []uint32
	// Lowest is where wrr's round of the lowest weight begins in Table.
	Lowest uint32
}

// PutOrder writes the order that a generation names. It must not be the
// generation that is valid now.
func (m *Maps) PutOrder(id, generation uint32, o Order) error {
	switch {
	case len(o.Places) > MaxOrder:
		return fmt.Errorf("write order of service %d: %d servers, at most %d fit", id, len(o.Places), MaxOrder)
	case len(o.Table) > MaxTable:
		return fmt.Errorf("write order of service %d: table of %d entries, at most %d fit", id, len(o.Table), MaxTable)
	}
	if err := m.putTable(orderIndex(id, generation), o.Table); err != nil {
		return fmt.Errorf("write table of service %d: %w", id, err)
	}
	order := bpf.EkOrder{
		Count:       uint32(len(o.Places)),
		TableCount:  uint32(len(o.Table)),
		TableLowest: o.Lowest,
	}
	next := successors(o.Places)
	for i, p := range o.Places {
		order.Entry[i].Server, order.Entry[i].Weight, order.Entry[i].Next = p.Slot, p.Weight, next[i]
	}
	if err := m.orders.Put(orderIndex(id, generation), &order); err != nil {
		return fmt.Errorf("write order of service %d: %w", id, err)
	}
	return nil
}

// innerMap is BPF_F_INNER_MAP: maps of different sizes may take a place in the
// same outer map.
const innerMap = 1 << 12

// putTable puts a table of its own size in a place of ek_tables, or nothing.
func (m *Maps) putTable(index uint32, slots []uint32) error {
	if len(slots) == 0 {
		err := m.schedTables.Delete(index)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		return err
	}
	table, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "ek_table", Type: ebpf.Array, KeySize: 4, ValueSize: 4,
		MaxEntries: uint32(len(slots)), Flags: innerMap,
	})
	if err != nil {
		return err
	}
	defer table.Close()
	places := make([]uint32, len(slots))
	for i := range places {
		places[i] = uint32(i)
	}
	if _, err := table.BatchUpdate(places, slots, nil); err != nil {
		return err
	}
	return m.schedTables.Put(index, table)
}

// noEntry is NO_ENTRY of bpf/include/contract.h.
const noEntry = ^uint32(0)

// successors returns, for each place, the first place with a weight from it
// on, once round; noEntry everywhere when there is none.
func successors(places []Place) []uint32 {
	next := make([]uint32, len(places))
	ahead := noEntry
	for range 2 { // the second round knows what lies behind the end
		for i := len(places) - 1; i >= 0; i-- {
			if places[i].Weight > 0 {
				ahead = uint32(i)
			}
			next[i] = ahead
		}
	}
	return next
}

// PutPositions writes where a cursor at each place of the valid order stands
// in the order to publish: the argument of the program ek_publish. There is
// one for all services, so one writer.
func (m *Maps) PutPositions(positions []uint32) error {
	var all bpf.EkPositions
	if len(positions) > len(all.Position) {
		return fmt.Errorf("write positions: %d given, at most %d fit", len(positions), len(all.Position))
	}
	copy(all.Position[:], positions)
	if err := m.positions.Put(uint32(0), &all); err != nil {
		return fmt.Errorf("write positions: %w", err)
	}
	return nil
}
