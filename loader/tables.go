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
	ResetService(id uint32) error
	PutCursor(id uint32, c lbmaps.Cursor) error
	PutOrder(id, generation uint32, places []lbmaps.Place) error
	PutPositions([]uint32) error
	// Publish makes the order that was written last valid and returns its
	// generation.
	Publish(id uint32) (generation uint32, err error)
	PutServer(slot uint32, s lbmaps.Server) error
	ResetServer(slot uint32) error
}

// kernelTables are the pinned maps, and the program that publishes orders.
type kernelTables struct {
	*lbmaps.Maps
	publish *ebpf.Program
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
