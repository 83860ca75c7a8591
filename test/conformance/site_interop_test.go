//go:build interop

package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// site is a LAN with hosts 10.90.0.1 and on for routers, and the rival,
// 10.90.0.9, from which adverts made by hand come and which hears what leaves.
type site struct {
	*probe
	lab   *lab.Lab
	lan   *lab.LAN
	hosts []*host
	rival *host
	wire  *labtest.Wire
	tap   *tap
}

// host is one machine.
type host struct {
	p    *probe
	node *lab.Node
	eth0 *lab.Iface
	// sources are further addresses that its adverts may come from.
	sources []netip.Addr
}

// newSite makes hosts on which nothing runs yet.
func newSite(p *probe, hosts int) *site {
	p.Helper()
	s := &site{probe: p, lab: labtest.New(p), tap: &tap{}}
	var err error
	s.lan, err = s.lab.AddLAN("lan")
	p.check(err)
	for n := range hosts {
		s.hosts = append(s.hosts, s.addHost(fmt.Sprintf("host%d", n+1), n+1))
	}
	s.rival = s.addHost("rival", 9)
	// The answer to a changed address counts at once.
	p.check(s.rival.node.SetSysctl("net/ipv4/neigh/eth0/locktime", "0"))
	s.wire = labtest.OpenWire(p, s.rival.eth0, s.tap.hear)
	return s
}

func (s *site) addHost(name string, number int) *host {
	s.Helper()
	n, err := s.lab.AddNode(name)
	s.check(err)
	h := &host{p: s.probe, node: n}
	h.eth0 = s.join(h, s.lan, "eth0", number)
	return h
}

// linkLocals are those of the host in the golden vectors, and of the rival.
func (s *site) join(h *host, lan *lab.LAN, name string, number int) *lab.Iface {
	s.Helper()
	net4, net6 := "10.90.0", "fd5a"
	if name != "eth0" {
		net4, net6 = "10.91.0", "fd5b"
	}
	local := fmt.Sprintf("fe80::ff:fe00:5a0%d", number)
	if h == s.rival || h.node.Name() == "rival" {
		local = "fe80::9"
	}
	i, err := lan.Join(h.node, lab.Port{Name: name, Addrs: []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("%s.%d/24", net4, number)),
		netip.MustParsePrefix(fmt.Sprintf("%s::%d/64", net6, number)),
		netip.MustParsePrefix(local + "/64"),
	}})
	s.check(err)
	return i
}

// wireOn returns a stranger's wire on another LAN.
func (s *site) wireOn(lan *lab.LAN) *labtest.Wire {
	s.Helper()
	n, err := s.lab.AddNode("stranger")
	s.check(err)
	h := &host{p: s.probe, node: n}
	return labtest.OpenWire(s.probe, s.join(h, lan, "eth1", 9), nil)
}

// overhear keeps what a host sends in a tap.
func (s *site) overhear(h *host, t *tap) {
	s.Helper()
	labtest.OpenWire(s.probe, h.eth0, func(f labtest.Frame) {
		if f.Sent {
			f.Sent = false
			t.hear(f)
		}
	})
}

// start runs the router under test on a host.
func (s *site) start(n int, c conf) daemon {
	s.Helper()
	return s.router.start(s.probe, s.hosts[n], c)
}

// master starts one instance and waits until it is master.
func (s *site) master(c conf) daemon {
	s.Helper()
	d := s.start(0, c)
	i := c.instances[0].withDefaults()
	s.until("it becomes master", func() bool { return s.countFrom(0, i) > 0 && last(d, i.name) == "MASTER" })
	return d
}

// countFrom returns how many adverts of an instance a host has sent.
func (s *site) countFrom(n int, i inst) int { return len(s.from(n, i)) }

// from returns the adverts of an instance that a host has sent.
func (s *site) from(n int, i inst) (list []advert) {
	i = i.withDefaults()
	for _, a := range s.tap.adverts() {
		if a.vrid() == i.vrid && a.ipv6() == i.ipv6 && s.isOf(n, a) {
			list = append(list, a)
		}
	}
	return list
}

// isOf tells routers apart by their source address, since all may send from
// one virtual MAC.
func (s *site) isOf(n int, a advert) bool {
	for _, p := range s.hosts[n].eth0.Addrs {
		if p.Addr() == a.src {
			return true
		}
	}
	return slices.Contains(s.hosts[n].sources, a.src)
}

// more waits for so many more adverts of the first host.
func (s *site) more(i inst, n int) {
	s.Helper()
	had := s.countFrom(0, i)
	s.until(fmt.Sprintf("%d more adverts", n), func() bool { return s.countFrom(0, i) >= had+n })
}

// send sends adverts made by hand.
func (s *site) send(forged ...forge) {
	s.Helper()
	for _, f := range forged {
		s.wire.Send(f.frame())
	}
}

