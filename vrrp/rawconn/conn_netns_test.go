//go:build netns

package rawconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/vrrp"
)

// TestMulticast: adverts arrive with what the checks of the codec need.
func TestMulticast(t *testing.T) {
	hosts := newLAN(t, 2, Options{})
	for _, tt := range []struct {
		name    string
		version vrrp.Version
		ipv6    bool
		auth    vrrp.Auth
	}{
		{"v2", vrrp.V2, false, vrrp.Auth{Type: vrrp.AuthPass, Secret: "s3cretpw"}},
		{"v2 with authentication header", vrrp.V2, false, vrrp.Auth{Type: vrrp.AuthAH, Secret: "s3cretpw"}},
		{"v3 IPv4", vrrp.V3, false, vrrp.Auth{}},
		{"v3 IPv6", vrrp.V3, true, vrrp.Auth{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := multicast(tt.ipv6)
			cfg.AuthHeader = tt.auth.Type == vrrp.AuthAH
			a, b := hosts[0].open(cfg), hosts[1].open(cfg)
			defer a.Close()
			defer b.Close()
			from, to := hosts[0].advert(tt.version, tt.ipv6), hosts[1].advert(tt.version, tt.ipv6)
			from.Auth, to.Auth = tt.auth, tt.auth

			send(t, a, from)
			p := recv(t, b)
			if p.Src != from.Source || p.Dst != vrrp.MulticastGroup(tt.ipv6) || p.TTL != 255 {
				t.Errorf("packet from %s to %s with TTL %d", p.Src, p.Dst, p.TTL)
			}
			heard, err := codec(t, to).Check(p, netip.Addr{})
			if err != nil {
				t.Fatalf("Check = %v", err)
			}
			if heard.Source != from.Source || heard.Priority != 200 || heard.OtherAddresses {
				t.Errorf("heard %+v", heard)
			}
			wantNothing(t, a) // no loop
		})
	}
}

// TestPendingAsksTheKernel: without a reader, which stands for one that did not
// get to run, Pending finds what the kernel holds.
func TestPendingAsksTheKernel(t *testing.T) {
	hosts := newLAN(t, 2, Options{})
	idle := NewHub(Options{Enter: hosts[1].node.Do})
	t.Cleanup(func() { idle.close() })
	b, err := idle.Open(multicast(false))
	if err != nil {
		t.Fatal(err)
	}
	witness := hosts[1].open(multicast(false))
	a := hosts[0].open(multicast(false))
	const n = 20
	for range n {
		send(t, a, hosts[0].advert(vrrp.V3, false))
	}
	for range n {
		recv(t, witness)
	}
	for i := range n {
		if _, ok := b.Pending(); !ok {
			t.Fatalf("%d adverts pending, want %d", i, n)
		}
	}
	wantNothing(t, b)
}

// TestArrivedBeforeRead: a packet knows when it reached the host. The kernel
// begins to stamp packets a moment after the first socket asks for it.
func TestArrivedBeforeRead(t *testing.T) {
	hosts := newLAN(t, 2, Options{})
	for _, ipv6 := range []bool{false, true} {
		idle := NewHub(Options{Enter: hosts[1].node.Do})
		t.Cleanup(func() { idle.close() })
		b, err := idle.Open(multicast(ipv6))
		if err != nil {
			t.Fatal(err)
		}
		witness, a := hosts[1].open(multicast(ipv6)), hosts[0].open(multicast(ipv6))
		for end := deadline(); ; {
			began := time.Now()
			send(t, a, hosts[0].advert(vrrp.V3, ipv6))
			recv(t, witness)
			read := time.Now()
			p, ok := b.Pending()
			if ok && p.Arrived.After(began) && p.Arrived.Before(read) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("IPv6 %t: advert %t of the last %s arrived %s before it was read", ipv6, ok, read.Sub(began), read.Sub(p.Arrived))
			}
		}
	}
}

