package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/director/directortest"
	"github.com/evenkeel/evenkeel/failover"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/ipvs"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
	"github.com/evenkeel/evenkeel/track"
)

// journal is what happened, in order.
type journal struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// take returns the lines so far and forgets them.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

// machine is a host in memory.
type machine struct {
	*journal
	directortest.Datapath
	startErr     error
	configureErr error
	runErr       chan error
	flowsStarted chan struct{}
	settings     Settings
	routers      *routers
	routersErr   error
	tracked      []track.Status
	// beforeStart is called when the datapath starts; routersBegin gets a word
	// when the routers do. Both are optional.
	beforeStart func()
	// ipvs is the kernel's IPVS; nil is a kernel without.
	ipvs         *kernel
	routersBegin chan struct{}
	// local are addresses of this host besides 10.0.0.254; whoever changes them
	// sends on moved.
	mu    sync.Mutex // guards local
	local map[netip.Addr]bool
	moved chan struct{}
}

func newMachine(j *journal) *machine {
	return &machine{journal: j, runErr: make(chan error, 1), moved: make(chan struct{})}
}

func (m *machine) Start(_ context.Context, s Settings) (XDP, error) {
	if m.startErr != nil {
		return nil, m.startErr
	}
	if m.beforeStart != nil {
		m.beforeStart()
	}
	m.settings = s
	m.add("start mode %s interfaces %v", s.Mode, s.Interfaces)
	return m, nil
}

func (m *machine) Release(ctx context.Context, key model.ServiceKey, last func([]model.Flow) error) error {
	var flows []model.Flow
	err := m.Flows(ctx, func(f model.Flow) bool {
		flows = append(flows, f)
		return true
	})
	m.add("release %s", key)
	return errors.Join(err, last(flows))
}

func (m *machine) Import(_ context.Context, flows []model.Flow) (int, error) {
	m.add("import %d flows", len(flows))
	return len(flows), nil
}

// kernel is IPVS in memory. Unlike the real one it shows what nobody claimed.
type kernel struct {
	*journal
	// syncFails has sync daemons not start.
	syncFails atomic.Bool
	directortest.Datapath
}

func (k *kernel) Apply(ctx context.Context, ops []sched.Op) error {
	for _, op := range ops {
		k.add("ipvs %s", op)
	}
	return k.Datapath.Apply(ctx, ops)
}

func (k *kernel) Import(_ context.Context, flows []model.Flow) (int, error) {
	k.add("ipvs import %d flows", len(flows))
	return len(flows), nil
}

func (k *kernel) Templates(context.Context, func(model.Flow) bool) error { return nil }

func (k *kernel) Claim(...model.ServiceKey) {}

func (k *kernel) SetTimeouts(t ipvs.Timeouts) error {
	k.add("ipvs tcp time-out %s", t.TCP)
	return nil
}

func (k *kernel) SetSyncDaemons(_ context.Context, want ...ipvs.SyncDaemon) error {
	k.add("ipvs sync daemon %s", syncText(want))
	if k.syncFails.Load() {
		return errors.New("no such device")
	}
	return nil
}

func (k *kernel) Flush(context.Context) error {
	k.add("ipvs flush")
	k.SetTables(model.Tables{})
	return nil
}

func (k *kernel) Close() error {
	k.add("ipvs close")
	return k.Datapath.Close()
}

func (m *machine) IPVS(context.Context) (IPVS, error) {
	if m.ipvs == nil {
		return nil, fmt.Errorf("%w: module ip_vs cannot be loaded", ipvs.ErrNoIPVS)
	}
	m.ipvs.Reopen()
	return m.ipvs, nil
}

func (m *machine) IsLocal(a netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return a == netip.MustParseAddr("10.0.0.254") || m.local[a]
}

// move gives the host exactly these addresses.
func (m *machine) move(addrs ...string) {
	m.mu.Lock()
	m.local = make(map[netip.Addr]bool)
	for _, a := range addrs {
		m.local[netip.MustParseAddr(a)] = true
	}
	m.mu.Unlock()
	m.moved <- struct{}{}
}

func (m *machine) WatchAddresses(ctx context.Context, changed func()) error {
	for {
		changed()
		select {
		case <-ctx.Done():
			return nil
		case <-m.moved:
		}
	}
}

func (m *machine) Local() func(netip.Addr) bool {
	return m.IsLocal
}

