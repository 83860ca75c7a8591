package keep

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// world is a kernel and the hands of somebody else on it.
type world interface {
	surface
	// has says what is in place: addresses, routes and rules in ip's words.
	has(item) bool
	// remove takes something away behind the Keeper's back, put adds it.
	remove(item)
	put(item)
	// setUp sets the link eth0 up or down, renew replaces it by another one
	// of the same name.
	setUp(up bool)
	renew()
	// lose makes the next reading of changes fail, as an overrun does.
	lose()
}

// stage is a Keeper at work in a world.
type stage struct {
	testing.TB
	world
	keeper  *Keeper
	reports chan Placed
	stop    func()
}

func newStage(t testing.TB, w world) *stage {
	t.Helper()
	s := &stage{TB: t, world: w, reports: make(chan Placed, 1000)}
	s.start()
	return s
}

func (s *stage) start() {
	s.keeper = newKeeper(s.world, Options{OnPlaced: func(p Placed) { s.reports <- p }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.keeper.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			s.Errorf("Run = %v", err)
		}
	}
}

// restart stands for a new process after a crash.
func (s *stage) restart() {
	s.stop()
	s.start()
}

const patience = 10 * time.Second

func (s *stage) sync() {
	s.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if err := s.keeper.Sync(ctx); err != nil {
		s.Fatalf("Sync = %v", err)
	}
}

// report waits for the next report.
func (s *stage) report() Placed {
	s.Helper()
	select {
	case p := <-s.reports:
		return p
	case <-time.After(patience):
		s.Fatal("no report")
	}
	return Placed{}
}

func (s *stage) noReport() {
	s.Helper()
	s.sync()
	select {
	case p := <-s.reports:
		s.Errorf("report %+v, want none", p)
	default:
	}
}

func (s *stage) want(set Set, there bool) {
	s.Helper()
	for _, it := range set.items() {
		if s.has(it) != there {
			s.Errorf("%s in place: %t, want %t", it, !there, there)
		}
	}
}

// await waits until the set is in place, or away.
func (s *stage) await(set Set, there bool) {
	s.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if !slices.ContainsFunc(set.items(), func(it item) bool { return s.has(it) != there }) {
			return
		}
	}
	s.want(set, there)
	s.FailNow()
}