// TestOnlyItsLink: two links of one host do not hear each other's adverts, nor
// those of a group that only a neighbour on the host has joined.
func TestOnlyItsLink(t *testing.T) {
	hosts := newLAN(t, 2, Options{})
	a, b := hosts[0], hosts[1]
	_, second, err := connect(a, b)
	if err != nil {
		t.Fatal(err)
	}
	onEth0 := b.open(multicast(false))
	cfg := multicast(false)
	cfg.Interface = second.Name
	onEth1 := b.open(cfg)
	cfg.Interface = "eth1"
	cfg.Multicast = netip.MustParseAddr("224.0.0.99")
	b.open(cfg) // joins another group on eth1

	cfg = multicast(false)
	cfg.Interface = "eth1"
	sender := a.open(cfg)
	send(t, sender, a.advert(vrrp.V3, false))
	recv(t, onEth1)
	wantNothing(t, onEth0)

	sender = a.open(multicast(false))
	send(t, sender, a.advert(vrrp.V3, false))
	recv(t, onEth0)
	wantNothing(t, onEth1)
}

// connect joins two stations by a second link, eth1 on both, and waits until it
// carries: before that the kernel drops what is sent.
func connect(a, b *station) (*lab.Iface, *lab.Iface, error) {
	pa := lab.Port{Name: "eth1", Addrs: []netip.Prefix{netip.MustParsePrefix("10.91.0.1/24")}}
	pb := lab.Port{Name: "eth1", Addrs: []netip.Prefix{netip.MustParsePrefix("10.91.0.2/24")}}
	ia, ib, err := a.lab.Connect(a.node, pa, b.node, pb)
	if err != nil {
		return nil, nil, err
	}
	return ia, ib, errors.Join(carries(a.node, ia.Name), carries(b.node, ib.Name))
}

// TestUnicast sends to two peers, with a link and without.
func TestUnicast(t *testing.T) {
	hosts := newLAN(t, 3, Options{})
	for _, link := range []string{"eth0", ""} {
		for _, ipv6 := range []bool{false, true} {
			if ipv6 && link == "" {
				continue // link-local peers need one
			}
			t.Run(fmt.Sprintf("link %q IPv6 %t", link, ipv6), func(t *testing.T) {
				var conns []*Conn
				for _, h := range hosts {
					local := h.addr4
					if ipv6 {
						local = h.addr6
					}
					c := h.open(Config{Interface: link, VRID: testVRID, IPv6: ipv6, Local: local})
					defer c.Close()
					conns = append(conns, c)
				}
				cfg := hosts[0].advert(vrrp.V3, ipv6)
				cfg.UnicastTTL = 7
				for _, h := range hosts[1:] {
					peer := vrrp.Peer{Addr: h.addr4}
					if ipv6 {
						peer.Addr = h.addr6
					}
					cfg.Peers = append(cfg.Peers, peer)
				}
				send(t, conns[0], cfg)
				for i, c := range conns[1:] {
					p := recv(t, c)
					if p.Src != cfg.Source || p.Dst != cfg.Peers[i].Addr || p.TTL != 7 {
						t.Errorf("peer %d: packet from %s to %s with TTL %d", i, p.Src, p.Dst, p.TTL)
					}
				}
			})
		}
	}
}

// TestManyInstances: 255 routers share a socket, and the kernel hands over
// nothing for others.
func TestManyInstances(t *testing.T) {
	hosts := newLAN(t, 2, Options{})
	sender := hosts[0].open(multicast(false))
	var conns []*Conn
	for vrid := 2; vrid <= 255; vrid++ {
		cfg := multicast(false)
		cfg.VRID = uint8(vrid)
		conns = append(conns, hosts[1].open(cfg))
	}
	if n := len(hosts[1].hub.sockets); n != 1 {
		t.Errorf("%d sockets, want 1", n)
	}
	for vrid := 1; vrid <= 255; vrid++ {
		cfg := hosts[0].advert(vrrp.V3, false)
		cfg.VRID = uint8(vrid)
		send(t, sender, cfg)
	}
	for i, c := range conns {
		p := recv(t, c)
		if vrid, _ := p.VRID(); int(vrid) != i+2 {
			t.Errorf("instance %d got an advert for %d", i+2, vrid)
		}
		wantNothing(t, c)
	}
	if stats := hosts[1].hub.Stats(); stats != (Stats{}) {
		t.Errorf("Stats = %+v, want nothing of router 1", stats)
	}
}

