package ipvs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// The ways in which an operation cannot be carried out, beside the kernel's.
var (
	// ErrClosed means that the datapath was closed.
	ErrClosed = errors.New("datapath is closed")
	// ErrNoScheduler means that the kernel lacks the scheduler's module.
	ErrNoScheduler = errors.New("the kernel has no such scheduler")
	// ErrNoService and ErrNoServer mean that what an operation is about is
	// not in the kernel, though it was put there.
	ErrNoService = errors.New("no such service in the kernel")
	ErrNoServer  = errors.New("no such server in the kernel")
)

// Options describe the datapath to start. The zero value is the default of
// each field.
type Options struct {
	// Timeouts of idle flows; a zero one stays what it is in the kernel.
	Timeouts Timeouts
	// Proc is where flows are read; default /proc/thread-self/net, which is
	// the network namespace of the calling thread.
	Proc string
	// OnlyIfLoaded says to load nothing: where the module is not there, there
	// is nothing to see either, and Start's error wraps ErrNoIPVS.
	OnlyIfLoaded bool
	// Log takes one line for each change of state; default discards.
	Log *slog.Logger

	// family is the name of the kernel's interface, and load loads its
	// module; tests replace them.
	family string
	load   func() error
}

// errNotLoaded is why the module was not loaded with OnlyIfLoaded.
var errNotLoaded = errors.New("nobody has loaded it, and nobody shall")

// IPVS is the kernel's IPVS in one network namespace: that of the thread that
// called Start. Its methods may be called from any goroutine.
type IPVS struct {
	opts Options

	mu     sync.Mutex // guards what follows
	conn   conn
	closed bool
	// ours are the services that this datapath may show and touch.
	ours map[model.ServiceKey]bool
	// synced are the roles of the sync daemons that were asked for here.
	synced map[SyncRole]bool
}

// Start finds the kernel's IPVS, and has its module loaded if it is not there.
// The error wraps ErrNoIPVS where the kernel has none. Services that are in
// IPVS already stay as they are.
func Start(ctx context.Context, o Options) (*IPVS, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Proc == "" {
		o.Proc = "/proc/thread-self/net"
	}
	if o.OnlyIfLoaded {
		o.load = func() error { return errNotLoaded }
	}
	if o.load == nil {
		o.load = loadModule
	}
	if o.family == "" {
		o.family = familyName
	}
	c, err := dial(o.family, o.load)
	if err != nil {
		return nil, fmt.Errorf("start ipvs: %w", err)
	}
	version, size, err := c.info(ctx)
	if err == nil {
		err = setTimeouts(o.Timeouts)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start ipvs: %w", err), c.Close())
	}
	o.Log.Info("found the kernel's IPVS", "version", version, "flow_table_size", size)
	return &IPVS{opts: o, conn: c, ours: make(map[model.ServiceKey]bool), synced: make(map[SyncRole]bool)}, nil
}

// Claim takes over services that may be in IPVS already, from an earlier run
// or another program: from now on Snapshot shows them and operations edit them.
func (v *IPVS) Claim(keys ...model.ServiceKey) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, k := range keys {
		v.ours[k] = true
	}
}

// ClaimAll takes over all services that are in IPVS now.
func (v *IPVS) ClaimAll(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return ErrClosed
	}
	all, err := v.services(ctx)
	for _, entry := range all {
		v.ours[entry.Key] = true
	}
	return err
}

// Close lets go of the datapath; services and flows stay in the kernel.
func (v *IPVS) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil
	}
	v.closed = true
	return v.conn.Close()
}

// Timeouts are those of idle flows, in whole seconds.
type Timeouts struct {
	TCP, TCPFin, UDP time.Duration
}
