//go:build interop

package conformance

import (
	"fmt"
	"os/exec"
	"testing"
	"time"
)

// pair is one way in which evenkeel and another router speak with each other.
type pair struct {
	name   string
	peer   router
	inst   inst
	ours   string // further lines of ours
	theirs string // and of the peer
}

func pairs() []pair {
	const ah = " authentication {\n  auth_type AH\n  auth_pass s3cretpw\n }\n"
	unicast := func(peer string) string { return " unicast_peer {\n  " + peer + "\n }\n" }
	v2, v3, v6 := inst{version: 2}, inst{}, inst{ipv6: true}
	lines := func(i inst, lines string) inst { i.lines = lines; return i }
	vmac := func(i inst) inst { i.vmac = true; return i }
	k, f := keepalived{}, frr{}
	return []pair{
		{name: "v2", peer: k, inst: v2},
		{name: "v2 PASS", peer: k, inst: lines(v2, passLines("s3cretpw"))},
		{name: "v2 AH", peer: k, inst: lines(v2, ah)},
		{name: "v2 unicast", peer: k, inst: v2, ours: unicast("10.90.0.2"), theirs: unicast("10.90.0.1")},
		{name: "v3 IPv4", peer: k, inst: v3},
		{name: "v3 IPv4 unicast", peer: k, inst: v3, ours: unicast("10.90.0.2"), theirs: unicast("10.90.0.1")},
		{name: "v3 IPv4 virtual MAC", peer: k, inst: vmac(v3)},
		{name: "v3 IPv4 virtual MAC, sent from below", peer: k, inst: lines(vmac(v3), " vmac_xmit_base\n")},
		{name: "v3 IPv6", peer: k, inst: v6},
		{name: "v3 IPv6 unicast", peer: k, inst: v6, ours: unicast("fe80::ff:fe00:5a02"), theirs: unicast("fe80::ff:fe00:5a01")},
		{name: "v3 IPv6 virtual MAC", peer: k, inst: vmac(v6)},
		{name: "v2", peer: f, inst: v2},
		{name: "v3 IPv4", peer: f, inst: v3},
		{name: "v3 IPv4 virtual MAC", peer: f, inst: vmac(v3)},
		{name: "v3 IPv6", peer: f, inst: v6},
		{name: "v3 IPv6 virtual MAC", peer: f, inst: vmac(v6)},
	}
}

// must runs something that is no result but has to be so. A machine may be too
// busy to play a master in time, so there are three tries.
func must(t *testing.T, run func(*probe)) {
	t.Helper()
	var v outcome
	for range 3 {
		if v = play(t, evenkeel{}, nil, run); v.Verdict == holds {
			return
		}
		t.Logf("%s: %s", v.Verdict, v.Note)
	}
	t.Errorf("%s: %s, three times", v.Verdict, v.Note)
}

// need skips a test without a program.
func need(t *testing.T, path string) {
	t.Helper()
	if _, err := exec.LookPath(path); err != nil {
		t.Skipf("skipped: needs %s", path)
	}
}

// TestPairs: in each mixed pair there is one master; each side takes over from
// the other when that is killed or stops, not before its time, and yields when
// a better one comes.
func TestPairs(t *testing.T) {
	need(t, "keepalived")
	need(t, frrDir+"vrrpd")
	need(t, "tshark")
	for _, tt := range pairs() {
		t.Run(tt.peer.name()+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			must(t, func(p *probe) { tt.play(newSite(p, 2)) })
		})
	}
}

