//go:build bpf || netns

package loader

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/sched"
)

// noLinks is a machine without interfaces.
type noLinks struct{}

func (noLinks) Links() ([]netif.Link, error) { return nil, nil }

// fakeResolver knows what the test tells it.
type fakeResolver struct {
	mu      sync.Mutex // guards what follows
	hops    map[netip.Addr]netif.NextHop
	watched map[netip.Addr]bool
}

func newFakeResolver() *fakeResolver {
	return &fakeResolver{hops: map[netip.Addr]netif.NextHop{}, watched: map[netip.Addr]bool{}}
}

func (r *fakeResolver) Watch(addrs ...netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range addrs {
		r.watched[a] = true
	}
}

func (r *fakeResolver) Unwatch(addrs ...netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range addrs {
		delete(r.watched, a)
	}
}

func (r *fakeResolver) NextHop(a netip.Addr) (netif.NextHop, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hop, ok := r.hops[a]
	return hop, ok && r.watched[a]
}

// set is a change that the kernel reports; x may be nil before a start.
func (r *fakeResolver) set(x *XDP, a netip.Addr, hop netif.NextHop) {
	r.mu.Lock()
	r.hops[a] = hop
	r.mu.Unlock()
	if x != nil {
		x.NextHopChanged(a, hop)
	}
}

// The interface that test packets come in by is the loopback device, which is
// 1 in every namespace.
const inside = 1

var (
	clientMAC = [6]byte{2, 0, 0, 0, 0, 0xc1}
	ownMAC    = [6]byte{2, 0, 0, 0, 0, 0x01}
	serverMAC = [6]byte{2, 0, 0, 0, 0, 0x51}
	otherMAC  = [6]byte{2, 0, 0, 0, 0, 0x52}
)

func resolved(mac [6]byte) netif.NextHop {
	return netif.NextHop{IfIndex: inside, IfName: "lo", MTU: 1500, SrcMAC: ownMAC, DstMAC: mac, Resolved: true}
}

// rig is a datapath on a bpf file system of its own, with a clock that tests
// turn.
type rig struct {
	*XDP
	t   testing.TB
	o   Options
	now time.Duration
}

// newRig starts a datapath with small maps. change may change the options.
func newRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Hour, o: Options{
		Links: noLinks{}, Dir: filepath.Join(labtest.BPFFS(t), "ek"),
		Flows: 1024, Services: 8, Servers: 64, testClock: true,
	}}
	for _, c := range change {
		c(&r.o)
	}
	r.start()
	t.Cleanup(func() { check(t, r.Close()) })
	return r
}

// start starts the datapath, or starts it again.
func (r *rig) start() {
	r.t.Helper()
	x, err := Start(r.o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.XDP = x
	r.advance(0)
	if _, ok := r.o.Links.(noLinks); ok {
		check(r.t, x.maps.PutPort(inside, lbmaps.Port{MAC: ownMAC, Enabled: true}))
	}
}

// restart is the end of the daemon, however it came, and the next start.
func (r *rig) restart() {
	r.t.Helper()
	check(r.t, r.Close())
	r.start()
}

// resume is a restart that runs the programs of before on, for tests with many
// starts.
func (r *rig) resume() {
	r.t.Helper()
	args, err := r.sweepArgs.Clone()
	check(r.t, err)
	kept := loaded{progs: &programs{}, testNow: r.testNow, sweepArgs: args}
	from, to := r.progs.named(), kept.progs.named()
	for name, place := range from {
		p, err := (*place).Clone()
		check(r.t, err)
		*to[name] = p
	}
	check(r.t, r.Close())
	r.o.testLoaded = &kept
	r.start()
	r.o.testLoaded = nil
}

func (r *rig) advance(d time.Duration) {
	r.t.Helper()
	if r.testNow == nil {
		return
	}
	r.now += d
	check(r.t, r.testNow.Set(uint64(r.now)))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) apply(ops ...sched.Op) {
	r.t.Helper()
	check(r.t, r.Apply(r.t.Context(), ops))
}

func (r *rig) tables() model.Tables {
	r.t.Helper()
	tables, err := r.Snapshot(r.t.Context())
	check(r.t, err)
	return tables
}

// Verdicts of an XDP program (linux/bpf.h).
const (
	xdpDrop = 1
	xdpPass = 2
	xdpTX   = 3
)

// run sends a frame through the program.
func (r *rig) run(frame []byte) (verdict uint32, out []byte) {
	r.t.Helper()
	options := ebpf.RunOptions{
		Data:    frame,
		DataOut: make([]byte, len(frame)+256),
		Context: struct{ Data, DataEnd, DataMeta, Ingress, Queue, Egress uint32 }{DataEnd: uint32(len(frame)), Ingress: inside},
	}
	verdict, err := r.progs.xdp.Run(&options)
	check(r.t, err)
	return verdict, options.DataOut
}

// count returns how many packets ended in a reason.
func (r *rig) count(reason reasons.Reason) uint64 {
	r.t.Helper()
	counts, err := r.Reasons()
	check(r.t, err)
	return counts[reason]
}

// chosen opens a UDP flow from a port and returns the slot that it got, or -1.
func (r *rig) chosen(port uint16) int {
	r.t.Helper()
	r.run(datagram(netip.AddrPortFrom(client, port), vip))
	slot := -1
	check(r.t, r.maps.Flows(0, func(f lbmaps.Flow) bool {
		if f.Client.Port() == port && f.Virtual == vip {
			slot = int(f.Slot)
		}
		return slot < 0
	}))
	return slot
}

var (
	client = netip.MustParseAddr("192.0.2.9")
	vip    = netip.MustParseAddrPort("198.51.100.1:53")
)

// service is a UDP service: every packet opens a flow.
func service(addr netip.AddrPort) model.Service {
	return model.Service{Key: model.ServiceKey{Protocol: model.UDP, Addr: addr}, Scheduler: "rr"}
}

// real returns the nth server.
func realServer(n int, weight int32) model.Server {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
	return model.Server{Addr: netip.AddrPortFrom(addr, vip.Port()), Forward: model.DR, Weight: weight}
}

func op(kind sched.Kind, s model.Service, server ...model.Server) sched.Op {
	o := sched.Op{Kind: kind, Service: s}
	if server != nil {
		o.Server = server[0]
	}
	return o
}

// datagram is an Ethernet frame with an empty UDP datagram without a checksum.
func datagram(from, to netip.AddrPort) []byte {
	f := make([]byte, 14+20+8)
	copy(f, ownMAC[:])
	copy(f[6:], clientMAC[:])
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	ip := f[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(ip[2:], 28)
	copy(ip[12:], from.Addr().AsSlice())
	copy(ip[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(ip[10:], headerSum(ip[:20]))
	binary.BigEndian.PutUint16(ip[20:], from.Port())
	binary.BigEndian.PutUint16(ip[22:], to.Port())
	binary.BigEndian.PutUint16(ip[24:], 8)
	return f
}

func headerSum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// gone reports whether nothing has a name in a file system.
func gone(t testing.TB, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err != nil
}

// loadedID returns the id of the pinned XDP program.
func (r *rig) loadedID() uint32 {
	r.t.Helper()
	prog, err := ebpf.LoadPinnedProgram(r.pins.prog(bpf.EkProgEkXdp), nil)
	check(r.t, err)
	defer prog.Close()
	id, err := programID(prog)
	check(r.t, err)
	return id
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
