package track

import (
	"fmt"
	"testing"
)

func TestContribution(t *testing.T) {
	type effect struct {
		adds  int
		fault bool
	}
	none, fault := effect{}, effect{fault: true}
	add := func(n int) effect { return effect{adds: n} }
	// Measured on keepalived 2.2.7 with scripts, interfaces and processes
	// alike, with a base of 100.
	tests := []struct {
		weight            int
		reverse           bool
		up, down, unknown effect
	}{
		{10, false, add(10), none, none},
		{-10, false, none, add(-10), none},
		{10, true, add(-10), none, none},
		{-10, true, none, add(10), none},
		{0, false, none, fault, fault},
		{0, true, fault, none, fault},
		{253, false, add(253), none, none},
		{254, false, add(253), none, none},
		{-254, false, none, add(-253), none},
	}
	for _, tt := range tests {
		for _, kind := range []Kind{Script, Interface, Process, BFD} {
			for state, want := range map[State]effect{Up: tt.up, Down: tt.down, Unknown: tt.unknown, Disabled: none} {
				c := Use{kind, "n", tt.weight, tt.reverse}.Contribution(Status{Kind: kind, State: state})
				if got := (effect{c.Adds, c.Fault}); got != want {
					t.Errorf("%s weight %d reverse %v %v: %+v, want %+v", kind, tt.weight, tt.reverse, state, got, want)
				}
			}
		}
	}
}

// TestFileContribution was measured on keepalived 2.2.7.
func TestFileContribution(t *testing.T) {
	tests := []struct {
		value, weight int
		reverse       bool
		adds          int
		fault         bool
	}{
		{5, 1, false, 5, false},
		{5, 2, false, 10, false},
		{5, -1, false, -5, false},
		{5, 2, true, -10, false},
		{5, 254, false, 253, false},
		{5, 0, false, 0, true},
		{5, 0, true, 0, false},
		{-5, 1, false, -5, false},
		{-5, -2, false, 10, false},
		{-5, 2, true, 10, false},
		{-5, 254, false, 0, true},
		{-5, 0, false, 0, true},
		{0, 2, false, 0, false},
		{0, 0, false, 0, false},
		{0, 0, true, 0, true},
		{254, 1, false, 253, false},
		{-253, 1, false, -253, false},
		{-254, 1, false, 0, true},
		{127, 2, false, 253, false},
		{127, 2, true, 0, true},
		{127, -1, false, -127, false},
		{-128, 2, false, 0, true},
		{-128, -1, false, 128, false},
		{1000, -1, false, 0, true},
		{1<<31 - 1, 254, false, 253, false},
		{-1 << 31, -254, false, 253, false},
		{-1 << 31, 254, false, 0, true},
	}
	for _, tt := range tests {
		u := Use{File, "f", tt.weight, tt.reverse}
		c := u.Contribution(Status{Kind: File, State: Up, Value: tt.value})
		if c.Adds != tt.adds || c.Fault != tt.fault {
			t.Errorf("%d with %+v: %+d fault %v, want %+d fault %v", tt.value, u, c.Adds, c.Fault, tt.adds, tt.fault)
		}
	}
}

func TestContributionReason(t *testing.T) {
	tests := []struct {
		use    Use
		status Status
		want   string
	}{
		{Use{Script, "chk_http", -20, false}, Status{State: Down}, "script chk_http failed: -20"},
		{Use{Script, "chk_http", -20, false}, Status{State: Up}, "script chk_http succeeded: +0"},
		{Use{Script, "chk_http", 0, false}, Status{State: Unknown}, "script chk_http has no result yet: FAULT"},
		{Use{Script, "chk_http", 0, false}, Status{State: Disabled}, "script chk_http is disabled: +0"},
		{Use{Interface, "eth1", 10, false}, Status{State: Up}, "interface eth1 is up: +10"},
		{Use{Interface, "eth1", 0, false}, Status{State: Down}, "interface eth1 is down: FAULT"},
		{Use{File, "load", -2, false}, Status{State: Up, Value: 5}, "file load is 5: -10"},
		{Use{Process, "nginx", 0, false}, Status{State: Down}, "process nginx lacks its quorum: FAULT"},
		{Use{Process, "nginx", 5, false}, Status{State: Up}, "process nginx has its quorum: +5"},
		{Use{BFD, "peer", -5, false}, Status{State: Down}, "bfd peer is down: -5"},
	}
	for _, tt := range tests {
		tt.status.Kind = tt.use.Kind
		if got := tt.use.Contribution(tt.status).Reason; got != tt.want {
			t.Errorf("reason %q, want %q", got, tt.want)
		}
	}
}

func TestEffective(t *testing.T) {
	tests := []struct {
		base      uint8
		adds      []int
		effective uint8
		total     int
	}{
		{100, nil, 100, 100},
		{100, []int{10, -20}, 90, 90},
		{100, []int{253, -253}, 100, 100},
		{100, []int{253}, 254, 353},
		{100, []int{-253}, 1, -153},
		{1, []int{-1}, 1, 0},
		{254, []int{1}, 254, 255},
		{255, []int{-253, 10}, 255, 255},
	}
	for _, tt := range tests {
		var list []Contribution
		for _, n := range tt.adds {
			list = append(list, Contribution{Adds: n})
		}
		got := Effective(tt.base, list)
		if got.Effective != tt.effective || got.Total != tt.total || got.Fault || len(got.Contributions) != len(list) {
			t.Errorf("%d with %v: %+v, want %d of %d", tt.base, tt.adds, got, tt.effective, tt.total)
		}
	}
	for _, base := range []uint8{100, 255} {
		if got := Effective(base, []Contribution{{Fault: true}, {}}); !got.Fault || got.Effective != base {
			t.Errorf("with a fault: %+v", got)
		}
	}
}

func TestInGroup(t *testing.T) {
	tests := []struct {
		kind    Kind
		weight  int
		want    int
		counted bool
	}{
		{Interface, -10, 0, true}, {File, 1, 0, true}, {Process, -10, -10, true}, {BFD, 5, 5, true},
		{Script, -10, -10, false}, {Script, 0, 0, true},
	}
	for _, tt := range tests {
		got, counted := Use{tt.kind, "n", tt.weight, true}.InGroup()
		if want := (Use{tt.kind, "n", tt.want, true}); got != want || counted != tt.counted {
			t.Errorf("%s %d: %+v, %v, want %+v, %v", tt.kind, tt.weight, got, counted, want, tt.counted)
		}
	}
}

func ExampleUse_Contribution() {
	down := Status{Kind: Script, Name: "chk_http", State: Down}
	c := Use{Kind: Script, Name: "chk_http", Weight: -20}.Contribution(down)
	fmt.Println(Effective(150, []Contribution{c}).Effective, c.Reason)
	// Output: 130 script chk_http failed: -20
}
