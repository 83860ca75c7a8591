//go:build bpf

package loader

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// applyUntil carries out an operation in a process that dies after so many
// writes, and reports whether it died.
func (r *rig) applyUntil(o sched.Op, writes int) (died bool) {
	r.t.Helper()
	whole := r.XDP.tables
	r.XDP.tables = &mortal{tables: whole, left: writes}
	defer func() {
		r.XDP.tables = whole
		if p := recover(); p != nil {
			if p != any(errKilled) {
				panic(p)
			}
			died = true
		}
	}()
	r.apply(o)
	return false
}

// bare is what operations decide of a table.
func bare(t model.Tables) string {
	var b strings.Builder
	for _, s := range t.Services {
		fmt.Fprintln(&b, s.Key)
		for _, e := range s.Servers {
			fmt.Fprintln(&b, "  ", e.Server, e.Active+e.Inactive, e.Counters.Conns)
		}
	}
	return b.String()
}

// history makes random operations.
type history struct {
	*rand.Rand
	running map[model.ServiceKey]map[int]bool
}

func newHistory(random *rand.Rand) *history {
	return &history{random, map[model.ServiceKey]map[int]bool{}}
}

// next changes one of two services with up to four servers each.
func (h *history) next() sched.Op {
	svc := service(netip.AddrPortFrom(vip.Addr(), vip.Port()+uint16(h.IntN(2))))
	return h.change(svc, 4, 12, realServer)
}

// change adds the service when it does not run, takes it away once in lives
// operations, and changes one of its servers else.
func (h *history) change(svc model.Service, servers, lives int, server func(n int, weight int32) model.Server) sched.Op {
	running := h.running[svc.Key]
	if running == nil {
		h.running[svc.Key] = map[int]bool{}
		return op(sched.AddService, svc)
	}
	if h.IntN(lives) == 0 {
		delete(h.running, svc.Key)
		return op(sched.DelService, svc)
	}
	n := h.IntN(servers)
	s := server(n, int32(h.IntN(3)))
	switch {
	case !running[n]:
		running[n] = true
		return op(sched.AddServer, svc, s)
	case h.IntN(2) == 0:
		delete(running, n)
		return op(sched.DelServer, svc, s)
	}
	return op(sched.EditServer, svc, s)
}

// TestKilledBetweenWrites kills the process after each number of writes in each
// operation of a random history, with flows. The next start must find what was
// before the operation or what is after it, and carrying out the operation
// again must lead to what it leads to without a death, in the maps and for
// packets.
func TestKilledBetweenWrites(t *testing.T) {
	r := newRig(t)
	whole := newRig(t) // does the same and never dies
	h := newHistory(rand.New(rand.NewPCG(1, 2)))
	port := uint16(1000)
	var open []uint16
	deaths := 0
	for step := range 25 {
		o := h.next()
		before := bare(r.tables())
		whole.apply(o)
		after := bare(whole.tables())
		for writes := 0; r.applyUntil(o, writes); writes++ {
			deaths++
			r.resume()
			if got := bare(r.tables()); got != before && got != after {
				t.Fatalf("step %d, %s, killed after %d writes: got\n%s, want\n%s or\n%s", step, o, writes, got, before, after)
			}
			// A new flow would go another way than after the operation; packets of
			// the old ones must not meet anything impossible.
			for _, p := range open {
				r.run(datagram(netip.AddrPortFrom(client, p), vip))
			}
		}
		if diff := cmp.Diff(bare(whole.tables()), bare(r.tables())); diff != "" {
			t.Fatalf("step %d, %s (-never died +died):\n%s", step, o, diff)
		}
		for range 3 {
			port++
			got, want := r.chosenServer(port), whole.chosenServer(port)
			if got != want {
				t.Fatalf("step %d, %s: flow %d goes to %s, want %s", step, o, port, got, want)
			}
			if got.IsValid() {
				open = append(open, port)
			}
		}
	}
	if n := r.count(reasons.Internal); n != 0 || deaths < 25 {
		t.Errorf("%d packets met an impossible map, in %d deaths", n, deaths)
	}
}

// chosenServer is chosen by address, since slots may differ.
func (r *rig) chosenServer(port uint16) netip.AddrPort {
	r.t.Helper()
	slot := r.chosen(port)
	if slot < 0 {
		return netip.AddrPort{}
	}
	s, err := r.maps.Server(uint32(slot))
	check(r.t, err)
	return s.Addr
}

