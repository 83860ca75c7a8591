//go:build netns

package failover

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/vrrp"
)

const vip = "10.90.0.101" // of instance 1

// TestPair: two routers elect one master; the other takes over when it crashes,
// and yields when it is back.
func TestPair(t *testing.T) {
	s := newSite(t, 2)
	a, b := s.routers[0], s.routers[1]
	cfgA, cfgB := config(quick(instance("VI", 1), 200)), config(quick(instance("VI", 1), 100))
	a.start(cfgA)
	b.start(cfgB)
	a.await("VI", vrrp.Master)
	a.awaitAddr(vip, true)
	if b.state("VI") != vrrp.Backup || b.has(vip) {
		t.Error("two masters")
	}
	labtest.Until(t, "an answer", func() bool { return s.answers(vip) })
	if got := s.neighbour(vip); got != a.eth0.MAC.String() {
		t.Errorf("client believes the address is at %s", got)
	}
	a.crash()
	if !a.has(vip) {
		t.Error("the crash took the address away")
	}
	b.await("VI", vrrp.Master)
	b.awaitAddr(vip, true)
	labtest.Until(t, "the client learns", func() bool { return s.neighbour(vip) == b.eth0.MAC.String() })
	if got := b.status("VI").Instance.Reason().Code; got != vrrp.ReasonSilence {
		t.Errorf("reason %s", got)
	}
	time.Sleep(time.Second) // so that the memory is too old
	a.start(cfgA)
	a.await("VI", vrrp.Master)
	b.await("VI", vrrp.Backup)
	b.awaitAddr(vip, false)
	labtest.Until(t, "the client learns again", func() bool { return s.neighbour(vip) == a.eth0.MAC.String() })
	if got := a.seen("VI"); !slices.Equal(got[len(got)-2:], []string{"BACKUP", "MASTER"}) {
		t.Errorf("states %q: the address of before was not given up first", got)
	}
}

// TestStopServesOn: after its goodbye a master keeps the address until the
// backup's timer has run out.
func TestStopServesOn(t *testing.T) {
	s := newSite(t, 2)
	a, b := s.routers[0], s.routers[1]
	slow := instance("VI", 1) // the skew is 609 ms
	slow.Priority = 200
	slow.Interval = 100 * time.Millisecond
	a.start(config(slow))
	a.await("VI", vrrp.Master)
	a.awaitAddr(vip, true)
	b.start(config(instance("VI", 1))) // learns the short interval
	counts := func(c vrrp.Counter) bool {
		st, ok := b.find("VI")
		return ok && st.Instance.Count(c) > 0
	}
	labtest.Until(t, "adverts", func() bool { return counts(vrrp.AdvertsReceived) })
	ended := make(chan struct{})
	gap := s.probe(vip)
	go func() { a.end(); close(ended) }()
	labtest.Until(t, "a goodbye", func() bool { return counts(vrrp.PriorityZeroReceived) })
	if b.state("VI") == vrrp.Backup && !a.has(vip) && b.state("VI") == vrrp.Backup {
		t.Error("nobody has the address")
	}
	b.await("VI", vrrp.Master)
	<-ended
	if a.has(vip) {
		t.Error("the address was left behind")
	}
	b.awaitAddr(vip, true)
	labtest.Until(t, "an answer of the other", func() bool { return s.answers(vip) && s.neighbour(vip) == b.eth0.MAC.String() })
	t.Logf("longest time without an answer: %v", gap())
}

// probe asks an address again and again. The returned function ends that and
// says what the longest time between two answers was. That is no claim.
func (s *site) probe(addr string) func() time.Duration {
	ctx, stop := context.WithCancel(context.Background())
	longest := make(chan time.Duration)
	go func() {
		most, last := time.Duration(0), time.Now()
		for ctx.Err() == nil {
			one, done := context.WithTimeout(ctx, 20*time.Millisecond)
			_, err := s.client.Dial(one, "tcp", addr+":9")
			done()
			if errors.Is(err, unix.ECONNREFUSED) {
				most, last = max(most, time.Since(last)), time.Now()
			}
		}
		longest <- most
	}()
	return func() time.Duration { stop(); return <-longest }
}

