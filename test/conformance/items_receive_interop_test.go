//go:build interop

package conformance

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"
)

// bad is one advert that must be refused.
type bad struct {
	forge
	// counter is evenkeel's, which moves by one; empty where the kernel may
	// refuse it first.
	counter string
}

// mine are the addresses of the first host.
var (
	mine4   = netip.MustParseAddr("10.90.0.1")
	mineMAC = net.HardwareAddr{2, 0, 10, 90, 0, 1}
)

func receiving() []item {
	v2, pass := inst{version: 2}, inst{version: 2, lines: passLines("s3cretpw")}
	v3, v6 := inst{}, inst{ipv6: true}
	good2, good3, good6 := forge{version: 2, priority: 200}, forge{priority: 200}, forge{ipv6: true, priority: 200}
	goodPass := forge{version: 2, priority: 200, authType: 1, auth: "s3cretpw"}
	with := func(f forge, change func(*forge)) forge { change(&f); return f }
	return []item{
		{31, refuses(v3, good3,
			bad{with(good3, func(f *forge) { f.ttl = 254 }), "ip_ttl_err"},
			bad{with(good3, func(f *forge) { f.ttl = 1 }), "ip_ttl_err"})},
		{32, refuses(v6, good6, bad{with(good6, func(f *forge) { f.ttl = 64 }), "ip_ttl_err"})},
		{33, both(refuses(v3, good3, bad{good2, "version_err"}), refuses(v2, good2, bad{good3, ""},
			bad{with(good3, func(f *forge) { f.tail = 8 }), "version_err"}))},
		{34, refuses(v3, good3,
			bad{with(good3, func(f *forge) { f.kind = 2 }), "invalid_type_rcvd"},
			bad{with(good3, func(f *forge) { f.kind = 7 }), "invalid_type_rcvd"},
			bad{with(good3, func(f *forge) { f.kind = 15 }), "invalid_type_rcvd"})},
		{35, refuses(v3, good3, short(good3)...)},
		{36, both(refuses(v3, good3, bad{with(good3, func(f *forge) { f.count = 20 }), "packet_len_err"}),
			refuses(v6, good6, bad{with(good6, func(f *forge) { f.count = 20 }), "packet_len_err"}))},
		{37, both(refuses(v3, good3,
			bad{with(good3, func(f *forge) { f.tail = 1 }), "packet_len_err"},
			bad{with(good3, func(f *forge) { f.tail = 4 }), "packet_len_err"},
			bad{with(good3, func(f *forge) { f.tail = 400 }), "packet_len_err"}),
			accepts(v3, with(good3, func(f *forge) { f.padding = 14 })))},
		{38, refuses(v2, good2, bad{with(good2, func(f *forge) { f.xor = 0x1234 }), "checksum_err"})},
		{39, refuses(v3, good3,
			bad{with(good3, func(f *forge) { f.xor = 0x1234 }), "checksum_err"},
			bad{with(good3, func(f *forge) { f.noPseudo = true }), "checksum_other_mode"})},
		{40, refuses(v6, good6, bad{with(good6, func(f *forge) { f.xor = 0x1234 }), ""})},
		{41, refuses(v3, good3, bad{with(good3, func(f *forge) { f.vrid = 99 }), ""})},
		{42, refuses(pass, goodPass,
			bad{with(goodPass, func(f *forge) { f.authType = 0 }), "authtype_mismatch"},
			bad{with(goodPass, func(f *forge) { f.authType = 2 }), "authtype_mismatch"},
			bad{with(goodPass, func(f *forge) { f.authType = 3 }), "invalid_authtype"})},
		{43, refuses(pass, goodPass,
			bad{with(goodPass, func(f *forge) { f.auth = "s3cretpx" }), "auth_failure"},
			bad{with(goodPass, func(f *forge) { f.auth = "" }), "auth_failure"})},
		{44, refuses(pass, goodPass, bad{with(goodPass, func(f *forge) { f.cut = 12 }), "packet_len_err"})},
		{45, item045},
		{46, refuses(v3, good3, bad{with(good3, func(f *forge) { f.vips = []string{} }), "addr_list_err"})},
		{47, refuses(v3, good3, bad{with(good3, func(f *forge) { f.interval, f.priority = -1, 255 }), "advert_interval_err"})},
		{48, refuses(v2, good2, bad{with(good2, func(f *forge) { f.interval = 2 }), "advert_interval_err"})},
		{49, refuses(v2, good2, bad{with(good2, func(f *forge) { f.interval = -1 }), "advert_interval_err"})},
		{50, accepts(v3, with(good3, func(f *forge) { f.interval = 50 }))},
		{51, accepts(v3, with(good3, func(f *forge) { f.reserved = 15 }))},
		{52, item052},
		{53, item053},
		{54, item054},
		{55, refuses(v3, good3, bad{with(good3, func(f *forge) { f.src = mine4 }), ""})},
		{56, item056},
		{57, item057},
		{58, accepts(v3, with(good3, func(f *forge) { f.options = 4 }))},
		{59, refuses(v3, good3,
			bad{with(good3, func(f *forge) { f.firstIP = 0x40 }), ""},
			bad{with(good3, func(f *forge) { f.firstIP = 0x44 }), ""},
			bad{with(good3, func(f *forge) { f.firstIP = 0x4f }), ""})},
		{60, refuses(v3, good3,
			bad{with(good3, func(f *forge) { f.flags = 0x2000 }), ""},
			bad{with(good3, func(f *forge) { f.flags = 0x0001 }), ""})},
		{61, item061},
		{62, func(p *probe) { otherLink(p, false) }},
		{63, func(p *probe) { otherLink(p, true) }},
		{64, item064},
		{65, item065},
		{66, item066},
		{67, item067},
	}
}

