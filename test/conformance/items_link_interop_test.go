//go:build interop

package conformance

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

func linking() []item {
	return []item{
		{118, item118},
		{119, item119},
		{120, item120},
		{121, item121},
		{122, item122},
		{123, item123},
		{124, item124},
		{125, item125},
		{126, item126},
		{127, item127},
		{128, item128},
		{129, item129},
		{130, item130},
		{131, item131},
		{132, item132},
		{133, item133},
		{135, item135},
		{136, item136},
		{137, item137},
		{138, item138},
		{139, item139},
		{141, item141},
		{142, item142},
		{143, item143},
		{144, func(p *probe) {
			s := newSite(p, 1)
			s.master(one(inst{}))
			p.until("the address answers", func() bool { return s.answers(vip4) })
		}},
		{152, item152},
	}
}

const (
	routerMAC4 = "00:00:5e:00:01:33"
	routerMAC6 = "00:00:5e:00:02:33"
)

func item118(p *probe) {
	s := newSite(p, 1)
	i := inst{vips: []string{vip4 + "/24", "10.90.0.102/24"}}
	s.master(one(i))
	for _, v := range []string{vip4, "10.90.0.102"} {
		p.until("an announcement of "+v, func() bool { return len(s.tap.gratuitous(v)) > 0 })
		g := s.tap.gratuitous(v)[0]
		p.want("operation", g.op, 1)
		p.want("Ethernet destination", g.to.String(), "ff:ff:ff:ff:ff:ff")
		p.want("sender", g.senderMAC.String(), g.from.String())
	}
}

func item119(p *probe) {
	s := newSite(p, 1)
	s.master(one(inst{vmac: true}))
	p.until("announcements", func() bool { return len(s.tap.gratuitous(vip4)) > 0 })
	for _, g := range s.tap.gratuitous(vip4) {
		p.want("Ethernet source", g.from.String(), routerMAC4)
		p.want("sender", g.senderMAC.String(), routerMAC4)
	}
}

func item120(p *probe) {
	s := newSite(p, 1)
	i := inst{interval: time.Second, lines: " garp_master_delay 1\n"}
	s.master(one(i))
	count := func() int { return len(s.tap.gratuitous(vip4)) }
	p.until("five and five more", func() bool { return count() >= 10 })
	time.Sleep(settle)
	p.want("announcements", count(), 10)
	all := s.tap.gratuitous(vip4)
	if pause := all[5].at.Sub(all[4].at); pause < 500*time.Millisecond {
		p.Errorf("second round %v after the first", pause.Round(10*time.Millisecond))
	}
	// A mastership that is lost in between announces nothing any more.
	s = newSite(p, 1)
	i.lines = " garp_master_delay 10\n"
	d := s.master(one(i))
	p.until("five", func() bool { return count() >= 5 })
	stop := s.reign(forge{priority: 255, interval: 100}, 100*time.Millisecond)
	s.become(d, "BACKUP")
	time.Sleep(11 * time.Second)
	p.want("announcements", count(), 5)
	stop()
}

func item121(p *probe) {
	s := newSite(p, 1)
	s.master(one(inst{lines: " garp_master_delay 0\n garp_master_repeat 1\n garp_master_refresh 1\n garp_master_refresh_repeat 2\n"}))
	p.until("three refreshes of two", func() bool { return len(s.tap.gratuitous(vip4)) >= 7 })
	all := s.tap.gratuitous(vip4)
	if pause := all[5].at.Sub(all[1].at); pause < 1500*time.Millisecond {
		p.Errorf("%v for two pauses between refreshes", pause.Round(10*time.Millisecond))
	}
}

// item122: the first round of all addresses comes before the second of any.
func item122(p *probe) {
	var b strings.Builder
	b.WriteString(" virtual_ipaddress_excluded {\n")
	for n := range 999 {
		fmt.Fprintf(&b, "  10.91.%d.%d/32\n", n/200, n%200+1)
	}
	b.WriteString(" }\n")
	s := newSite(p, 1)
	s.master(one(inst{interval: time.Second, lines: b.String()}))
	p.until("five rounds", func() bool { return len(s.tap.arps()) >= 5000 })
	seen := make(map[netip.Addr]bool)
	for n, g := range s.tap.arps()[:1000] {
		if seen[g.sender] {
			p.Fatalf("a second announcement after %s addresses", about(n))
		}
		seen[g.sender] = true
	}
}

// about says a number that changes from run to run.
func about(n int) string {
	if n < 10 {
		return "a few"
	}
	return "many"
}

