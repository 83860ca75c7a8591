//go:build vm

package parity

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/evenkeel/evenkeel/internal/guest"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/ipvs"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// How many steps all runs take together without EVENKEEL_PARITY_STEPS, and how
// many where a processor is emulated, if XDP does not play or with -short.
const (
	defaultSteps = 2000
	shortSteps   = 300
)

// logEvery is after how many steps a long test says that it goes on.
const logEvery = 5000

// runTime ends a run before the shortest time-out of a flow, 10 s in CLOSE,
// can have passed: the model has no clock.
const runTime = 5 * time.Second

var vip = netip.MustParseAddr("198.51.100.34")

// site is the director between its clients and its servers.
type site struct {
	kernel                 *ipvs.IPVS
	clientSide, serverSide tun
	// xdp plays too, if it is there.
	xdp *datapath
	// lastPort is that of the service that came last.
	lastPort int
}

// Where the tests take the ports of their services from, so that flows of one do
// not come back in the other's.
const (
	portsOfKernel = 1000
	portsOfXDP    = 30000
)

func newSite(t *testing.T, firstPort int) *site {
	t.Helper()
	kernel, err := ipvs.Start(t.Context(), ipvs.Options{})
	if errors.Is(err, ipvs.ErrNoIPVS) {
		t.Skipf("skipped: runs in a machine of make vm: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kernel.Close() })
	for name, value := range map[string]string{
		"net/ipv4/ip_forward": "1", "net/ipv4/conf/all/rp_filter": "0",
		"net/ipv4/icmp_ratelimit": "0", "net/ipv4/icmp_msgs_per_sec": "1000000", "net/ipv4/icmp_msgs_burst": "1000000",
	} {
		set(t, name, value)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	addAddress(t, lo, vip.String()+"/32")
	return &site{
		kernel:     kernel,
		lastPort:   firstPort,
		clientSide: newTun(t, "clients", "192.0.2.1/24"),
		serverSide: newTun(t, "servers", "10.1.255.254/16"),
	}
}

// run is one service, in the kernel and in the model.
type run struct {
	*site
	*oracle
	random  *rand.Rand
	forward model.Forward
	flows   map[uint16]*flow // by client port
	ports   []uint16         // of the flows, in the order of their opening
	began   time.Time
	history []string
}

// newRun adds a service that has not been there before, so that no flow and no
// deleted server of another run can come back in it.
func (s *site) newRun(t *testing.T, random *rand.Rand, profile sched.Profile, svc model.Service, forward model.Forward) *run {
	t.Helper()
	s.lastPort++
	svc.Key.Addr = netip.AddrPortFrom(vip, uint16(s.lastPort))
	o, err := newOracle(profile, svc)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{site: s, oracle: o, random: random, forward: forward, flows: make(map[uint16]*flow), began: time.Now()}
	r.change(t, sched.Op{Kind: sched.AddService, Service: svc})
	return r
}

// end deletes the service.
func (r *run) end(t *testing.T) {
	t.Helper()
	r.change(t, sched.Op{Kind: sched.DelService, Service: r.service})
}

func (r *run) change(t *testing.T, op sched.Op) {
	t.Helper()
	r.history = append(r.history, fmt.Sprintf("%s %+v", op, op.Server))
	if err := r.kernel.Apply(t.Context(), []sched.Op{op}); err != nil {
		r.fatalf(t, "%v", err)
	}
	if r.xdp != nil {
		if err := r.xdp.Apply(t.Context(), []sched.Op{op}); err != nil {
			r.fatalf(t, "%v", err)
		}
	}
}

// fatalf ends the test with what the run did.
func (r *run) fatalf(t *testing.T, format string, args ...any) {
	t.Helper()
	for _, line := range r.history[max(len(r.history)-40, 0):] {
		t.Log(line)
	}
	t.Fatalf("step %d: %s", len(r.history), fmt.Sprintf(format, args...))
}

func (r *run) serverAt(i int, weight int32) model.Server {
	addr := netip.AddrFrom4([4]byte{10, 1, 0, byte(1 + i)})
	// NAT flows are also found by the server's end: a port of this run only.
	return model.Server{Addr: netip.AddrPortFrom(addr, r.service.Key.Addr.Port()), Forward: r.forward, Weight: weight}
}

// randomOp changes the servers of the service.
func (r *run) randomOp(t *testing.T, weights []int32) {
	t.Helper()
	server := r.serverAt(r.random.IntN(8), weights[r.random.IntN(len(weights))])
	if r.random.IntN(3) == 0 {
		server.Upper = uint32(r.random.IntN(12))
		if server.Upper > 0 && r.random.IntN(2) == 0 {
			server.Lower = uint32(r.random.IntN(int(server.Upper) + 1))
		}
	}
	op := sched.Op{Kind: sched.AddServer, Service: r.service, Server: server}
	if _, ok := r.state.Find(r.service.Key, server.Addr); ok {
		op.Kind = sched.EditServer
		if r.random.IntN(3) == 0 {
			op.Kind = sched.DelServer
		}
	}
	r.change(t, op)
	if err := r.apply(op); err != nil {
		t.Fatal(err)
	}
}

func (r *run) client(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(2 + port%200)}), port)
}

