//go:build vm

package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/guest"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// The kernel's own receivers take what XDP puts into tunnels: the devices that LVS
// users have on their servers.
func TestXDPLongIntoKernelTunnels(t *testing.T) {
	if os.Getenv(guest.Environment) == "" {
		t.Skip("skipped: runs in a machine of make vm")
	}
	for _, kind := range []string{"TUN type gue port 6080", "TUN type gre", "TUN"} {
		t.Run(kind, func(t *testing.T) {
			s := newSite(t, lab.DR)
			for i := range s.top.Servers {
				s.receives(i, kind)
			}
			s.configure(kind, "@evenkeel datapath xdp")
			s.startSlowly()
			s.spreads(4)
			if got := s.want(0, "map", "ek_tunnels").Stdout; strings.Contains(got, "port 6080") != strings.Contains(kind, "6080") {
				t.Errorf("ek_tunnels:\n%s", got)
			}
			s.want(0, "stop")
		})
	}
}

// receives makes a server the end of tunnels. The device that takes packets from
// anywhere is there once the server has another of its kind.
func (s *site) receives(i int, kind string) {
	s.t.Helper()
	node := s.top.Servers[i]
	h, addr, other := node.Netlink(), s.top.ServerAddr(i).AsSlice(), netlink.LinkAttrs{Name: "other"}
	name := "tunl0"
	if strings.Contains(kind, "gre") {
		name = "gre0"
		s.must(h.LinkAdd(&netlink.Gretun{LinkAttrs: other, Local: addr}))
	} else {
		s.must(h.LinkAdd(&netlink.Iptun{LinkAttrs: other, Local: addr}))
	}
	link, err := h.LinkByName(name)
	s.must(err)
	s.must(h.LinkSetUp(link))
	if strings.Contains(kind, "gue") {
		s.must(exec.Command("/usr/sbin/modprobe", "-q", "--", "fou").Run())
		s.must(node.Do(func() error {
			return netlink.FouAdd(netlink.Fou{Family: unix.AF_INET, Port: 6080, EncapType: netlink.FOU_ENCAP_GUE})
		}))
	}
}

// On a VLAN device the program runs behind the tag, as the kernel's generic XDP.
func TestXDPLongOnVLANDevice(t *testing.T) {
	if os.Getenv(guest.Environment) == "" {
		t.Skip("skipped: runs in a machine of make vm")
	}
	s := newSite(t, lab.NAT)
	s.top.VIP = netip.MustParseAddr("10.78.0.100")
	s.tag(s.top.Client, s.top.ClientIf, 100, "10.78.0.9/24")
	s.tag(s.top.Director, s.top.ClientSide, 100, "10.78.0.1/24", "10.78.0.100/32")
	s.configure("NAT", "@evenkeel datapath xdp", "@evenkeel xdp_mode generic", "@evenkeel xdp_interface vlan100 eth1")
	s.startSlowly()
	s.spreads(4)
	s.want(0, "stop")
}

// Named nowhere, VLAN devices are served by the program on the interface below, in native
// mode, which sees and makes the tags: by NAT with another VLAN on each side, and by DR in
// one. Answers find their VLAN by the kernel's routes.
func TestXDPLongOnTrunk(t *testing.T) {
	if os.Getenv(guest.Environment) == "" {
		t.Skip("skipped: runs in a machine of make vm")
	}
	for kind, build := range map[string]func(*lab.Lab, int) (*lab.Topology, error){"NAT": lab.NAT, "DR": lab.DR} {
		t.Run(kind, func(t *testing.T) {
			s := newSite(t, build)
			s.trunk(kind)
			s.configure(kind, "@evenkeel datapath xdp")
			s.startSlowly()
			s.spreads(4)
			s.wantTrunk(kind)
			s.want(0, "stop")
		})
	}
}