func (m *machine) Routers(o failover.Options) (Routers, error) {
	if m.routersErr != nil {
		return nil, m.routersErr
	}
	m.routers = &routers{journal: m.journal, opt: o, ended: make(chan error, 1), tracked: m.tracked, begin: m.routersBegin, begun: make(chan struct{})}
	return m.routers, nil
}

func (m *machine) Apply(ctx context.Context, ops []sched.Op) error {
	for _, op := range ops {
		m.add("%s", op)
	}
	err := m.Datapath.Apply(ctx, ops)
	if err != nil {
		m.add("error %v", err)
	}
	return err
}

func (m *machine) Run(ctx context.Context) error {
	m.add("datapath runs")
	defer m.add("datapath rests")
	select {
	case <-ctx.Done():
		return nil
	case err := <-m.runErr:
		return err
	}
}

func (m *machine) Configure(_ context.Context, s Settings) error {
	if m.configureErr != nil {
		return m.configureErr
	}
	m.settings = s
	m.add("configure mode %s interfaces %v for %v", s.Mode, s.Interfaces, s.Virtual)
	return nil
}

func (m *machine) Report(context.Context) (Report, error) {
	return Report{
		Datapath: api.Datapath{Running: true, Kernel: "6.1"},
		PinDir:   "/pins",
		Reasons: []api.Reason{
			{Name: "no_service", Verdict: "pass", Packets: 3},
			{Name: "no_server", Verdict: "drop", Packets: 4},
			{Name: "forwarded_dr", Verdict: "forward", Packets: 5},
		},
	}, nil
}

func (m *machine) Explain(_ context.Context, p loader.Packet) (loader.Explanation, error) {
	return loader.Explanation{Kind: loader.KindNone, Source: p.Source.String()}, nil
}

func (m *machine) Flows(ctx context.Context, yield func(model.Flow) bool) error {
	if m.flowsStarted != nil {
		close(m.flowsStarted)
		for yield(model.Flow{State: "UDP"}) {
			time.Sleep(time.Millisecond)
		}
		m.add("flows read")
		return nil
	}
	return m.Datapath.Flows(ctx, yield)
}

func (m *machine) Remove() error {
	m.add("remove")
	return m.Datapath.Close()
}

func (m *machine) Close() error {
	m.add("close")
	return m.Datapath.Close()
}

// routers is VRRP without any. It says nothing without instances.
type routers struct {
	*journal
	opt   failover.Options
	ended chan error

	begin, begun chan struct{}

	mu      sync.Mutex // guards what follows
	left    bool
	tracked []track.Status
}

func (r *routers) note(format string, args ...any) {
	if len(r.opt.Config.Instances) > 0 {
		r.add(format, args...)
	}
}

func (r *routers) Run(ctx context.Context) error {
	r.note("vrrp begins")
	close(r.begun)
	select {
	case r.begin <- struct{}{}:
	default: // nobody asks
	}
	select {
	case <-ctx.Done():
	case err := <-r.ended:
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left {
		r.note("vrrp leaves")
		return nil
	}
	if len(r.opt.Config.Instances) > 0 {
		r.add("vrrp says goodbye")
		time.Sleep(time.Second) // it serves on
		r.add("vrrp ends")
	}
	return nil
}

func (r *routers) Begun() <-chan struct{} { return r.begun }

func (r *routers) Close() error {
	r.note("vrrp never ran")
	return nil
}

func (r *routers) Leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = true
}

func (r *routers) Check(cfg model.VRRP) error {
	if len(cfg.Instances) > 0 && cfg.Instances[0].Interface == "eth9" {
		return errors.New("interface eth9 does not exist")
	}
	return nil
}

func (r *routers) Reload(cfg model.VRRP) error {
	r.note("vrrp reloads %d", len(cfg.Instances))
	return nil
}

func (r *routers) Snapshot(context.Context) ([]failover.Status, error) { return nil, nil }
func (r *routers) Stats() failover.Stats                               { return failover.Stats{} }

func (r *routers) Tracked() []track.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tracked
}

// set changes what is tracked.
func (r *routers) set(s track.Status) {
	r.mu.Lock()
	r.tracked = []track.Status{s}
	r.mu.Unlock()
	r.opt.OnTracked(s)
}

// prober answers by server; the zero value lets every try succeed.
type prober struct {
	mu   sync.Mutex // guards down
	down map[netip.AddrPort]bool
}