// TestPacketsBetweenWrites sends the first packets of a new flow between any two
// writes of a random history. They are forwarded, or there is no service or no
// server for them: they never meet a server that is half there.
func TestPacketsBetweenWrites(t *testing.T) {
	resolver := newFakeResolver()
	for n := range 4 {
		resolver.set(nil, realServer(n, 1).Addr.Addr(), resolved(serverMAC))
	}
	r := newRig(t, func(o *Options) { o.Resolver, o.Flows = resolver, 65536 })
	h := newHistory(rand.New(rand.NewPCG(7, 8)))
	sent := uint64(0)
	packet := func() {
		from := netip.AddrPortFrom(client, uint16(1000+sent))
		frame := datagram(from, netip.AddrPortFrom(vip.Addr(), vip.Port()+uint16(sent/2%2)))
		for range 2 { // the second belongs to the flow that the first opened
			sent++
			r.run(frame)
		}
	}
	r.XDP.tables = &mortal{tables: r.XDP.tables, left: -1, before: packet}
	for range 500 {
		r.apply(h.next())
		packet()
	}
	good := r.count(reasons.ForwardedDR) + r.count(reasons.NoService) + r.count(reasons.PortUnreachable)
	if forwarded := r.count(reasons.ForwardedDR); good != sent || forwarded < sent/4 {
		counts, _ := r.Reasons()
		t.Errorf("of %d packets %d were forwarded and %d had no service or server; all reasons: %v", sent, forwarded, good-forwarded, counts)
	}
}

// TestWriteErrors lets each write fail. The datapath then believes the maps,
// and carrying out the operation again succeeds.
func TestWriteErrors(t *testing.T) {
	r := newRig(t)
	whole := newRig(t)
	h := newHistory(rand.New(rand.NewPCG(3, 4)))
	for step := range 30 {
		o := h.next()
		whole.apply(o)
		kernel := r.XDP.tables
		for writes := 0; ; writes++ {
			r.XDP.tables = &mortal{tables: kernel, left: writes, err: os.ErrPermission}
			err := r.Apply(t.Context(), []sched.Op{o})
			r.XDP.tables = kernel
			if err == nil {
				break
			}
			if !strings.Contains(err.Error(), o.String()) {
				t.Fatalf("step %d: error %v does not name the operation", step, err)
			}
		}
		if diff := cmp.Diff(bare(whole.tables()), bare(r.tables())); diff != "" {
			t.Fatalf("step %d, %s (-no error +error):\n%s", step, o, diff)
		}
	}
}

// TestStateIsWhatRuns restarts after a random history: the numbers that the
// state knows are the same, deleted servers included.
func TestStateIsWhatRuns(t *testing.T) {
	r := newRig(t)
	h := newHistory(rand.New(rand.NewPCG(5, 6)))
	for step := range 40 {
		r.apply(h.next())
		r.chosen(uint16(1000 + step))
		want := r.describe()
		r.resume()
		if diff := cmp.Diff(want, r.describe()); diff != "" {
			t.Fatalf("step %d (-before +after the restart):\n%s", step, diff)
		}
	}
}

// describe prints the state. Deleted servers without flows, of services that
// are gone, are forgotten by a restart.
func (r *rig) describe() []string {
	r.t.Helper()
	lines := map[string]bool{}
	running := map[uint32]bool{}
	for _, s := range r.state.Services() {
		running[s.ID] = true
		line := fmt.Sprint("service ", s.Service.Key, s.ID)
		for _, d := range s.Order {
			line += fmt.Sprint(" ", d.Slot, d.Service, d.Server, d.Deleted)
		}
		lines[line] = true
	}
	for _, d := range r.state.Trash() {
		conns, err := r.maps.Conns(d.Slot)
		check(r.t, err)
		if conns.Total > 0 || running[d.Service] {
			lines[fmt.Sprint("trash ", d.Slot, d.Service, d.Server, d.Deleted)] = true
		}
	}
	return sorted(lines)
}

// TestDamagedPins writes what nobody writes, and wants a start that either says
// so or makes the best of it.
func TestDamagedPins(t *testing.T) {
	r := newRig(t)
	svc := service(vip)
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)), op(sched.AddServer, svc, realServer(2, 1)))
	for range 2 { // the half that is valid is one of the two
		check(t, r.maps.PutOrder(0, r.generation(), lbmaps.Order{Places: []lbmaps.Place{{Slot: 1, Weight: 1}, {Slot: 9, Weight: 1}, {Slot: 1, Weight: 1}, {Slot: 0, Weight: 5}}}))
	}
	r.restart()
	if got, want := fmt.Sprint(list(r.tables(), svc.Key)), "[[2 1] [1 5]]"; got != want {
		t.Errorf("servers are %s, want %s", got, want)
	}
	if s, err := r.maps.Server(0); err != nil || s.Weight != 5 {
		t.Errorf("server 0 is %+v, %v, want weight 5 as its order says", s, err)
	}
	other := service(netip.MustParseAddrPort("198.51.100.8:53"))
	check(t, r.maps.PutService(lbmaps.Service{Key: other.Key, ID: 0, Scheduler: "rr"}))
	check(t, r.Close())
	if _, err := Start(r.o); err == nil || !strings.Contains(err.Error(), "evenkeel stop") {
		t.Errorf("two services with one id: %v, want an error with the way out", err)
	}
	check(t, Remove(r.o.Dir))
	r.start()
}