// open sends the first packet of a flow.
func (r *run) open(t *testing.T, port uint16) {
	t.Helper()
	p := packet{proto: r.service.Key.Protocol, src: r.client(port), dst: r.service.Key.Addr, flags: "S", ttl: 64}
	r.history = append(r.history, fmt.Sprintf("open %s", p.src))
	f, ok := r.oracle.open(sched.Client{Addr: p.src.Addr(), Port: port})
	r.clientSide.drain(t)
	r.serverSide.drain(t)
	raw := p.bytes(t)
	r.clientSide.send(t, raw)
	side, out := either(t, r.clientSide, r.serverSide)
	r.agrees(t, raw, side, out)
	if !ok {
		if side.name != r.clientSide.name {
			r.fatalf(t, "IPVS sends % x, the model has no server", out)
		}
		return
	}
	r.forwarded(t, side, out, p, f)
	r.flows[port] = &f
	r.ports = append(r.ports, port)
}

// forwarded holds a packet that left for the server of a flow against what was
// sent.
func (r *run) forwarded(t *testing.T, side tun, out []byte, sent packet, f flow) {
	t.Helper()
	server := r.oracle.servers[f.slot].Server.Addr
	if side.name != r.serverSide.name {
		r.fatalf(t, "IPVS answers % x, the model sends to %s", out, server)
	}
	want := sent
	want.ttl--
	if r.forward == model.NAT {
		want.dst = server
	} else {
		to, inner, err := outerHeader(out)
		if err != nil || to != server.Addr() {
			r.fatalf(t, "IPVS chose %s, the model %s (%v)", to, server, err)
		}
		out = inner
	}
	if expect := want.bytes(t); !bytes.Equal(out, expect) {
		r.fatalf(t, "IPVS sends\n% x, the model (to %s)\n% x", out, server, expect)
	}
}

// segment sends a client's segment of a live flow.
func (r *run) segment(t *testing.T, port uint16, flags string) {
	t.Helper()
	f := r.flows[port]
	p := packet{proto: r.service.Key.Protocol, src: r.client(port), dst: r.service.Key.Addr, flags: flags, ttl: 64}
	r.history = append(r.history, fmt.Sprintf("segment %q of %s in %s", flags, p.src, f.state))
	r.clientSide.drain(t)
	r.serverSide.drain(t)
	raw := p.bytes(t)
	r.clientSide.send(t, raw)
	if r.oracle.servers[f.slot].Deleted {
		r.agrees(t, raw, tun{}, nil)
		return // dropped in silence
	}
	side, out := either(t, r.clientSide, r.serverSide)
	r.agrees(t, raw, side, out)
	r.forwarded(t, side, out, p, *f)
	if p.proto == model.TCP {
		d := input
		if r.forward != model.NAT {
			d = inputOnly
		}
		r.enter(f, next(f.state, d, flags))
	}
}

// reply sends a server's segment of a NAT flow.
func (r *run) reply(t *testing.T, port uint16, flags string) {
	t.Helper()
	f := r.flows[port]
	p := packet{
		proto: r.service.Key.Protocol, src: r.oracle.servers[f.slot].Server.Addr, dst: r.client(port), flags: flags, ttl: 64,
	}
	r.history = append(r.history, fmt.Sprintf("reply %q to %s in %s", flags, p.dst, f.state))
	r.clientSide.drain(t)
	r.serverSide.drain(t)
	raw := p.bytes(t)
	r.serverSide.send(t, raw)
	side, out := either(t, r.clientSide, r.serverSide)
	r.agrees(t, raw, side, out)
	want := p
	want.src = r.service.Key.Addr
	want.ttl--
	if expect := want.bytes(t); !bytes.Equal(out, expect) {
		r.fatalf(t, "IPVS replies\n% x, want\n% x", out, expect)
	}
	if p.proto == model.TCP {
		r.enter(f, next(f.state, output, flags))
	}
}

