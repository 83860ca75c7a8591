//go:build netns

package acceptance

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// TestUDP echoes datagrams through both kinds of service in both modes: servers
// take turns, a client stays with its server, and flows end when nothing is
// said for as long as the file allows.
func TestUDP(t *testing.T) {
	for _, mode := range []string{"native", "generic"} {
		t.Run(mode, func(t *testing.T) {
			s := newSite(t, lab.Both, 3)
			dr, nat := netip.AddrPortFrom(s.top.DRVIP, 53), netip.AddrPortFrom(s.top.VIP, 53)
			s.write(conf{
				global: []string{"lvs_timeouts udp 2", "@evenkeel xdp_mode " + mode},
				services: []serviceConf{
					{at: dr, protocol: "UDP", kind: "DR", servers: s.servers(0, 3, 53)},
					{at: nat, protocol: "UDP", kind: "NAT", servers: s.servers(0, 3, 5353)},
				},
			}.String())
			for i, node := range s.top.Servers {
				for _, addr := range []netip.AddrPort{dr, s.server(i, 5353)} {
					_, err := node.ServeUDPEcho(addr.String())
					s.must(err)
				}
			}
			s.start()
			for _, i := range s.status().Datapath.Interfaces {
				if i.Mode != mode {
					t.Errorf("%s runs in mode %s, want %s", i.Name, i.Mode, mode)
				}
			}
			for _, at := range []netip.AddrPort{dr, nat} {
				s.alive(at, 3)
				var clients []net.Conn
				for range 6 {
					clients = append(clients, s.datagrams(at))
				}
				first := s.flowsTo(at)
				perServer := map[string]int{}
				for _, server := range first {
					perServer[server]++
				}
				if len(first) != 6 || len(perServer) != 3 || perServer[s.top.ServerAddr(0).String()] != 2 {
					t.Errorf("6 clients of %s are at %v", at, first)
				}
				for _, c := range clients {
					s.must(echoes(c))
				}
				if diff := cmp.Diff(first, s.flowsTo(at)); diff != "" {
					t.Errorf("clients of %s moved (-first +again):\n%s", at, diff)
				}
				labtest.Until(t, fmt.Sprintf("flows to %s end", at), func() bool { return s.countFlows() == count{} })
				labtest.Until(t, "they are counted out", func() bool { return s.countListed() == count{} })
				if conns := s.service(at).Counters.Conns; conns != 6 {
					t.Errorf("%s counted %d flows, want 6", at, conns)
				}
				// The client knows nothing of that.
				s.must(echoes(clients[0]))
				labtest.Until(t, "the new flow ends", func() bool { return s.countListed() == count{} })
			}
		})
	}
}

// datagrams opens a UDP socket to an echo service and uses it once.
func (s *site) datagrams(at netip.AddrPort) net.Conn {
	s.t.Helper()
	c, err := s.top.Client.Dial(s.t.Context(), "udp", at.String())
	s.must(err)
	s.t.Cleanup(func() { c.Close() })
	if err := echoes(c); err != nil {
		s.t.Fatalf("echo by %s: %v", at, err)
	}
	return c
}

// flowsTo returns the servers of the flows to a service, by client.
func (s *site) flowsTo(at netip.AddrPort) map[string]string {
	s.t.Helper()
	found := map[string]string{}
	for _, f := range s.flows() {
		if f.Virtual != at.String() {
			continue
		}
		server, err := netip.ParseAddrPort(f.Server)
		s.must(err)
		found[f.Client] = server.Addr().String()
		if f.State != "UDP" || f.ExpiresSeconds > 2 {
			s.t.Errorf("flow %+v", f)
		}
	}
	return found
}
