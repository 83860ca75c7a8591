//go:build interop

package conformance

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// plain are the variants that every router can speak.
func plain() []string { return []string{"v2", "v3", "v6"} }

// sending are the items about what is sent.
func sending() []item {
	return []item{
		{1, each(plain(), func(p *probe, a advert) {
			p.want("protocol", a.proto, uint8(protoVRRP))
		})},
		{2, each([]string{"v2", "v3"}, func(p *probe, a advert) {
			p.want("destination", a.dst, group4)
			p.want("Ethernet destination", a.to.String(), "01:00:5e:00:00:12")
		})},
		{3, each([]string{"v6"}, func(p *probe, a advert) {
			p.want("destination", a.dst, group6)
			p.want("Ethernet destination", a.to.String(), "33:33:00:00:00:12")
		})},
		{4, each([]string{"v2", "v3"}, func(p *probe, a advert) { p.want("TTL", a.ttl, 255) })},
		{5, each([]string{"v6"}, func(p *probe, a advert) { p.want("hop limit", a.ttl, 255) })},
		{6, item006},
		{7, each([]string{"v6"}, func(p *probe, a advert) {
			p.want("source is link-local", a.src.IsLinkLocalUnicast(), true)
			p.want("source is the virtual one", a.src == netip.MustParseAddr(vip6loc), false)
		})},
		{8, func(p *probe) { virtualMACs(p, false) }},
		{9, func(p *probe) { virtualMACs(p, true) }},
		{10, item010},
		{11, each(plain(), func(p *probe, a advert) { p.want("traffic class", a.tos, 0xc0) })},
		{12, func(p *probe) {
			for variant, first := range map[string]byte{"v2": 0x21, "v3": 0x31, "v6": 0x31} {
				for _, a := range p.sent(variant) {
					p.want("first byte", a.msg[0], first)
				}
			}
		}},
		{13, item013},
		{14, item014},
		{15, item015},
		{16, item016},
		{17, item017},
		{18, item018},
		{19, item019},
		{20, item020},
		{21, item021},
		{22, item022},
		{23, item023},
		{24, item024},
		{25, each([]string{"v2"}, func(p *probe, a advert) {
			p.want("authentication type", a.msg[4], 0)
			p.want("authentication data", hex.EncodeToString(a.authData()), "0000000000000000")
		})},
		{26, item026},
		{27, item027},
		{28, item028},
		{29, each(plain(), func(p *probe, a advert) { p.want("type", a.msg[0]&0xf, 1) })},
		{30, item030},
	}
}

// want notes what is not as it must be.
func (p *probe) want(what string, got, want any) {
	p.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		p.Errorf("%s %v, want %v", what, got, want)
	}
}

// each looks at each advert of some variants.
func each(variants []string, look func(*probe, advert)) func(*probe) {
	return func(p *probe) {
		for _, v := range variants {
			for _, a := range p.sent(v) {
				look(p, a)
			}
		}
	}
}

// golden compares the first advert with bytes that keepalived sent.
func (p *probe) golden(variant, want string) {
	p.Helper()
	p.want(variant, hex.EncodeToString(p.sent(variant)[0].msg), want)
}

func item006(p *probe) {
	s := newSite(p, 1)
	p.check(s.hosts[0].node.AddAddr("eth0", netip.MustParsePrefix("10.90.0.200/24")))
	i := inst{vmac: true, priority: 200}
	s.master(one(i))
	s.more(i, 2)
	for _, a := range s.from(0, i) {
		p.want("source", a.src, "10.90.0.1")
	}
}

// virtualMACs looks at the Ethernet source of three virtual routers.
func virtualMACs(p *probe, ipv6 bool) {
	s := newSite(p, 1)
	var c conf
	ids := []int{1, 51, 255}
	for _, id := range ids {
		i := inst{name: "VI" + itoa(id), vrid: id, vmac: true, ipv6: ipv6}
		i.vips = []string{fmt.Sprintf("10.90.0.%d/24", 100+id%50)}
		if ipv6 {
			i.vips = []string{fmt.Sprintf("fe80::5a:%d/64", id), fmt.Sprintf("fd5a::5a:%d/64", id)}
		}
		c.instances = append(c.instances, i)
	}
	s.start(0, c)
	family := "01"
	if ipv6 {
		family = "02"
	}
	for _, id := range ids {
		var mine []advert
		p.until("adverts of each", func() bool {
			mine = nil
			for _, a := range s.tap.adverts() {
				if a.vrid() == id && a.ipv6() == ipv6 {
					mine = append(mine, a)
				}
			}
			return len(mine) > 2
		})
		for _, a := range mine {
			p.want("Ethernet source", a.from.String(), fmt.Sprintf("00:00:5e:00:%s:%02x", family, id))
		}
	}
}

