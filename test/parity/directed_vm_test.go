//go:build vm

package parity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/ipvs"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// sent sends a client's segment through both datapaths, which must do the same,
// and returns the server that it went to; none is unset.
func (r *run) sent(t *testing.T, client netip.AddrPort, flags string) netip.AddrPort {
	t.Helper()
	p := packet{proto: r.service.Key.Protocol, src: client, dst: r.service.Key.Addr, flags: flags, ttl: 64}
	r.clientSide.drain(t)
	r.serverSide.drain(t)
	raw := p.bytes(t)
	r.clientSide.send(t, raw)
	// The kernel has done its work when the write returns.
	for _, side := range []tun{r.serverSide, r.clientSide} {
		out := side.read(t)
		if out == nil {
			continue
		}
		r.agrees(t, raw, side, out)
		if side.name == r.clientSide.name {
			return netip.AddrPort{}
		}
		to, _ := netip.AddrFromSlice(out[16:20])
		return netip.AddrPortFrom(to, uint16(out[22])<<8|uint16(out[23]))
	}
	r.agrees(t, raw, tun{}, nil)
	return netip.AddrPort{}
}

// IPVS and XDP hold a client to its server while its template lives, over a
// threshold too; a deleted server's flows are dropped, and live on with their
// counters when it comes back.
func TestCountedPersistenceThresholdsRevival(t *testing.T) {
	s := newSite(t, portsOfXDP+20000)
	profile := s.probe(t)
	s.xdp = newDatapath(t, profile)
	r := s.newRun(t, nil, profile, model.Service{
		Key: model.ServiceKey{Protocol: model.TCP}, Scheduler: "rr", Persistence: 50 * time.Second,
	}, model.NAT)
	for i := range 3 {
		server := r.serverAt(i, 1)
		server.Upper = 3
		r.change(t, sched.Op{Kind: sched.AddServer, Service: r.service, Server: server})
	}
	from := func(host byte, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, host}), port)
	}
	first := r.sent(t, from(9, 1), "S")
	for port := uint16(2); port < 7; port++ { // more than the threshold
		if to := r.sent(t, from(9, port), "S"); to != first || !to.IsValid() {
			t.Errorf("flow %d of the client is on %s, the first one on %s", port, to, first)
		}
	}
	for host := byte(10); host < 16; host++ { // the full server takes no one else
		if to := r.sent(t, from(host, 1), "S"); to == first {
			t.Errorf("client %d is on %s, which is full", host, to)
		}
	}
	if to := r.sent(t, from(20, 1), "S"); to.IsValid() {
		t.Errorf("with all servers full a client is on %s", to)
	}
	server := model.Server{Addr: first, Forward: model.NAT, Weight: 1, Upper: 3}
	r.change(t, sched.Op{Kind: sched.DelServer, Service: r.service, Server: server})
	if to := r.sent(t, from(9, 1), "A"); to.IsValid() {
		t.Errorf("a flow of a deleted server is on %s", to)
	}
	r.change(t, sched.Op{Kind: sched.AddServer, Service: r.service, Server: server})
	if to := r.sent(t, from(9, 1), "A"); to != first {
		t.Errorf("after the server is back its flow is on %s, want %s", to, first)
	}
	inKernel, err := r.kernel.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	inXDP, err := r.xdp.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, tables := range map[string]model.Tables{"IPVS": inKernel, "XDP": inXDP} {
		if got := countsOf(tables); !strings.HasPrefix(got, first.String()+" 6+0; ") {
			t.Errorf("%s counts %s, want %s first with 6 active flows", name, got, first)
		}
	}
	if one, other := countsOf(inKernel), countsOf(inXDP); one != other {
		t.Errorf("IPVS counts %s, XDP %s", one, other)
	}
	r.end(t)
}

// countsOf lists the servers of the only service that has any, newest first.
func countsOf(tables model.Tables) (text string) {
	for _, svc := range tables.Services {
		for _, s := range svc.Servers {
			text += fmt.Sprintf("%s %d+%d; ", s.Addr, s.Active, s.Inactive)
		}
	}
	return text
}

// The kernel's sync daemon sends the records that were captured once, byte for
// byte, and package ipvs writes the same.
func TestSyncRecordsOfTheKernel(t *testing.T) {
	s := newSite(t, portsOfKernel)
	set(t, "net/ipv4/vs/sync_threshold", "3\t50")
	listener := listenSync(t)
	if err := s.kernel.SetSyncDaemons(t.Context(), ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "lo", ID: 7}); err != nil {
		t.Fatal(err)
	}
	s.lastPort = 79 // the captured service's is 80
	r := s.newRun(t, nil, sched.Profile{}, model.Service{Key: model.ServiceKey{Protocol: model.TCP}, Scheduler: "rr"}, model.TUN)
	server := model.Server{Addr: netip.MustParseAddrPort("10.1.0.1:80"), Forward: model.TUN, Weight: 1}
	r.change(t, sched.Op{Kind: sched.AddServer, Service: r.service, Server: server})
	client := netip.MustParseAddrPort("192.0.2.9:8500")
	for _, step := range []struct{ flags, want string }{
		{"SAA", "00060024 00000082 0001 2134 0050 0050 00000000 00000384 c0000209 c6336422 0a010001"},
		{"F", "00060024 00000182 0004 2134 0050 0050 00000000 00000078 c0000209 c6336422 0a010001"},
	} {
		for _, flag := range step.flags {
			r.sent(t, client, string(flag))
		}
		want, err := hex.DecodeString(strings.ReplaceAll("0007002c 01010000"+step.want, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 1500)
		n, err := listener.Read(got)
		if err != nil || string(got[:n]) != string(want) {
			t.Fatalf("the kernel sends\n% x, %v; captured\n% x", got[:n], err, want)
		}
		m, err := ipvs.ParseSync(got[:n])
		if err != nil {
			t.Fatal(err)
		}
		if ours, err := m.Append(nil); err != nil || string(ours) != string(want) {
			t.Errorf("we send\n% x, %v; captured\n% x", ours, err, want)
		}
	}
	if err := s.kernel.SetSyncDaemons(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// listenSync hears what sync daemons send on lo.
func listenSync(t *testing.T) *net.UDPConn {
	t.Helper()
	group := net.IPv4(224, 0, 0, 81)
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: group, Port: 8848})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	raw, err := c.SyscallConn()
	if err == nil {
		trouble := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptIPMreqn(int(fd), unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: [4]byte(group.To4()), Ifindex: inside})
		})
		err = errors.Join(err, trouble)
	}
	if err == nil {
		err = c.SetReadDeadline(time.Now().Add(5 * time.Minute))
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}
