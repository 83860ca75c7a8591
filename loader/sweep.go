package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/lbmaps"
)

// The rhythm of Run: both families' flow tables are swept once a second, one shard at
// a time, and after them the persistence templates. A step rests sweepRest times as long as
// it took, so that more than about a million flows take longer instead of more than a
// quarter of a CPU. IPVS looks at deleted servers each minute and gives up those that
// were idle for two.
const (
	sweepSteps      = lbmaps.Sweeps
	sweepInterval   = time.Second / sweepSteps
	sweepRest       = 3
	collectInterval = time.Minute
	trashPeriod     = 2 * time.Minute
)

// sweepCounts are what the sweeps met.
type sweepCounts struct {
	live    [lbmaps.Shards]uint32
	expired uint64
	// places are the keys of ek_sweep_keys: 0, 1, 2 and so on.
	places []uint32
}

// Run looks after the datapath until ctx ends, and then returns nil: it ends
// idle flows, frees the slots of deleted servers, follows the interfaces and heals
// their attachments. What fails is logged and tried again.
func (x *XDP) Run(ctx context.Context) error {
	sweep := time.NewTimer(sweepInterval)
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
			sweep.Reset(sweepPause(time.Since(now)))
			if step = (step + 1) % sweepSteps; step == 0 {
				x.endEarly(now)
				complain.note(x, "cannot look after the interfaces", x.checkLinks())
			}
		}
	}
}

// sweepPause returns how long to wait after a step that took so long.
func sweepPause(took time.Duration) time.Duration {
	return max(sweepInterval-took, sweepRest*took)
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

// aroundPiece runs a piece of a sweep, between which and the next the kernel pauses: reading some
// flows, or looking at those that may be over. The caller holds what the sweep needs.
type aroundPiece = func(piece func() error) error

func plainly(piece func() error) error { return piece() }

// SweepNow makes at once the pass that Run makes in a second. Each piece of it is
// run by around, which so learns how long the kernel works without a pause. It must not call
// the datapath.
func (x *XDP) SweepNow(around aroundPiece) error {
	for step := range uint32(sweepSteps) {
		if err := x.sweepTable(step, around); err != nil {
			return err
		}
	}
	return nil
}

// sweepStep ends the expired flows of one shard, or in the last two steps the
// expired templates of a family.
func (x *XDP) sweepStep(step uint32) error {
	return x.sweepTable(step, plainly)
}

// sweepTable lets others at the maps between the pieces.
func (x *XDP) sweepTable(step uint32, around aroundPiece) error {
	table := x.maps.Sweep(int(step))
	live := uint32(0)
	for last := false; !last; {
		var got bpf.EkSweep
		var err error
		if got, last, err = x.sweepPiece(table, step, around); err != nil {
			return err
		}
		live += got.Seen
	}
	x.swept(step, live)
	return nil
}

func (x *XDP) sweepPiece(table *lbmaps.Sweep, step uint32, around aroundPiece) (got bpf.EkSweep, last bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return got, false, ErrClosed
	}
	got, last, err = x.runSweep(table, step, 0, around)
	if step < lbmaps.Shards {
		x.sweep.expired += uint64(got.Expired)
	}
	return got, last, err
}

// swept keeps how many flows of a shard live.
func (x *XDP) swept(step, live uint32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if step < lbmaps.Shards {
		x.sweep.live[step] = live
	}
}

// runSweep reads the next piece of a table and has looked at what may be over in it. With
// leaving it also ends all that belongs to the service of number leaving - 1.
func (x *XDP) runSweep(table *lbmaps.Sweep, step, leaving uint32, around aroundPiece) (sum bpf.EkSweep, last bool, err error) {
	now, err := x.clock()
	if err != nil {
		return sum, false, err
	}
	var piece lbmaps.Piece
	err = around(func() (err error) {
		piece, err = table.Next(now, leaving != 0)
		return err
	})
	if err != nil {
		return sum, false, err
	}
	sum.Seen = piece.Live
	for over := range slices.Chunk(piece.Over, lbmaps.SweepKeys) {
		var got bpf.EkSweep
		err := around(func() (err error) {
			got, err = x.sweepKeys(over, step, leaving)
			return err
		})
		if err != nil {
			return sum, false, err
		}
		sum.Seen, sum.Expired = sum.Seen+got.Seen, sum.Expired+got.Expired
	}
	return sum, piece.Last, nil
}

// sweepKeys has the program look at the flows or templates of these keys.
func (x *XDP) sweepKeys(keys []lbmaps.SweepKey, step, leaving uint32) (got bpf.EkSweep, err error) {
	if _, err := x.sweepArgs.BatchUpdate(x.sweep.places[:len(keys)], keys, nil); err != nil {
		return got, fmt.Errorf("write %s: %w", bpf.EkMapEkSweepKeys, err)
	}
	program, name, shard := x.sweepProgram(step)
	arg := bpf.EkSweep{Shard: shard, Leaving: leaving, Keys: uint32(len(keys))}
	ret, err := program.Run(&ebpf.RunOptions{Context: arg, ContextOut: &got})
	if err != nil {
		return got, fmt.Errorf("run %s, step %d: %w", name, step, err)
	}
	if ret != 0 {
		return got, fmt.Errorf("run %s, step %d: it returned %d", name, step, int32(ret))
	}
	return got, nil
}

// clock returns the programs' time.
func (x *XDP) clock() (now uint64, err error) {
	if !x.opts.testClock {
		return lbmaps.Now()
	}
	if err := x.testNow.Get(&now); err != nil {
		return 0, fmt.Errorf("read test clock: %w", err)
	}
	return now, nil
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
		x.stale = true
	}
	return errors.Join(failed, x.unlearn())
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