func TestCountUnknown(t *testing.T) {
	hosts := newLAN(t, 2, Options{CountUnknown: true})
	c := hosts[1].open(multicast(false))
	sender := hosts[0].open(multicast(false))
	other := hosts[0].advert(vrrp.V3, false)
	other.VRID = 99
	for range 3 {
		send(t, sender, other)
	}
	send(t, sender, hosts[0].advert(vrrp.V3, false))
	recv(t, c)
	if got := hosts[1].hub.Stats().Unknown; got != 3 {
		t.Errorf("Unknown = %d, want 3", got)
	}
}

// TestShortPackets are counted with the first instance on the socket.
func TestShortPackets(t *testing.T) {
	hosts := newLAN(t, 2, Options{})
	c := hosts[1].open(multicast(false))
	sender := hosts[0].open(multicast(false))
	err := codec(t, hosts[0].advert(vrrp.V3, false)).Encode(1, func(p vrrp.Packet) error {
		p.Payload = p.Payload[:1]
		return sender.Send(p)
	})
	if err != nil {
		t.Fatal(err)
	}
	p := recv(t, c)
	if _, err := codec(t, hosts[1].advert(vrrp.V3, false)).Check(p, netip.Addr{}); err == nil || !strings.Contains(err.Error(), "packet_len_err") {
		t.Errorf("Check = %v, want packet_len_err", err)
	}
}

// TestVirtualMAC: adverts leave from the virtual MAC, byte for byte as the
// socket of the kernel sends them otherwise.
func TestVirtualMAC(t *testing.T) {
	hosts := newLAN(t, 2, Options{})
	for _, ipv6 := range []bool{false, true} {
		t.Run(fmt.Sprintf("IPv6 %t", ipv6), func(t *testing.T) {
			frames := sniff(t, hosts[1])
			plain := hosts[0].open(multicast(ipv6))
			cfg := multicast(ipv6)
			cfg.VirtualMAC = MAC{0, 0, 0x5e, 0, 1, testVRID}
			virtual := hosts[0].open(cfg)
			receiver := hosts[1].open(multicast(ipv6))
			defer plain.Close()
			defer virtual.Close()
			defer receiver.Close()

			send(t, plain, hosts[0].advert(vrrp.V3, ipv6))
			send(t, virtual, hosts[0].advert(vrrp.V3, ipv6))
			recv(t, receiver)
			recv(t, receiver)
			first, second := frames(), frames()
			if got := MAC(first[6:12]); got != MAC(hosts[0].ifi.MAC) {
				t.Errorf("source %x, want the link's", got)
			}
			if got := MAC(second[6:12]); got != cfg.VirtualMAC {
				t.Errorf("source %x, want the virtual MAC", got)
			}
			if ipv6 {
				first[15], first[16], first[17] = 0x00, 0, 0 // the kernel's flow label
			}
			if string(first[:6]) != string(second[:6]) || string(first[12:]) != string(second[12:]) {
				t.Errorf("frames differ:\n %x\n %x", first, second)
			}
		})
	}
}

// TestSharedVirtualMAC: routers that have the same virtual MAC hear each other
// on its interface, and those without it too.
func TestSharedVirtualMAC(t *testing.T) {
	hosts := newLAN(t, 3, Options{})
	mac := MAC{0, 0, 0x5e, 0, 1, testVRID}
	var conns []*Conn
	for _, h := range hosts[:2] {
		eth0, err := h.node.Netlink().LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		vlan := &netlink.Macvlan{Mode: netlink.MACVLAN_MODE_PRIVATE, LinkAttrs: netlink.LinkAttrs{
			Name: "vrrp.51", ParentIndex: eth0.Attrs().Index, HardwareAddr: mac[:],
		}}
		if err := errors.Join(h.node.Netlink().LinkAdd(vlan), h.node.Netlink().LinkSetUp(vlan), carries(h.node, "vrrp.51")); err != nil {
			t.Fatal(err)
		}
		cfg := multicast(false)
		cfg.Interface, cfg.Parent, cfg.VirtualMAC = "vrrp.51", "eth0", mac
		conns = append(conns, h.open(cfg))
	}
	plain := hosts[2].open(multicast(false))
	send(t, conns[0], hosts[0].advert(vrrp.V3, false))
	recv(t, conns[1])
	recv(t, plain)
	send(t, plain, hosts[2].advert(vrrp.V3, false))
	for _, c := range conns {
		if p := recv(t, c); p.Src != hosts[2].addr4 {
			t.Errorf("advert from %s", p.Src)
		}
		wantNothing(t, c)
	}
}

