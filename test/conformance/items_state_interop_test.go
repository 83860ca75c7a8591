//go:build interop

package conformance

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

func states() []item {
	return []item{
		{89, item089},
		{90, item090},
		{91, item091},
		{92, item092},
		{93, item093},
		{94, item094},
		{95, item095},
		{96, item096},
		{97, item097},
		{98, item098},
		{99, func(p *probe) { answers(p, forge{interval: 200}) }},
		{100, item100},
		{101, item101},
		{102, func(p *probe) { stays(p, inst{}, forge{priority: 100, src: netip.MustParseAddr("10.89.0.1")}) }},
		{103, item103},
		{104, item104},
		{105, item105},
		{106, func(p *probe) { stays(p, inst{}, forge{priority: 100, src: mine4}) }},
		{107, item107},
		{108, item108},
		{109, item109},
		{110, item110},
		{111, item111},
		{112, item112},
		{113, item113},
		{114, item114},
		{115, item115},
		{116, item116},
	}
}

// item089: with 40 s between adverts any other would need 120 s.
func item089(p *probe) {
	s := newSite(p, 1)
	i := inst{priority: 255, interval: 40 * time.Second}
	s.start(0, one(i))
	p.until("the owner starts as master", func() bool { return s.countFrom(0, i) > 0 })
}

func item090(p *probe) {
	s := newSite(p, 1)
	began := time.Now()
	i := inst{interval: time.Second}
	s.master(one(i))
	if took := s.from(0, i)[0].at.Sub(began); took < 3609*time.Millisecond {
		p.Errorf("first advert %v after the start", took)
	}
}

func item091(p *probe) {
	s := newSite(p, 1)
	stop := s.reign(forge{priority: 255, interval: 100}, 50*time.Millisecond)
	d := s.start(0, one(inst{interval: time.Second}))
	s.become(d, "BACKUP")
	time.Sleep(settle)
	d.stop()
	stop()
	p.want("adverts", s.countFrom(0, inst{}), 0)
}

func item092(p *probe) {
	s := newSite(p, 1)
	i := inst{}
	s.master(one(i))
	p.until("it announces the address", func() bool { return len(s.tap.gratuitous(vip4)) > 0 })
	if s.tap.gratuitous(vip4)[0].at.Before(s.from(0, i)[0].at) {
		p.Error("announcement before the advert")
	}
	p.until("it has the address", func() bool { return s.hosts[0].has(vip4) })
}

// item093: adverts of the same or a higher priority keep a backup one, for
// longer than it would wait without.
func item093(p *probe) {
	for _, priority := range []int{100, 150} {
		s := newSite(p, 1)
		s.reign(forge{priority: priority, interval: 100}, 50*time.Millisecond)
		d := s.start(0, one(inst{interval: time.Second}))
		s.become(d, "BACKUP")
		time.Sleep(5 * time.Second)
		p.want("adverts", s.countFrom(0, inst{}), 0)
	}
}

func item094(p *probe) {
	s := newSite(p, 1)
	s.reign(forge{priority: 50}, 50*time.Millisecond)
	s.master(one(inst{}))
}

func item095(p *probe) {
	s := newSite(p, 1)
	i := inst{nopreempt: true, interval: time.Second}
	stop := s.reign(forge{priority: 50, interval: 100}, 50*time.Millisecond)
	s.start(0, one(i))
	time.Sleep(5 * time.Second)
	p.want("adverts", s.countFrom(0, i), 0)
	stop()
	p.until("it takes over when the master is gone", func() bool { return s.countFrom(0, i) > 0 })
}

func item096(p *probe) {
	s := newSite(p, 1)
	s.reign(forge{priority: 50, interval: 100}, 50*time.Millisecond)
	i := inst{interval: time.Second, lines: " preempt_delay 6\n"}
	began := time.Now()
	s.master(one(i))
	if took := s.from(0, i)[0].at.Sub(began); took < 6*time.Second {
		p.Errorf("preempted after %v", took)
	}
}

func item097(p *probe) {
	s := newSite(p, 1)
	s.reign(forge{priority: 50}, 50*time.Millisecond)
	s.master(one(inst{priority: 255, nopreempt: true}))
}

func item098(p *probe) {
	s := newSite(p, 1)
	i := inst{}
	d := s.master(one(i))
	p.until("it has the address", func() bool { return s.hosts[0].has(vip4) })
	d.stop()
	p.until("a goodbye", func() bool { list := s.from(0, i); return list[len(list)-1].priority() == 0 })
	goodbyes := 0
	for _, a := range s.from(0, i) {
		if a.priority() == 0 {
			goodbyes++
		}
	}
	p.want("goodbyes", goodbyes, 1)
	if p.router.name() != "frr" { // whose interface stays, and is down
		p.want("the address is there still", s.hosts[0].has(vip4), false)
	}
}