func item010(p *probe) {
	if p.router.name() == "frr" {
		p.lacks("no adverts without a virtual MAC")
	}
	for _, v := range plain() {
		s, i := p.captured(v)
		for _, a := range s.from(0, i) {
			p.want("Ethernet source", a.from.String(), s.hosts[0].eth0.MAC.String())
		}
	}
}

// vips4 returns so many addresses.
func vips4(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("10.91.%d.%d/32", i/200, i%200+1))
	}
	return list
}

func vips6(n int) []string {
	list := []string{vip6loc + "/64"}
	for i := 1; i < n; i++ {
		list = append(list, fmt.Sprintf("fd5a::1:%x/128", i))
	}
	return list
}

func item013(p *probe) {
	for _, n := range []int{1, 2, 20, 255} {
		s := newSite(p, 1)
		i := inst{vips: vips4(n), priority: 200}
		s.master(one(i))
		s.more(i, 1)
		for _, a := range s.from(0, i) {
			p.want("count", a.count(), n)
			p.want("length", len(a.msg), 8+4*n)
		}
	}
	s := newSite(p, 1)
	empty, other := inst{vips: []string{}}, inst{name: "other", vrid: 52}
	d := s.start(0, conf{instances: []inst{empty, other}})
	p.until("the other instance sends, or all is refused", func() bool { return s.countFrom(0, other) > 5 || d.ended() })
	p.want("adverts of an instance without an address", s.countFrom(0, empty), 0)
}

func item014(p *probe) {
	for _, n := range []int{90, 91} {
		s := newSite(p, 1)
		many, other := inst{ipv6: true, vips: vips6(n)}, inst{ipv6: true, name: "other", vrid: 52}
		s.start(0, conf{instances: []inst{many, other}})
		p.until("the other instance sends", func() bool { return s.countFrom(0, other) > 5 })
		for _, h := range s.tap.all() {
			if q, ok := h.ip(); ok && q.proto == 44 {
				p.Fatalf("%d addresses: the advert is fragmented", n)
			}
		}
		if n == 90 {
			p.until("adverts of 90", func() bool { return s.countFrom(0, many) > 0 })
			p.want("at least 89 addresses", s.from(0, many)[0].count() >= 89, true)
		}
	}
}

func item015(p *probe) {
	for _, seconds := range []int{1, 255} {
		s := newSite(p, 1)
		i := inst{version: 2, priority: 255, interval: time.Duration(seconds) * time.Second}
		s.master(one(i))
		p.want("interval", int(s.from(0, i)[0].msg[5]), seconds)
	}
	if p.router.name() == "frr" {
		return
	}
	text := p.router.complaints(p, one(inst{version: 2, lines: " advert_int 0.5\n"}))
	p.want("a complaint about 0.5 s in version 2", strings.Contains(text, "0.5"), true)
}

func item016(p *probe) {
	for _, cs := range []int{1, 100, 4095} {
		s := newSite(p, 1)
		i := inst{priority: 255, interval: time.Duration(cs) * 10 * time.Millisecond}
		s.master(one(i))
		p.want("interval", s.from(0, i)[0].interval(), cs)
	}
}

func item017(p *probe) {
	for _, bad := range []string{"0.015", "41"} {
		text := p.router.complaints(p, one(inst{lines: " advert_int " + bad + "\n"}))
		p.want("a complaint about "+bad+" s", strings.Contains(text, bad), true)
	}
}

func item018(p *probe) {
	if p.router.name() == "frr" {
		p.lacks("no list of both families")
	}
	s := newSite(p, 1)
	i := inst{vips: []string{vip4 + "/24", vip6 + "/64"}, priority: 200}
	s.start(0, one(i))
	text := p.router.complaints(p, one(i))
	p.want("a complaint", strings.Contains(text, vip6), true)
	p.until("adverts", func() bool { return s.countFrom(0, i) > 0 })
	a := s.from(0, i)[0]
	p.want("length", len(a.msg), 12)
	p.want("count", a.count(), 1)
}