func (p *prober) Probe(_ context.Context, c model.Check) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down[c.ConnectTo] {
		return errors.New("connection refused")
	}
	return nil
}

func (p *prober) set(addr string, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down == nil {
		p.down = make(map[netip.AddrPort]bool)
	}
	p.down[netip.MustParseAddrPort(addr)] = down
}

// file is a configuration file in memory.
type file struct {
	mu  sync.Mutex // guards the rest
	cfg *config.Config
	err error
	// loads counts; hold keeps a load from ending until it is closed.
	loads int
	hold  chan struct{}
}

func (f *file) load(string) (*config.Config, error) {
	f.mu.Lock()
	f.loads++
	hold := f.hold
	f.mu.Unlock()
	if hold != nil {
		<-hold
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cfg, f.err
}

func (f *file) set(cfg *config.Config, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cfg, f.err = cfg, err
}

// quietListener is a listener that nobody calls.
type quietListener struct {
	*journal
	done chan struct{}
	once sync.Once
}

func (l *quietListener) Accept() (net.Conn, error) {
	<-l.done
	return nil, net.ErrClosed
}

func (l *quietListener) Close() error {
	l.once.Do(func() {
		l.add("close socket")
		close(l.done)
	})
	return nil
}

func (l *quietListener) Addr() net.Addr { return &net.UnixAddr{} }

// rig is a daemon with everything around it.
type rig struct {
	*journal
	machine *machine
	prober  *prober
	file    *file
	signals chan os.Signal
	daemon  *Daemon
	opts    Options

	ran chan error
	end context.CancelFunc
}

func newRig(services ...model.VirtualServer) *rig {
	j := &journal{}
	r := &rig{
		journal: j,
		machine: newMachine(j),
		prober:  &prober{},
		file:    &file{cfg: &config.Config{Services: services}},
		signals: make(chan os.Signal, 4),
		ran:     make(chan error, 1),
	}
	r.opts = Options{
		File:    "/etc/ek.conf",
		Machine: r.machine,
		Prober:  r.prober,
		Signals: r.signals,
		Load:    r.file.load,
		Notify: func(state string) {
			word, _, _ := strings.Cut(state, "\n")
			j.add("notify %s", word)
		},
		Listen: func(string) (net.Listener, error) {
			j.add("take socket")
			return &quietListener{journal: j, done: make(chan struct{})}, nil
		},
	}
	return r
}

// run starts the daemon inside a synctest bubble and waits until it is idle.
func (r *rig) run(t *testing.T) {
	t.Helper()
	r.daemon = New(r.opts)
	ctx, end := context.WithCancel(context.Background())
	r.end = end
	go func() { r.ran <- r.daemon.Run(ctx) }()
	synctest.Wait()
}

// stop ends the daemon, which must end without an error.
func (r *rig) stop(t *testing.T) {
	t.Helper()
	r.end()
	if err := <-r.ran; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func (r *rig) source() *source { return (*source)(r.daemon) }

// status returns the daemon's status, which must be there.
func (r *rig) status(t *testing.T) api.Status {
	t.Helper()
	s, err := r.source().Status(t.Context())
	if err != nil {
		t.Fatalf("status: %v", err)
	}
	return s
}

// virtual returns a TCP service with rr and DR servers that are checked.
func virtual(vip string, servers ...string) model.VirtualServer {
	vs := model.VirtualServer{
		Service: model.Service{
			Key:       model.ServiceKey{Protocol: model.TCP, Addr: netip.MustParseAddrPort(vip)},
			Scheduler: "rr",
		},
		Datapath: model.DatapathAuto,
		Quorum:   1,
	}
	for _, s := range servers {
		addr := netip.MustParseAddrPort(s)
		vs.Servers = append(vs.Servers, model.RealServer{
			Server: model.Server{Addr: addr, Forward: model.DR, Weight: 1},
			Checks: []model.Check{{
				Kind: model.TCPCheck, ConnectTo: addr, ConnectTimeout: time.Second,
				DelayLoop: 10 * time.Second, DelayBeforeRetry: time.Second, Warmup: time.Second,
			}},
		})
	}
	return vs
}

func ops(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
		return !strings.Contains(l, " server ") && !strings.Contains(l, " service ")
	})
}

var _ health.Prober = (*prober)(nil)

var hangup os.Signal = syscall.SIGHUP
