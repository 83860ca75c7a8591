package loader

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
)

// tables are the writes that operations are made of. A process may end between
// any two, and tests end it there.
type tables interface {
	PutService(lbmaps.Service) error
	DeleteService(model.ServiceKey) error
	PutKnown(end uint32, known byte) error
	ResetService(id uint32) error
	PutCursor(id uint32, c lbmaps.Cursor) error
	PutOrder(id, generation uint32, o lbmaps.Order) error
	PutPositions([]uint32) error
	// Publish makes the order that was written last valid and returns its
	// generation.
	Publish(id uint32) (generation uint32, err error)
	PutServer(slot uint32, s lbmaps.Server) error
	// Edited follows a change of a server's thresholds, after PutServer.
	Edited(slot, oldUpper, oldLower uint32) error
	ResetServer(slot uint32) error
}

// kernelTables are the pinned maps, and the program that publishes orders.
type kernelTables struct {
	*lbmaps.Maps
	publish, edit *ebpf.Program
}

// Edited runs ek_edit.
func (k kernelTables) Edited(slot, oldUpper, oldLower uint32) error {
	arg := bpf.EkEdit{Server: slot, OldUpper: oldUpper, OldLower: oldLower}
	ret, err := k.edit.Run(&ebpf.RunOptions{Context: arg})
	if err == nil && ret != 0 {
		err = fmt.Errorf("it returned %d", int32(ret))
	}
	if err != nil {
		return fmt.Errorf("run %s for server %d: %w", bpf.EkProgEkEdit, slot, err)
	}
	return nil
}

// Publish runs ek_publish.
func (k kernelTables) Publish(id uint32) (uint32, error) {
	got := bpf.EkPublish{}
	ret, err := k.publish.Run(&ebpf.RunOptions{Context: bpf.EkPublish{Service: id}, ContextOut: &got})
	if err == nil && ret != 0 {
		err = fmt.Errorf("it returned %d", int32(ret))
	}
	if err != nil {
		return 0, fmt.Errorf("run %s for service %d: %w", bpf.EkProgEkPublish, id, err)
	}
	return got.Generation, nil
}