// short returns messages of zero to seven bytes.
func short(good forge) (list []bad) {
	for n := range 8 {
		f := good
		f.cut = n
		if n == 0 {
			f.cut = -1
		}
		counter := "packet_len_err"
		if n < 2 {
			counter = "" // it names no virtual router
		}
		list = append(list, bad{f, counter})
	}
	return list
}

func both(a, b func(*probe)) func(*probe) {
	return func(p *probe) { a(p); b(p) }
}

// refuses makes the router a master and sends it adverts of a higher priority
// that must change nothing but a counter. In the end the same one without the
// fault makes it yield, which shows that the others did arrive.
func refuses(i inst, good forge, list ...bad) func(*probe) {
	return func(p *probe) {
		s := newSite(p, 1)
		d := s.master(one(i))
		for _, b := range list {
			s.refused(d, i, b)
		}
		s.send(good)
		s.become(d, "BACKUP")
	}
}

// refused sends one bad advert to a master.
func (s *site) refused(d daemon, i inst, b bad) {
	s.Helper()
	s.become(d, "MASTER")
	states := len(d.states("VI"))
	var before uint64
	if b.counter != "" {
		before, _ = d.count("VI", b.counter)
	}
	s.send(b.forge)
	if _, counts := d.count("VI", "advert_rcvd"); counts && b.counter != "" {
		count := func() uint64 {
			n, _ := d.count("VI", b.counter)
			return n
		}
		s.until("the counter "+b.counter+" moves", func() bool { return count() > before })
		s.want(b.counter, count(), before+1)
	}
	s.more(i, 2)
	if d.ended() {
		s.Fatal("the daemon has ended")
	}
	if n := len(d.states("VI")); n != states {
		s.Fatalf("it changed its state: %s", b)
	}
}

// String tells the forged advert from a good one.
func (b bad) String() string {
	f := b.forge.withDefaults()
	return fmt.Sprintf("version %d type %d priority %d interval %d count %d TTL %d from %s to %s %s",
		f.version, f.kind, f.priority, f.interval, f.count, f.ttl, f.src, f.dst, b.counter)
}

// accepts makes the router a master and wants it to yield to an advert.
func accepts(i inst, good forge) func(*probe) {
	return func(p *probe) {
		s := newSite(p, 1)
		d := s.master(one(i))
		s.become(d, "MASTER")
		s.send(good)
		s.become(d, "BACKUP")
	}
}

func item045(p *probe) {
	i := inst{version: 2, lines: " authentication {\n  auth_type AH\n  auth_pass s3cretpw\n }\n"}
	s := newSite(p, 1)
	d := s.master(one(i))
	const far = 1 << 31 // beyond what it has sent itself
	good := forge{version: 2, priority: 200, authType: 2, ah: "s3cretpw", seq: far}
	naked := good
	naked.ah = ""
	wrong := good
	wrong.ah = "s3cretpx"
	index := good
	index.spi = mine4
	s.refused(d, i, bad{naked, "auth_failure"})
	s.refused(d, i, bad{wrong, "auth_failure"})
	s.refused(d, i, bad{index, "auth_failure"})
	low := good
	low.priority, low.seq = 1, far+5
	s.send(low) // accepted, and so its number is used
	s.more(i, 1)
	replayed := good
	replayed.seq = far + 5
	s.refused(d, i, bad{replayed, "auth_replay"})
	good.seq = far + 1000
	s.send(good)
	s.become(d, "BACKUP")
}