func item123(p *probe) {
	s := newSite(p, 1)
	s.reign(forge{priority: 255, interval: 100}, 50*time.Millisecond)
	d := s.start(0, one(inst{interval: time.Second}))
	s.become(d, "BACKUP")
	time.Sleep(settle) // what follows from it is done
	for range 3 {
		s.ask(vip4)
		s.ask("10.90.0.1")
	}
	p.until("answers for its own address", func() bool { return len(s.replies("10.90.0.1")) >= 3 })
	p.want("answers for the virtual address", len(s.replies(vip4)), 0)
}

func item124(p *probe) {
	s := newSite(p, 1)
	s.master(one(inst{vmac: true}))
	p.until("an answer", func() bool { s.ask(vip4); return len(s.replies(vip4)) > 0 })
	for _, r := range s.replies(vip4) {
		p.want("MAC in the answer", r.senderMAC.String(), routerMAC4)
		p.want("Ethernet source", r.from.String(), routerMAC4)
	}
}

// item125: an echo request to the virtual MAC of a backup is not answered.
func item125(p *probe) {
	s := newSite(p, 1)
	s.reign(forge{priority: 255, interval: 100}, 50*time.Millisecond)
	d := s.start(0, one(inst{vmac: true, interval: time.Second}))
	s.become(d, "BACKUP")
	time.Sleep(settle) // what follows from it is done
	s.believes("10.90.0.1")
	p.until("the host is known", func() bool { return s.answers("10.90.0.1") })
	virtual, err := net.ParseMAC(routerMAC4)
	p.check(err)
	for _, to := range []net.HardwareAddr{virtual, virtual, mineMAC} {
		s.wire.Send(echo(to, vip4))
		s.wire.Send(echo(to, "10.90.0.1"))
	}
	replies := func() (n int) {
		for _, h := range s.tap.all() {
			if q, ok := h.ip(); ok && q.proto == protoICMP && q.payload[0] == 0 {
				n++
			}
		}
		return n
	}
	p.until("an answer to the real MAC", func() bool { return replies() > 0 })
	time.Sleep(settle)
	p.want("answers", replies(), 1)
}

// echo returns an ICMP echo request of the rival.
func echo(to net.HardwareAddr, dst string) []byte {
	msg := []byte{8, 0, 0, 0, 0, 1, 0, 1}
	c := sum(msg)
	msg[2], msg[3] = byte(c>>8), byte(c)
	h := []byte{0x45, 0, 0, 28, 0, 1, 0, 0, 64, protoICMP, 0, 0, 10, 90, 0, 9}
	h = append(h, netip.MustParseAddr(dst).AsSlice()...)
	c = sum(h)
	h[10], h[11] = byte(c>>8), byte(c)
	b := append(append(bytes.Clone(to), rivalMAC...), 0x08, 0x00)
	return append(append(b, h...), msg...)
}

func item126(p *probe) {
	s := newSite(p, 1)
	s.master(one(inst{ipv6: true}))
	p.until("it has the address", func() bool { return s.hosts[0].has(vip6) })
	p.until("the solicited-node group", func() bool {
		return strings.Contains(s.hosts[0].read("/proc/self/net/igmp6"), "ff0200000000000000000001ff000100")
	})
}

func item127(p *probe) {
	s := newSite(p, 1)
	s.master(one(inst{ipv6: true, vmac: true}))
	for _, v := range []string{vip6, vip6loc} {
		p.until("an announcement of "+v, func() bool { return len(s.tap.neighbours(v)) > 0 })
		n := s.tap.neighbours(v)[0]
		p.want("destination", n.dst, "ff02::1")
		p.want("hop limit", n.ttl, 255)
		p.want("override", n.override, true)
		p.want("solicited", n.solicited, false)
		p.want("MAC in the option", n.mac.String(), routerMAC6)
		p.want("Ethernet source", n.from.String(), routerMAC6)
		p.want("router", n.router, true)
	}
}

func item128(p *probe) {
	s := newSite(p, 1)
	s.master(one(inst{ipv6: true, vmac: true}))
	solicited := func() (list []neighbour) {
		for _, n := range s.tap.neighbours(vip6) {
			if n.solicited {
				list = append(list, n)
			}
		}
		return list
	}
	p.until("an answer", func() bool { s.solicit(vip6); return len(solicited()) > 0 })
	n := solicited()[0]
	p.want("MAC in the answer", n.mac.String(), routerMAC6)
	p.want("Ethernet source", n.from.String(), routerMAC6)
	p.want("router", n.router, true)
}

func item129(p *probe) {
	s := newSite(p, 1)
	s.reign(forge{ipv6: true, priority: 255, interval: 100}, 50*time.Millisecond)
	d := s.start(0, one(inst{ipv6: true, interval: time.Second}))
	s.become(d, "BACKUP")
	time.Sleep(settle) // what follows from it is done
	for range 3 {
		s.solicit(vip6)
		s.solicit("fd5a::1")
	}
	p.until("answers for its own address", func() bool { return len(s.tap.neighbours("fd5a::1")) >= 3 })
	p.want("answers for the virtual address", len(s.tap.neighbours(vip6)), 0)
}