func item019(p *probe) {
	s := newSite(p, 1)
	i := inst{ipv6: true, vips: []string{vip6 + "/64", vip6loc + "/64"}, priority: 200}
	s.master(one(i))
	p.want("first address", s.from(0, i)[0].addr(0), vip6loc)
}

func item020(p *probe) {
	s := newSite(p, 1)
	i := inst{priority: 200, lines: " virtual_ipaddress_excluded {\n  10.90.0.150/24\n  fd5a::150/64\n }\n"}
	s.master(one(i))
	p.until("they are on the host", func() bool { return s.hosts[0].has("10.90.0.150") && s.hosts[0].has("fd5a::150") })
	for _, a := range s.from(0, i) {
		p.want("count", a.count(), 1)
		p.want("address", a.addr(0), vip4)
	}
}

func item021(p *probe) {
	p.golden("v2", "2133c80100010c0c0a5a00640000000000000000")
	if p.router.name() != "frr" {
		p.golden("v2pass", "2133c80101015e7a0a5a006473336372657470"+"77")
		s, i := p.captured("v2pass")
		all := s.from(0, i)
		p.want("goodbye", hex.EncodeToString(all[len(all)-1].msg), "213300010101267b0a5a00647333637265747077")
	}
}

func item022(p *probe) {
	p.golden("v3", "3133c801006410bf0a5a0064")
	if p.router.name() == "evenkeel" {
		p.golden("v3rfc", "3133c8010064fba80a5a0064")
	}
}

func item023(p *probe) {
	if p.router.name() != "frr" { // which sends from another address
		p.golden("v6", "3133c8020064b100fe8000000000000000000000005a0100fd5a0000000000000000000000000100")
	}
	for _, a := range p.sent("v6") {
		p.want("sum with the pseudo header", sum(pseudo(a.src, a.dst, len(a.payload), protoVRRP), a.payload), 0)
	}
}

func item024(p *probe) {
	var all []heard
	for _, v := range plain() {
		for _, a := range p.sent(v) {
			if a.ipv6() {
				continue
			}
			p.want("first byte of the IP header", a.header[0], 0x45)
			p.want("sum over the IP header", sum(a.header), 0)
			p.want("total length", len(a.data), 14+20+len(a.payload))
		}
		s, _ := p.captured(v)
		all = append(all, s.tap.all()...)
	}
	judge(p, all)
}

func item026(p *probe) {
	for variant, want := range map[string]string{
		"v2pass": "s3cretpw", "v2short": "abc\x00\x00\x00\x00\x00", "v2long": "12345678",
	} {
		for _, a := range p.sent(variant) {
			p.want("type", a.msg[4], 1)
			p.want("password", fmt.Sprintf("%q", a.authData()), fmt.Sprintf("%q", want))
		}
	}
}

func item027(p *probe) {
	var before uint32
	for n, a := range p.sent("v2ah") {
		p.want("protocol", a.proto, protoAH)
		p.want("index", netip.AddrFrom4([4]byte(a.payload[4:8])), a.src)
		seq := uint32(a.payload[8])<<24 | uint32(a.payload[9])<<16 | uint32(a.payload[10])<<8 | uint32(a.payload[11])
		if n > 0 {
			p.want("sequence number", seq, before+1)
		}
		before = seq
		body := bytes.Clone(a.payload)
		clear(body[12:24])
		p.want("integrity check value", hex.EncodeToString(a.payload[12:24]), hex.EncodeToString(icv("s3cretpw", a.header, body)))
	}
}

func item028(p *probe) {
	s := newSite(p, 1)
	i := inst{priority: 200, lines: passLines("s3cretpw")}
	s.master(one(i))
	p.want("length", len(s.from(0, i)[0].msg), 12)
	text := p.router.complaints(p, one(i))
	p.want("a warning", strings.Contains(strings.ToLower(text), "auth"), true)
}

func item030(p *probe) {
	if p.router.name() == "frr" {
		p.lacks("no authentication")
	}
	text := p.router.complaints(p, one(inst{lines: " auth_hmac {\n  key 1 0123456789abcdef0123456789abcdef\n }\n"}))
	p.want("a complaint", strings.Contains(text, "auth_hmac"), true)
}