// sniff returns a function that waits for the next frame of an advert on the
// station's link.
func sniff(t *testing.T, s *station) func() []byte {
	t.Helper()
	var conn *packet.Conn
	err := s.node.Do(func() (err error) {
		ifi, err := net.InterfaceByName("eth0")
		if err == nil {
			conn, err = packet.Listen(ifi, packet.Raw, 3, nil) // ETH_P_ALL
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() []byte {
		for {
			b := make([]byte, 2048)
			if err := conn.SetReadDeadline(deadline()); err != nil {
				t.Fatal(err)
			}
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				t.Fatalf("read frame: %v", err)
			}
			b = b[:n]
			ip4 := n > 23 && b[12] == 8 && b[13] == 0 && b[23] == vrrp.ProtocolVRRP
			ip6 := n > 20 && b[12] == 0x86 && b[13] == 0xdd && b[20] == vrrp.ProtocolVRRP
			if ip4 || ip6 {
				return b
			}
		}
	}
}

// TestLinkComesAndGoes: an instance whose link is not there yet, or goes and
// comes back with another index, hears and sends again after Refresh.
func TestLinkComesAndGoes(t *testing.T) {
	hosts := newLAN(t, 2, Options{})
	cfg := multicast(false)
	cfg.Interface = "eth1"
	virtual := cfg
	virtual.VirtualMAC = MAC{0, 0, 0x5e, 0, 1, testVRID}
	a, b := hosts[0].open(virtual), hosts[1].open(cfg)
	advert := hosts[0].advert(vrrp.V3, false)
	for round := range 2 {
		err := codec(t, advert).Encode(200, a.Send)
		if err == nil {
			t.Errorf("round %d: Send without a link = nil", round)
		}
		_, eth1, err := connect(hosts[0], hosts[1])
		if err != nil {
			t.Fatal(err)
		}
		refresh(t, hosts)
		send(t, a, advert)
		recv(t, b)
		if err := eth1.Delete(); err != nil {
			t.Fatal(err)
		}
		refresh(t, hosts)
	}
}

func refresh(t *testing.T, hosts []*station) {
	t.Helper()
	for _, h := range hosts {
		if err := h.hub.Refresh("eth1"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLinkFlap: down and up again, the group is joined still.
func TestLinkFlap(t *testing.T) {
	hosts := newLAN(t, 2, Options{})
	a, b := hosts[0].open(multicast(true)), hosts[1].open(multicast(true))
	for _, up := range []bool{false, true} {
		if err := hosts[1].ifi.SetUp(up); err != nil {
			t.Fatal(err)
		}
		if err := hosts[1].hub.Refresh("eth0"); err != nil {
			t.Fatal(err)
		}
	}
	// Carrier comes to the two ends of the link, and to the switch, one after the
	// other: as a master does, send until an advert gets through.
	for end := deadline(); ; {
		send(t, a, hosts[0].advert(vrrp.V3, true))
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := b.Recv(ctx)
		stop()
		if err == nil {
			return
		}
		if !errors.Is(err, context.DeadlineExceeded) || time.Now().After(end) {
			t.Fatalf("no advert after the link was down: %v", err)
		}
	}
}

// TestCloseLeaves: the last instance takes the socket and the group away.
func TestCloseLeaves(t *testing.T) {
	hosts := newLAN(t, 1, Options{})
	groups := func() string {
		t.Helper()
		var b []byte
		err := hosts[0].node.Do(func() (err error) {
			b, err = os.ReadFile("/proc/thread-self/net/igmp")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const joined = "120000E0"
	cfg := multicast(false)
	cfg.VRID++
	first, second := hosts[0].open(multicast(false)), hosts[0].open(cfg)
	first.Close()
	first.Close()
	if !strings.Contains(groups(), joined) {
		t.Error("the first Close left the group")
	}
	second.Close()
	if strings.Contains(groups(), joined) || len(hosts[0].hub.sockets) > 0 {
		t.Error("the last Close left group or socket in place")
	}
}