// TestRestartInTime: a process that is started again at once is master as
// before, without being anything else, and the address never goes.
func TestRestartInTime(t *testing.T) {
	s := newSite(t, 2)
	a, b := s.routers[0], s.routers[1]
	cfg := instance("VI", 1) // 1 s, so 3 s to come back
	cfg.Priority = 255
	a.start(config(cfg))
	b.start(config(instance("VI", 1)))
	a.await("VI", vrrp.Master)
	a.awaitAddr(vip, true)
	log := labtest.WatchAddresses(t, a.node)
	cfg.Priority = 200 // no owner any more, so that it cannot start as master
	time.Sleep(100 * time.Millisecond)
	a.crash()
	a.mu.Lock()
	a.changes = nil
	a.mu.Unlock()
	a.start(config(cfg))
	a.await("VI", vrrp.Master)
	if got := a.seen("VI"); !slices.Equal(got, []string{"MASTER"}) {
		t.Errorf("states %q, want MASTER only", got)
	}
	if got := a.status("VI").Instance.Reason().Code; got != vrrp.ReasonAdopted {
		t.Errorf("reason %s", got)
	}
	if b.state("VI") != vrrp.Backup {
		t.Error("the backup noticed")
	}
	if strings.Contains(log.Log(), "Deleted") {
		t.Errorf("addresses went:\n%s", log.Log())
	}
}

// TestRestartTooLate: who comes back too late to go on as master keeps serving
// until another router does, or it is master again.
func TestRestartTooLate(t *testing.T) {
	s := newSite(t, 2)
	a, b := s.routers[0], s.routers[1]
	cfg := config(quick(instance("VI", 1), 200))
	a.start(cfg)
	a.await("VI", vrrp.Master)
	a.awaitAddr(vip, true)
	log := labtest.WatchAddresses(t, a.node)
	late := func() {
		a.crash()
		time.Sleep(vrrp.DownInterval(vrrp.V3, 1, cfg.Instances[0].Interval, 3))
	}
	late()
	a.start(cfg)
	a.await("VI", vrrp.Master)
	if got := a.status("VI").Instance.Reason().Code; got != vrrp.ReasonSilence {
		t.Errorf("reason %s", got)
	}
	a.awaitAddr(vip, true)
	if strings.Contains(log.Log(), "Deleted") {
		t.Errorf("the address went:\n%s", log.Log())
	}
	late()
	b.start(config(quick(instance("VI", 1), 250)))
	b.await("VI", vrrp.Master)
	a.start(cfg)
	a.awaitAddr(vip, false)
	if a.state("VI") != vrrp.Backup {
		t.Errorf("state %s", a.state("VI"))
	}
}

// TestPutBack: an address that somebody removes comes back without an election,
// and is announced again.
func TestPutBack(t *testing.T) {
	s := newSite(t, 2)
	a := s.routers[0]
	a.start(config(quick(instance("VI", 1), 200)))
	a.await("VI", vrrp.Master)
	a.awaitAddr(vip, true)
	labtest.Until(t, "an announcement", func() bool { return a.service.Stats().Announced.ARP >= 5 })
	before := a.service.Stats().Announced.ARP
	s.check(a.node.DelAddr("eth0", prefix(vip+"/24")))
	labtest.Until(t, "another announcement", func() bool { return a.service.Stats().Announced.ARP > before })
	a.awaitAddr(vip, true)
	if got := a.service.Stats().Objects.Restored; got != 1 {
		t.Errorf("Restored = %d", got)
	}
	if got := a.seen("VI"); !slices.Equal(got, []string{"BACKUP", "MASTER"}) {
		t.Errorf("states %q", got)
	}
}

// TestPromoteSecondaries: when the first address of a subnet goes, the others stay;
// the setting is put back at the end.
func TestPromoteSecondaries(t *testing.T) {
	s := newSite(t, 1)
	a := s.routers[0]
	const key = "net/ipv4/conf/eth0/promote_secondaries"
	s.check(a.node.SetSysctl(key, "0"))
	setting := func() string {
		got, err := a.node.Sysctl(key)
		s.check(err)
		return got
	}
	i := quick(instance("VI", 1), 200)
	i.PromoteSecondaries = true
	a.start(config(i))
	a.await("VI", vrrp.Master)
	if got := setting(); got != "1" {
		t.Errorf("promote_secondaries = %q while the instance runs", got)
	}
	a.end()
	if got := setting(); got != "0" {
		t.Errorf("promote_secondaries = %q after the end", got)
	}
}