// item130: an address whose former owner still has it is usable at once.
func item130(p *probe) {
	s := newSite(p, 1)
	p.check(s.rival.node.AddAddr("eth0", netip.MustParsePrefix(vip6+"/64")))
	s.master(one(inst{ipv6: true}))
	p.until("it has the address", func() bool { return s.hosts[0].has(vip6) })
	const tentative, failed = 0x40, 0x08
	list, err := s.hosts[0].node.Netlink().AddrList(nil, netlink.FAMILY_V6)
	p.check(err)
	for _, a := range list {
		if a.IP.String() == vip6 {
			p.want("flags of duplicate detection", a.Flags&(tentative|failed), 0)
		}
	}
}

// item131: nothing is announced before the first advert.
func item131(p *probe) {
	for _, i := range []inst{{}, {ipv6: true}} {
		s := newSite(p, 1)
		s.master(one(i))
		first := s.from(0, i)[0].at
		p.until("announcements", func() bool { return len(s.tap.gratuitous(vip4)) > 0 || len(s.tap.neighbours(vip6)) > 0 })
		for _, g := range s.tap.gratuitous(vip4) {
			p.want("ARP before the advert", g.at.Before(first), false)
		}
		for _, n := range s.tap.neighbours(vip6) {
			p.want("NA before the advert", n.at.Before(first), false)
		}
	}
}

// item132: the switch has the virtual MAC where the master is.
func item132(p *probe) {
	s := newSite(p, 1)
	s.master(one(inst{vmac: true}))
	port, err := s.lan.Node().Netlink().LinkByName("host1-eth0")
	p.check(err)
	p.until("the switch has learned the virtual MAC", func() bool {
		list, err := s.lan.Node().Netlink().NeighList(port.Attrs().Index, netlink.FAMILY_ALL+7) // AF_BRIDGE
		p.check(err)
		return slices.ContainsFunc(list, func(n netlink.Neigh) bool { return n.HardwareAddr.String() == routerMAC4 })
	})
}

// item133: after each of some partitions the client is with the winner.
func item133(p *probe) {
	s := newSite(p, 2)
	better, worse := inst{priority: 200}, inst{priority: 100}
	// The client is not to find out by itself that a neighbour is silent.
	p.check(s.rival.node.SetSysctl("net/ipv4/neigh/eth0/delay_first_probe_time", "600"))
	a := s.master(one(better))
	b := s.start(1, one(worse))
	s.become(a, "MASTER")
	s.become(b, "BACKUP")
	s.until("the client is with the master", func() bool {
		return s.answers(vip4) && s.believes(vip4) == s.macOf(0)
	})
	for n := range 5 {
		heal := s.cut(0)
		s.become(b, "MASTER")
		s.until("the client is with the other one", func() bool { return s.answers(vip4) && s.believes(vip4) == s.macOf(1) })
		time.Sleep(time.Duration(n) * 20 * time.Millisecond) // another phase
		heal()
		s.become(b, "BACKUP")
		// keepalived's loser leaves the client where it was, unless its own advert
		// was the first after the heal.
		if !soon(func() bool { return s.believes(vip4) == s.macOf(0) }) {
			p.Fatal("the client stays on the MAC of the loser")
		}
	}
}

// macOf returns the MAC that a router announces addresses with.
func (s *site) macOf(n int) string {
	if s.router.name() == "frr" {
		return routerMAC4
	}
	return s.hosts[n].eth0.MAC.String()
}

// item135: the group is joined, and joined again when the link was away.
func item135(p *probe) {
	s := newSite(p, 1)
	i := inst{}
	s.master(one(i))
	p.want("member of the group", strings.Contains(s.hosts[0].read("/proc/self/net/igmp"), "120000E0"), true)
	had := len(s.igmp())
	p.check(s.hosts[0].eth0.SetUp(false))
	p.check(s.hosts[0].eth0.SetUp(true))
	p.until("a report after the link was away", func() bool { return len(s.igmp()) > had })
	before := s.countFrom(0, i)
	p.until("adverts again", func() bool { return s.countFrom(0, i) > before })
}

// igmp returns the reports for the group of VRRP.
func (s *site) igmp() (list []ip) {
	for _, h := range s.tap.all() {
		q, ok := h.ip()
		if ok && q.proto == protoIGMP && bytes.Contains(q.payload, []byte{224, 0, 0, 18}) {
			list = append(list, q)
		}
	}
	return list
}

