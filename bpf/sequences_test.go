//go:build bpf

package bpf

import (
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// The directed sequences by number; what they show was measured on kernels.
var sequences = map[string]func(*sequence){
	"01 rr, newest first": func(s *sequence) {
		s.begin(setting{scheduler: "rr", weights: []int32{1, 1, 1}})
		s.want("cbacbac")
	},
	"02 rr, cursor deleted": func(s *sequence) {
		s.begin(setting{scheduler: "rr", weights: []int32{1, 1, 1}})
		s.want("cb")
		s.del('b')
		s.want("acac")
		s.begin(setting{scheduler: "rr", weights: []int32{1, 1, 1}})
		s.want("cb")
		s.del('b')
		s.add('b', 1)
		s.want("abcabc")
	},
	"03 rr, not eligible": func(s *sequence) {
		s.begin(setting{scheduler: "rr", weights: []int32{1, 1, 1}})
		s.want("c")
		s.weigh('b', 0)
		s.want("acac")
		s.weigh('a', 0)
		s.weigh('c', 0)
		s.want("---")
		s.weigh('a', 1)
		s.weigh('b', 1)
		s.want("bab")
		s.begin(setting{scheduler: "rr", weights: []int32{1, 1, 1}})
		s.limit('b', 1, 0)
		s.want("cbacaca")
		s.overload("abc", true)
		s.want("--")
		s.overload("abc", false)
		s.want("cb")
	},
	"04 wrr, one by one": func(s *sequence) {
		s.begin(setting{scheduler: "wrr", weights: []int32{4, 3, 2}})
		s.want("cbaabacbacbaa")
		s.begin(setting{scheduler: "wrr", weights: []int32{4, 3, 2}})
		s.want("cbaab")
		s.weigh('c', 3) // to the head of the list, in the round of weight 3
		s.want("cbacbacbaacba")
	},
	"05 wrr, common divisor and failure": func(s *sequence) {
		s.begin(setting{scheduler: "wrr", weights: []int32{40, 30, 20}})
		s.want("cbaabacbacbaa")
		s.begin(setting{scheduler: "wrr", weights: []int32{7, 0, 0}})
		s.want("aaa")
		s.begin(setting{scheduler: "wrr", weights: []int32{2, 2, 2}})
		s.want("cbac")
		s.weigh('a', 1)
		s.want("cbacbcba")
		s.begin(setting{scheduler: "wrr", weights: []int32{2, 2, 1}})
		s.want("c") // in the lowest round
		s.overload("abc", true)
		s.want("--")
		s.overload("abc", false)
		s.want("bab") // where it was; then the highest round
		s.overload("abc", true)
		s.want("-")
		s.overload("abc", false)
		s.want("bacba") // the highest round from its beginning
	},
	"06 lc and wlc, ties": func(s *sequence) {
		for _, name := range []string{"lc", "wlc"} {
			s.begin(setting{scheduler: name, weights: []int32{1, 1, 1}})
			s.want("cba")
		}
	},
	"07 lc and wlc, the generations": func(s *sequence) {
		for _, name := range []string{"lc", "wlc"} {
			for inactive, letters := range map[uint32][2]string{256: {"b", "b"}, 257: {"b", "a"}, 258: {"a", "a"}} {
				s.begin(setting{scheduler: name, weights: []int32{1, 1}})
				s.set('a', EkServerConns{Active: 1, Total: 1})
				s.set('b', EkServerConns{Total: inactive})
				s.want(letters[flag(s.ipvs.profile.OldOverhead)])
			}
		}
	},
	"08 golden table": func(s *sequence) {
		for _, c := range []struct {
			scheduler, tcp, udp string
			weights             []int32
		}{
			{"rr", "cbacbac", "cbacbac", []int32{1, 1, 1}},
			{"lc", "cbacbacbacba", "cbacbacbacba", []int32{1, 2, 3}},
			{"wlc", "cbacbccbacbc", "cbacbccbacbc", []int32{1, 2, 3}},
			{"sed", "cbccbacbccba", "cccc", []int32{1, 2, 3}},
			{"nq", "cbaccbcbccba", "cccc", []int32{1, 2, 3}},
			{"ovf", "bbbbaaa--", "bbbbbbbb", []int32{2, 3}},
			{"fo", "cccc", "cccc", []int32{1, 2, 3}},
		} {
			for _, method := range matrixMethods {
				s.begin(setting{scheduler: c.scheduler, weights: c.weights, method: method})
				s.want(c.tcp)
				s.begin(setting{scheduler: c.scheduler, weights: c.weights, method: method, udp: true})
				s.want(c.udp)
			}
		}
	},
	"09 thresholds": thresholds,
	"10 sh":         sourceHashing,
	"11 mh":         maglevHashing,
	"12 dh": func(s *sequence) {
		for range 8 {
			s.begin(setting{scheduler: "dh", weights: []int32{1, 2, 3}})
			first := s.openFrom(s.six.of(netip.MustParseAddrPort("192.0.2.10:1")))
			for port := range uint16(6) {
				if got := s.openFrom(s.six.of(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(port)}), port))); got != first {
					s.tb.Fatalf("one virtual address leads to %c and %c", first, got)
				}
			}
			s.weigh(first, 0)
			s.want("-")
		}
	},
	"14 resets": func(s *sequence) {
		s.begin(setting{scheduler: "rr", weights: []int32{1}})
		s.want("a")
		s.client(0, "R")
		s.wantCounts('a', 1, 0) // SYN_RECV stays
		s.answer(0, "R")
		s.wantCounts('a', 0, 1)
		s.pass(10 * time.Second)
		s.wantCounts('a', 0, 0)
	},
	"15 port reuse": portReuse,
	"16 deleted and added again": func(s *sequence) {
		s.begin(setting{scheduler: "rr", weights: []int32{1, 1}})
		s.want("ba")
		s.client(0, "A")
		s.del('b')
		s.wantReason(s.client(0, "A"), reasons.ServerDeleted)
		s.want("a")
		s.add('b', 1)
		s.wantCounts('b', 1, 0)
		s.wantReason(s.client(0, "A"), reasons.ForwardedNAT)
		s.apply(sched.Op{Kind: sched.DelService, Service: s.service})
		s.wantReason(s.client(0, "A"), reasons.ServerDeleted)
		s.apply(sched.Op{Kind: sched.AddService, Service: s.service})
		s.add('b', 1)
		s.wantCounts('b', 1, 0)
		s.wantReason(s.client(0, "A"), reasons.ForwardedNAT)
	},
	"17 weight 0 and a SYN": func(s *sequence) {
		// As with expire_nodest_conn 0, the kernel's default: the flow goes on.
		s.begin(setting{scheduler: "rr", weights: []int32{1, 1}})
		s.want("b")
		s.weigh('b', 0)
		s.wantReason(s.client(0, "S"), reasons.ForwardedNAT)
		s.wantCounts('b', 1, 0)
		s.want("a")
	},
	"18 persistence": persistence,
	"19 one-packet scheduling": func(s *sequence) {
		s.begin(setting{scheduler: "rr", udp: true, weights: []int32{1, 1}, edit: func(v *model.Service) { v.OnePacket = true }})
		from := s.six.of(client)
		for i, want := range []byte("baba") {
			if got := s.openFrom(from); got != want {
				s.tb.Fatalf("datagram %d went to %c, want %c", i, got, want)
			}
		}
		s.wantCounts('a', 0, 0)
		s.wantCounts('b', 0, 0)
	},
	"20 odd packets": func(s *sequence) {
		s.begin(setting{scheduler: "rr", weights: []int32{1}})
		from := s.six.of(netip.MustParseAddrPort("192.0.2.9:3000"))
		s.wantReason(s.send(s.packet(from, "S").with(func(f *frame) { f.ttl = 1 })), reasons.TimeExceeded)
		s.wantCounts('a', 1, 0)
		s.wantReason(s.send(s.packet(netip.AddrPortFrom(from.Addr(), 20), "S")), reasons.SourcePort20)
		s.wantReason(s.send(s.packet(netip.AddrPortFrom(from.Addr(), 3001), "SA")), reasons.ForwardedNAT)
		s.wantReason(s.send(s.packet(netip.AddrPortFrom(from.Addr(), 3002), "A")), reasons.NoFlow)
		s.wantReason(s.send(s.packet(netip.AddrPortFrom(from.Addr(), 3003), "R")), reasons.NoFlow)
	},
}

