package drive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
)

// Headers is how many bytes of a frame the driver writes: Ethernet, IPv4 and TCP.
const Headers = 54

// Plan says which packets come.
type Plan struct {
	// Frame is what all packets have in common, from the Ethernet header on,
	// at least Headers bytes long.
	Frame []byte
	// Flows is the number of different clients, a power of two; each is seen
	// once before any comes again.
	Flows uint32
	// First is the client's address of flow 0.
	First netip.Addr
	// Shuffled visits the flows out of order, so that neighbours share no cache
	// lines.
	Shuffled bool
	// Reply makes the client the destination instead of the source.
	Reply bool
}

// Target is a program that the driver can be aimed at.
type Target = *ebpf.Program

// Driver drives one program at a time.
type Driver struct {
	objects DriveObjects
	frame   []byte
}

// New loads the driver. The error needs no more than what bpf(2) says.
func New() (*Driver, error) {
	d := &Driver{}
	if err := LoadDriveObjects(&d.objects, nil); err != nil {
		return nil, fmt.Errorf("load the driver: %w", err)
	}
	return d, nil
}

// Close unloads the driver.
func (d *Driver) Close() error { return d.objects.Close() }

// Empty is a program that does nothing: what it costs is the driver's own.
func (d *Driver) Empty() Target { return d.objects.Empty }

// Least is a program that looks at the headers, swaps the MAC addresses and
// sends the frame back: the floor of every balancer.
func (d *Driver) Least() Target { return d.objects.Least }

// Set makes the next runs follow the plan, from its first flow on.
func (d *Driver) Set(p Plan) error {
	if len(p.Frame) < Headers {
		return fmt.Errorf("set plan: frame of %d bytes, want %d or more", len(p.Frame), Headers)
	}
	if p.Flows == 0 || p.Flows&(p.Flows-1) != 0 {
		return fmt.Errorf("set plan: %d flows, want a power of two", p.Flows)
	}
	if !p.First.Is4() {
		return fmt.Errorf("set plan: first client %s, want an IPv4 address", p.First)
	}
	first := p.First.As4()
	next := DrivePlan{Multiplier: 1, Increment: 1, Mask: p.Flows - 1, FirstAddr: binary.BigEndian.Uint32(first[:])}
	if p.Shuffled {
		// A full period for every power of two (Knuth, TAOCP 2, 3.2.1.2).
		next.Multiplier, next.Increment = 1664525, 1013904223
	}
	if p.Reply {
		next.Reply = 1
	}
	copy(next.Frame[:], p.Frame[:Headers])
	d.frame = p.Frame
	if err := d.objects.Next.Set(next); err != nil {
		return fmt.Errorf("set plan: %w", err)
	}
	return nil
}

// ErrNoVerdict says that the measured program was not reached.
var ErrNoVerdict = errors.New("the tail call failed")

// Run sends packets through a program, and returns the verdict of the last one
// and what one packet took, with the driver's part. It runs on the CPU of the
// calling thread.
func (d *Driver) Run(target Target, packets int) (verdict uint32, each time.Duration, err error) {
	if err := d.objects.Target.Put(uint32(0), target); err != nil {
		return 0, 0, fmt.Errorf("aim the driver: %w", err)
	}
	verdict, each, err = d.objects.Drive.Benchmark(d.frame, packets, nil)
	if err != nil {
		return 0, 0, fmt.Errorf("run the driver: %w", err)
	}
	if verdict == 0 { // XDP_ABORTED
		return 0, 0, ErrNoVerdict
	}
	return verdict, each, nil
}
