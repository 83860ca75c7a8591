package drive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Headers is how many bytes of a frame the driver writes: Ethernet, IPv4 or
// IPv6, and TCP.
func Headers(ipv6 bool) int {
	if ipv6 {
		return 74
	}
	return 54
}

// Plan says which packets come.
type Plan struct {
	// Frame is what all packets have in common, from the Ethernet header on,
	// at least Headers bytes long.
	Frame []byte
	// Flows is the number of different clients, a power of two; each is seen
	// once before any comes again.
	Flows uint32
	// First is the client's address of flow 0. The last four bytes count up.
	First netip.Addr
	// Skip is how many addresses the first client is further on. Optional.
	Skip uint32
	// Shuffled visits the flows out of order, so that neighbours share no cache
	// lines.
	Shuffled bool
	// Reply makes the client the destination instead of the source.
	Reply bool
	// Services spreads the flows over so many destination ports, a power of
	// two, from that of the frame on. Optional, default one.
	Services uint32
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
func (d *Driver) Set(p Plan) error { return d.set(p, DrivePlan{}) }

// set fills in what the plan says.
func (d *Driver) set(p Plan, next DrivePlan) error {
	if err := p.check(); err != nil {
		return fmt.Errorf("set plan: %w", err)
	}
	next.Multiplier, next.Increment = 1, 1
	if p.Shuffled {
		// A full period for every power of two (Knuth, TAOCP 2, 3.2.1.2).
		next.Multiplier, next.Increment = 1664525, 1013904223
	}
	next.Mask, next.Size = p.Flows-1, uint32(len(p.Frame))
	first := p.First.AsSlice()
	next.First = binary.BigEndian.Uint32(first[len(first)-4:]) + p.Skip
	if p.Reply {
		next.Reply = 1
	}
	ports := 36
	if p.First.Is6() {
		next.Ipv6, ports = 1, 56
	}
	if p.Services > 1 {
		next.Services, next.Port = p.Services-1, binary.BigEndian.Uint16(p.Frame[ports:])
	}
	var headers [80]byte
	copy(headers[:], p.Frame[:Headers(p.First.Is6())])
	next.Sum = headerSum(headers[14:34], p.Reply)
	for i := range next.Frame {
		next.Frame[i] = binary.NativeEndian.Uint64(headers[8*i:])
	}
	d.frame = p.Frame
	if err := d.objects.Next.Set(next); err != nil {
		return fmt.Errorf("set plan: %w", err)
	}
	return nil
}

func (p Plan) check() error {
	if least := Headers(p.First.Is6()); len(p.Frame) < least {
		return fmt.Errorf("frame of %d bytes, want %d or more", len(p.Frame), least)
	}
	for _, n := range []uint32{p.Flows, max(p.Services, 1)} {
		if n == 0 || n&(n-1) != 0 {
			return fmt.Errorf("%d is no power of two", n)
		}
	}
	if !p.First.IsValid() {
		return errors.New("no first client")
	}
	return nil
}

// headerSum returns the sum of the words of an IPv4 header without its checksum
// and the client's address, as the BPF program adds them: in the machine's order.
func headerSum(ip []byte, reply bool) uint32 {
	client := 12
	if reply {
		client = 16
	}
	var sum uint32
	for i := 0; i < 20; i += 2 {
		if i != 10 && (i < client || i >= client+4) {
			sum += uint32(binary.NativeEndian.Uint16(ip[i:]))
		}
	}
	return sum
}

// ErrNoVerdict says that the measured program was not reached.
var ErrNoVerdict = errors.New("the tail call failed")

// Run sends packets through a program, and returns the verdict of the last one
// and what one packet took in nanoseconds, with the driver's part. It runs on the
// CPU of the calling thread. The time is the median of batches of 1024 packets,
// so that what interrupts some of them does not count; with fewer packets than
// two batches it is the mean of all.
func (d *Driver) Run(target Target, packets int) (verdict uint32, each float64, err error) {
	if err := d.aim(target); err != nil {
		return 0, 0, err
	}
	verdict, mean, err := d.objects.Drive.Benchmark(d.frame, packets, nil)
	if err != nil {
		return 0, 0, fmt.Errorf("run the driver: %w", err)
	}
	if verdict == 0 { // XDP_ABORTED
		return 0, 0, ErrNoVerdict
	}
	var next DrivePlan
	if err := d.objects.Next.Get(&next); err != nil {
		return 0, 0, fmt.Errorf("read plan: %w", err)
	}
	var stamps [maxStamps]uint64
	if err := d.objects.Stamps.Get(&stamps); err != nil {
		return 0, 0, fmt.Errorf("read time stamps: %w", err)
	}
	if each, ok := batchMedian(stamps[:], next.Count); ok {
		return verdict, each, nil
	}
	return verdict, float64(mean), nil
}

// aim makes the driver tail-call a program. The kernel allows it between programs that were
// loaded alike.
func (d *Driver) aim(target Target) error {
	err := d.objects.Target.Put(uint32(0), target)
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("aim the driver: %w: the program must be loaded as SEC(\"xdp\") says, for attach type XDP and without fragments", err)
	}
	if err != nil {
		return fmt.Errorf("aim the driver: %w", err)
	}
	return nil
}

// Verdicts sends some more packets of the plan through a program, one by one, and returns
// how often it gave each verdict.
func (d *Driver) Verdicts(target Target, packets int) (map[uint32]int, error) {
	if err := d.aim(target); err != nil {
		return nil, err
	}
	seen := map[uint32]int{}
	for range packets {
		verdict, err := d.objects.Drive.Run(&ebpf.RunOptions{Data: d.frame})
		if err != nil {
			return nil, fmt.Errorf("run the driver: %w", err)
		}
		seen[verdict]++
	}
	return seen, nil
}

// The sizes that drive.c has: packets of a batch, and room for stamps.
const (
	batch     = 1024
	maxStamps = 16384
)

// batchMedian returns the nanoseconds of one packet in the middle one of the batches
// between the stamps that so many packets left. Without a whole batch it is not ok.
func batchMedian(stamps []uint64, packets uint32) (each float64, ok bool) {
	made := min(int((packets+batch-1)/batch), len(stamps))
	if made < 2 {
		return 0, false
	}
	took := make([]uint64, 0, made-1)
	for i := range made - 1 {
		if stamps[i+1] > stamps[i] { // not where a long run began anew
			took = append(took, stamps[i+1]-stamps[i])
		}
	}
	if len(took) == 0 {
		return 0, false
	}
	slices.Sort(took)
	return float64(took[len(took)/2]) / batch, true
}
