package loader

import (
	"context"
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/lbmaps"
)

// The rhythm of Run: both families' flow tables are swept once a second, one shard at
// a time, and after them the persistence templates. IPVS looks at deleted servers each minute and gives up those that
// were idle for two.
const (
	sweepSteps      = lbmaps.Shards + 2
	sweepInterval   = time.Second / sweepSteps
	collectInterval = time.Minute
	trashPeriod     = 2 * time.Minute
)

// sweepCounts are what the sweeps met.
type sweepCounts struct {
	live    [lbmaps.Shards]uint32
	expired uint64
}

// Run looks after the datapath until ctx ends, and then returns nil: it ends
// idle flows, frees the slots of deleted servers, follows the interfaces and heals
// their attachments. What fails is logged and tried again.
func (x *XDP) Run(ctx context.Context) error {
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	collect := time.NewTicker(collectInterval)
	defer collect.Stop()
	complain := complaints{}
	for step := uint32(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case now := <-collect.C:
			complain.note(x, "cannot free the slots of deleted servers", x.collect(now))
		case now := <-sweep.C:
			complain.note(x, "cannot sweep the flow table", x.sweepStep(step))
			if step = (step + 1) % sweepSteps; step == 0 {
				x.endEarly(now)
				complain.note(x, "cannot look after the interfaces", x.checkLinks())
			}
		}
	}
}

// complaints are the last errors by what failed, so that one is logged when it
// appears and not each second.
type complaints map[string]string

func (c complaints) note(x *XDP, what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != c[what] {
		x.log.Error("looking after the datapath failed", "what", what, "error", err)
	}
	c[what] = text
}

// sweepProgram returns the program for a step, and the shard that it is told.
func (x *XDP) sweepProgram(step uint32) (program *ebpf.Program, name string, shard uint32) {
	switch {
	case step < lbmaps.FlowShards:
		return x.progs.sweep, bpf.EkProgEkSweep, step
	case step < lbmaps.Shards:
		return x.progs.sweep6, bpf.EkProgEkSweep6, step - lbmaps.FlowShards
	case step == lbmaps.Shards:
		return x.progs.sweepTemplates, bpf.EkProgEkSweepTmpl, 0
	}
	return x.progs.sweepTemplates6, bpf.EkProgEkSweepTmpl6, 0
}

// sweepStep ends the expired flows of one shard, or in the last two steps the
// expired templates of a family.
func (x *XDP) sweepStep(step uint32) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	got, err := x.runSweep(step, 0)
	if err != nil {
		return err
	}
	if step < lbmaps.Shards {
		x.sweep.live[step] = got.Seen
		x.sweep.expired += uint64(got.Expired)
	}
	return nil
}

// runSweep makes one step, which also ends all that belongs to the service of
// number leaving - 1.
func (x *XDP) runSweep(step, leaving uint32) (bpf.EkSweep, error) {
	program, name, shard := x.sweepProgram(step)
	got := bpf.EkSweep{}
	arg := bpf.EkSweep{Shard: shard, Leaving: leaving}
	ret, err := program.Run(&ebpf.RunOptions{Context: arg, ContextOut: &got})
	if err != nil {
		return got, fmt.Errorf("run %s, step %d: %w", name, step, err)
	}
	if ret != 0 {
		return got, fmt.Errorf("run %s, step %d: it returned %d", name, step, int32(ret))
	}
	return got, nil
}

// collect frees the slots of servers that are deleted, have no flows, and had
// none when they were looked at two minutes ago.
func (x *XDP) collect(now time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	var failed error
	freed := x.state.Collect(func(slot uint32) bool {
		conns, err := x.maps.Conns(slot)
		if err != nil {
			failed = err
			return false
		}
		return x.isIdle(slot, conns, now)
	})
	for _, slot := range freed {
		delete(x.idle, slot)
		if err := x.putSlot(slot, lbmaps.Server{}); err != nil {
			failed = err
		}
	}
	return failed
}

func (x *XDP) isIdle(slot uint32, conns lbmaps.Conns, now time.Time) bool {
	if !conns.Idle() {
		delete(x.idle, slot)
		return false
	}
	since, seen := x.idle[slot]
	if !seen {
		x.idle[slot] = now
	}
	return seen && now.Sub(since) >= trashPeriod
}
