//go:build netns

package acceptance

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// ways are a network with both families and a virtual address for each way to
// forward: a method and the families of the virtual address and of the servers.
// Clients reach all of them through the director's eth0, servers are behind its
// eth1. The replies of DR and TUN go past the director, by a link between servers
// and client; those of NAT go back through it.
type ways struct {
	*site
	list []way
}

type way struct {
	method string
	tunnel string // TUN's options
	vip    netip.Addr
	six    bool // the servers' family
	number uint16
}

func (w way) String() string {
	name := w.method + w.tunnel + " " + familyName(w.vip.Is6())
	if w.six != w.vip.Is6() {
		name += " in " + familyName(w.six)
	}
	return name
}

func familyName(six bool) string {
	if six {
		return "IPv6"
	}
	return "IPv4"
}

// sixth is the IPv6 address beside an IPv4 one of the lab: the last two numbers of
// 10.77.net.host are its network and its host.
func sixth(a netip.Addr) netip.Addr {
	b := a.As4()
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0x77, 0, b[2], 15: b[3]})
}

// routed is the network of the virtual addresses; passing says that replies go past
// the director.
func routed(passing bool) byte {
	if passing {
		return 5
	}
	return 6
}

// Options of TUN.
const (
	gue = " type gue port 6080" // lab.GUEPort
	gre = " type gre"
)

func newWays(t *testing.T) *ways {
	t.Helper()
	w := &ways{site: newSite(t, lab.Both, 2)}
	for _, inner := range []bool{false, true} {
		w.add("DR", "", inner, inner)
		w.add("NAT", "", inner, inner)
		for _, tunnel := range []string{"", gue, gre} {
			w.add("TUN", tunnel, inner, inner)
			w.add("TUN", tunnel, inner, !inner)
		}
	}
	w.addFamily()
	w.addVIPs()
	for _, n := range w.top.Servers {
		_, err := n.Decapsulate()
		w.must(err)
	}
	return w
}

func (w *ways) add(method, tunnel string, inner, outer bool) {
	vip := netip.AddrFrom4([4]byte{10, 77, routed(method != "NAT"), byte(len(w.list) + 1)})
	if inner {
		vip = sixth(vip)
	}
	w.list = append(w.list, way{method, tunnel, vip, outer, uint16(len(w.list))})
}

// addFamily gives every IPv4 address an IPv6 one beside it.
func (w *ways) addFamily() {
	w.t.Helper()
	top := w.top
	for _, iface := range append([]*lab.Iface{top.ClientIf, top.ClientSide, top.ServerSide}, top.ServerIfs...) {
		w.must(iface.Node.AddAddr(iface.Name, netip.PrefixFrom(sixth(iface.Addr()), 64)))
		// The kernel looks for neighbours by the link-local address.
		b := sixth(iface.Addr()).As16()
		w.must(iface.Node.AddAddr(iface.Name, netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: b[15]}), 64)))
	}
	w.must(top.Client.AddAddr("eth1", netip.PrefixFrom(sixth(clientBeside), 64)))
	w.must(top.Director.SetSysctl("net/ipv6/conf/all/forwarding", "1"))
	for _, n := range top.Servers {
		w.must(n.AddRoute(netip.PrefixFrom(netip.IPv6Unspecified(), 0), sixth(top.ServerSide.Addr())))
	}
}

// clientBeside is the client's address on the servers' link.
var clientBeside = netip.MustParseAddr("10.77.2.9")

// addVIPs configures virtual addresses as users of LVS do: on the director, and on
// lo of the servers that get packets for them.
func (w *ways) addVIPs() {
	w.t.Helper()
	for _, way := range w.list {
		w.must(w.top.Director.AddAddr(w.top.ClientSide.Name, netip.PrefixFrom(way.vip, way.vip.BitLen())))
		for _, n := range w.top.Servers {
			if way.method != "NAT" {
				w.must(n.AddVIP(way.vip))
			}
		}
		route := &netlink.Route{
			Dst: &net.IPNet{IP: way.vip.AsSlice(), Mask: net.CIDRMask(way.vip.BitLen(), way.vip.BitLen())},
			Gw:  w.gateway(way).AsSlice(),
		}
		if way.method != "NAT" {
			route.Src = clientBeside.AsSlice()
			if way.vip.Is6() {
				route.Src = sixth(clientBeside).AsSlice()
			}
		}
		w.must(w.top.Client.Netlink().RouteAdd(route))
	}
}

func (w *ways) gateway(way way) netip.Addr {
	if way.vip.Is6() {
		return sixth(w.top.ClientSide.Addr())
	}
	return w.top.ClientSide.Addr()
}

