//go:build netns

package vmac

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/netif"
)

type bench struct {
	testing.TB
	lab     *lab.Lab
	lan     *lab.LAN
	node    *lab.Node
	client  *lab.Node
	eth0    *lab.Iface
	manager *Manager
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{TB: t, lab: labtest.New(t)}
	var err error
	b.lan, err = b.lab.AddLAN("lan")
	b.check(err)
	b.node, err = b.lab.AddNode("node")
	b.check(err)
	b.client, err = b.lab.AddNode("client")
	b.check(err)
	// As Debian sets them: both are in the way of a macvlan.
	for key, value := range map[string]string{"all/rp_filter": "1", "default/rp_filter": "0", "all/arp_ignore": "0", "default/arp_ignore": "0", "all/arp_announce": "0"} {
		b.check(b.node.SetSysctl("net/ipv4/conf/"+key, value))
	}
	b.join()
	_, err = b.lan.Join(b.client, lab.Port{Name: "eth0", Addrs: prefixes("10.90.0.9/24", "fd5a::9/64", "fe80::9/64")})
	b.check(err)
	b.start()
	return b
}

func (b *bench) join() {
	var err error
	b.eth0, err = b.lan.Join(b.node, lab.Port{Name: "eth0", Addrs: prefixes("10.90.0.1/24", "fd5a::1/64", "fe80::1/64")})
	b.check(err)
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// start makes a Manager, as a new process does.
func (b *bench) start() {
	b.Helper()
	var k *netif.Kernel
	b.check(b.node.Do(func() (err error) {
		k, err = netif.Open()
		return err
	}))
	var err error
	b.manager, err = New(k)
	b.check(err)
	m := b.manager
	b.Cleanup(func() { m.Close(); k.Close() })
}

func (b *bench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// settings returns all sysctls of the node's links.
func (b *bench) settings() string {
	b.Helper()
	var out []byte
	b.check(b.node.Do(func() (err error) {
		out, err = exec.Command("sh", "-c", "grep -r . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf 2>/dev/null | sort").Output()
		if len(out) > 0 {
			err = nil // some cannot be read
		}
		return err
	}))
	return string(out)
}

// answer returns the MAC that answers the client for addr.
func (b *bench) answer(addr string) string {
	b.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	if _, err := b.client.Dial(ctx, "tcp", net.JoinHostPort(addr, "9")); !errors.Is(err, unix.ECONNREFUSED) {
		b.Errorf("connect to %s: %v, want a refusal", addr, err)
	}
	list, err := b.client.Netlink().NeighList(0, netlink.FAMILY_ALL)
	b.check(err)
	for _, n := range list {
		if n.IP.Equal(net.ParseIP(addr)) {
			return n.HardwareAddr.String()
		}
	}
	return ""
}

var (
	four = Interface{Name: "vrrp.51", Parent: "eth0", MAC: Router(51, false)}
	six  = Interface{Name: "vrrp6.51", Parent: "eth0", MAC: Router(51, true), IPv6: true}
)

// TestAnswersFromVirtualMAC: neighbours find the addresses at the virtual MAC,
// the host's own at its own, and nothing of it is left afterwards.
func TestAnswersFromVirtualMAC(t *testing.T) {
	b := newBench(t)
	before := b.settings()
	b.check(b.manager.Ensure(four))
	b.check(b.manager.Ensure(six))
	b.check(b.manager.Ensure(four))
	b.check(b.node.AddAddr(four.Name, netip.MustParsePrefix("10.90.0.100/24")))
	b.check(b.node.AddAddr(six.Name, netip.MustParsePrefix("fd5a::100/64")))
	for addr, want := range map[string]string{
		"10.90.0.100": "00:00:5e:00:01:33", "10.90.0.1": b.eth0.MAC.String(),
		"fd5a::100": "00:00:5e:00:02:33", "fd5a::1": b.eth0.MAC.String(),
	} {
		if got := b.answer(addr); got != want {
			t.Errorf("%s is at %s, want %s", addr, got, want)
		}
	}
	link, err := b.node.Netlink().LinkByName(six.Name)
	b.check(err)
	addrs, err := b.node.Netlink().AddrList(link, netlink.FAMILY_V6)
	b.check(err)
	if len(addrs) != 1 {
		t.Errorf("addresses %v: the virtual MAC made one", addrs)
	}
	if value, _ := b.node.Sysctl("net/ipv4/conf/eth0/rp_filter"); value != "1" {
		t.Errorf("rp_filter of the parent is %s, want what all had", value)
	}
	b.check(b.manager.Remove(six))
	b.check(b.manager.Remove(four))
	b.check(b.manager.Remove(four))
	if after := b.settings(); after != before {
		t.Errorf("settings before and after differ:\n%s", diff(before, after))
	}
}

// TestBornRouter: the kernel answers as a router for what is on the interface, and
// the host keeps the default route that a router told it.
func TestBornRouter(t *testing.T) {
	b := newBench(t)
	b.check(b.node.SetSysctl("net/ipv6/conf/eth0/accept_ra", "1"))
	learned := func() bool {
		routes, err := b.node.Netlink().RouteList(nil, netlink.FAMILY_V6)
		b.check(err)
		return slices.ContainsFunc(routes, func(r netlink.Route) bool {
			return r.Protocol == unix.RTPROT_RA && (r.Dst == nil || r.Dst.IP.IsUnspecified())
		})
	}
	labtest.Until(t, "the host learns a default route", func() bool { b.advertise(); return learned() })
	b.check(b.manager.Ensure(six))
	for key, want := range map[string]string{six.Name: "1", "default": "0", "eth0": "0", "all": "0"} {
		if got, err := b.node.Sysctl("net/ipv6/conf/" + key + "/forwarding"); got != want || err != nil {
			t.Errorf("forwarding of %s is %s, %v, want %s", key, got, err, want)
		}
	}
	if !learned() {
		t.Error("the default route is gone")
	}
}

// advertise sends a router advertisement of the client.
func (b *bench) advertise() {
	b.Helper()
	b.check(b.client.Do(func() error {
		c, err := net.ListenPacket("ip6:ipv6-icmp", "fe80::9%eth0")
		if err != nil {
			return err
		}
		defer c.Close()
		if err := ipv6.NewPacketConn(c).SetMulticastHopLimit(255); err != nil {
			return err
		}
		const lifetime = 1800
		msg := make([]byte, 16)
		msg[0] = 134
		binary.BigEndian.PutUint16(msg[6:], lifetime)
		_, err = c.WriteTo(msg, &net.IPAddr{IP: net.IPv6linklocalallnodes, Zone: "eth0"})
		return err
	}))
}

func diff(a, b string) string {
	have := make(map[string]bool)
	for _, line := range strings.Split(a, "\n") {
		have[line] = true
	}
	var out []string
	for _, line := range strings.Split(b, "\n") {
		if !have[line] {
			out = append(out, "+ "+strings.TrimPrefix(line, filepath.Dir(root)))
		}
	}
	return strings.Join(out, "\n")
}

// TestReuse: a right interface of an earlier process is kept with what is on
// it, another one is replaced, and one of somebody else's is left alone.
// TestPromote: the setting is on while it is asked for, and then what it was.
func TestPromote(t *testing.T) {
	b := newBench(t)
	const key = "net/ipv4/conf/eth0/promote_secondaries"
	b.check(b.node.SetSysctl(key, "0"))
	for _, step := range []struct {
		links []string
		want  string
	}{{[]string{"eth0", "eth9"}, "1"}, {[]string{"eth0"}, "1"}, {nil, "0"}} {
		b.check(b.manager.Promote(step.links))
		got, err := b.node.Sysctl(key)
		b.check(err)
		if got != step.want {
			t.Errorf("promote_secondaries for %v is %q, want %q", step.links, got, step.want)
		}
	}
}

func TestReuse(t *testing.T) {
	b := newBench(t)
	index := func() int {
		link, err := b.node.Netlink().LinkByName(four.Name)
		b.check(err)
		return link.Attrs().Index
	}
	b.check(b.manager.Ensure(four))
	first := index()
	b.start()
	if left, err := b.manager.Leftovers(); err != nil || fmt.Sprint(left) != "[vrrp.51]" {
		t.Errorf("Leftovers = %v, %v", left, err)
	}
	b.check(b.manager.Ensure(four))
	if left, err := b.manager.Leftovers(); err != nil || len(left) != 0 {
		t.Errorf("Leftovers = %v, %v; want none", left, err)
	}
	if index() != first {
		t.Error("the right interface was replaced")
	}
	other := four
	other.MAC[5]++
	b.check(b.manager.Ensure(other))
	if index() == first {
		t.Error("the wrong interface was kept")
	}
	b.check(b.manager.Remove(other))

	b.check(b.node.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: four.Name}}))
	if err := b.manager.Ensure(four); err == nil || !strings.Contains(err.Error(), "not ours") {
		t.Errorf("Ensure over a bridge = %v", err)
	}
	b.check(b.manager.Remove(four))
	index() // still there
}

// TestParentReplaced: with its parent the interface goes, and comes back.
func TestParentReplaced(t *testing.T) {
	b := newBench(t)
	b.check(b.manager.Ensure(four))
	b.check(b.eth0.Delete())
	if err := b.manager.Ensure(four); err == nil || !strings.Contains(err.Error(), "eth0 does not exist") {
		t.Errorf("Ensure without its parent = %v", err)
	}
	b.join()
	b.check(b.manager.Ensure(four))
	b.check(b.node.AddAddr(four.Name, netip.MustParsePrefix("10.90.0.100/24")))
	if got := b.answer("10.90.0.100"); got != "00:00:5e:00:01:33" {
		t.Errorf("answer from %s", got)
	}
}
