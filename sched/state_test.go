package sched

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/evenkeel/evenkeel/model"
)

var web = model.Service{
	Key:       model.ServiceKey{Protocol: model.TCP, Addr: netip.MustParseAddrPort("192.0.2.1:80")},
	Scheduler: "rr",
}

// server names a server by one letter: a is 10.1.0.1:80.
func server(letter byte, weight int32) model.Server {
	addr := netip.AddrFrom4([4]byte{10, 1, 0, letter - 'a' + 1})
	return model.Server{Addr: netip.AddrPortFrom(addr, 80), Forward: model.NAT, Weight: weight}
}

func letter(d Dest) byte { return d.Server.Addr.Addr().As4()[3] + 'a' - 1 }

func letters(order []Dest) string {
	var b strings.Builder
	for _, d := range order {
		b.WriteByte(letter(d))
	}
	return b.String()
}

func add(s byte) Op            { return Op{AddServer, web, server(s, 1)} }
func del(s byte) Op            { return Op{DelServer, web, server(s, 0)} }
func weigh(s byte, w int32) Op { return Op{EditServer, web, server(s, w)} }
func mustApply(t rapid.TB, s *State, ops ...Op) (last Change) {
	t.Helper()
	for _, op := range ops {
		change, err := s.Apply(op)
		if err != nil {
			t.Fatal(err)
		}
		last = change
	}
	return last
}

// choose makes n decisions and prints them; - is none.
func choose(s *State, n int) string {
	var b strings.Builder
	for range n {
		if d, ok := s.Choose(web.Key, Client{}, nil); ok {
			b.WriteByte(letter(d))
		} else {
			b.WriteByte('-')
		}
	}
	return b.String()
}

// The directed sequences 1 to 3 of the parity plan, as measured on kernels.
func TestRoundRobinChoosesAsIPVS(t *testing.T) {
	abc := []Op{{Kind: AddService, Service: web}, add('a'), add('b'), add('c')}
	steps := func(ops ...Op) []Op { return ops }
	for _, c := range []struct {
		name  string
		first string // decisions before ops
		ops   []Op
		then  string // decisions after ops
	}{
		{"newest first", "cbacbac", nil, "b"},
		{"new server waits for the wrap", "cb", steps(add('d')), "adcbad"},
		{"new server before the first decision", "", steps(add('d')), "dcba"},
		{"deleted cursor goes to its predecessor", "cb", steps(del('b')), "acac"},
		{"deleted head leaves the cursor before the list", "c", steps(del('c')), "baba"},
		{"deleted and added again is first after the wrap", "cb", steps(del('b'), add('b')), "abcabc"},
		{"deleted behind the cursor", "cba", steps(del('c')), "baba"},
		{"weight 0 is skipped", "c", steps(weigh('b', 0)), "acac"},
		{"weight 0 comes back in its place", "c", steps(weigh('b', 0), weigh('b', 5)), "bacb"},
		{"all weight 0 keeps the cursor", "c", steps(weigh('a', 0), weigh('b', 0), weigh('c', 0)), "---"},
		{"after none it goes on", "c", steps(weigh('a', 0), weigh('b', 0), weigh('c', 0), weigh('a', 1), weigh('b', 1)), "baba"},
		{"one server left", "cb", steps(del('c'), del('a')), "bbb"},
		{"no server", "cb", steps(del('a'), del('b'), del('c')), "--"},
		{"editing the service keeps the cursor", "c", steps(Op{Kind: EditService, Service: web}), "bac"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := New(Profile{})
			mustApply(t, s, abc...)
			if got := choose(s, len(c.first)); got != c.first {
				t.Fatalf("first decisions %s, want %s", got, c.first)
			}
			mustApply(t, s, c.ops...)
			if got := choose(s, len(c.then)); got != c.then {
				t.Errorf("then %s, want %s", got, c.then)
			}
		})
	}
}

func TestDeletedServerComesBackWithItsSlot(t *testing.T) {
	s := New(Profile{})
	mustApply(t, s, Op{Kind: AddService, Service: web}, add('a'), add('b'))
	gone := mustApply(t, s, del('a')).Dest
	if !gone.Deleted {
		t.Error("the deleted server is not marked")
	}
	fresh := mustApply(t, s, add('c')).Dest
	if fresh.Slot == gone.Slot {
		t.Fatalf("c got slot %d, which a's flows still use", fresh.Slot)
	}
	back := mustApply(t, s, add('a'))
	if !back.Revived || back.Dest.Slot != gone.Slot || back.Dest.Deleted {
		t.Errorf("a came back as %+v, revived %v, want slot %d", back.Dest, back.Revived, gone.Slot)
	}
	if got := letters(back.Order); got != "acb" {
		t.Errorf("order %s, want acb: an added server is newest", got)
	}
}

func TestDeletedServiceComesBackWithItsServers(t *testing.T) {
	s := New(Profile{})
	mustApply(t, s, Op{Kind: AddService, Service: web}, add('a'))
	slot := mustApply(t, s, add('b')).Dest.Slot
	gone := mustApply(t, s, Op{Kind: DelService, Service: web})
	if got := letters(gone.Removed); got != "ba" || len(s.Trash()) != 2 {
		t.Fatalf("removed %q, trash %v", got, s.Trash())
	}
	other := web
	other.Key.Protocol = model.UDP
	if id := mustApply(t, s, Op{Kind: AddService, Service: other}).ID; id == gone.ID {
		t.Errorf("the new service got number %d, which deleted servers still refer to", id)
	}
	mustApply(t, s, Op{Kind: AddService, Service: web})
	back := mustApply(t, s, add('b'))
	if !back.Revived || back.Dest.Slot != slot || back.Dest.Service != back.ID {
		t.Errorf("b came back as %+v in service %d, want slot %d", back.Dest, back.ID, slot)
	}
}

