package sched

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/evenkeel/evenkeel/model"
)

// flows counts the flows that a test opens, as IPVS would: TCP active from its
// first segment on, UDP never.
type flows struct {
	state *State
	udp   bool
	loads map[uint32]Load
}

func (f *flows) load(d Dest) Load { return f.loads[d.Slot] }

func (f *flows) open(key model.ServiceKey, c Client) string {
	d, ok := f.state.Choose(key, c, f.load)
	if !ok {
		return "-"
	}
	l := f.state.profile.Bound(f.loads[d.Slot], d.Server.Upper, d.Server.Lower)
	if !f.udp {
		l.Active++
	}
	f.loads[d.Slot] = l
	return string(letter(d))
}

// scheduled is a service with servers a, b, c added in this order.
func scheduled(t rapid.TB, name string, flags uint32, weights ...int32) *flows {
	t.Helper()
	svc := web
	svc.Scheduler, svc.SchedFlags = name, flags
	s := New(Profile{})
	mustApply(t, s, Op{Kind: AddService, Service: svc})
	for i, w := range weights {
		mustApply(t, s, Op{AddServer, svc, server('a'+byte(i), w)})
	}
	return &flows{state: s, loads: map[uint32]Load{}}
}

func (f *flows) sequence(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(f.open(web.Key, Client{netip.MustParseAddr("192.0.2.9"), uint16(2000 + i)}))
	}
	return b.String()
}

