package director_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/director/directortest"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// world is the director with its two datapaths, and beside it the naive
// account of what they should hold.
type world struct {
	director  *director.Director
	datapaths map[model.DatapathChoice]*directortest.Datapath
	caps      director.Capabilities
	conf      []model.VirtualServer
	naive     map[model.ServiceKey]*naiveService
}

// naiveService is what one can say of a service by counting on one's fingers.
type naiveService struct {
	alive  map[netip.AddrPort]bool
	quorum bool
}

func weightOf(v model.VirtualServer, alive map[netip.AddrPort]bool) int {
	sum := 0
	for _, s := range v.Servers {
		if alive[s.Addr] {
			sum += int(s.Weight)
		}
	}
	return sum
}

// judge is §2.10 of keepalived's behaviour as written there.
func (n *naiveService) judge(v model.VirtualServer) {
	sum := weightOf(v, n.alive)
	if n.quorum {
		n.quorum = sum > 0 && sum >= int(v.Quorum)-int(v.Hysteresis)
	} else {
		n.quorum = sum > 0 && sum >= int(v.Quorum)+int(v.Hysteresis)
	}
}

// want is the set of servers that a service should have.
func (n *naiveService) want(v model.VirtualServer) map[netip.AddrPort]model.Server {
	set := make(map[netip.AddrPort]model.Server)
	standIn := v.Sorry != nil && !n.quorum
	for _, s := range v.Servers {
		entry := s.Server
		if !n.alive[s.Addr] || standIn {
			entry.Weight = 0
			if !s.InhibitOnFailure {
				continue
			}
		}
		set[s.Addr] = entry
	}
	if standIn {
		set[v.Sorry.Addr] = v.Sorry.Server
	} else if v.Sorry != nil && v.SorryInhibit {
		if _, taken := set[v.Sorry.Addr]; !taken {
			entry := v.Sorry.Server
			entry.Weight = 0
			set[v.Sorry.Addr] = entry
		}
	}
	return set
}

// reconfigure updates the naive account for a new configuration.
func (w *world) reconfigure(conf []model.VirtualServer, caps director.Capabilities) {
	next := make(map[model.ServiceKey]*naiveService)
	for _, v := range conf {
		if !director.Choose(v, caps).Runs() {
			continue
		}
		n := &naiveService{alive: make(map[netip.AddrPort]bool)}
		old := w.naive[v.Key]
		for _, s := range v.Servers {
			was, known := false, false
			if old != nil {
				was, known = old.alive[s.Addr]
			}
			switch {
			case len(s.Checks) == 0:
				n.alive[s.Addr] = true
			case known:
				n.alive[s.Addr] = was
			default:
				n.alive[s.Addr] = !s.Alpha
			}
		}
		if old != nil {
			n.quorum = old.quorum
			n.judge(v)
		} else {
			n.quorum = weightOf(v, n.alive) >= int(v.Quorum)
		}
		next[v.Key] = n
	}
	w.conf, w.caps, w.naive = conf, caps, next
}

func drawServer(t *rapid.T, n int) model.RealServer {
	s := rs(n, int32(rapid.IntRange(0, 3).Draw(t, "weight")))
	s.InhibitOnFailure = rapid.Bool().Draw(t, "inhibit")
	if rapid.IntRange(0, 3).Draw(t, "alpha") == 0 {
		s = alpha(s)
	}
	if rapid.IntRange(0, 7).Draw(t, "unchecked") == 0 {
		s = unchecked(s)
	}
	if rapid.IntRange(0, 7).Draw(t, "DR") == 0 {
		s.Forward = model.DR
	}
	return s
}

func drawConf(t *rapid.T) []model.VirtualServer {
	var conf []model.VirtualServer
	for _, port := range rapid.Permutation([]uint16{80, 81, 82}).Draw(t, "services")[:rapid.IntRange(0, 3).Draw(t, "count")] {
		v := model.VirtualServer{
			Service: model.Service{
				Key:       key(netip.AddrPortFrom(vip.Addr(), port)),
				Scheduler: rapid.SampledFrom([]string{"rr", "rr", "wrr", "lblc"}).Draw(t, "scheduler"),
			},
			Quorum: uint32(rapid.IntRange(1, 6).Draw(t, "quorum")),
		}
		v.Hysteresis = uint32(rapid.IntRange(0, int(v.Quorum)-1).Draw(t, "hysteresis"))
		order := rapid.Permutation([]int{1, 2, 3, 4, 5}).Draw(t, "servers")
		for _, n := range order[:rapid.IntRange(0, 5).Draw(t, "count")] {
			v.Servers = append(v.Servers, drawServer(t, n))
		}
		if rapid.Bool().Draw(t, "sorry") {
			sorry := unchecked(rs(rapid.SampledFrom([]int{99, 99, 1}).Draw(t, "sorry server"), 1))
			v.Sorry = &sorry
			v.SorryInhibit = rapid.Bool().Draw(t, "sorry inhibit")
		}
		for i := range v.Servers {
			v.Servers[i].Addr = netip.AddrPortFrom(v.Servers[i].Addr.Addr(), port)
		}
		if v.Sorry != nil {
			v.Sorry.Addr = netip.AddrPortFrom(v.Sorry.Addr.Addr(), port)
		}
		conf = append(conf, v)
	}
	return conf
}