func (r *rig) generation() uint32 {
	c, err := r.maps.Cursor(0)
	check(r.t, err)
	return c.Generation
}

// killedDir tells TestVictim, in a process of its own, where to start.
const killedDir = "EVENKEEL_TEST_KILLED_DIR"

// TestVictim is the process that TestKilledDaemon kills.
func TestVictim(t *testing.T) {
	dir := os.Getenv(killedDir)
	if dir == "" {
		t.Skip("runs only as a child process")
	}
	x, err := Start(Options{Links: noLinks{}, Dir: dir, Flows: 1024, Services: 8, Servers: 64})
	check(t, err)
	svc := service(vip)
	check(t, x.Apply(t.Context(), []sched.Op{op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1))}))
	fmt.Println("started")
	// Until it is killed; a bare select would be a deadlock to Go.
	killed := make(chan os.Signal, 1)
	signal.Notify(killed, os.Interrupt)
	<-killed
}

// TestKilledDaemon starts a datapath in another process and kills it. Its lock
// must be gone, and its work there.
func TestKilledDaemon(t *testing.T) {
	dir := filepath.Join(labtest.BPFFS(t), "ek")
	child := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	child.Env = append(os.Environ(), killedDir+"="+dir)
	out, err := child.StdoutPipe()
	check(t, err)
	check(t, child.Start())
	defer func() { _ = child.Process.Kill() }() // dead already unless the test failed
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "started" {
	}

	o := Options{Links: noLinks{}, Dir: dir, Flows: 1024, Services: 8, Servers: 64}
	_, err = Start(o)
	if running, ok := errors.AsType[*RunningError](err); !ok || running.PID != child.Process.Pid {
		t.Errorf("start beside process %d: %v, want an error that names it", child.Process.Pid, err)
	}
	view, err := Open(dir) // needs no lock
	check(t, err)
	before, err := view.Snapshot(t.Context())
	check(t, err)

	check(t, child.Process.Kill())
	if err := child.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	dead, err := view.Snapshot(t.Context())
	check(t, err)
	wantSame(t, dead, before)
	check(t, view.Close())
	x, err := Start(o)
	check(t, err)
	defer x.Close()
	after, err := x.Snapshot(t.Context())
	check(t, err)
	wantSame(t, after, before)
	if len(after.Services) != 1 || len(after.Services[0].Servers) != 1 {
		t.Errorf("adopted %+v, want one service with one server", after)
	}
}

// TestCapabilities starts a datapath with exactly what is needed, and with one
// capability less.
func TestCapabilities(t *testing.T) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("skipped: needs setpriv of util-linux")
	}
	dir := filepath.Join(labtest.BPFFS(t), "ek")
	start := func(capabilities string) string {
		t.Helper()
		child := exec.Command(setpriv, "--bounding-set", "-all,"+capabilities, "--inh-caps", "-all",
			"--no-new-privs", os.Args[0], "-test.run=^TestVictim$")
		child.Env = append(os.Environ(), killedDir+"="+dir)
		out, err := child.StdoutPipe()
		check(t, err)
		check(t, child.Start())
		defer func() {
			_ = child.Process.Kill() // dead already unless it started
			_ = child.Wait()
		}()
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if line := lines.Text(); line == "started" || strings.Contains(line, "start the XDP datapath") {
				return line
			}
		}
		return ""
	}
	for capabilities, want := range map[string]string{
		"+bpf,+perfmon,+net_admin": "started",
		"+perfmon,+net_admin":      "missing CAP_BPF;",
		"+bpf,+net_admin":          "missing CAP_PERFMON;",
		"+bpf,+perfmon":            "missing CAP_NET_ADMIN;",
	} {
		if got := start(capabilities); !strings.Contains(got, want) {
			t.Errorf("start with %s says %q, want %q", capabilities, got, want)
		}
	}
}