// reign sends an advert again and again until the returned function is called,
// which says when the last one was sent. The time is zero if this machine was
// too busy to send the last ones evenly.
func (s *site) reign(f forge, every time.Duration) func() time.Time {
	ctx, stop := context.WithCancel(context.Background())
	last := make(chan time.Time, 1)
	frame := f.frame()
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		at, even := time.Now(), 0
		for ctx.Err() == nil {
			before := at
			at = time.Now()
			s.wire.Send(frame)
			if even++; time.Since(before) > 4*every {
				even = 0
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		if even < 5 {
			at = time.Time{}
		}
		last <- at
	}()
	end := sync.OnceValue(func() time.Time {
		stop()
		return <-last
	})
	s.Cleanup(func() { end() })
	return end
}

// has says whether an address is on any link of the host.
func (h *host) has(addr string) bool {
	h.p.Helper()
	list, err := h.node.Netlink().AddrList(nil, 0)
	h.p.check(err)
	for _, a := range list {
		if a.IP.Equal(net.ParseIP(addr)) {
			return true
		}
	}
	return false
}

// ip runs the command of that name.
func (h *host) ip(args ...string) {
	h.p.Helper()
	h.p.check(h.node.Run(exec.Command("ip", args...)))
}

// read returns a file of the host's /proc.
func (h *host) read(path string) string {
	h.p.Helper()
	out := labtest.Run(h.p, h.node, exec.Command("cat", path))
	return out.Stdout
}

// answers says whether the rival's kernel reaches an address: a refused
// connection is an answer.
func (s *site) answers(addr string) bool {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	c, err := s.rival.node.Dial(ctx, "tcp", net.JoinHostPort(addr, "9"))
	if err == nil {
		c.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED)
}

// believes returns where the rival's kernel has an address.
func (s *site) believes(addr string) string {
	s.Helper()
	list, err := s.rival.node.Netlink().NeighList(0, 0)
	s.check(err)
	for _, n := range list {
		if n.IP.Equal(net.ParseIP(addr)) && n.HardwareAddr != nil {
			return n.HardwareAddr.String()
		}
	}
	return ""
}

// ask sends an ARP request of the rival.
func (s *site) ask(addr string) {
	a := netip.MustParseAddr(addr).As4()
	b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, rivalMAC...)
	b = append(b, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1)
	b = append(append(b, rivalMAC...), 10, 90, 0, 9)
	b = append(append(b, 0, 0, 0, 0, 0, 0), a[:]...)
	s.wire.Send(b)
}

// replies returns the ARP replies for an address.
func (s *site) replies(addr string) (list []arp) {
	for _, p := range s.tap.arps() {
		if p.op == 2 && p.sender == netip.MustParseAddr(addr) && p.target != p.sender {
			list = append(list, p)
		}
	}
	return list
}

// solicit sends a neighbour solicitation of the rival.
func (s *site) solicit(addr string) {
	target := netip.MustParseAddr(addr).As16()
	src, dst := netip.MustParseAddr("fe80::9"), [16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff}
	copy(dst[13:], target[13:])
	msg := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, target[:]...)
	msg = append(append(msg, 1, 1), rivalMAC...)
	c := sum(pseudo(src, netip.AddrFrom16(dst), len(msg), protoICMPv6), msg)
	msg[2], msg[3] = byte(c>>8), byte(c)
	b := append([]byte{0x33, 0x33, dst[12], dst[13], dst[14], dst[15]}, rivalMAC...)
	b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(msg)), protoICMPv6, 255)
	b = append(append(append(b, src.AsSlice()...), dst[:]...), msg...)
	s.wire.Send(b)
}

// cut takes the port of a host out of the switch; its carrier stays.
func (s *site) cut(n int) (heal func()) {
	s.Helper()
	nl := s.lan.Node().Netlink()
	port, err := nl.LinkByName(fmt.Sprintf("host%d-eth0", n+1))
	s.check(err)
	bridge, err := nl.LinkByName("br0")
	s.check(err)
	s.check(nl.LinkSetNoMaster(port))
	return func() { s.check(nl.LinkSetMaster(port, bridge)) }
}

// links returns the host's interfaces but lo.
func (h *host) links() (list []netlink.Link) {
	h.p.Helper()
	all, err := h.node.Netlink().LinkList()
	h.p.check(err)
	for _, l := range all {
		if l.Attrs().Name != "lo" {
			list = append(list, l)
		}
	}
	return list
}

// last returns the last state that an instance of the daemon entered.
func last(d daemon, name string) string {
	all := d.states(name)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

// become waits for a state.
func (s *site) become(d daemon, state string) {
	s.Helper()
	s.until("it becomes "+state, func() bool { return last(d, "VI") == state })
}