// answers wants an advert at once after one, long before the next is due.
func answers(p *probe, f forge) {
	p.Helper()
	s := newSite(p, 1)
	i := inst{interval: 2 * time.Second}
	d := s.master(one(i))
	s.become(d, "MASTER")
	for range tries {
		s.more(i, 1) // the next is due in 2 s
		had := s.countFrom(0, i)
		time.Sleep(100 * time.Millisecond)
		s.send(f)
		sent := time.Now()
		p.until("an advert", func() bool { return s.countFrom(0, i) > had })
		p.want("state", last(d, "VI"), "MASTER")
		if s.from(0, i)[had].at.Sub(sent) < 500*time.Millisecond {
			return
		}
	}
	p.Error("no advert at once")
}

func item100(p *probe) {
	s := newSite(p, 1)
	d := s.master(one(inst{}))
	p.until("it answers", func() bool { return s.answers(vip4) })
	stop := s.reign(forge{priority: 255, interval: 100}, 50*time.Millisecond)
	s.become(d, "BACKUP")
	if p.router.name() != "frr" {
		p.until("the address is gone", func() bool { return !s.hosts[0].has(vip4) })
	}
	had := s.countFrom(0, inst{})
	time.Sleep(settle)
	p.want("adverts of a backup", s.countFrom(0, inst{})-had, 0)
	stop()
}

func item101(p *probe) {
	accepts(inst{}, forge{priority: 100})(p)
	accepts(inst{}, forge{priority: 100, src: netip.MustParseAddr("200.0.0.1")})(p)
}

// stays wants a master to remain one.
func stays(p *probe, i inst, f forge) {
	p.Helper()
	s := newSite(p, 1)
	d := s.master(one(i))
	s.become(d, "MASTER")
	states := len(d.states("VI"))
	s.send(f)
	s.more(i, 4)
	p.want("changes of state", len(d.states("VI")), states)
	f.priority = 255
	f.src = netip.Addr{}
	s.send(f)
	s.become(d, "BACKUP")
}

func item103(p *probe) {
	v6 := inst{ipv6: true}
	lower, higher := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80:0:0:0:ffff::1")
	if p.router.name() == "frr" {
		higher = netip.MustParseAddr("fe80::ffff:0:0:1")
	}
	stays(p, v6, forge{ipv6: true, priority: 100, src: lower})
	accepts(v6, forge{ipv6: true, priority: 100, src: higher})(p)
}

func item104(p *probe) {
	answers(p, forge{priority: 50, interval: 200})
}

func item105(p *probe) {
	s := newSite(p, 1)
	i := inst{lines: " garp_master_delay 0\n garp_lower_prio_repeat 3\n garp_lower_prio_delay 1\n"}
	d := s.master(one(i))
	s.become(d, "MASTER")
	count := func() int { return len(s.tap.gratuitous(vip4)) }
	p.until("the first announcements", func() bool { return count() >= 5 })
	time.Sleep(settle)
	before := count()
	s.send(forge{priority: 50})
	p.until("three and three more", func() bool { return count() >= before+6 })
	time.Sleep(settle)
	p.want("announcements", count()-before, 6)
}

func item107(p *probe) {
	if p.router.name() == "frr" {
		p.lacks("no check of this kind of configuration")
	}
	for _, bad := range []string{"0", "256", "abc"} {
		c := one(inst{})
		text := strings.Replace(c.keepalived(), "priority 100", "priority "+bad, 1)
		out := p.router.complaints(p, conf{raw: text})
		p.want("a complaint about priority "+bad, words(out, "priority"), true)
		s := newSite(p, 1)
		s.start(0, conf{raw: text, instances: []inst{{}}})
		time.Sleep(2 * time.Second)
		for _, a := range s.from(0, inst{}) {
			p.want("priority", a.priority() > 0 && a.priority() < 255, true)
		}
	}
}

// item108: of two owners one remains.
func item108(p *probe) {
	s := newSite(p, 2)
	owner := inst{priority: 255}
	a, b := s.start(0, one(owner)), s.start(1, one(owner))
	s.until("one master", func() bool { return s.oneMaster(10) })
	p.want("a daemon has ended", a.ended() || b.ended(), false)
}

// oneMaster says whether the last adverts are all of one router.
func (s *site) oneMaster(n int) bool {
	all := s.tap.adverts()
	if len(all) < n {
		return false
	}
	for _, a := range all[len(all)-n:] {
		if a.src != all[len(all)-1].src {
			return false
		}
	}
	return true
}

