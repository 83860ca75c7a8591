package drive

import (
	"fmt"
	"math"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Live says how packets leave by an interface.
type Live struct {
	// Interface is the index of the one that they leave by, in the network
	// namespace of the thread that calls Send.
	Interface int
	// Apart is the time from packet to packet; default none, as fast as they go.
	Apart time.Duration
	// Forgive has the time of a packet begin when it leaves, and not when it was due: what
	// keeps the sender itself from its work does not count.
	Forgive bool
	// Grown is by how many bytes frames are longer where they end, so that the
	// sink finds the time of sending. It counts where Apart is set.
	Grown int
}

// payload is where the data of a UDP datagram by IPv4 begins in its frame.
const payload = 42

// SetLive makes the next runs of Send follow the plan, from its first flow on.
func (d *Driver) SetLive(p Plan, l Live) error {
	next := DrivePlan{Ifindex: uint32(l.Interface), ApartNs: uint64(l.Apart)}
	if l.Apart > 0 {
		next.StampAt = uint32(payload + l.Grown)
	}
	if l.Forgive {
		next.Forgive = 1
	}
	return d.set(p, next)
}

// Sent is what a run of Send did.
type Sent struct {
	// Packets left by the interface; with a pause between them fewer than the
	// run had turns.
	Packets int
	// Timed is how many of them Took is the time of: those between the first and the last
	// look at the clock, one in 64 packets. The whole call takes milliseconds more, in which
	// the kernel prepares and, at the end, waits for a tick of its clock.
	Timed int
	Took  time.Duration
}

// Each returns the nanoseconds of one packet; of too few for two looks at the clock it is 0.
func (s Sent) Each() float64 {
	if s.Timed == 0 {
		return 0
	}
	return float64(s.Took) / float64(s.Timed)
}

// Send sends packets by the interface of SetLive, each as the driver of a network
// card would hand it to the next program, in batches of at most 256. It runs on
// the CPU of the calling thread. Each turn is a packet, or with Apart a look at
// the clock.
func (d *Driver) Send(turns, batch int) (Sent, error) {
	before, err := d.count()
	if err != nil {
		return Sent{}, err
	}
	if err := d.objects.Span.Set(DriveSpan{}); err != nil {
		return Sent{}, fmt.Errorf("clear the span of a run: %w", err)
	}
	_, err = d.objects.Live.Run(&ebpf.RunOptions{
		Data: d.frame, Repeat: uint32(turns), Flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES, BatchSize: uint32(batch),
	})
	if err != nil {
		return Sent{}, fmt.Errorf("send live frames: %w", err)
	}
	after, err := d.count()
	if err != nil {
		return Sent{}, err
	}
	var span DriveSpan
	if err := d.objects.Span.Get(&span); err != nil {
		return Sent{}, fmt.Errorf("read the span of a run: %w", err)
	}
	return Sent{
		Packets: int(after - before),
		Timed:   int(span.Latest - span.First),
		Took:    time.Duration(span.LatestNs - span.FirstNs),
	}, nil
}

func (d *Driver) count() (uint32, error) {
	var next DrivePlan
	if err := d.objects.Next.Get(&next); err != nil {
		return 0, fmt.Errorf("read plan: %w", err)
	}
	return next.Count, nil
}

// Sink is a program that counts frames and takes them away, for the end of the way.
func (d *Driver) Sink() Target { return d.objects.Sink }

// Relay is the least that forwards from one interface to another.
func (d *Driver) Relay() Target { return d.objects.Relay }

// RelayTo sets the index of the interface that Relay sends to.
func (d *Driver) RelayTo(ifindex int) error {
	if err := d.objects.RelayTo.Set(uint32(ifindex)); err != nil {
		return fmt.Errorf("set the relay: %w", err)
	}
	return nil
}

// Sunk returns how many IPv4 frames sinks have counted since the driver was loaded.
func (d *Driver) Sunk() (uint64, error) {
	each, err := d.SunkEach()
	return sum(each), err
}

// SunkEach returns how many of them each CPU took away, by its number.
func (d *Driver) SunkEach() ([]uint64, error) {
	var each []uint64
	if err := d.objects.Sunk.Lookup(uint32(0), &each); err != nil {
		return nil, fmt.Errorf("read sinks: %w", err)
	}
	return each, nil
}

func sum(values []uint64) uint64 {
	var all uint64
	for _, v := range values {
		all += v
	}
	return all
}

// steps is how many steps of Delays a doubling has.
const steps = 16

// Delays counts frames by the time from when they were due to when they reached
// the sink.
type Delays [64 * steps]uint64

// Delays returns those that sinks have counted since the driver was loaded.
func (d *Driver) Delays() (Delays, error) {
	var all Delays
	for i := range all {
		var each []uint64
		if err := d.objects.Delays.Lookup(uint32(i), &each); err != nil {
			return all, fmt.Errorf("read delays: %w", err)
		}
		all[i] = sum(each)
	}
	return all, nil
}

// Since returns what was counted after an earlier reading.
func (d Delays) Since(before Delays) Delays {
	for i := range d {
		d[i] -= before[i]
	}
	return d
}

// Percentile returns the time that so many per cent of the frames did not
// exceed, to a sixteenth of it; of no frames it is 0.
func (d Delays) Percentile(p float64) time.Duration {
	all := sum(d[:])
	if all == 0 {
		return 0
	}
	need := uint64(math.Ceil(float64(all) * p / 100))
	var seen uint64
	for i, n := range d {
		if seen += n; seen >= max(need, 1) {
			return upper(i)
		}
	}
	return upper(len(d) - 1)
}

// upper returns the longest time that is counted in a step.
func upper(step int) time.Duration {
	power := step / steps
	if power < 4 {
		return time.Duration(step)
	}
	width := uint64(1) << (power - 4)
	return time.Duration(uint64(steps+step%steps)*width + width - 1)
}
