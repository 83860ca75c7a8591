package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

func TestSummarize(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   Summary
	}{
		{"none", nil, Summary{}},
		{"one", []float64{3}, Summary{3, 3, 3}},
		{"odd", []float64{9, 1, 4}, Summary{4, 1, 9}},
		{"even", []float64{8, 2, 4, 6}, Summary{5, 2, 8}},
	} {
		if got := summarize(tt.values); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestCaseNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range cases(1 << 20) {
		name := c.Name()
		if seen[name] {
			t.Errorf("%q is there twice", name)
		}
		seen[name] = true
		if c.Flows > 1<<20 || c.table < c.Flows {
			t.Errorf("%s: %d flows in a table of %d", name, c.Flows, c.table)
		}
	}
	for _, want := range []string{
		"established TCP DR, 1 M flows", "established UDP DR, 1 k flows", "reply TCP Masq, 1 flows",
		"new flow TCP DR wlc, 256 servers", "foreign address TCP",
	} {
		if !seen[want] && !seen[strings.Replace(want, "Masq", model.NAT.String(), 1)] {
			t.Errorf("no case %q", want)
		}
	}
}

func TestReportText(t *testing.T) {
	r := Report{
		Kernel: "6.18", Started: time.Unix(0, 0), Rounds: 3,
		Rows: []Row{{Case: Case{Path: pathForeign, Protocol: "TCP"}, Floor: Summary{3, 2, 4}, Net: Summary{Median: 12, Least: 11, Most: 14}}},
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if want := "foreign address TCP  12  11-14  3\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("report:\n%s\nwant %q at its end", b.String(), want)
	}
}