func thresholds(s *sequence) {
	fill := func(upper, lower uint32) {
		s.begin(setting{scheduler: "rr", weights: []int32{1}})
		s.limit('a', upper, lower)
		s.want("aaa-")
		for i := range s.opened {
			s.client(i, "A")
		}
	}
	by := func(now, old string) {
		if s.ipvs.profile.OldThresholds {
			now = old
		}
		s.want(now)
	}
	fill(3, 0)
	s.end(0)
	s.want("a-")
	fill(3, 1)
	s.end(0)
	s.want("-")
	s.end(0)
	s.want("-")
	s.end(0)
	s.want("aaa-")
	// Lowered below what there is: the probe that tells the generations apart.
	s.begin(setting{scheduler: "rr", weights: []int32{1}})
	s.want("aaaa")
	s.limit('a', 2, 0)
	by("-", "a-")
	fill(3, 0)
	s.limit('a', 5, 0)
	s.want("aa-")
	fill(3, 0)
	s.limit('a', 4, 2)
	by("-", "a-")
	fill(3, 0)
	s.limit('a', 0, 0)
	s.want("aaaa")
}

func portReuse(s *sequence) {
	for _, method := range []model.Forward{model.NAT, model.DR} {
		s.begin(setting{scheduler: "lc", weights: []int32{1, 1}, method: method})
		s.want("b")
		s.client(0, "") // none of the four flags closes
		s.wantCounts('b', 0, 1)
		// The decision still sees the old flow.
		if got := s.openFrom(s.opened[0]); got != 'a' {
			s.tb.Fatalf("went to %c, want a", got)
		}
		s.wantCounts('a', 1, 0)
		s.wantCounts('b', 0, 0)
	}
	// TIME_WAIT, after both ends have closed.
	s.begin(setting{scheduler: "lc", weights: []int32{1, 1}})
	s.want("b")
	s.client(0, "A")
	s.answer(0, "F")
	s.client(0, "F")
	s.wantCounts('b', 0, 1)
	if got := s.openFrom(s.opened[0]); got != 'a' {
		s.tb.Fatalf("went to %c, want a", got)
	}
	// FIN_WAIT is not over (conn_reuse_mode 1).
	s.begin(setting{scheduler: "lc", weights: []int32{1, 1}, method: model.DR})
	s.want("b")
	s.client(0, "A")
	s.client(0, "F")
	s.wantCounts('b', 0, 1)
	s.client(0, "S")
	s.wantCounts('b', 1, 0)
}