// compare holds the kernel's list and counters against the model's.
func (r *run) compare(t *testing.T) {
	t.Helper()
	tables, err := r.kernel.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := r.serversOf(t, tables)
	var want []string
	known, _ := r.state.Service(r.service.Key)
	for _, d := range known.Order {
		load := r.loads[d.Slot]
		want = append(want, fmt.Sprintf("%+v %d+%d", d.Server, load.Active, load.Total-load.Active))
	}
	if !slices.Equal(got, want) {
		r.fatalf(t, "servers in IPVS are\n%q, in the model\n%q", got, want)
	}
	if r.xdp == nil {
		return
	}
	if tables, err = r.xdp.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got = r.serversOf(t, tables); !slices.Equal(got, want) {
		r.fatalf(t, "servers in XDP are\n%q, in the model\n%q", got, want)
	}
}

// play takes steps until there are enough, or the run is too old for a model
// without a clock, and returns how many it took.
func (r *run) play(t *testing.T, steps int, weights []int32) int {
	t.Helper()
	port := uint16(1024)
	for step := range steps {
		if time.Since(r.began) > runTime {
			return step
		}
		switch choice := r.random.IntN(16); {
		case choice < 3:
			r.randomOp(t, weights)
		case choice < 10 || len(r.ports) == 0:
			port++
			r.open(t, port)
		case choice < 14 || r.forward != model.NAT:
			r.segment(t, r.livePort(), []string{"A", "A", "F", "FA", "R", "", "A"}[r.random.IntN(7)])
		default:
			r.reply(t, r.livePort(), []string{"SA", "A", "FA", "R", ""}[r.random.IntN(5)])
		}
		r.compare(t)
	}
	return steps
}

func (r *run) livePort() uint16 { return r.ports[r.random.IntN(len(r.ports))] }

// probe finds out which generation this kernel is of: does a threshold that is
// lowered below the flows that are there refuse the next one?
func (s *site) probe(t *testing.T) sched.Profile {
	t.Helper()
	r := s.newRun(t, nil, sched.Profile{}, model.Service{Key: model.ServiceKey{Protocol: model.TCP}, Scheduler: "rr"}, model.NAT)
	defer r.end(t)
	server := r.serverAt(0, 1)
	r.change(t, sched.Op{Kind: sched.AddServer, Service: r.service, Server: server})
	send := func(port uint16) tun {
		p := packet{proto: model.TCP, src: r.client(port), dst: r.service.Key.Addr, flags: "S", ttl: 64}
		r.clientSide.send(t, p.bytes(t))
		side, _ := either(t, r.clientSide, r.serverSide)
		return side
	}
	for port := range uint16(4) {
		send(2000 + port)
	}
	server.Upper = 2
	r.change(t, sched.Op{Kind: sched.EditServer, Service: r.service, Server: server})
	if send(3000).name == r.serverSide.name {
		return sched.Profile{OldOverhead: true, OldThresholds: true}
	}
	return sched.Profile{}
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Random histories of servers, weights, thresholds and packets, with every
// scheduler of the model: IPVS and the model choose the same servers, send the
// same bytes and count the same.
func TestKernelIsTheModel(t *testing.T) {
	s := newSite(t, portsOfKernel)
	s.playAll(t, s.probe(t))
}

// playAll plays histories with every scheduler until there are steps enough.
func (s *site) playAll(t *testing.T, profile sched.Profile) {
	t.Helper()
	steps := uint64(defaultSteps)
	emulated := os.Getenv(guest.Environment) != string(guest.Fast)
	if emulated && (testing.Short() || s.xdp == nil) {
		steps = shortSteps // such a machine is slow
	}
	total := int(number(t, "EVENKEEL_PARITY_STEPS", steps))
	t.Logf("%d steps, %+v", total, profile)
	random := rand.New(rand.NewPCG(labtest.Seed(t), 0))

	schedulers := []string{"rr", "wrr", "lc", "wlc", "sed", "nq", "ovf", "fo", "sh", "dh", "mh"}
	const perRun = 150
	took := make(map[string]int)
	sum := 0
	for i := 0; sum < total; i++ {
		svc := model.Service{Scheduler: schedulers[i%len(schedulers)]}
		svc.Key.Protocol = []model.Protocol{model.TCP, model.UDP}[random.IntN(2)]
		if svc.Scheduler == "sh" || svc.Scheduler == "mh" {
			svc.SchedFlags = []uint32{0, sched.FlagPort, sched.FlagFallback, sched.FlagFallback | sched.FlagPort}[random.IntN(4)]
		}
		forward := []model.Forward{model.NAT, model.TUN}[random.IntN(2)]
		weights := [][]int32{{0, 1, 2, 3}, {10, 20, 40}, {1, 100, 0}}[random.IntN(3)]
		r := s.newRun(t, random, profile, svc, forward)
		played := r.play(t, min(perRun, total-sum), weights)
		r.end(t)
		took[svc.Scheduler] += played
		if sum/logEvery != (sum+played)/logEvery {
			t.Logf("%d steps so far, no difference", sum+played)
		}
		sum += played
	}
	t.Logf("%d steps, no difference: %v", sum, took)
}