// play has the two take turns: host 1 is ours, host 2 the peer's.
func (tt pair) play(s *site) {
	const ours, theirs = 0, 1
	i := tt.inst.withDefaults()
	vip := vip4
	if i.ipv6 {
		vip = vip6
	}
	with := func(priority int, lines string) conf {
		c := i
		c.priority = priority
		c.lines += lines
		whole := one(c)
		whole.datapath = tt.name == "v3 IPv4" // loading it takes long
		return whole
	}
	ear := s.listen()
	us := s.start(ours, with(200, tt.ours))
	s.become(us, "MASTER")
	peer := tt.peer.start(s.probe, s.hosts[theirs], with(100, tt.theirs))
	s.become(peer, "BACKUP")
	s.until("the client reaches us", func() bool { return s.answers(vip) })

	us.kill()
	s.become(peer, "MASTER")
	s.want("takeover before its time", ear.gap(s, ours, theirs) < tt.least(i), false)
	s.until("the client reaches the peer", func() bool { return s.answers(vip) })

	us = s.start(ours, with(200, tt.ours)) // back: it preempts
	s.become(us, "MASTER")
	s.become(peer, "BACKUP")
	s.until("the client reaches us again", func() bool { return s.answers(vip) && s.believes(vip) == s.at(ours, tt, i) })
	us.stop() // with a goodbye
	s.become(peer, "MASTER")
	s.until("the client reaches the peer again", func() bool { return s.answers(vip) && s.believes(vip) == s.at(theirs, tt, i) })

	us = s.start(ours, with(50, tt.ours)) // less than the peer
	s.become(us, "BACKUP")
	s.until("we hear the peer", func() bool { n, _ := us.count("VI", "advert_rcvd"); return n > 2 })
	s.want("state beside a better master", last(us, "VI"), "BACKUP")
	s.want("we have the address", s.hosts[ours].has(vip), false)
	peer.stop()
	s.become(us, "MASTER")
	s.want("the peer's goodbye arrived", words(us.log(), "gave up mastership"), true)
	s.until("the client reaches us at last", func() bool { return s.answers(vip) && s.believes(vip) == s.at(ours, tt, i) })
	s.want("goodbyes by us", ear.goodbyes(s, ours), 1)
	judge(s.probe, ear.tap.all())
}

// at returns the MAC at which the address of a host is.
func (s *site) at(n int, tt pair, i inst) string {
	always := n == 1 && tt.peer.name() == "frr"
	switch {
	case !i.vmac && !always:
		return s.hosts[n].eth0.MAC.String()
	case i.ipv6:
		return routerMAC6
	}
	return routerMAC4
}

// least is the shortest time of silence after which the peer may take over. FRR
// counts in whole centiseconds.
func (tt pair) least(i inst) time.Duration {
	if i.version == 2 {
		return 3600 * time.Millisecond
	}
	return 360 * time.Millisecond
}

// ear hears what passes between the hosts, unicast too.
type ear struct{ tap *tap }

// listen hears what both hosts send.
func (s *site) listen() *ear {
	s.Helper()
	e := &ear{tap: &tap{}}
	for _, h := range s.hosts {
		s.overhear(h, e.tap)
	}
	return e
}

// gap waits for an advert of one host and returns the time since the last one of
// the other before it.
func (e *ear) gap(s *site, from, to int) (gap time.Duration) {
	s.Helper()
	s.until("an advert of the peer", func() bool {
		var last time.Time
		for _, a := range e.tap.adverts() {
			if s.isOf(from, a) {
				last = a.at
			} else if s.isOf(to, a) && !last.IsZero() {
				gap = a.at.Sub(last)
				return true
			}
		}
		return false
	})
	return gap
}

// goodbyes returns how many adverts of priority 0 a host sent.
func (e *ear) goodbyes(s *site, n int) (count int) {
	for _, a := range e.tap.adverts() {
		if s.isOf(n, a) && a.priority() == 0 {
			count++
		}
	}
	return count
}

// TestMigration: keepalived is replaced by evenkeel on a host, with its file.
// The other router of the pair takes over at one goodbye and gives back.
func TestMigration(t *testing.T) {
	need(t, "keepalived")
	must(t, func(p *probe) {
		s := newSite(p, 2)
		old := keepalived{}.start(p, s.hosts[0], one(inst{priority: 200}))
		s.become(old, "MASTER")
		peer := keepalived{}.start(p, s.hosts[1], one(inst{priority: 100}))
		s.become(peer, "BACKUP")
		old.stop()
		s.become(peer, "MASTER")
		us := s.start(0, one(inst{priority: 200}))
		s.become(us, "MASTER")
		s.become(peer, "BACKUP")
		goodbyes := 0
		for _, a := range s.tap.adverts() {
			if a.priority() == 0 {
				goodbyes++
			}
		}
		p.want("goodbyes", goodbyes, 1)
		p.want("states of the peer", fmt.Sprint(peer.states("VI")), "[BACKUP MASTER BACKUP]")
		s.until("the client reaches us", func() bool { return s.answers(vip4) && s.believes(vip4) == s.macOf(0) })
	})
}
