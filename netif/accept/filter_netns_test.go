//go:build netns

package accept

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/netif"
)

// TestRefuses: packets to the addresses go nowhere, their neighbours find them,
// and all others are answered; whoever sets it again leaves nothing behind.
func TestRefuses(t *testing.T) {
	l := labtest.New(t)
	var nodes [2]*lab.Node
	for i, name := range []string{"router", "client"} {
		n, err := l.AddNode(name)
		if err != nil {
			t.Fatal(err)
		}
		nodes[i] = n
	}
	prefixes := func(list ...string) (out []netip.Prefix) {
		for _, p := range list {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	router := lab.Port{Name: "eth0", Addrs: prefixes("10.90.0.1/24", "fd5a::1/64", "fe80::1/64", "10.90.0.100/24", "fd5a::100/64")}
	client := lab.Port{Name: "eth0", Addrs: prefixes("10.90.0.9/24", "fd5a::9/64", "fe80::9/64")}
	if _, _, err := l.Connect(nodes[0], router, nodes[1], client); err != nil {
		t.Fatal(err)
	}
	var k *netif.Kernel
	if err := nodes[0].Do(func() (err error) { k, err = netif.Open(); return err }); err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	four, six := netip.MustParseAddr("10.90.0.100"), netip.MustParseAddr("fd5a::100")
	many := []netip.Addr{four, six, four}
	for i := range 3000 {
		many = append(many, netip.AddrFrom4([4]byte{10, 91, byte(i >> 8), byte(i)}))
	}
	check := func(what string, open bool) {
		t.Helper()
		for _, addr := range []string{"10.90.0.100", "fd5a::100"} {
			if got := answers9(nodes[1], addr); got != open {
				t.Errorf("%s: %s answers %t, want %t", what, addr, got, open)
			}
			if !known(t, nodes[1], addr) {
				t.Errorf("%s: %s is not found by its neighbour", what, addr)
			}
		}
		for _, addr := range []string{"10.90.0.1", "fd5a::1"} {
			if !answers9(nodes[1], addr) {
				t.Errorf("%s: %s does not answer", what, addr)
			}
		}
	}
	set := func(f *Filter, addrs []netip.Addr) {
		t.Helper()
		if err := f.Set(addrs); err != nil {
			t.Fatal(err)
		}
	}
	f := New(k)
	set(f, nil)
	check("before", true)
	set(f, []netip.Addr{four, six})
	check("set", false)
	set(f, many)
	check("many", false)
	set(New(k), []netip.Addr{six, four}) // the next process
	check("again", false)
	set(New(k), nil)
	check("after", true)
}

// answers9 says whether a connection is refused, which is an answer.
func answers9(n *lab.Node, addr string) bool {
	ctx, stop := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer stop()
	_, err := n.Dial(ctx, "tcp", net.JoinHostPort(addr, "9"))
	return errors.Is(err, unix.ECONNREFUSED)
}

func known(t *testing.T, n *lab.Node, addr string) bool {
	t.Helper()
	list, err := n.Netlink().NeighList(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.IP.Equal(net.ParseIP(addr)) {
			return len(e.HardwareAddr) == 6
		}
	}
	return false
}