func TestCollectFreesIdleServers(t *testing.T) {
	s := New(Profile{})
	mustApply(t, s, Op{Kind: AddService, Service: web}, add('a'), add('b'))
	a := mustApply(t, s, del('a')).Dest
	b := mustApply(t, s, del('b')).Dest
	if freed := s.Collect(func(slot uint32) bool { return slot == a.Slot }); !slices.Equal(freed, []uint32{a.Slot}) {
		t.Fatalf("freed %v, want %d", freed, a.Slot)
	}
	if trash := s.Trash(); len(trash) != 1 || trash[0].Slot != b.Slot {
		t.Fatalf("trash %v, want b", trash)
	}
	if c := mustApply(t, s, add('c')).Dest; c.Slot != a.Slot {
		t.Errorf("c got slot %d, want the free %d", c.Slot, a.Slot)
	}
}

// The number of a deleted service comes free with its last server, whatever else
// is kept at the time.
func TestCollectFreesTheServicesNumber(t *testing.T) {
	s := New(Profile{})
	other := web
	other.Key.Protocol = model.UDP
	gone := mustApply(t, s, Op{Kind: AddService, Service: other}).ID
	a := mustApply(t, s, Op{AddServer, other, server('a', 1)}).Dest
	mustApply(t, s, Op{Kind: DelService, Service: other})
	mustApply(t, s, Op{Kind: AddService, Service: web}, add('b'), del('b'))
	s.Collect(func(slot uint32) bool { return slot == a.Slot })
	if id := mustApply(t, s, Op{Kind: AddService, Service: other}).ID; id != gone {
		t.Errorf("the next service got number %d, want %d, which is free", id, gone)
	}
}

func TestRestoreContinuesAsBefore(t *testing.T) {
	before := New(Profile{})
	mustApply(t, before, Op{Kind: AddService, Service: web}, add('a'), add('b'), add('c'), del('b'))
	svc, _ := before.Service(web.Key)
	after := New(Profile{})
	if err := after.Restore(svc.Service, svc.ID, svc.Order); err != nil {
		t.Fatal(err)
	}
	after.RestoreTrash(web.Key, before.Trash()[0])
	want, got := mustApply(t, before, add('b'), add('d')), mustApply(t, after, add('b'), add('d'))
	if !slices.Equal(want.Order, got.Order) {
		t.Errorf("order after the restart %v, want %v", got.Order, want.Order)
	}
}

func TestImpossibleOperationsChangeNothing(t *testing.T) {
	other := web
	other.Key.Addr = netip.MustParseAddrPort("192.0.2.2:80")
	for _, c := range []struct {
		op   Op
		want error
	}{
		{Op{Kind: AddService, Service: web}, ErrServiceExists},
		{Op{Kind: EditService, Service: other}, ErrNoService},
		{Op{Kind: DelService, Service: other}, ErrNoService},
		{Op{AddServer, other, server('a', 1)}, ErrNoService},
		{add('a'), ErrServerExists},
		{weigh('z', 1), ErrNoServer},
		{del('z'), ErrNoServer},
	} {
		s := New(Profile{})
		mustApply(t, s, Op{Kind: AddService, Service: web}, add('a'))
		before, _ := s.Service(web.Key)
		if _, err := s.Apply(c.op); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.op, err, c.want)
		}
		if after, _ := s.Service(web.Key); !slices.Equal(before.Order, after.Order) {
			t.Errorf("%s changed the order to %v", c.op, after.Order)
		}
	}
}

// A naive rr keeps the list and the server chosen last, and walks it by hand.
func TestRoundRobinHoldsForRandomHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Profile{})
		mustApply(t, s, Op{Kind: AddService, Service: web})
		var list []byte // newest first
		weights := map[byte]int32{}
		cursor := -1 // index in list; -1 is the head
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			x := rapid.ByteRange('a', 'f').Draw(t, "server")
			at := slices.Index(list, x)
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				if at >= 0 {
					break
				}
				mustApply(t, s, add(x))
				list, weights[x] = slices.Insert(list, 0, x), 1
				if cursor >= 0 {
					cursor++
				}
			case 1:
				if at < 0 {
					break
				}
				mustApply(t, s, del(x))
				list = slices.Delete(list, at, at+1)
				if cursor >= at {
					cursor--
				}
			case 2:
				if at < 0 {
					break
				}
				w := rapid.Int32Range(0, 2).Draw(t, "weight")
				mustApply(t, s, weigh(x, w))
				weights[x] = w
			case 3:
				want := byte('-')
				for i := 1; i <= len(list); i++ {
					next := (cursor + i) % len(list)
					if weights[list[next]] > 0 {
						cursor, want = next, list[next]
						break
					}
				}
				if got := choose(s, 1); got != string(want) {
					t.Fatalf("chose %s, want %c from %s", got, want, list)
				}
			}
			if svc, _ := s.Service(web.Key); letters(svc.Order) != string(list) {
				t.Fatalf("order %s, want %s", letters(svc.Order), list)
			}
		}
	})
}