// The sequences that kernels gave (three servers a:1 b:2 c:3, SYN or datagrams
// from distinct ports).
func TestGoldenSequences(t *testing.T) {
	for _, c := range []struct {
		scheduler string
		udp       bool
		weights   []int32
		want      string
	}{
		{"rr", false, []int32{1, 1, 1}, "cbacbac"},
		{"rr", true, []int32{1, 1, 1}, "cbacbac"},
		{"wrr", false, []int32{4, 3, 2}, "cbaabacbacbaa"},
		{"wrr", false, []int32{40, 30, 20}, "cbaabacbacbaa"},
		{"lc", true, []int32{1, 2, 3}, "cbacbacbacba"},
		{"wlc", false, []int32{1, 2, 3}, "cbacbccbacbc"},
		{"wlc", true, []int32{1, 2, 3}, "cbacbccbacbc"},
		{"sed", false, []int32{1, 2, 3}, "cbccbacbccba"},
		{"sed", true, []int32{1, 2, 3}, "cccc"},
		{"nq", false, []int32{1, 2, 3}, "cbaccbcbccba"},
		{"nq", true, []int32{1, 2, 3}, "cccc"},
		{"ovf", false, []int32{2, 3}, "bbbbaaa--"},
		{"ovf", true, []int32{1, 2, 3}, "cccc"},
		{"fo", true, []int32{1, 2, 3}, "cccc"},
	} {
		t.Run(fmt.Sprintf("%s udp=%v", c.scheduler, c.udp), func(t *testing.T) {
			f := scheduled(t, c.scheduler, 0, c.weights...)
			f.udp = c.udp
			if got := f.sequence(len(c.want)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// Buckets and servers by client, the first seven confirmed by a kernel.
func TestGoldenHashes(t *testing.T) {
	sh := scheduled(t, "sh", 0, 1, 1, 1)
	mh := scheduled(t, "mh", 0, 1, 1, 1)
	for _, c := range []struct {
		client         string
		port           uint16
		bucket         uint32
		hash1, slot    uint32 // 0: not known
		source, maglev string
	}{
		{"192.0.2.9", 0, 65, 0x67bc8956, 86, "a", "c"},
		{"192.0.2.10", 0, 162, 0x13d099c4, 403, "c", "c"},
		{"192.0.2.11", 0, 4, 0, 3967, "b", "a"},
		{"203.0.113.77", 0, 57, 0xd668af81, 2731, "c", "a"},
		{"203.0.113.78", 0, 155, 0, 2512, "a", "b"},
		{"8.8.8.8", 0, 188, 0x325170ec, 502, "a", "a"},
		{"1.2.3.4", 0, 52, 0x4452d6a7, 2197, "b", "a"},
		{"192.0.2.9", 4000, 30, 0x9db45b76, 723, "", ""},
		{"1.2.3.4", 65535, 88, 0x7edfa076, 3800, "", ""},
		{"2001:db8:1:3::5", 0, 161, 0, 2124, "", ""},
	} {
		addr := netip.MustParseAddr(c.client)
		if got := bucket(addr, c.port, 8); got != c.bucket {
			t.Errorf("%s port %d: bucket %d, want %d", c.client, c.port, got, c.bucket)
		}
		hash := mhHash(addr, c.port, 0, mhKey1)
		if c.hash1 != 0 && hash != c.hash1 {
			t.Errorf("%s port %d: hash %#x, want %#x", c.client, c.port, hash, c.hash1)
		}
		if got := hash % 4093; got != c.slot {
			t.Errorf("%s port %d: slot %d, want %d", c.client, c.port, got, c.slot)
		}
		if c.source == "" {
			continue
		}
		if got := sh.open(web.Key, Client{Addr: addr}); got != c.source {
			t.Errorf("sh sends %s to %s, want %s", c.client, got, c.source)
		}
		if got := mh.open(web.Key, Client{Addr: addr}); got != c.maglev {
			t.Errorf("mh sends %s to %s, want %s", c.client, got, c.maglev)
		}
	}
}

func TestMaglevPermutation(t *testing.T) {
	for addr, want := range map[string][2]uint32{"10.1.0.1": {310, 1461}, "10.1.0.2": {2769, 572}, "10.1.0.3": {2424, 45}} {
		a := netip.MustParseAddr(addr)
		got := [2]uint32{mhHash(a, 80, 0, mhKey1) % 4093, mhHash(a, 80, 0, mhKey2)%4092 + 1}
		if got != want {
			t.Errorf("%s: offset and skip %v, want %v", addr, got, want)
		}
	}
}

// Directed sequence 10: what the weights do to sh.
func TestSourceHashBuckets(t *testing.T) {
	count := func(order []Dest) map[byte]int {
		n := map[byte]int{}
		for _, at := range shTable(order, 8) {
			n[letter(order[at])]++
		}
		return n
	}
	f := scheduled(t, "sh", 0, 100, 100, 100)
	svc, _ := f.state.Service(web.Key)
	if n := count(svc.Order); n['c'] != 100 || n['b'] != 100 || n['a'] != 56 {
		t.Errorf("100/100/100: %v, want the oldest starved to 56", n)
	}
	f = scheduled(t, "sh", 0, 1, 0)
	svc, _ = f.state.Service(web.Key)
	if n := count(svc.Order); n['a'] != 128 || n['b'] != 128 {
		t.Errorf("1/0: %v, want a server without weight to keep its buckets", n)
	}
	if got := f.open(web.Key, Client{Addr: netip.MustParseAddr("192.0.2.10")}); got != "-" {
		t.Errorf("bucket 162 of 1/0 went to %s, want none without the fallback", got)
	}
	f = scheduled(t, "sh", FlagFallback, 1, 0)
	if got := f.open(web.Key, Client{Addr: netip.MustParseAddr("192.0.2.10")}); got != "a" {
		t.Errorf("with the fallback it went to %s, want a", got)
	}
}

// Directed sequence 11: mh keeps its table while a weight is 0.
func TestMaglevKeepsItsTableAtWeight0(t *testing.T) {
	f := scheduled(t, "mh", 0, 1, 1, 1)
	before, _ := f.state.Service(web.Key)
	svc := web
	svc.Scheduler = "mh"
	during := mustApply(t, f.state, Op{EditServer, svc, server('b', 0)})
	after := mustApply(t, f.state, Op{EditServer, svc, server('b', 1)})
	if fmt.Sprint(before.Table) != fmt.Sprint(during.Table) || fmt.Sprint(before.Table) != fmt.Sprint(after.Table) {
		t.Error("the table changed")
	}
	added := mustApply(t, f.state, Op{AddServer, svc, server('d', 0)})
	for _, slot := range added.Table {
		if slot == added.Dest.Slot {
			t.Fatal("a server added with weight 0 is in the table")
		}
	}
}

// Directed sequence 7: the generations count inactive flows differently.
func TestOverheadByGeneration(t *testing.T) {
	for _, c := range []struct {
		old      bool
		inactive uint32
		want     string
	}{{true, 255, "b"}, {true, 256, "b"}, {true, 257, "a"}, {false, 256, "b"}, {false, 257, "b"}, {false, 258, "a"}} {
		f := scheduled(t, "lc", 0, 1, 1)
		f.state.profile.OldOverhead = c.old
		svc, _ := f.state.Service(web.Key)
		for _, d := range svc.Order {
			f.loads[d.Slot] = Load{Active: 1, Total: 1}
			if letter(d) == 'b' {
				f.loads[d.Slot] = Load{Total: c.inactive}
			}
		}
		if got := f.sequence(1); got != c.want {
			t.Errorf("old %v, %d inactive: %s, want %s", c.old, c.inactive, got, c.want)
		}
	}
}

// A walk in rounds, as IPVS walks, beside the table.
type walker struct {
	at          int // -1 is the list's head
	round       int32
	step, top   int32
	order       []Dest
	overloading map[byte]bool
}

func (w *walker) change(order []Dest) {
	w.order, w.at = order, -1
	w.step, w.top = wrrRounds(order)
	w.round = wrrRound(w.round, w.step, w.top)
}

func (w *walker) choose() string {
	if w.top == 0 {
		return "-"
	}
	began, beganLowest := w.at, w.round <= w.step
	wrapped := false
	for {
		for w.at++; w.at < len(w.order); w.at++ {
			d := w.order[w.at]
			if d.Server.Weight >= w.round && !w.overloading[letter(d)] {
				return string(letter(d))
			}
			if wrapped && w.round <= w.step && w.at == began {
				return "-"
			}
		}
		w.at = -1
		w.round -= w.step
		if w.round > 0 {
			continue
		}
		w.round = w.top
		if began < 0 || !beganLowest {
			return "-"
		}
		wrapped = true
	}
}

// The table and the walk agree on every decision of a random history.
func TestWeightedTableIsTheWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := scheduled(t, "wrr", 0)
		svc := web
		svc.Scheduler = "wrr"
		w := &walker{at: -1, overloading: map[byte]bool{}}
		weights := rapid.SampledFrom([][]int32{{0, 1, 2, 3, 4}, {0, 10, 20, 30, 40}, {1, 7, 100}}).Draw(t, "weights")
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			x := rapid.ByteRange('a', 'e').Draw(t, "server")
			weight := rapid.SampledFrom(weights).Draw(t, "weight")
			_, there := f.state.Find(web.Key, server(x, 0).Addr)
			switch what := rapid.IntRange(0, 5).Draw(t, "what"); {
			case what == 0 && there:
				w.change(mustApply(t, f.state, Op{DelServer, svc, server(x, 0)}).Order)
			case what == 1 && there:
				w.change(mustApply(t, f.state, Op{EditServer, svc, server(x, weight)}).Order)
			case what <= 1:
				w.change(mustApply(t, f.state, Op{AddServer, svc, server(x, weight)}).Order)
			case what == 2 && there:
				d, _ := f.state.Find(web.Key, server(x, 0).Addr)
				w.overloading[x] = !w.overloading[x]
				f.loads[d.Slot] = Load{Overloaded: w.overloading[x]}
			default:
				d, ok := f.state.Choose(web.Key, Client{}, f.load)
				got := "-"
				if ok {
					got = string(letter(d))
				}
				if want := w.choose(); got != want {
					t.Fatalf("table says %s, walk %s", got, want)
				}
			}
		}
	})
}

// The table is as long as its formula says, and one that would be too long is
// refused before anything changes.
func TestWeightedTableIsBounded(t *testing.T) {
	f := scheduled(t, "wrr", 0, 4000, 2000)
	svc := web
	svc.Scheduler = "wrr"
	if got, _ := f.state.Service(web.Key); len(got.Table) != 3 || len(got.Table) != wrrLength(got.Order) {
		t.Errorf("table of %d entries, want 3", len(got.Table))
	}
	for _, op := range []Op{{AddServer, svc, server('c', 1)}, {EditServer, svc, server('b', 1999)}} {
		if _, err := f.state.Apply(op); !errors.Is(err, ErrTableTooLong) {
			t.Errorf("%s: %v, want it refused", op, err)
		}
	}
	svc.Scheduler = "rr"
	mustApply(t, f.state, Op{EditService, svc, model.Server{}}, Op{AddServer, svc, server('c', 1)})
	svc.Scheduler = "wrr"
	if _, err := f.state.Apply(Op{Kind: EditService, Service: svc}); !errors.Is(err, ErrTableTooLong) {
		t.Errorf("change of the scheduler: %v, want it refused", err)
	}
}