func item136(p *probe) {
	s := newSite(p, 1)
	s.master(one(inst{vmac: true}))
	p.until("a report", func() bool { return len(s.igmp()) > 0 })
	for _, q := range s.igmp() {
		p.want("source of the report", q.src, mine4)
	}
}

// item137: a stop leaves nothing behind.
func item137(p *probe) {
	if p.router.name() == "frr" {
		p.lacks("it does not make the interface")
	}
	s := newSite(p, 1)
	state := func() string {
		var b strings.Builder
		for _, args := range [][]string{
			{"ip", "-o", "link"}, {"ip", "-o", "addr"}, {"ip", "rule"}, {"ip", "route", "show", "table", "all"},
			{"sh", "-c", "cd /proc/sys/net && grep -r . ipv4/conf/eth0 ipv4/conf/all ipv6/conf/eth0 ipv6/conf/all 2>/dev/null"},
			{"cat", "/proc/self/net/igmp"},
		} {
			out := labtest.Run(p, s.hosts[0].node, exec.Command(args[0], args[1:]...))
			b.WriteString(volatileless(out.Stdout))
		}
		return b.String()
	}
	p.until("the link works", func() bool { return strings.Contains(state(), " state UP ") })
	time.Sleep(settle) // what follows from it is done
	before := state()
	d := s.master(one(inst{vmac: true, ipv6: true}))
	s.become(d, "MASTER")
	p.until("it has the address", func() bool { return s.hosts[0].has(vip6) })
	d.stop()
	var after string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(settle) {
		if after = state(); after == before {
			return
		}
	}
	p.Errorf("left behind: %s", difference(before, after))
}

// volatileless leaves out counters of time.
func volatileless(s string) string {
	var kept []string
	for _, line := range strings.Split(s, "\n") {
		if !strings.Contains(line, "mc_forwarding") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// difference returns the first line that only the second text has, or the first.
func difference(before, after string) string {
	had := strings.Split(before, "\n")
	for _, line := range strings.Split(after, "\n") {
		if !slices.Contains(had, line) {
			return line
		}
	}
	return "something is missing"
}

// item138: a host that forwards does not forward the group.
func item138(p *probe) {
	s := newSite(p, 1)
	second, err := s.lab.AddLAN("second")
	p.check(err)
	s.join(s.hosts[0], second, "eth1", 1)
	p.check(s.hosts[0].node.SetForwarding(true))
	w := s.wireOn(second)
	i := inst{}
	c := one(i)
	c.datapath = true
	s.master(c)
	f := forge{priority: 200, src: netip.MustParseAddr("10.91.0.9")}
	for range 3 {
		w.Send(f.frame())
	}
	s.more(i, 3)
	for _, a := range s.tap.adverts() {
		p.want("source of an advert", a.src, mine4)
	}
}

func item139(p *probe) {
	if p.router.name() == "frr" {
		p.lacks("it does not make the interface")
	}
	s := newSite(p, 1)
	s.master(one(inst{ipv6: true, vmac: true}))
	links := s.hosts[0].links()
	p.want("interfaces", len(links), 2)
	for _, l := range links {
		name := l.Attrs().Name
		if name == "eth0" {
			continue
		}
		mode, err := s.hosts[0].node.Sysctl("net/ipv6/conf/" + name + "/addr_gen_mode")
		p.check(err)
		p.want("addr_gen_mode is none or random", mode == "1" || mode == "3", true)
	}
}

func item141(p *probe) {
	s := newSite(p, 1)
	deaf, open := inst{lines: " no_accept\n"}, inst{name: "open", vrid: 52, vips: []string{"10.90.0.102/24"}}
	s.master(conf{instances: []inst{deaf, open}})
	p.until("the other address answers", func() bool { return s.answers("10.90.0.102") })
	p.until("the host has the address", func() bool { return s.hosts[0].has(vip4) })
	p.want("the address answers", s.answers(vip4), false)
}

func item142(p *probe) {
	s := newSite(p, 1)
	s.master(one(inst{ipv6: true, lines: " no_accept\n"}))
	p.until("the host has the address", func() bool { return s.hosts[0].has(vip6) })
	p.want("the address answers", s.answers(vip6), false)
	p.until("the neighbour is found", func() bool { s.answers(vip6); return s.believes(vip6) == s.macOf(0) })
}

func item143(p *probe) {
	s := newSite(p, 1)
	s.master(one(inst{priority: 255, lines: " no_accept\n"}))
	p.until("the address answers", func() bool { return s.answers(vip4) })
}

// item152: tshark finds no fault in what the masters of all variants sent.
func item152(p *probe) {
	names := plain()
	if p.router.name() != "frr" {
		names = append(names, "v2pass", "v2ah")
	}
	var all []heard
	for _, v := range names {
		s, _ := p.captured(v)
		all = append(all, s.tap.all()...)
	}
	judge(p, all)
}
