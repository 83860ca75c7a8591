//go:build bpf

package bpf

import (
	"net/netip"

	"github.com/evenkeel/evenkeel/sched"
)

// golden are clients and their servers by sh and mh, with three servers of weight 1.
var golden = []struct {
	client string
	sh, mh byte
}{
	{"192.0.2.9", 'a', 'c'},
	{"192.0.2.10", 'c', 'c'},
	{"192.0.2.11", 'b', 'a'},
	{"203.0.113.77", 'c', 'a'},
	{"203.0.113.78", 'a', 'b'},
	{"8.8.8.8", 'a', 'a'},
	{"1.2.3.4", 'b', 'a'},
}

// hashed opens a flow from an address as it is written, whatever the family of the
// other sequences.
func (s *sequence) hashed(client string, port uint16, want byte) {
	s.tb.Helper()
	if got := s.openFrom(netip.AddrPortFrom(netip.MustParseAddr(client), port)); got != want {
		s.tb.Fatalf("%s:%d went to %c, want %c", client, port, got, want)
	}
}

func sourceHashing(s *sequence) {
	s.begin(setting{scheduler: "sh", weights: []int32{1, 1, 1}})
	if s.six {
		s.hashed("2001:db8:1:3::5", 4000, 'a') // bucket 161 of c, b, a round and round
		return
	}
	for _, c := range golden {
		s.hashed(c.client, 4000, c.sh)
	}
	s.begin(setting{scheduler: "sh", flags: sched.FlagPort, weights: []int32{1, 1, 1}})
	s.hashed("192.0.2.9", 4000, 'c') // bucket 30
	s.hashed("1.2.3.4", 65535, 'b')  // bucket 88
	// Weight 0 keeps its buckets, and refuses there without the fallback, which
	// begins at twice the bucket.
	s.begin(setting{scheduler: "sh", weights: []int32{1, 0}})
	s.hashed("192.0.2.10", 1, '-') // bucket 162 is b's
	s.hashed("192.0.2.9", 1, 'a')  // bucket 65
	s.begin(setting{scheduler: "sh", flags: sched.FlagFallback, weights: []int32{1, 0}})
	s.hashed("192.0.2.10", 1, 'a')
	s.begin(setting{scheduler: "sh", flags: sched.FlagFallback, weights: []int32{1, 1, 1}})
	s.weigh('a', 0)
	s.hashed("192.0.2.9", 1, 'b')    // bucket 65 is a's; 2*65 = 130, which is b's
	s.hashed("203.0.113.78", 1, 'c') // 155 is a's; 310 mod 256 = 54 is c's
}

func maglevHashing(s *sequence) {
	s.begin(setting{scheduler: "mh", weights: []int32{1, 1, 1}})
	if s.six {
		s.want("") // the servers of the golden table are of IPv4
		return
	}
	for _, c := range golden {
		s.hashed(c.client, 4000, c.mh)
	}
	// Weight 0 keeps the table.
	s.weigh('c', 0)
	s.hashed("192.0.2.9", 4001, '-')
	s.hashed("192.0.2.11", 4001, 'a')
	s.weigh('c', 1)
	s.hashed("192.0.2.9", 4002, 'c')
	s.add('d', 0) // and one that never had another weight is not in it
	for i, c := range golden {
		s.hashed(c.client, 4003+uint16(i), c.mh)
	}
	s.begin(setting{scheduler: "mh", flags: sched.FlagFallback, weights: []int32{1, 1, 1}})
	s.weigh('c', 0)
	if got := s.openFrom(netip.MustParseAddrPort("192.0.2.9:1")); got != 'a' && got != 'b' {
		s.tb.Fatalf("the fallback went to %c", got)
	}
	s.begin(setting{scheduler: "mh", weights: []int32{7}})
	s.hashed("8.8.8.8", 9, 'a')
	s.begin(setting{scheduler: "mh", weights: []int32{1 << 30, 1}}) // the weights are shifted
	s.hashed("8.8.8.8", 9, 'a')
}