func item052(p *probe) {
	other := []string{"10.90.0.99"}
	refuses(inst{version: 2}, forge{version: 2, priority: 200},
		bad{forge{version: 2, priority: 200, vips: other}, "addr_list_err"},
		bad{forge{version: 2, priority: 200, vips: []string{vip4, "10.90.0.99"}}, "addr_list_err"})(p)
	accepts(inst{version: 2}, forge{version: 2, priority: 255, vips: other})(p)
	accepts(inst{}, forge{priority: 200, vips: other})(p)
}

func item053(p *probe) {
	i := inst{version: 2, lines: " skip_check_adv_addr\n"}
	s := newSite(p, 1)
	d := s.master(one(i))
	stop := s.reign(forge{version: 2, priority: 200}, time.Second)
	s.become(d, "BACKUP")
	stop()
	states, had := len(d.states("VI")), s.countFrom(0, i)
	s.reign(forge{version: 2, priority: 200, vips: []string{"10.90.0.99"}}, 500*time.Millisecond)
	time.Sleep(5 * time.Second) // longer than it waits for a master
	p.want("changes of state", len(d.states("VI")), states)
	p.want("adverts", s.countFrom(0, i), had)
}

func item054(p *probe) {
	s := newSite(p, 1)
	d := s.master(one(inst{priority: 255}))
	s.become(d, "MASTER")
	s.reign(forge{priority: 255}, 100*time.Millisecond)
	s.become(d, "BACKUP")
	if p.router.name() == "frr" {
		return
	}
	deaf := inst{priority: 255, lines: " owner_ignore_adverts\n"}
	s = newSite(p, 1)
	d = s.master(one(deaf))
	s.refused(d, deaf, bad{forge{priority: 255}, "owner_ignored"})
}

func item056(p *probe) {
	v3 := inst{}
	refuses(v3, forge{priority: 200}, bad{forge{priority: 200, dst: mine4, to: mineMAC}, "destination_err"})(p)
	uni := inst{lines: " unicast_peer {\n  10.90.0.9\n }\n"}
	s := newSite(p, 1)
	d := s.master(one(uni))
	s.refused(d, uni, bad{forge{priority: 200}, ""})
	s.send(forge{priority: 200, dst: mine4, to: mineMAC})
	s.become(d, "BACKUP")
}

func item057(p *probe) {
	to := forge{priority: 200, dst: mine4, to: mineMAC}
	uni := inst{lines: " check_unicast_src\n unicast_peer {\n  10.90.0.9\n }\n"}
	s := newSite(p, 1)
	d := s.master(one(uni))
	stranger := to
	stranger.src = netip.MustParseAddr("10.90.0.8")
	s.refused(d, uni, bad{stranger, "unicast_src_err"})
	s.send(to)
	s.become(d, "BACKUP")

	near := inst{lines: " unicast_peer {\n  10.90.0.9 min_ttl 254 max_ttl 255\n }\n"}
	s = newSite(p, 1)
	d = s.master(one(near))
	far := to
	far.ttl = 253
	s.refused(d, near, bad{far, "ip_ttl_err"})
	s.send(to)
	s.become(d, "BACKUP")
}

func item061(p *probe) {
	v6 := inst{ipv6: true}
	s := newSite(p, 1)
	d := s.master(one(v6))
	s.become(d, "MASTER")
	s.send(forge{ipv6: true, priority: 200, hopByHop: true})
	time.Sleep(settle)
	s.until("it lives on, as master or not", func() bool { return !d.ended() && last(d, "VI") == "MASTER" })
	s.more(v6, 1)
	s.send(forge{ipv6: true, priority: 200})
	s.become(d, "BACKUP")
}

// otherLink sends adverts on a second interface, with an instance there or
// without.
func otherLink(p *probe, instance bool) {
	if instance && p.router.name() == "frr" {
		p.lacks("its log does not tell the interfaces apart")
	}
	s := newSite(p, 1)
	second, err := s.lab.AddLAN("second")
	p.check(err)
	s.join(s.hosts[0], second, "eth1", 1)
	w := s.wireOn(second)
	i := inst{}
	c := one(i)
	if instance {
		c.instances = append(c.instances, inst{name: "two", link: "eth1", vips: []string{"10.91.0.100/24"}})
	}
	d := s.master(c)
	s.become(d, "MASTER")
	if instance {
		s.until("the other instance is master", func() bool { return last(d, "two") == "MASTER" })
	}
	states := len(d.states("VI"))
	f := forge{priority: 200, src: netip.MustParseAddr("10.91.0.9")}
	if instance {
		f.vips = []string{"10.91.0.100"}
	}
	w.Send(f.frame())
	if instance {
		s.until("the other instance yields", func() bool { return last(d, "two") == "BACKUP" })
	}
	s.more(i, 2)
	p.want("changes of state", len(d.states("VI")), states)
	s.send(forge{priority: 200})
	s.become(d, "BACKUP")
}