// real is where server i has a port of a way's service, as the director knows it.
func (w *ways) real(way way, i int, port uint16) netip.AddrPort {
	addr := w.top.ServerAddr(i)
	if way.six {
		addr = sixth(addr)
	}
	if way.method == "NAT" {
		port += 8000 + way.number
	}
	return netip.AddrPortFrom(addr, port)
}

// services are one for HTTP and one for datagrams of each way.
func (w *ways) services(servers int) (list []serviceConf) {
	for _, way := range w.list {
		for protocol, port := range map[string]uint16{"TCP": 80, "UDP": 53} {
			svc := serviceConf{at: netip.AddrPortFrom(way.vip, port), protocol: protocol, kind: way.method + way.tunnel}
			for i := range servers {
				svc.servers = append(svc.servers, serverConf{at: w.real(way, i, port)})
			}
			list = append(list, svc)
		}
	}
	return list
}

// serve starts the servers and the daemon.
func (w *ways) serve() {
	w.t.Helper()
	for i, n := range w.top.Servers {
		for _, way := range w.list {
			listen := func(port uint16) string {
				if way.method == "NAT" {
					return w.real(way, i, port).String()
				}
				return netip.AddrPortFrom(way.vip, port).String()
			}
			_, err := n.ServeHTTP(listen(80), exchange(strconv.Itoa(i)))
			w.must(err)
			_, err = n.ServeUDPEcho(listen(53))
			w.must(err)
		}
	}
	w.write(conf{global: []string{"@evenkeel xdp_interface eth0 eth1"}, services: w.services(len(w.top.Servers))}.String())
	w.start()
	for _, way := range w.list {
		w.alive(netip.AddrPortFrom(way.vip, 80), len(w.top.Servers))
		w.alive(netip.AddrPortFrom(way.vip, 53), len(w.top.Servers))
	}
}

// exchange answers with its name and the digest of what it was sent, and with as
// many bytes as it was asked for.
func exchange(name string) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		digest := sha256.New()
		if _, err := io.Copy(digest, in.Body); err != nil {
			return
		}
		fmt.Fprintf(out, "%s %x\n", name, digest.Sum(nil))
		if n, err := strconv.Atoi(in.URL.Query().Get("bytes")); err == nil {
			_, _ = out.Write(pattern(n))
		}
	})
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	return b
}

// transferred is more than a few windows of TCP.
const transferred = 1 << 20