func drawCaps(t *rapid.T) director.Capabilities {
	caps := director.ThisVersion()
	caps.DrivesIPVS = rapid.Bool().Draw(t, "drives IPVS")
	if rapid.Bool().Draw(t, "XDP has wrr") {
		caps.XDP.Schedulers = append(caps.XDP.Schedulers, "wrr")
	}
	return caps
}

// apply carries out a change one operation at a time. Each must be possible
// and do something, and no service may be left without a server that takes
// flows when it has one before and after.
func (w *world) apply(t *rapid.T, c director.Change) {
	before := w.serving()
	lost := make(map[model.ServiceKey]bool)
	touched := make(map[string]int)
	for _, s := range c.Steps {
		for _, op := range s.Ops {
			if op.Kind == sched.EditServer || op.Kind == sched.EditService {
				w.wantEdit(t, s.Datapath, op)
			}
			if op.Server.Addr.IsValid() {
				touched[fmt.Sprint(s.Datapath, op.Service.Key, op.Server.Addr)]++
			}
			if err := w.datapaths[s.Datapath].Apply(t.Context(), []sched.Op{op}); err != nil {
				t.Fatalf("apply to %s: %v\nchange: %v", s.Datapath, err, c.Steps)
			}
			now := w.serving()
			for k := range before {
				if !now[k] {
					lost[k] = true
				}
			}
		}
	}
	for k := range w.serving() {
		if lost[k] {
			t.Fatalf("%s had no server for a moment\nchange: %v", k, c.Steps)
		}
	}
	for what, n := range touched {
		if n > 1 {
			t.Fatalf("%s is changed %d times in one change: %v", what, n, c.Steps)
		}
	}
}

func (w *world) wantEdit(t *rapid.T, datapath model.DatapathChoice, op sched.Op) {
	for _, s := range w.tables(t, datapath).Services {
		if s.Key != op.Service.Key {
			continue
		}
		if op.Kind == sched.EditService && s.Service == op.Service {
			t.Fatalf("needless %s", op)
		}
		for _, e := range s.Servers {
			if op.Kind == sched.EditServer && e.Server == op.Server {
				t.Fatalf("needless %s", op)
			}
		}
	}
}

func (w *world) tables(t *rapid.T, datapath model.DatapathChoice) model.Tables {
	tables, err := w.datapaths[datapath].Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

// serving has the services that have a server which takes flows.
func (w *world) serving() map[model.ServiceKey]bool {
	serving := make(map[model.ServiceKey]bool)
	for _, dp := range w.datapaths {
		tables, _ := dp.Snapshot(context.Background())
		for _, s := range tables.Services {
			if slices.ContainsFunc(s.Servers, func(e model.ServerEntry) bool { return e.Weight > 0 }) {
				serving[s.Key] = true
			}
		}
	}
	return serving
}

// check compares the datapaths with the naive account.
func (w *world) check(t *rapid.T) {
	type services = map[model.ServiceKey]map[netip.AddrPort]model.Server
	want := map[model.DatapathChoice]services{model.DatapathXDP: {}, model.DatapathIPVS: {}}
	for _, v := range w.conf {
		if p := director.Choose(v, w.caps); p.Runs() {
			want[p.Datapath][v.Key] = w.naive[v.Key].want(v)
		}
	}
	for datapath := range w.datapaths {
		got := services{}
		for _, s := range w.tables(t, datapath).Services {
			got[s.Key] = make(map[netip.AddrPort]model.Server)
			for _, e := range s.Servers {
				got[s.Key][e.Addr] = e.Server
			}
		}
		if diff := cmp.Diff(want[datapath], got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", datapath, diff)
		}
	}
}

func TestOperationsGiveWhatAFreshComputationGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{datapaths: map[model.DatapathChoice]*directortest.Datapath{
			model.DatapathXDP: {}, model.DatapathIPVS: {},
		}}
		w.reconfigure(drawConf(t), drawCaps(t))
		d, c := director.New(w.conf, w.caps)
		w.director = d
		w.apply(t, c)
		w.check(t)

		t.Repeat(map[string]func(*rapid.T){
			"verdict": func(t *rapid.T) {
				v := up(rapid.IntRange(1, 6).Draw(t, "server"))
				v.Up = rapid.Bool().Draw(t, "up")
				port := rapid.SampledFrom([]uint16{80, 81, 82}).Draw(t, "service")
				v.Service = key(netip.AddrPortFrom(vip.Addr(), port))
				v.Server = netip.AddrPortFrom(v.Server.Addr(), port)
				w.note(v)
				w.apply(t, w.director.Verdict(v))
				if again := w.director.Verdict(v); len(again.Steps) > 0 {
					t.Fatalf("the same verdict again gives %v", again.Steps)
				}
			},
			"reload": func(t *rapid.T) {
				w.reconfigure(drawConf(t), drawCaps(t))
				before := w.status(t)
				_, preview := w.director.Preview(w.conf, w.caps)
				if after := w.status(t); after != before {
					t.Fatalf("a preview changes %s to %s", before, after)
				}
				c := w.director.Reload(w.conf, w.caps)
				if fmt.Sprint(preview.Steps) != fmt.Sprint(c.Steps) {
					t.Fatalf("the preview is %v, the reload does %v", preview.Steps, c.Steps)
				}
				w.apply(t, c)
			},
			"reload the same": func(t *rapid.T) {
				if c := w.director.Reload(w.conf, w.caps); len(c.Steps) > 0 || len(c.Events) > 0 {
					t.Fatalf("a reload of the same file gives %v, %v", c.Steps, c.Events)
				}
			},
			"repair": func(t *rapid.T) {
				for datapath := range w.datapaths {
					if s := w.director.Repair(datapath, w.tables(t, datapath)); len(s) > 0 {
						t.Fatalf("repair of what is right gives %v", s)
					}
				}
			},
			"": w.check,
		})
	})
}

