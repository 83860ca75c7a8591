package bench

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bench/figure"
)

func TestSlope(t *testing.T) {
	few, many := drive.Sent{Packets: 1000, Took: 25 * time.Millisecond}, drive.Sent{Packets: 11000, Took: 26 * time.Millisecond}
	for _, tt := range []struct {
		name    string
		arrived uint64
		want    trial
	}{
		{"all arrived", 12000, trial{100, 0}},
		{"more arrived than was sent", 12005, trial{100, 0}},
		{"a quarter lost", 9000, trial{100, 0.25}},
		{"nothing arrived", 0, trial{100, 1}},
	} {
		if got := slope(few, many, tt.arrived); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	if got := slope(few, few, 0); got.each != 25000 {
		t.Errorf("two runs alike: %+v, want the mean", got)
	}
	if got := slope(many, drive.Sent{Packets: 12000, Took: 20 * time.Millisecond}, 0); got.each != 2000 {
		t.Errorf("the longer run took less time: %+v, want the mean", got)
	}
	if got := slope(drive.Sent{}, drive.Sent{}, 0); got.each != 0 {
		t.Errorf("nothing sent: %+v", got)
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