// ask sends and asks for so many bytes over a connection of its own, wants all of
// them whole, and returns the server's name.
func (w *ways) ask(way way, up, down int) string {
	w.t.Helper()
	client := w.top.Client.HTTPClient()
	client.Transport.(*http.Transport).DisableKeepAlives = true
	client.Timeout = 2 * time.Minute
	sent := pattern(up)
	url := fmt.Sprintf("http://%s/?bytes=%d", netip.AddrPortFrom(way.vip, 80), down)
	res, err := client.Post(url, "application/octet-stream", bytes.NewReader(sent))
	if err != nil {
		w.t.Fatalf("%d bytes up, %d down: %v", up, down, err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("%d bytes up, %d down: %v", up, down, err)
	}
	head, body, _ := bytes.Cut(got, []byte("\n"))
	name, digest, _ := bytes.Cut(head, []byte(" "))
	if string(digest) != fmt.Sprintf("%x", sha256.Sum256(sent)) {
		w.t.Errorf("the server did not get the %d bytes that were sent", up)
	}
	if !bytes.Equal(body, pattern(down)) {
		w.t.Errorf("%d bytes came, which are not the %d that the server sent", len(body), down)
	}
	return string(name)
}

// each runs a test for each way, and for those methods only if any are named.
func (w *ways) each(test func(w *ways, way way), methods ...string) {
	for _, way := range w.list {
		if len(methods) > 0 && !slices.Contains(methods, way.method) {
			continue
		}
		w.t.Run(way.String(), func(t *testing.T) { test(&ways{site: w.in(t), list: w.list}, way) })
	}
}

// TestMethods moves TCP and UDP by every method, for and by every family, between
// two interfaces.
func TestMethods(t *testing.T) {
	w := newWays(t)
	w.serve()
	w.each(func(w *ways, way way) {
		before := w.reasons()
		var names []string
		for range 4 {
			names = append(names, w.ask(way, 0, 0))
		}
		slices.Sort(names)
		if want := []string{"0", "0", "1", "1"}; !slices.Equal(names, want) {
			w.t.Errorf("answers came from servers %v, want %v", names, want)
		}
		w.ask(way, transferred, transferred)
		for range 4 {
			w.datagramsComeBack(netip.AddrPortFrom(way.vip, 53))
		}
		for _, r := range w.service(netip.AddrPortFrom(way.vip, 53)).Servers {
			if r.Counters.Conns != 2 {
				w.t.Errorf("server %s got %d of 4 clients that send datagrams, want 2", r.Address, r.Counters.Conns)
			}
		}
		after := w.reasons()
		forwarded := map[string]string{"DR": "forwarded_dr", "NAT": "forwarded_nat", "TUN": "forwarded_tun"}[way.method]
		// A megabyte is some 700 packets; more than half of them can hardly be in
		// other packets' places.
		if n := after[forwarded] - before[forwarded]; n < 400 {
			w.t.Errorf("%d packets were %s", n, forwarded)
		}
		if n := after["frag_needed"] - before["frag_needed"]; (n > 0) != (way.method == "TUN") {
			w.t.Errorf("%d packets were answered with the MTU", n)
		}
	})
}

// datagramsComeBack uses a socket of its own until an answer comes: a busy machine
// may lose a datagram anywhere.
func (w *ways) datagramsComeBack(at netip.AddrPort) {
	w.t.Helper()
	c, err := w.top.Client.Dial(w.t.Context(), "udp", at.String())
	w.must(err)
	defer c.Close()
	labtest.Until(w.t, "a datagram to "+at.String()+" comes back", func() bool { return echoes(c) == nil })
}

// TestSmallPathToServers has a smaller MTU between director and servers than
// between client and director: the client hears of it from the virtual address, and
// its transfer ends well.
func TestSmallPathToServers(t *testing.T) {
	w := newWays(t)
	w.setMTU(w.top.ServerSide, 1400)
	w.serve()
	w.each(func(w *ways, way way) {
		before := w.reasons()["frag_needed"]
		w.ask(way, transferred, 0)
		if w.reasons()["frag_needed"] == before {
			w.t.Error("no packet was answered with the MTU")
		}
		want := 1400
		if way.method == "TUN" {
			want -= map[bool]int{false: 20, true: 40}[way.six] + map[string]int{gue: 12, gre: 4}[way.tunnel]
		}
		if got := w.pathMTU(way); got != want {
			w.t.Errorf("the client's path MTU is %d, want %d", got, want)
		}
	})
}

// TestSmallPathToClients is the other way round: a NAT server hears of it.
func TestSmallPathToClients(t *testing.T) {
	w := newWays(t)
	w.setMTU(w.top.ClientSide, 1400)
	w.serve()
	w.each(func(w *ways, way way) {
		before := w.reasons()["frag_needed"]
		w.ask(way, 0, transferred)
		if w.reasons()["frag_needed"] == before {
			w.t.Error("no packet was answered with the MTU")
		}
	}, "NAT")
}

func (w *ways) setMTU(i *lab.Iface, mtu int) {
	w.t.Helper()
	h := i.Node.Netlink()
	link, err := h.LinkByName(i.Name)
	w.must(err)
	w.must(h.LinkSetMTU(link, mtu))
}

// pathMTU is what the client's kernel has learnt of the way to a virtual address.
func (w *ways) pathMTU(way way) (mtu int) {
	w.t.Helper()
	c, err := w.top.Client.Dial(w.t.Context(), "udp", netip.AddrPortFrom(way.vip, 53).String())
	w.must(err)
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	w.must(err)
	level, option := unix.IPPROTO_IP, unix.IP_MTU
	if way.vip.Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	var failed error
	w.must(raw.Control(func(fd uintptr) { mtu, failed = unix.GetsockoptInt(int(fd), level, option) }))
	w.must(failed)
	return mtu
}

// TestNobodyServes has no server alive: clients are told so by ICMP from the
// virtual address, which their system calls return.
func TestNobodyServes(t *testing.T) {
	w := newWays(t)
	services := w.services(1)
	for i := range services {
		services[i].lines = []string{"alpha"}
		services[i].servers[0].lines = []string{checked(9)}
	}
	w.write(conf{global: []string{"@evenkeel xdp_interface eth0 eth1"}, services: services}.String())
	w.start()
	w.each(func(w *ways, way way) {
		for network, port := range map[string]uint16{"tcp": 80, "udp": 53} {
			at := netip.AddrPortFrom(way.vip, port)
			before := w.reasons()["port_unreachable"]
			labtest.Until(w.t, at.String()+" is refused", func() bool {
				return errors.Is(w.knock(network, at), syscall.ECONNREFUSED)
			})
			if w.reasons()["port_unreachable"] == before {
				w.t.Errorf("%s was refused, but not by the program", at)
			}
		}
	})
}

// knock opens a connection, or sends a datagram and waits for an answer.
func (w *ways) knock(network string, at netip.AddrPort) error {
	w.t.Helper()
	c, err := w.top.Client.Dial(w.t.Context(), network, at.String())
	if err != nil {
		return err
	}
	defer c.Close()
	return echoes(c)
}
