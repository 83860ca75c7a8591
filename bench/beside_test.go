package bench

import (
	"errors"
	"reflect"
	"testing"
)

func TestParseOthers(t *testing.T) {
	got, err := ParseOthers([]string{"a=/sys/fs/bpf/a", "b-2=/pins/x=y"})
	if want := []Other{{"a", "/sys/fs/bpf/a"}, {"b-2", "/pins/x=y"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, bad := range [][]string{{"/sys/fs/bpf/a"}, {"=/a"}, {"a="}, {"a b=/a"}, {"a|b=/a"}, {"a=/a", "a=/b"}} {
		if got, err := ParseOthers(bad); !errors.Is(err, ErrBeside) {
			t.Errorf("%q: %v, %v, want ErrBeside", bad, got, err)
		}
	}
}

// TestCommon has each packet to compare with, and each number of flows, once.
func TestCommon(t *testing.T) {
	seen := map[string]int{}
	for _, c := range cases(1 << 20) {
		if c.common {
			seen[newComparison(c, rival{name: "other"}).cost.Name]++
		}
	}
	for _, packets := range []string{"TCP", "UDP", "TCP/IPv6", "UDP/IPv6"} {
		for _, flows := range []string{"1", "1 k", "128 k", "1 M"} {
			name := "established " + packets + " by other, " + flows + " flows"
			if seen[name] != 1 {
				t.Errorf("%d times %q", seen[name], name)
			}
		}
	}
	for _, name := range []string{
		"new flow TCP by other", "new flow UDP by other", "new flow TCP/IPv6 by other",
		"foreign address TCP by other", "foreign address TCP/IPv6 by other",
	} {
		if seen[name] != 1 {
			t.Errorf("%d times %q", seen[name], name)
		}
	}
	if len(seen) != 21 {
		t.Errorf("%d cases: %v", len(seen), seen)
	}
}

func TestJudged(t *testing.T) {
	established, passed := Case{}, foreign(pathForeign, vip)
	for _, tt := range []struct {
		name string
		c    Case
		seen map[uint32]int
		note string
		bad  bool
	}{
		{"all sent back", established, map[uint32]int{xdpTX: 65}, "XDP_TX", false},
		{"sent elsewhere", established, map[uint32]int{xdpRedirect: 65}, "XDP_REDIRECT", false},
		{"some lost", established, map[uint32]int{xdpTX: 98, xdpDrop: 2}, "2 XDP_DROP, 98 XDP_TX", false},
		{"many lost", established, map[uint32]int{xdpTX: 9, xdpDrop: 1}, "1 XDP_DROP, 9 XDP_TX", true},
		{"not taken", established, map[uint32]int{xdpPass: 65}, "XDP_PASS", true},
		{"no verdict at all", established, map[uint32]int{77: 1}, "verdict 77", true},
		{"for somebody else", passed, map[uint32]int{xdpPass: 65}, "XDP_PASS", false},
		{"taken from somebody else", passed, map[uint32]int{xdpTX: 65}, "XDP_TX", true},
	} {
		b := newComparison(tt.c, rival{name: "other"})
		err := (&run{c: tt.c}).judged(b, tt.seen, nil)
		if note := verdictNote(b.verdicts); errors.Is(err, ErrVerdict) != tt.bad || note != tt.note {
			t.Errorf("%s: %v, note %q, want %q", tt.name, err, note, tt.note)
		}
	}
}

// TestRatio leaves out rounds that took nothing.
func TestRatio(t *testing.T) {
	b := newComparison(foreign(pathForeign, vip), rival{name: "other"})
	b.add(20, 2, 5, nil)
	b.add(-1, 2, 5, nil)
	figures := b.figures()
	if len(figures) != 2 || figures[0].Of != "other" || !reflect.DeepEqual(figures[0].Values, []float64{20, -1}) {
		t.Fatalf("%+v", figures)
	}
	if r := figures[1]; r.Name != "foreign address TCP / other" || r.Unit != "x" || !reflect.DeepEqual(r.Values, []float64{0.25}) {
		t.Errorf("%+v", r)
	}
}