// TestLinkDown: no link, no master; back through BACKUP.
func TestLinkDown(t *testing.T) {
	s := newSite(t, 2)
	a, b := s.routers[0], s.routers[1]
	tracked := quick(instance("VI", 1), 200)
	tracked.Tracks = []model.Track{{Kind: model.TrackingInterface, Name: "eth0"}}
	a.start(config(tracked))
	b.start(config(quick(instance("VI", 1), 100)))
	a.await("VI", vrrp.Master)
	s.check(a.eth0.SetUp(false))
	a.await("VI", vrrp.Fault)
	a.awaitAddr(vip, false)
	b.await("VI", vrrp.Master)
	s.check(a.eth0.SetUp(true))
	a.await("VI", vrrp.Master)
	b.await("VI", vrrp.Backup)
	if got := a.seen("VI"); !slices.Equal(got, []string{"BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER"}) {
		t.Errorf("states %q", got)
	}
}

// TestSourceLost: without an address there are no adverts.
func TestSourceLost(t *testing.T) {
	s := newSite(t, 1)
	a := s.routers[0]
	a.start(config(quick(instance("VI", 1), 200)))
	a.await("VI", vrrp.Master)
	s.check(a.node.DelAddr("eth0", prefix("10.90.0.1/24")))
	a.await("VI", vrrp.Fault)
	s.check(a.node.AddAddr("eth0", prefix("10.90.0.1/24")))
	a.await("VI", vrrp.Master)
}

// TestGroup: two instances change together.
func TestGroup(t *testing.T) {
	s := newSite(t, 2)
	a, b := s.routers[0], s.routers[1]
	with := func(priority uint8) model.VRRP {
		one, two := quick(instance("one", 1), priority), quick(instance("two", 2), priority)
		two.IPv6, two.Multicast = true, vrrp.MulticastGroup(true)
		two.Addresses = []model.Address{{Prefix: prefix("fe80::5a:100/64"), Interface: "eth0"}, {Prefix: prefix("fd5a::100/64"), Interface: "eth0"}}
		one.Tracks = []model.Track{{Kind: model.TrackingInterface, Name: "dummy"}}
		cfg := config(one, two)
		cfg.Groups = []model.SyncGroup{{Name: "G", Members: []string{"one", "two"}}}
		return cfg
	}
	for _, r := range s.routers {
		s.check(r.node.Run(exec.Command("ip", "link", "add", "dummy", "type", "bridge")))
		s.check(r.node.Run(exec.Command("ip", "link", "set", "dummy", "up")))
	}
	cfgA, cfgB := with(200), with(100)
	for _, cfg := range []*model.VRRP{&cfgA, &cfgB} {
		cfg.Instances[0].Tracks[0].Name = "lo"
	}
	a.start(cfgA)
	b.start(cfgB)
	for _, name := range []string{"one", "two"} {
		a.await(name, vrrp.Master)
	}
	labtest.Until(t, "the client learns", func() bool { return s.answers("fd5a::100") && s.answers(vip) })
	s.check(a.node.Run(exec.Command("ip", "link", "set", "lo", "down")))
	for _, name := range []string{"one", "two"} {
		a.await(name, vrrp.Fault)
		b.await(name, vrrp.Master)
	}
	a.awaitAddr("fd5a::100", false)
	if got := a.seen("G"); !slices.Contains(got, "MASTER") || got[len(got)-1] != "FAULT" {
		t.Errorf("group states %q", got)
	}
}

