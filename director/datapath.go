package director

import (
	"context"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// Datapath runs virtual services.
type Datapath interface {
	// Apply carries out operations in order. It is idempotent after a
	// restart: operations that were carried out before an error or a crash
	// may come again. After an error some may have been carried out; take a
	// Snapshot and Reconcile.
	Apply(context.Context, []sched.Op) error
	// Snapshot returns what runs now, newest server first.
	Snapshot(context.Context) (model.Tables, error)
	// Flows calls yield with each flow until it returns false.
	Flows(ctx context.Context, yield func(model.Flow) bool) error
	// Close lets go of the datapath; what runs in the kernel goes on.
	Close() error
}