// status writes down all that the director says of itself.
func (w *world) status(t *rapid.T) string {
	text, err := json.Marshal(w.director.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// note updates the naive account for a verdict.
func (w *world) note(v health.Verdict) {
	n := w.naive[v.Service]
	for _, conf := range w.conf {
		if conf.Key != v.Service || n == nil {
			continue
		}
		for _, s := range conf.Servers {
			if s.Addr == v.Server && len(s.Checks) > 0 {
				n.alive[s.Addr] = v.Up
				n.judge(conf)
			}
		}
	}
}

// Whatever runs, Reconcile gets from there to what is wanted, and servers
// that stay keep their places.
func TestReconcileKeepsTheOrderOfWhatStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() []model.Server {
			var servers []model.Server
			order := rapid.Permutation([]int{1, 2, 3, 4, 5, 6}).Draw(t, "servers")
			for _, n := range order[:rapid.IntRange(0, 6).Draw(t, "count")] {
				servers = append(servers, rs(n, int32(rapid.IntRange(0, 2).Draw(t, "weight"))).Server)
			}
			return servers
		}
		var dp directortest.Datapath
		service := vs().Service
		build := director.Reconcile(model.Tables{}, []director.Table{{Service: service, Servers: draw()}})
		if err := dp.Apply(t.Context(), build); err != nil {
			t.Fatal(err)
		}
		before, _ := dp.Snapshot(t.Context())
		wanted := draw()
		if err := dp.Apply(t.Context(), director.Reconcile(before, []director.Table{{Service: service, Servers: wanted}})); err != nil {
			t.Fatal(err)
		}
		after, _ := dp.Snapshot(t.Context())

		old := addrs(before.Services[0].Servers)
		now := addrs(after.Services[0].Servers)
		stayed := func(list, other []netip.AddrPort) []netip.AddrPort {
			return slices.DeleteFunc(slices.Clone(list), func(a netip.AddrPort) bool { return !slices.Contains(other, a) })
		}
		if was, is := stayed(old, now), stayed(now, old); !slices.Equal(was, is) {
			t.Fatalf("servers that stay went from %v to %v", was, is)
		}
		got, want := make(map[model.Server]bool), make(map[model.Server]bool)
		for _, e := range after.Services[0].Servers {
			got[e.Server] = true
		}
		for _, s := range wanted {
			want[s] = true
		}
		if !maps.Equal(got, want) {
			t.Fatalf("reconciled to %v, want %v", got, want)
		}
		if ops := director.Reconcile(after, []director.Table{{Service: service, Servers: wanted}}); len(ops) > 0 {
			t.Fatalf("reconcile of what is right gives %v", ops)
		}
	})
}

func addrs(entries []model.ServerEntry) []netip.AddrPort {
	var list []netip.AddrPort
	for _, e := range entries {
		list = append(list, e.Addr)
	}
	return list
}