// TestVirtualMAC: the address is at the virtual MAC, on both routers in turn,
// so that nothing changes for the client.
func TestVirtualMAC(t *testing.T) {
	s := newSite(t, 2)
	a, b := s.routers[0], s.routers[1]
	with := func(priority uint8) model.VRRP {
		i := quick(instance("VI", 1), priority)
		i.VMAC = &model.VMAC{}
		return config(i)
	}
	a.start(with(200))
	b.start(with(100))
	a.await("VI", vrrp.Master)
	labtest.Until(t, "the backup hears", func() bool {
		st, ok := b.find("VI")
		return ok && st.Instance.Count(vrrp.AdvertsReceived) > 0
	})
	const mac = "00:00:5e:00:01:01"
	labtest.Until(t, "an answer", func() bool { return s.answers(vip) && s.neighbour(vip) == mac })
	a.end()
	b.await("VI", vrrp.Master)
	labtest.Until(t, "an answer of the other", func() bool { return s.answers(vip) && s.neighbour(vip) == mac })
	b.end()
	for _, r := range s.routers {
		links, err := r.kernel.Links()
		s.check(err)
		if len(links) != 2 {
			t.Errorf("%s has links %v, want lo and eth0", r.node.Name(), names(links))
		}
	}
}

func names(links []netif.Link) (list []string) {
	for _, l := range links {
		list = append(list, l.Name)
	}
	return list
}

// TestNoAccept: the address is the router's, but packets to it are not.
func TestNoAccept(t *testing.T) {
	s := newSite(t, 1)
	a := s.routers[0]
	deaf, owner := quick(instance("deaf", 1), 200), quick(instance("owner", 2), 255)
	deaf.NoAccept, owner.NoAccept = true, true
	a.start(config(deaf, owner))
	a.await("deaf", vrrp.Master)
	a.awaitAddr(vip, true)
	labtest.Until(t, "the owner answers", func() bool { return s.answers("10.90.0.102") })
	if s.answers(vip) {
		t.Error("the address answers")
	}
	if s.neighbour(vip) != a.eth0.MAC.String() {
		t.Error("the neighbour does not find the address")
	}
	deaf.NoAccept = false
	s.check(a.service.Reload(config(deaf, owner)))
	labtest.Until(t, "the address answers", func() bool { return s.answers(vip) })
}

// TestHeal: after a partition there is one master again, and the client believes
// in it.
func TestHeal(t *testing.T) {
	s := newSite(t, 2)
	a, b := s.routers[0], s.routers[1]
	a.start(config(quick(instance("VI", 1), 200)))
	b.start(config(quick(instance("VI", 1), 100)))
	a.await("VI", vrrp.Master)
	port, err := s.lan.Node().Netlink().LinkByName("router1-eth0")
	s.check(err)
	bridge, err := s.lan.Node().Netlink().LinkByName("br0")
	s.check(err)
	for range 5 {
		s.check(s.lan.Node().Netlink().LinkSetNoMaster(port))
		b.await("VI", vrrp.Master)
		labtest.Until(t, "the client follows", func() bool { return s.answers(vip) && s.neighbour(vip) == b.eth0.MAC.String() })
		s.check(s.lan.Node().Netlink().LinkSetMaster(port, bridge))
		b.await("VI", vrrp.Backup)
		b.awaitAddr(vip, false)
		labtest.Until(t, "the client comes back", func() bool { return s.neighbour(vip) == a.eth0.MAC.String() })
		if got := a.seen("VI"); !slices.Equal(got, []string{"BACKUP", "MASTER"}) {
			t.Fatalf("the better one: %q", got)
		}
	}
}