func addr(prefix string) model.Address {
	p := netip.MustParsePrefix(prefix)
	return model.Address{Prefix: p, Interface: "eth0", Deprecated: p.Bits() == 128}
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(prefixes ...string) (set Set) {
	for _, p := range prefixes {
		set.Addresses = append(set.Addresses, addr(p))
	}
	return set
}

// manyAddresses returns n of them.
func manyAddresses(n int) (set Set) {
	for i := range n {
		set.Addresses = append(set.Addresses, addr(fmt.Sprintf("10.91.%d.%d/32", i>>8, i&255)))
	}
	return set
}

// full is a set of everything.
func full() Set {
	set := addrs("10.90.0.100/24", "10.90.9.1/32", "fd5a::100/64", "fd5a::101/128")
	set.Routes = []model.Route{
		{Type: 1, Table: 254, Protocol: 18, Dst: prefix("192.0.2.0/24"), Via: ip("10.90.0.9"), Source: ip("10.90.0.100")},
		{Type: 1, Table: 1000, Protocol: 18, Dst: prefix("198.51.100.0/24"), Interface: "eth0", Metric: 7},
		{Type: unix.RTN_BLACKHOLE, Table: 254, Dst: prefix("203.0.113.0/24")},
		{Type: 1, Table: 254, Dst: prefix("2001:db8::/32"), Via: ip("fd5a::9"), Interface: "eth0"},
		{Type: unix.RTN_UNREACHABLE, Table: 254, Dst: prefix("2001:db9::/32")},
	}
	set.Rules = []model.Rule{
		{Priority: 100, From: prefix("10.90.0.100/32"), Action: 1, Table: 1000, Protocol: 18},
		{Priority: 101, To: prefix("192.0.2.0/24"), InInterface: "eth0", Mark: 5, Mask: ^uint32(0), Action: unix.FR_ACT_PROHIBIT},
		{Priority: 102, IPv6: true, Invert: true, OutInterface: "eth0", Action: 1, Table: 1000},
	}
	return set
}

func placed(p Placed) string {
	var list []string
	for _, a := range p.Addresses {
		list = append(list, a.Addr.String())
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// scenarios hold in every world.
var scenarios = []struct {
	name string
	run  func(*stage)
}{
	{"hold and drop", func(s *stage) {
		set := full()
		s.keeper.Hold("A", 1, set)
		p := s.report()
		if p.Owner != "A" || p.Epoch != 1 || !p.First || p.Failed != 0 || len(p.Addresses) != 4 {
			s.Errorf("report %+v", p)
		}
		s.want(set, true)
		s.keeper.Drop("A", set)
		s.sync()
		s.want(set, false)
		if got := s.keeper.Stats(); got.Added != 12 || got.Removed < 8 || got.Restored != 0 || got.Failed != 0 {
			s.Errorf("Stats = %+v", got)
		}
	}},
	{"put back", func(s *stage) {
		set := full()
		s.keeper.Hold("A", 1, set)
		s.report()
		s.remove(set.items()[0])
		if p := s.report(); placed(p) != "10.90.0.100" || p.First || p.Epoch != 1 {
			s.Errorf("report %+v, want 10.90.0.100 again", p)
		}
		s.await(set, true) // the route with that source too
		all := set.items()
		for _, it := range []item{all[3], all[5], all[8], all[9], all[11]} {
			s.remove(it)
			s.await(set, true)
		}
		if got := s.keeper.Stats().Restored; got < 6 {
			s.Errorf("Restored = %d, want 6 at least", got)
		}
	}},
	{"all removed at once", func(s *stage) {
		set := full()
		s.keeper.Hold("A", 1, set)
		s.report()
		for _, it := range set.items() {
			s.remove(it)
		}
		s.await(set, true)
	}},
	{"change of the set", func(s *stage) {
		s.keeper.Hold("A", 1, addrs("10.90.0.100/24", "10.90.0.101/24"))
		s.report()
		s.keeper.Hold("A", 1, addrs("10.90.0.101/24", "10.90.0.102/24"))
		if p := s.report(); placed(p) != "10.90.0.102" || p.First {
			s.Errorf("report %+v, want the new address", p)
		}
		s.want(addrs("10.90.0.101/24", "10.90.0.102/24"), true)
		s.want(addrs("10.90.0.100/24"), false)
		s.keeper.Hold("A", 2, addrs("10.90.0.102/24"))
		if p := s.report(); placed(p) != "10.90.0.102" || !p.First || p.Epoch != 2 {
			s.Errorf("report %+v, want all of the new epoch", p)
		}
	}},
	{"the first of a subnet goes", func(s *stage) {
		// Without promote_secondaries the kernel takes the others along.
		set := addrs("10.90.0.100/24", "10.90.0.101/24", "10.90.0.102/24")
		s.keeper.Hold("A", 1, set)
		s.report()
		s.keeper.Hold("A", 1, addrs("10.90.0.101/24", "10.90.0.102/24"))
		s.sync()
		s.want(addrs("10.90.0.101/24", "10.90.0.102/24"), true)
		s.want(addrs("10.90.0.100/24"), false)
		if got := s.keeper.Stats(); got.Restored != 0 || got.Removed != 1 {
			s.Errorf("Stats = %+v", got)
		}
		s.noReport()
	}},
	{"another label", func(s *stage) {
		set := addrs("10.90.0.100/24")
		s.keeper.Hold("A", 1, set)
		s.report()
		set.Addresses[0].Label = "eth0:vip"
		s.keeper.Hold("A", 1, set)
		if p := s.report(); placed(p) != "10.90.0.100" {
			s.Errorf("report %+v", p)
		}
		s.want(set, true)
	}},
	{"two owners", func(s *stage) {
		s.keeper.Hold("A", 1, addrs("10.90.0.100/24", "10.90.0.101/24"))
		s.keeper.Hold("B", 1, addrs("10.90.0.101/24"))
		s.report()
		s.report()
		s.keeper.Drop("A", addrs("10.90.0.100/24", "10.90.0.101/24"))
		s.sync()
		s.want(addrs("10.90.0.101/24"), true)
		s.want(addrs("10.90.0.100/24"), false)
	}},
	{"drop right after hold", func(s *stage) {
		set := full()
		s.keeper.Hold("A", 1, set)
		s.keeper.Drop("A", set)
		s.sync()
		s.want(set, false)
		s.keeper.Drop("A", set)
		s.keeper.Hold("A", 2, set)
		s.report()
		s.want(set, true)
	}},
	{"link down and up", func(s *stage) {
		set := full()
		s.keeper.Hold("A", 1, set)
		s.report()
		s.setUp(false)
		s.await(addrs("fd5a::100/64"), false)
		s.setUp(true)
		s.await(set, true)
	}},
	{"link replaced", func(s *stage) {
		set := full()
		s.keeper.Hold("A", 1, set)
		s.report()
		s.renew()
		s.await(set, true)
	}},
	{"link missing", func(s *stage) {
		set := addrs("10.90.0.100/24")
		set.Addresses = append(set.Addresses, model.Address{Prefix: prefix("10.91.0.1/24"), Interface: "eth7"})
		s.keeper.Hold("A", 1, set)
		if p := s.report(); placed(p) != "10.90.0.100" || p.Failed != 1 {
			s.Errorf("report %+v, want one missing", p)
		}
		st := s.keeper.Status("A")
		if st.Placed != 1 || len(st.Missing) != 1 || !strings.Contains(st.Missing[0].Error, "eth7") {
			s.Errorf("Status = %+v", st)
		}
	}},
	{"leftovers adopted", func(s *stage) {
		set := full()
		s.keeper.Hold("A", 1, set)
		s.report()
		s.restart()
		s.keeper.Sweep([]Set{set})
		s.sync()
		s.want(set, true)
		s.keeper.Hold("A", 1, set)
		if p := s.report(); len(p.Addresses) != 4 || !p.First {
			s.Errorf("report %+v", p)
		}
		if got := s.keeper.Stats(); got.Added+got.Removed != 0 {
			s.Errorf("Stats = %+v, want nothing touched", got)
		}
	}},
	{"leftovers removed", func(s *stage) {
		set := full()
		s.keeper.Hold("A", 1, set)
		s.report()
		s.restart()
		s.keeper.Drop("A", set)
		s.sync()
		s.want(set, false)
	}},
	{"leftovers of another configuration", func(s *stage) {
		s.put(address(addr("10.90.0.55/24"))) // somebody else's
		set := full()
		s.keeper.Hold("A", 1, set)
		s.report()
		s.restart()
		s.keeper.Hold("B", 1, addrs("fd5a::101/128"))
		s.keeper.Sweep([]Set{addrs("10.90.0.100/24")})
		s.sync()
		s.want(addrs("10.90.0.100/24", "fd5a::101/128", "10.90.0.55/24"), true)
		rest := full()
		rest.Addresses = rest.Addresses[1:3]
		s.want(rest, false)
	}},
	{"there already", func(s *stage) {
		set := addrs("10.90.0.100/24", "fd5a::100/64")
		for _, it := range set.items() {
			s.put(it)
		}
		s.keeper.Hold("A", 1, set)
		if p := s.report(); len(p.Addresses) != 2 || p.Failed != 0 {
			s.Errorf("report %+v", p)
		}
		s.keeper.Drop("A", set)
		s.sync()
		s.want(set, false)
	}},
	{"changed while nobody looked", func(s *stage) {
		set := addrs("10.90.0.100/24")
		s.keeper.Hold("A", 1, set)
		s.report()
		s.keeper.Drop("A", set)
		s.sync()
		s.put(set.items()[0])
		s.keeper.Hold("B", 1, addrs("10.90.0.101/24"))
		s.report()
		s.remove(set.items()[0])
		s.keeper.Hold("A", 2, set)
		s.report()
		s.await(set, true)
	}},
	{"changes lost", func(s *stage) {
		set := full()
		s.keeper.Hold("A", 1, set)
		s.report()
		s.lose()
		s.remove(set.items()[0])
		s.await(set, true)
	}},
	{"many addresses", func(s *stage) {
		set := manyAddresses(1000)
		some := Set{Addresses: []model.Address{set.Addresses[0], set.Addresses[500], set.Addresses[999]}}
		s.keeper.Hold("A", 1, set)
		if p := s.report(); len(p.Addresses) != 1000 {
			s.Errorf("%d addresses in place", len(p.Addresses))
		}
		s.want(some, true)
		s.keeper.Drop("A", set)
		s.sync()
		s.want(some, false)
	}},
	{"refused by the kernel", func(s *stage) {
		set := addrs("10.90.0.100/24")
		set.Routes = []model.Route{{Type: 1, Table: 254, Dst: prefix("192.0.2.0/24"), Via: ip("172.31.0.1")}}
		s.keeper.Hold("A", 1, set)
		if p := s.report(); placed(p) != "10.90.0.100" || p.Failed != 1 {
			s.Errorf("report %+v, want the address without its route", p)
		}
		s.keeper.Hold("B", 1, addrs("172.31.0.2/24")) // makes the gateway reachable
		s.await(set, true)
	}},
}

var errLost = errors.New("changes were lost")
