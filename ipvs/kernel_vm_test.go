//go:build vm

package ipvs

import (
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// start returns the kernel's IPVS, emptied at the end of the test.
func start(t *testing.T, o Options) *IPVS {
	t.Helper()
	v, err := Start(t.Context(), o)
	if errors.Is(err, ErrNoIPVS) {
		t.Skipf("skipped: runs in a machine of make vm: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for key := range v.ours {
			if err := v.deleteService(context.WithoutCancel(t.Context()), key); err != nil {
				t.Errorf("delete %s: %v", key, err)
			}
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func service(proto model.Protocol, addr string, change ...func(*model.Service)) model.Service {
	s := model.Service{Key: model.ServiceKey{Protocol: proto, Addr: netip.MustParseAddrPort(addr)}, Scheduler: "rr"}
	for _, f := range change {
		f(&s)
	}
	return s
}

func server(addr string, forward model.Forward, weight int32) model.Server {
	return model.Server{Addr: netip.MustParseAddrPort(addr), Forward: forward, Weight: weight}
}

func apply(t *testing.T, v *IPVS, ops ...sched.Op) {
	t.Helper()
	if err := v.Apply(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
}

func add(s model.Service, servers ...model.Server) []sched.Op {
	ops := []sched.Op{{Kind: sched.AddService, Service: s}}
	for _, server := range servers {
		ops = append(ops, sched.Op{Kind: sched.AddServer, Service: s, Server: server})
	}
	return ops
}

// holds compares what the kernel has with services and, newest first, servers.
func holds(t *testing.T, v *IPVS, want ...model.ServiceEntry) {
	t.Helper()
	got, err := v.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	options := cmp.Options{
		cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{}), cmpopts.EquateEmpty(),
		cmpopts.IgnoreFields(model.ServerEntry{}, "NextHop"),
	}
	if diff := cmp.Diff(want, got.Services, options...); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
}

func entry(s model.Service, newestFirst ...model.Server) model.ServiceEntry {
	e := model.ServiceEntry{Service: s}
	for _, server := range newestFirst {
		e.Servers = append(e.Servers, model.ServerEntry{Server: server})
	}
	return e
}

// Every kind of service and server comes back as it was written.
func TestTablesOfTheKernel(t *testing.T) {
	v := start(t, Options{})
	web := service(model.TCP, "198.51.100.1:80", func(s *model.Service) {
		s.Scheduler, s.SchedFlags = "sh", sched.FlagPort|sched.FlagFallback
		s.Persistence, s.PersistencePrefix = 5*time.Minute, 24
	})
	dns := service(model.UDP, "198.51.100.2:53", func(s *model.Service) { s.OnePacket = true })
	six := service(model.TCP, "[2001:db8::1]:443", func(s *model.Service) {
		s.Scheduler, s.Persistence, s.PersistencePrefix = "wlc", time.Hour, 64
	})
	sctp := service(model.SCTP, "198.51.100.3:3868", func(s *model.Service) { s.Scheduler = "mh" })
	mark := model.Service{Key: model.ServiceKey{FWMark: 7}, Scheduler: "lblcr"}
	sip := service(model.UDP, "198.51.100.5:5060", func(s *model.Service) { s.Persistence, s.PersistenceEngine = time.Minute, "sip" })
	any := service(model.TCP, "198.51.100.4:0", func(s *model.Service) { s.Persistence = time.Minute })

	heavy := server("10.0.0.1:8080", model.NAT, 70000)
	heavy.Upper, heavy.Lower = 1<<31-1, 100000
	direct, tunnel := server("10.0.0.2:80", model.DR, 0), server("[2001:db8::99]:80", model.TUN, 3)
	gre := server("10.0.0.3:80", model.TUN, 1)
	gre.Tunnel = model.Tunnel{Type: model.GRE, Checksum: model.OuterChecksum}
	gue := server("10.0.0.4:80", model.TUN, 1)
	gue.Tunnel = model.Tunnel{Type: model.GUE, Port: 6080, Checksum: model.RemoteChecksum}
	apply(t, v, add(web, heavy, direct, tunnel, gre, gue)...)
	apply(t, v, add(dns, server("10.0.0.1:53", model.NAT, 1))...)
	apply(t, v, add(six, server("[2001:db8:1::1]:443", model.DR, 1), server("10.0.0.9:443", model.TUN, 2))...)
	apply(t, v, add(sctp, server("10.0.0.1:3868", model.NAT, 1))...)
	apply(t, v, add(mark, server("10.0.0.1:0", model.NAT, 1))...)
	apply(t, v, add(any, server("10.0.0.1:0", model.DR, 1))...)
	apply(t, v, add(sip, server("10.0.0.1:5060", model.NAT, 1))...)
	holds(t, v,
		entry(web, gue, gre, tunnel, direct, heavy),
		entry(dns, server("10.0.0.1:53", model.NAT, 1)),
		entry(sctp, server("10.0.0.1:3868", model.NAT, 1)),
		entry(any, server("10.0.0.1:0", model.DR, 1)),
		entry(sip, server("10.0.0.1:5060", model.NAT, 1)),
		entry(six, server("10.0.0.9:443", model.TUN, 2), server("[2001:db8:1::1]:443", model.DR, 1)),
		entry(mark, server("10.0.0.1:0", model.NAT, 1)),
	)
}

// What was carried out already may come again, and an edit keeps the place.
func TestApplyAgain(t *testing.T) {
	v := start(t, Options{})
	s := service(model.TCP, "198.51.100.1:80")
	one, two := server("10.0.0.1:80", model.NAT, 1), server("10.0.0.2:80", model.NAT, 1)
	apply(t, v, add(s, one, two)...)
	s.Scheduler, one.Weight = "wlc", 5
	apply(t, v, add(s, one, two)...)
	holds(t, v, entry(s, two, one))

	two.Upper = 9
	apply(t, v, sched.Op{Kind: sched.EditServer, Service: s, Server: two})
	s.Scheduler = "wrr"
	apply(t, v, sched.Op{Kind: sched.EditService, Service: s})
	holds(t, v, entry(s, two, one))

	for range 2 {
		apply(t, v, sched.Op{Kind: sched.DelServer, Service: s, Server: one})
	}
	holds(t, v, entry(s, two))
	for range 2 {
		apply(t, v, sched.Op{Kind: sched.DelService, Service: s})
		apply(t, v, sched.Op{Kind: sched.DelServer, Service: s, Server: two})
	}
	holds(t, v)
}

// One service's trouble is its own, and each error says what it is.
func TestRefusals(t *testing.T) {
	v := start(t, Options{})
	good := service(model.TCP, "198.51.100.1:80")
	bad := service(model.TCP, "198.51.100.2:80", func(s *model.Service) { s.Scheduler = "moon" })
	ops := add(bad, server("10.0.0.1:80", model.NAT, 1))
	ops = append(ops, add(good, server("10.0.0.1:80", model.NAT, 1))...)
	err := v.Apply(t.Context(), ops)
	if !errors.Is(err, ErrNoScheduler) || strings.Count(err.Error(), "\n") != 0 {
		t.Errorf("Apply = %v, want ErrNoScheduler once", err)
	}
	holds(t, v, entry(good, server("10.0.0.1:80", model.NAT, 1)))

	lost := sched.Op{Kind: sched.EditServer, Service: good, Server: server("10.0.0.2:80", model.NAT, 1)}
	if err := v.Apply(t.Context(), []sched.Op{lost}); !errors.Is(err, ErrNoServer) {
		t.Errorf("edit an unknown server: %v, want ErrNoServer", err)
	}
	lost.Service = bad
	if err := v.Apply(t.Context(), []sched.Op{lost}); !errors.Is(err, ErrNoService) {
		t.Errorf("edit a server of an unknown service: %v, want ErrNoService", err)
	}
}

// Services of others are neither shown nor touched until they are claimed.
func TestForeignServices(t *testing.T) {
	other, v := start(t, Options{}), start(t, Options{})
	theirs, ours := service(model.TCP, "198.51.100.1:80"), service(model.TCP, "198.51.100.2:80")
	apply(t, other, add(theirs, server("10.0.0.1:80", model.NAT, 1))...)
	apply(t, v, add(ours)...)
	holds(t, v, entry(ours))
	v.Claim(theirs.Key)
	holds(t, v, entry(theirs, server("10.0.0.1:80", model.NAT, 1)), entry(ours))
	v.mu.Lock()
	delete(v.ours, theirs.Key)
	v.mu.Unlock()
}

// A time-out of zero leaves the kernel's.
func TestTimeouts(t *testing.T) {
	before, err := start(t, Options{}).Timeouts()
	if err != nil {
		t.Fatal(err)
	}
	v := start(t, Options{Timeouts: Timeouts{UDP: 17 * time.Second}})
	want := before
	want.UDP = 17 * time.Second
	if got, err := v.Timeouts(); err != nil || got != want {
		t.Errorf("time-outs are %+v, %v; want %+v", got, err, want)
	}
	if err := v.SetTimeouts(before); err != nil {
		t.Fatal(err)
	}
	if got, err := v.Timeouts(); err != nil || got != before {
		t.Errorf("time-outs are %+v, %v; want %+v", got, err, before)
	}
}

// ipvsadm shows the same services and servers.
func TestAgreesWithIpvsadm(t *testing.T) {
	v := start(t, Options{})
	if _, err := exec.LookPath("ipvsadm"); err != nil {
		t.Skip("skipped: needs ipvsadm")
	}
	s := service(model.TCP, "198.51.100.1:80", func(s *model.Service) { s.Persistence, s.PersistencePrefix = time.Minute, 24 })
	apply(t, v, add(s, server("10.0.0.1:8080", model.NAT, 3), server("10.0.0.2:80", model.DR, 0))...)
	apply(t, v, add(service(model.UDP, "[2001:db8::1]:53"), server("[2001:db8::2]:53", model.DR, 2))...)
	out, err := exec.Command("ipvsadm", "-S", "-n").CombinedOutput()
	if err != nil {
		t.Fatalf("ipvsadm: %v: %s", err, out)
	}
	const want = `-A -t 198.51.100.1:80 -s rr -p 60 -M 255.255.255.0
-a -t 198.51.100.1:80 -r 10.0.0.1:8080 -m -w 3
-a -t 198.51.100.1:80 -r 10.0.0.2:80 -g -w 0
-A -u [2001:db8::1]:53 -s rr
-a -u [2001:db8::1]:53 -r [2001:db8::2]:53 -g -w 2
`
	if got := strings.ReplaceAll(string(out), " \n", "\n"); got != want {
		t.Errorf("ipvsadm says\n%swant\n%s", got, want)
	}
}