func item064(p *probe) {
	s := newSite(p, 1)
	i := inst{}
	d := s.master(one(i))
	s.become(d, "MASTER")
	if _, counts := d.count("VI", "pri_zero_rcvd"); !counts {
		p.lacks("its counters are not read here")
	}
	s.send(forge{}, forge{}) // priority 0
	p.until("both are counted", func() bool { n, _ := d.count("VI", "pri_zero_rcvd"); return n == 2 })
}

func item065(p *probe) {
	s := newSite(p, 1)
	d := s.master(one(inst{}))
	s.become(d, "MASTER")
	if _, counts := d.count("VI", "advert_rcvd"); !counts {
		p.lacks("its counters are not read here")
	}
	good := forge{priority: 200}
	var sent []bad
	for _, it := range []struct {
		counter string
		change  func(*forge)
	}{
		{"ip_ttl_err", func(f *forge) { f.ttl = 254 }},
		{"version_err", func(f *forge) { f.version = 2 }},
		{"invalid_type_rcvd", func(f *forge) { f.kind = 2 }},
		{"packet_len_err", func(f *forge) { f.count = 20 }},
		{"checksum_err", func(f *forge) { f.xor = 1 }},
		{"checksum_other_mode", func(f *forge) { f.noPseudo = true }},
		{"advert_interval_err", func(f *forge) { f.interval = -1 }},
		{"addr_list_err", func(f *forge) { f.vips = []string{} }},
	} {
		f := good
		it.change(&f)
		sent = append(sent, bad{f, it.counter})
	}
	for n, b := range sent {
		for range n + 1 {
			s.send(b.forge)
		}
	}
	for n, b := range sent {
		count := func() uint64 { c, _ := d.count("VI", b.counter); return c }
		p.until(b.counter+" is counted", func() bool { return count() >= uint64(n+1) })
		p.want(b.counter, count(), n+1)
	}
}

func item066(p *probe) {
	s := newSite(p, 1)
	i := inst{}
	d := s.master(one(i))
	f := forge{priority: 200, ttl: 254}.frame()
	for n := range 5000 {
		s.wire.Send(f)
		if n%100 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	s.more(i, 3)
	if n := strings.Count(d.log(), "\n"); n >= 200 {
		p.Errorf("%s for 5000 bad adverts", over(n, 200))
	}
}

// over says that a number is too large without naming one that changes from
// run to run.
func over(n, most int) string {
	if n > 10*most {
		return fmt.Sprintf("more than %d lines of log", 10*most)
	}
	return fmt.Sprintf("more than %d lines of log", most)
}

func item067(p *probe) {
	for _, i := range []inst{{}, {ipv6: true}} {
		s := newSite(p, 1)
		d := s.master(one(i))
		s.become(d, "MASTER")
		states := len(d.states("VI"))
		random := rand.New(rand.NewPCG(67, uint64(len(i.vips))))
		for n := range 10000 {
			s.wire.Send(mutated(random, forge{ipv6: i.ipv6, priority: 200}))
			if n%100 == 0 {
				time.Sleep(time.Millisecond) // it has a queue of finite length
			}
		}
		s.more(i, 3)
		p.want("the daemon has ended", d.ended(), false)
		p.want("changes of state", len(d.states("VI")), states)
	}
}

// mutated returns an advert with some bytes of its message changed or cut, whose
// checksum is wrong for it. The number of the virtual router stays.
func mutated(random *rand.Rand, f forge) []byte {
	for {
		b := mutatedOnce(random, f)
		q, _ := heard{data: b}.ip()
		if sum(pseudo(q.src, q.dst, len(q.payload), protoVRRP), q.payload) != 0 {
			return b
		}
	}
}

func mutatedOnce(random *rand.Rand, f forge) []byte {
	b := f.frame()
	at := 14 + 20
	if f.ipv6 {
		at = 14 + 40
	}
	for range 1 + random.IntN(4) {
		if n := at + random.IntN(len(b)-at); n != at+1 {
			b[n] ^= byte(1 + random.IntN(255))
		}
	}
	if random.IntN(4) == 0 {
		b = b[:at+random.IntN(len(b)-at)]
		fixLength(b, f.ipv6)
	}
	return b
}

// fixLength makes the IP header fit a frame that was cut.
func fixLength(b []byte, ipv6 bool) {
	n := len(b) - 14
	if ipv6 {
		n -= 40
		b[14+4], b[14+5] = byte(n>>8), byte(n)
		return
	}
	b[14+2], b[14+3] = byte(n>>8), byte(n)
	b[14+10], b[14+11] = 0, 0
	c := sum(b[14:34])
	b[14+10], b[14+11] = byte(c>>8), byte(c)
}
