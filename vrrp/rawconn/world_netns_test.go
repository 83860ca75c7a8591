//go:build netns || interop

package rawconn

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/vrrp"
)

// station is one host on the LAN.
type station struct {
	t    testing.TB
	lab  *lab.Lab
	node *lab.Node
	ifi  *lab.Iface
	// addr4 and addr6 are its addresses.
	addr4, addr6 netip.Addr
	hub          *Hub
}

// vips of the adverts.
var (
	vip4   = netip.MustParseAddr("10.90.0.100")
	vip6   = netip.MustParseAddr("fe80::5a:100")
	vipULA = netip.MustParseAddr("fd5a::100")
)

const testVRID = 51

// newLAN returns hosts 10.90.0.1 and on, with a running Hub each.
func newLAN(t testing.TB, n int, opt Options) []*station {
	t.Helper()
	l := labtest.New(t)
	lan, err := l.AddLAN("lan")
	if err != nil {
		t.Fatal(err)
	}
	stations := make([]*station, n)
	for i := range stations {
		stations[i] = join(t, l, lan, i, opt)
	}
	return stations
}

func join(t testing.TB, l *lab.Lab, lan *lab.LAN, i int, opt Options) *station {
	t.Helper()
	s := &station{
		t:     t,
		lab:   l,
		addr4: netip.AddrFrom4([4]byte{10, 90, 0, byte(i + 1)}),
		addr6: netip.MustParseAddr(fmt.Sprintf("fe80::%d", i+1)),
	}
	var err error
	if s.node, err = l.AddNode(fmt.Sprintf("node%d", i+1)); err != nil {
		t.Fatal(err)
	}
	s.ifi, err = lan.Join(s.node, lab.Port{Name: "eth0", Addrs: []netip.Prefix{
		netip.PrefixFrom(s.addr4, 24), netip.PrefixFrom(s.addr6, 64),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{carries(s.node, "eth0"), carries(lan.Node(), s.node.Name()+"-eth0"), carries(lan.Node(), "br0")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	opt.Enter = s.node.Do
	s.hub = NewHub(opt)
	s.run()
	return s
}

// carries waits until a link passes packets on: before that the kernel drops
// what is sent.
func carries(n *lab.Node, name string) error {
	for end := deadline(); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		link, err := n.Netlink().LinkByName(name)
		if err != nil {
			return err
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
	}
	return fmt.Errorf("%s of %s has no carrier", name, n.Name())
}

// run runs the Hub until the test ends.
func (s *station) run() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.hub.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.t.Errorf("Hub.Run = %v", err)
		}
	})
}

func (s *station) open(cfg Config) *Conn {
	s.t.Helper()
	c, err := s.hub.Open(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// multicast returns the configuration of an instance on eth0.
func multicast(ipv6 bool) Config {
	return Config{Interface: "eth0", VRID: testVRID, IPv6: ipv6, Multicast: vrrp.MulticastGroup(ipv6)}
}

// advert is the configuration of an instance that sends from s.
func (s *station) advert(version vrrp.Version, ipv6 bool) vrrp.Config {
	cfg := vrrp.Config{Name: "VI", VRID: testVRID, Version: version, IPv6: ipv6, Priority: 200,
		Source: s.addr4, Addresses: []netip.Addr{vip4}}
	if ipv6 {
		cfg.Source, cfg.Addresses = s.addr6, []netip.Addr{vip6, vipULA}
	}
	return cfg
}

func codec(t testing.TB, cfg vrrp.Config) *vrrp.Codec {
	t.Helper()
	c, err := vrrp.NewCodec(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends one advert.
func send(t testing.TB, c *Conn, cfg vrrp.Config) {
	t.Helper()
	if err := codec(t, cfg).Encode(cfg.Priority, c.Send); err != nil {
		t.Fatal(err)
	}
}

// patience is how long a packet may take on a busy machine.
const patience = 30 * time.Second

func recv(t testing.TB, c *Conn) vrrp.Packet {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	p, err := c.Recv(ctx)
	if err != nil {
		t.Fatalf("receive advert: %v", err)
	}
	return p
}

// wantNothing asserts that nothing waits. What could have arrived must have
// arrived before.
func wantNothing(t testing.TB, c *Conn) {
	t.Helper()
	if p, ok := c.Pending(); ok {
		t.Errorf("packet from %s to %s arrived, want none", p.Src, p.Dst)
	}
}

func deadline() time.Time { return time.Now().Add(patience) }