func item109(p *probe) {
	s := newSite(p, 1)
	d := s.master(one(inst{}))
	s.become(d, "MASTER")
	p.until("it has the address", func() bool { return s.hosts[0].has(vip4) })
	p.check(s.hosts[0].eth0.SetUp(false))
	s.become(d, "FAULT")
	if p.router.name() != "frr" {
		p.until("the address is gone", func() bool { return !s.hosts[0].has(vip4) })
	}
}

func item110(p *probe) {
	s := newSite(p, 1)
	i := inst{interval: time.Second, priority: 200}
	d := s.master(one(i))
	s.become(d, "MASTER")
	p.check(s.hosts[0].eth0.SetUp(false))
	s.become(d, "FAULT")
	had := s.countFrom(0, i)
	began := time.Now()
	p.check(s.hosts[0].eth0.SetUp(true))
	p.until("adverts again", func() bool { return s.countFrom(0, i) > had })
	if took := s.from(0, i)[had].at.Sub(began); took < 3218*time.Millisecond {
		p.Errorf("first advert %v after the interface came up", took.Round(time.Millisecond))
	}
}

// item111: when a member's link fails, the other one says goodbye.
func item111(p *probe) {
	s := newSite(p, 1)
	second, err := s.lab.AddLAN("second")
	p.check(err)
	eth1 := s.join(s.hosts[0], second, "eth1", 1)
	first, other := inst{}, inst{name: "two", link: "eth1", vrid: 52, vips: []string{"10.91.0.102/24"}}
	d := s.master(conf{blocks: "vrrp_sync_group G {\n group {\n  VI\n  two\n }\n}\n", instances: []inst{first, other}})
	p.until("both are master", func() bool { return last(d, "VI") == "MASTER" && last(d, "two") == "MASTER" })
	p.check(eth1.SetUp(false))
	p.until("both have left", func() bool { return last(d, "VI") != "MASTER" && last(d, "two") == "FAULT" })
	p.until("the other one says goodbye", func() bool { list := s.from(0, first); return list[len(list)-1].priority() == 0 })
}

func item112(p *probe) {
	s := newSite(p, 1)
	v4, v6 := inst{name: "four"}, inst{name: "VI", ipv6: true}
	d := s.master(conf{instances: []inst{v6, v4}})
	p.until("both are master", func() bool { return last(d, "VI") == "MASTER" && last(d, "four") == "MASTER" })
	states := len(d.states("four"))
	s.reign(forge{ipv6: true, priority: 255}, 20*time.Millisecond)
	s.become(d, "BACKUP")
	s.more(v4, 3)
	p.want("changes of state of the other family", len(d.states("four")), states)
}

func item113(p *probe) {
	s := newSite(p, 1)
	var c conf
	for id := 1; id <= 255; id++ {
		c.instances = append(c.instances, inst{
			name: fmt.Sprint("VI", id), vrid: id, interval: time.Second, vips: []string{fmt.Sprintf("10.91.0.%d/32", id)},
		})
	}
	s.start(0, c)
	p.until("adverts of each", func() bool {
		var seen [256]bool
		n := 0
		for _, a := range s.tap.adverts() {
			if !seen[a.vrid()] {
				seen[a.vrid()] = true
				n++
			}
		}
		return n == 255
	})
}

// item114: a second instance of the same virtual router is refused, at the start
// and at a reload, and the first goes on.
func item114(p *probe) {
	if p.router.name() == "frr" {
		p.lacks("no way to write it")
	}
	s := newSite(p, 1)
	i, twin := inst{}, inst{name: "twin", vips: []string{"10.90.0.102/24"}}
	d := s.master(one(i))
	s.become(d, "MASTER")
	states := len(d.states("VI"))
	d.reload(conf{instances: []inst{i, twin}})
	s.more(i, 10)
	p.want("the daemon has ended", d.ended(), false)
	p.want("changes of state", len(d.states("VI")), states)
	for _, a := range s.from(0, i) {
		p.want("address", a.addr(0), vip4)
	}
	text := p.router.complaints(p, conf{instances: []inst{i, twin}})
	p.want("a complaint", words(text, "twin"), true)
}

func item115(p *probe) {
	for range 3 {
		s := newSite(p, 2)
		i := inst{}
		s.start(0, one(i))
		s.start(1, one(i))
		s.until("one master", func() bool { return s.oneMaster(10) })
		time.Sleep(settle)
		s.until("one master still", func() bool { return s.oneMaster(10) })
	}
}

func item116(p *probe) {
	s := newSite(p, 1)
	d := s.start(0, one(inst{}))
	s.reign(forge{priority: 100}, 50*time.Millisecond)
	s.become(d, "BACKUP")
	p.until("a warning about the same priority", func() bool {
		return words(d.log(), "our priority") || words(d.log(), "same priority")
	})
}
