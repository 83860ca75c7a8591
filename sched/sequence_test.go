package sched

import (
	"net/netip"
	"testing"

	"github.com/evenkeel/evenkeel/model"
)

// The directed sequences of docs/parity.md that need no packets and are not in
// another test, by number.

func (f *flows) edit(t *testing.T, name string, s model.Server) {
	t.Helper()
	svc := web
	svc.Scheduler = name
	old, _ := f.state.Find(web.Key, s.Addr)
	change := mustApply(t, f.state, Op{EditServer, svc, s})
	slot := change.Dest.Slot
	f.loads[slot] = f.state.profile.Edited(f.loads[slot], old.Server.Upper, old.Server.Lower, s.Upper, s.Lower)
}

// overload sets or clears the mark of every server.
func (f *flows) overload(mark bool) {
	svc, _ := f.state.Service(web.Key)
	for _, d := range svc.Order {
		load := f.loads[d.Slot]
		load.Overloaded = mark
		f.loads[d.Slot] = load
	}
}

func (f *flows) want(t *testing.T, letters string) {
	t.Helper()
	if got := f.sequence(len(letters)); got != letters {
		t.Errorf("%s, want %s", got, letters)
	}
}

// 4: an edit in the middle of a cycle goes to the head of the list and keeps the
// round. 5: the round with another divisor, and where a failed walk leaves off.
func TestSequences4And5(t *testing.T) {
	f := scheduled(t, "wrr", 0, 4, 3, 2)
	f.want(t, "cbaab")
	f.edit(t, "wrr", server('c', 3))
	f.want(t, "cbacbacbaacba")

	scheduled(t, "wrr", 0, 7, 0, 0).want(t, "aaa")
	f = scheduled(t, "wrr", 0, 2, 2, 2)
	f.want(t, "cbac")
	f.edit(t, "wrr", server('a', 1))
	f.want(t, "cbacbcba")

	f = scheduled(t, "wrr", 0, 2, 2, 1)
	f.want(t, "c") // in the lowest round
	f.overload(true)
	f.want(t, "--")
	f.overload(false)
	f.want(t, "bab") // where it was; then the highest round
	f.overload(true)
	f.want(t, "-")
	f.overload(false)
	f.want(t, "bacba") // the highest round from its beginning
}

// 6: without flows the newest server wins.
func TestSequence6(t *testing.T) {
	for _, name := range []string{"lc", "wlc"} {
		scheduled(t, name, 0, 1, 1, 1).want(t, "cba")
	}
}

// 9: thresholds reached, lowered, raised and taken away, by both generations.
func TestSequence9(t *testing.T) {
	limited := func(weight int32, upper, lower uint32) model.Server {
		s := server('a', weight)
		s.Upper, s.Lower = upper, lower
		return s
	}
	for _, c := range []struct {
		name         string
		upper, lower uint32
		before       string
		ends         int
		then         *model.Server
		now, old     string
	}{
		{"full", 3, 0, "aaa", 0, nil, "-", "-"},
		{"one less", 3, 0, "aaa-", 1, nil, "a-", "a-"},
		{"lower threshold not reached", 3, 1, "aaa-", 2, nil, "-", "-"},
		{"below the lower threshold", 3, 1, "aaa-", 3, nil, "aaa-", "aaa-"},
		{"lowered", 0, 0, "aaaa", 0, new(limited(1, 2, 0)), "-", "a-"},
		{"raised", 3, 0, "aaa-", 0, new(limited(1, 5, 0)), "aa-", "aa-"},
		{"raised, not below the lower one", 3, 0, "aaa-", 0, new(limited(1, 4, 2)), "-", "a-"},
		{"taken away", 3, 0, "aaa-", 0, new(limited(1, 0, 0)), "aaaa", "aaaa"},
	} {
		for _, old := range []bool{false, true} {
			f := scheduled(t, "rr", 0, 1)
			f.state.profile.OldThresholds = old
			f.edit(t, "rr", limited(1, c.upper, c.lower))
			f.want(t, c.before)
			for range c.ends {
				load := f.loads[0]
				load.Active--
				f.loads[0] = f.state.profile.Unbound(load, c.upper, c.lower)
			}
			if c.then != nil {
				f.edit(t, "rr", *c.then)
			}
			want := c.now
			if old {
				want = c.old
			}
			if got := f.sequence(len(want)); got != want {
				t.Errorf("%s, old %v: %s, want %s", c.name, old, got, want)
			}
		}
	}
}

// 12: dh sends every flow of a virtual address to one server.
func TestSequence12(t *testing.T) {
	used := map[string]bool{}
	for host := range byte(40) {
		svc := web
		svc.Scheduler = "dh"
		svc.Key.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, host}), 80)
		s := New(Profile{})
		mustApply(t, s, Op{Kind: AddService, Service: svc})
		for i := range byte(3) {
			mustApply(t, s, Op{AddServer, svc, server('a'+i, 1)})
		}
		f := &flows{state: s, loads: map[uint32]Load{}}
		first := f.open(svc.Key, Client{netip.MustParseAddr("192.0.2.10"), 1})
		used[first] = true
		for port := range uint16(10) {
			client := Client{netip.AddrFrom4([4]byte{198, 51, 100, byte(port)}), port}
			if got := f.open(svc.Key, client); got != first {
				t.Fatalf("%s leads to %s and %s", svc.Key, first, got)
			}
		}
	}
	if len(used) != 3 {
		t.Errorf("40 virtual addresses use servers %v", used)
	}
}