func persistence(s *sequence) {
	sticky := func(prefix uint8) {
		if s.six && prefix == 32 {
			prefix = 128
		}
		s.begin(setting{scheduler: "rr", weights: []int32{1, 1}, edit: func(v *model.Service) {
			v.Persistence, v.PersistencePrefix = 50*time.Second, prefix
		}})
	}
	from := func(text string) netip.AddrPort { return s.six.of(netip.MustParseAddrPort(text)) }
	sticky(32)
	s.limit('b', 2, 0)
	s.want("bbbbb") // over the threshold, too
	s.weigh('b', 0)
	s.want("b")
	if got := s.openFrom(from("192.0.2.10:1")); got != 'a' {
		s.tb.Fatalf("another client went to %c", got)
	}
	if prefix := uint8(24); !s.six {
		sticky(prefix)
	} else {
		sticky(64) // the test's /24 of IPv4 lies in it
	}
	s.want("b")
	if got := s.openFrom(from("192.0.2.9:7")); got != 'b' {
		s.tb.Fatalf("the group went to %c", got)
	}
	if got := s.openFrom(from("192.0.3.9:7")); got != 'a' {
		s.tb.Fatalf("another group went to %c", got)
	}
	// A live flow holds the template, 60 s and again 60 s.
	sticky(32)
	s.want("b")
	s.client(0, "A")
	for range 4 {
		s.pass(50 * time.Second)
	}
	s.want("b")
	group := *s.ipvs.flows[s.packet(s.opened[0], "").ipvsTuple()].controlled
	if got := s.ipvs.templates[group].timeout; got != time.Minute {
		s.tb.Fatalf("the template is armed with %v", got)
	}
	// Without flows it ends, and the next server is chosen.
	sticky(32)
	s.want("b")
	s.client(0, "")
	s.pass(50 * time.Second)
	s.want("a")
}
