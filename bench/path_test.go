package bench

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bench/figure"
)

func TestLost(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sent    int
		arrived uint64
		want    float64
	}{
		{"all arrived", 12000, 12000, 0},
		{"more arrived than was sent", 12000, 12005, 0},
		{"a quarter lost", 12000, 9000, 0.25},
		{"nothing arrived", 12000, 0, 1},
		{"nothing sent", 0, 0, 0},
	} {
		if got := lost(tt.sent, tt.arrived); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestBehind(t *testing.T) {
	for _, tt := range []struct {
		sent drive.Sent
		want string
	}{
		{drive.Sent{Timed: 1000, Took: 5 * time.Millisecond}, ""},
		{drive.Sent{Timed: 1000, Took: 5200 * time.Microsecond}, ""},
		{drive.Sent{Timed: 1000, Took: 10 * time.Millisecond}, "behind: 100 kpps"},
		{drive.Sent{}, ""},
	} {
		if got := behind(tt.sent); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.sent, got, tt.want)
		}
	}
}

func TestDNATRules(t *testing.T) {
	rules := dnatRules(netip.MustParseAddrPort("10.77.1.100:80"), netip.MustParseAddr("10.77.2.11"), 2)
	want := "ip daddr 10.77.1.100 udp dport 80 dnat to numgen inc mod 2 map { 0 : 10.77.2.11, 1 : 10.77.2.12 }\n"
	if !strings.Contains(rules, want) {
		t.Errorf("rules:\n%s\nwant %s", rules, want)
	}
}

func TestBeside(t *testing.T) {
	figures := []figure.Figure{
		{Name: nftDNAT + oneArm + ", 1 k flows", Values: []float64{3}}, {Name: "XDP DR" + oneArm + ", 1 k flows", Values: []float64{12}},
		{Name: "XDP DR, 1 k flows", Values: []float64{10}}, {Name: nftDNAT + ", 1 k flows", Values: []float64{2}},
	}
	beside(figures)
	if r := figures[2].Ratio(); r.Median != 5 || figures[2].Beside != nftDNAT || figures[3].Yardstick != nil {
		t.Errorf("%+v", figures[2:])
	}
	if r := figures[1].Ratio(); r.Median != 4 || figures[1].Beside != nftDNAT+oneArm || figures[0].Yardstick != nil {
		t.Errorf("one arm: %+v", figures[:2])
	}
	alone := []figure.Figure{{Name: "XDP DR, 1 k flows"}}
	if beside(alone); alone[0].Beside != "" {
		t.Errorf("without nftables: %+v", alone)
	}
}
