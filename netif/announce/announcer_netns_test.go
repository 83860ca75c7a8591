//go:build netns

package announce

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// TestNeighboursLearn: a client that believes in another MAC believes in the
// announcer's afterwards, by ARP request, ARP reply and NA.
func TestNeighboursLearn(t *testing.T) {
	l := labtest.New(t)
	lan, err := l.AddLAN("lan")
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*lab.Node
	var ifaces []*lab.Iface
	for i := range 2 {
		n, err := l.AddNode(fmt.Sprintf("node%d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		iface, err := lan.Join(n, lab.Port{Name: "eth0", Addrs: []netip.Prefix{
			netip.MustParsePrefix(fmt.Sprintf("10.90.0.%d/24", i+1)),
			netip.MustParsePrefix(fmt.Sprintf("fd5a::%d/64", i+1)),
		}})
		if err != nil {
			t.Fatal(err)
		}
		nodes, ifaces = append(nodes, n), append(ifaces, iface)
	}
	client := nodes[1]
	// An entry is not replaced for a second after it was learned.
	if err := client.SetSysctl("net/ipv4/neigh/eth0/locktime", "0"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, addr string
		reply      bool
	}{
		{"ARP request", "10.90.0.100", false},
		{"ARP reply", "10.90.0.101", true},
		{"NA", "fd5a::100", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			neigh := &netlink.Neigh{
				LinkIndex: ifaces[1].Index, IP: net.ParseIP(tt.addr), State: netlink.NUD_STALE,
				HardwareAddr: net.HardwareAddr{2, 9, 9, 9, 9, 9},
			}
			if err := client.Netlink().NeighSet(neigh); err != nil {
				t.Fatal(err)
			}
			a := New(Options{Links: Packets{Enter: nodes[0].Do}, Reply: tt.reply})
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- a.Run(ctx) }()
			defer func() {
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
			a.Announce(Burst{Owner: "VI", Link: "eth0", Addrs: []netip.Addr{netip.MustParseAddr(tt.addr)}, Rounds: 1})
			waitMAC(t, client, ifaces[1].Index, tt.addr, ifaces[0].MAC.String())
		})
	}
}

func waitMAC(t *testing.T, n *lab.Node, index int, addr, want string) {
	t.Helper()
	got := ""
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		list, err := n.Netlink().NeighList(index, netlink.FAMILY_ALL)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.IP.Equal(net.ParseIP(addr)) {
				got = e.HardwareAddr.String()
			}
		}
		if got == want {
			return
		}
	}
	t.Fatalf("client believes %s is at %s, want %s", addr, got, want)
}

func TestOpenRefuses(t *testing.T) {
	labtest.NeedRoot(t)
	n, err := labtest.New(t).AddNode("node1")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"lo", "eth9"} {
		if _, err := (Packets{Enter: n.Do}).Open(link); err == nil {
			t.Errorf("Open(%s) = nil error", link)
		}
	}
}
