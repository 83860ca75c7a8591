package lbmaps

import (
	"encoding/binary"
	"fmt"

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

// PutOrder writes the order that a generation names, newest server first, at
// most MaxOrder of them. It must not be the generation that is valid now.
func (m *Maps) PutOrder(id, generation uint32, places []Place) error {
	if len(places) > MaxOrder {
		return fmt.Errorf("write order of service %d: %d servers, at most %d fit", id, len(places), MaxOrder)
	}
	order := bpf.EkOrder{Count: uint32(len(places))}
	next := successors(places)
	for i, p := range places {
		order.Entry[i].Server, order.Entry[i].Weight, order.Entry[i].Next = p.Slot, p.Weight, next[i]
	}
	if err := m.orders.Put(orderIndex(id, generation), &order); err != nil {
		return fmt.Errorf("write order of service %d: %w", id, err)
	}
	return nil
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