// trunk has the client in VLAN 100 and the servers in 200, or by DR in 100 as well.
func (s *site) trunk(kind string) {
	s.t.Helper()
	s.top.VIP = netip.MustParseAddr("10.78.0.100")
	s.tag(s.top.Client, s.top.ClientIf, 100, "10.78.0.9/24")
	s.tag(s.top.Director, s.top.ClientSide, 100, "10.78.0.1/24", "10.78.0.100/32")
	net, id := "10.78.0", 100
	if kind == "NAT" {
		net, id = "10.79.0", 200
		s.tag(s.top.Director, s.top.ServerSide, id, "10.79.0.1/24")
	}
	for i, node := range s.top.Servers {
		addr := netip.MustParsePrefix(fmt.Sprintf("%s.%d/24", net, 11+i))
		s.tag(node, s.top.ServerIfs[i], id, addr.String())
		s.top.ServerIfs[i].Addrs = []netip.Prefix{addr}
		if kind == "NAT" {
			s.must(node.SetRoute(netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.MustParseAddr("10.79.0.1")))
		} else {
			s.must(node.AddVIP(s.top.VIP))
		}
	}
}

// wantTrunk wants the requests to have gone through the program on the interfaces below.
func (s *site) wantTrunk(kind string) {
	s.t.Helper()
	status := s.status()
	packets := map[string]uint64{}
	for _, r := range status.Reasons {
		packets[r.Name] = r.Packets
	}
	if packets["forwarded_"+strings.ToLower(kind)] < 12 || kind == "NAT" && packets["forwarded_reply"] < 12 {
		s.t.Errorf("packets by reason: %v", packets)
	}
	want := []string{"eth0 native vlan100"}
	if kind == "NAT" {
		want = append(want, "eth1 native vlan200")
	}
	var got []string
	for _, i := range status.Datapath.Interfaces {
		got = append(got, strings.Join(append([]string{i.Name, i.Mode}, i.VLANs...), " "))
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("interfaces are %q, want %q", got, want)
	}
}

// tag gives a node a VLAN over an interface, with addresses.
func (s *site) tag(n *lab.Node, over *lab.Iface, id int, addrs ...string) {
	s.t.Helper()
	h := n.Netlink()
	parent, err := h.LinkByName(over.Name)
	s.must(err)
	attrs := netlink.LinkAttrs{Name: fmt.Sprintf("vlan%d", id), ParentIndex: parent.Attrs().Index}
	s.must(h.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: id}))
	link, err := h.LinkByName(attrs.Name)
	s.must(err)
	for _, addr := range addrs {
		s.must(n.AddAddr(attrs.Name, netip.MustParsePrefix(addr)))
	}
	s.must(h.LinkSetUp(link))
}

// startSlowly starts a daemon and waits for three ready servers, with patience: an
// emulated processor takes long to verify the program.
func (s *site) startSlowly() {
	s.t.Helper()
	p := labtest.Start(s.t, s.top.Director, s.command("run", "-f", s.file, "--log-level", "debug"))
	labtest.UntilFor(s.t, 5*time.Minute, "three servers are ready", func() bool {
		if p.Ended() {
			s.t.Fatalf("the daemon ended:\n%s", p.Log())
		}
		var status api.Status
		got := s.call("status", "--json")
		if got.Code != 0 || json.Unmarshal([]byte(got.Stdout), &status) != nil {
			return false
		}
		return len(status.Services) == 1 && status.Services[0].ServersAlive == 3 && status.Services[0].Unresolved == 0
	})
}

// spreads has three servers answer n requests each, with the same patience.
func (s *site) spreads(n int) {
	s.t.Helper()
	client := s.top.Client.HTTPClient()
	client.Timeout = 5 * time.Minute
	count := map[string]int{}
	for range 3 * n {
		count[fetch(client, fmt.Sprintf("http://%s/", s.top.VIP))]++
	}
	for _, node := range s.top.Servers {
		if count[node.Name()] != n {
			s.t.Fatalf("requests by server = %v, want %d each", count, n)
		}
	}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