// TestReload keeps what stays and changes what does not.
func TestReload(t *testing.T) {
	s := newSite(t, 2)
	a, b := s.routers[0], s.routers[1]
	stays, goes, grows := quick(instance("stays", 1), 200), quick(instance("goes", 2), 200), quick(instance("grows", 3), 200)
	a.start(config(stays, goes, grows))
	b.start(config(quick(instance("goes", 2), 100), quick(instance("grows", 3), 100)))
	for _, name := range []string{"stays", "goes", "grows"} {
		a.await(name, vrrp.Master)
		a.awaitAddr(instanceAddr(name), true)
	}
	since := func(name string) string {
		_, at := a.status(name).Instance.State()
		return at.String()
	}
	stayed, grown := since("stays"), since("grows")

	grows.Priority = 150
	grows.Name = "grown"
	grows.Excluded = []model.Address{{Prefix: prefix("10.90.0.200/24"), Interface: "eth0"}}
	s.check(a.service.Reload(config(stays, grows, quick(instance("new", 4), 200))))
	a.awaitAddr("10.90.0.200", true)
	a.await("new", vrrp.Master)
	b.await("goes", vrrp.Master)
	a.awaitAddr(instanceAddr("goes"), false)
	if since("stays") != stayed || since("grown") != grown {
		t.Error("a mastership was interrupted")
	}
	if got := a.status("grown").Instance.Priority(); got != 150 {
		t.Errorf("priority %d, want the new one", got)
	}
	if got := a.seen("goes"); got[len(got)-1] != "INIT" {
		t.Errorf("goes: %q", got)
	}
	if !a.has(instanceAddr("stays")) || !a.has(instanceAddr("grows")) || b.state("grows") != vrrp.Backup {
		t.Error("an address moved")
	}

	// Another virtual router of the same name.
	other := stays
	other.VRID = 9
	s.check(a.service.Reload(config(other)))
	a.await("stays", vrrp.Master)
	b.await("grows", vrrp.Master)
	labtest.Until(t, "the old ones have left", func() bool { return !a.has(instanceAddr("grows")) && !a.has("10.90.0.200") })
	a.awaitAddr(instanceAddr("stays"), true)
	a.end()
	for _, addr := range []string{instanceAddr("stays"), instanceAddr("grows"), instanceAddr("new")} {
		if a.has(addr) {
			t.Errorf("%s was left behind", addr)
		}
	}
}

func instanceAddr(name string) string {
	vrid := map[string]int{"stays": 1, "goes": 2, "grows": 3, "new": 4}[name]
	return fmt.Sprintf("10.90.0.%d", 100+vrid)
}

// TestLeftovers: what an earlier process left and the configuration has no more
// goes at the start; what it has waits for the election.
func TestLeftovers(t *testing.T) {
	s := newSite(t, 1)
	a := s.routers[0]
	old := quick(instance("old", 1), 200)
	old.VMAC = &model.VMAC{}
	static := model.Address{Prefix: prefix("10.90.0.77/32"), Interface: "eth0"}
	cfg := config(old, quick(instance("plain", 2), 200))
	cfg.Static.Addresses = []model.Address{static}
	a.start(cfg)
	a.await("old", vrrp.Master)
	a.awaitAddr("10.90.0.101", true)
	a.awaitAddr("10.90.0.102", true)
	a.awaitAddr("10.90.0.77", true)
	a.crash()
	a.start(config(quick(instance("other", 3), 200)))
	for _, addr := range []string{"10.90.0.101", "10.90.0.102", "10.90.0.77"} {
		a.awaitAddr(addr, false)
	}
	labtest.Until(t, "the virtual MAC goes", func() bool {
		links, err := a.kernel.Links()
		s.check(err)
		return len(links) == 2
	})
}

// TestManyInstances: 255 routers on one link, and all are elected.
func TestManyInstances(t *testing.T) {
	s := newSite(t, 2)
	a, b := s.routers[0], s.routers[1]
	with := func(priority uint8) (cfg model.VRRP) {
		for vrid := 1; vrid <= 255; vrid++ {
			i := instance(fmt.Sprint("VI", vrid), uint8(vrid))
			i.Priority, i.Interval = priority, 500*time.Millisecond
			i.Addresses[0].Prefix = prefix(fmt.Sprintf("10.91.0.%d/32", vrid))
			i.Announce.Repeat = 1
			cfg.Instances = append(cfg.Instances, i)
		}
		return cfg
	}
	quiet := func(r *router) { r.TB = silent{t} }
	quiet(a)
	quiet(b)
	a.start(with(200))
	b.start(with(100))
	all := func(r *router, want vrrp.State) {
		labtest.Until(t, "all are "+want.String(), func() bool {
			list, err := r.service.Snapshot(t.Context())
			s.check(err)
			for _, st := range list {
				if state, _ := st.Instance.State(); state != want {
					return false
				}
			}
			return len(list) == 255
		})
	}
	all(a, vrrp.Master)
	all(b, vrrp.Backup)
	a.awaitAddr("10.91.0.255", true)
	a.end()
	all(b, vrrp.Master)
	b.awaitAddr("10.91.0.255", true)
	if a.has("10.91.0.1") {
		t.Error("an address was left behind")
	}
}

// silent keeps 255 instances out of the log of the test.
type silent struct{ testing.TB }

func (silent) Logf(string, ...any) {}
