package bench

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/model"
)

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
		"established TCP/IPv6 DR, 128 k flows", "established UDP/IPv6 DR, 1 M flows", "established TCP TUN, 1 M flows", "reply TCP/IPv6 Masq, 1 k flows",
		"established TCP DR, 1 k services, 1 M flows", "established TCP DR, 256 servers, 1 k flows",
		"new flow TCP DR wlc, 256 servers", "new flow TCP/IPv6 DR rr, 2 servers",
		"new flow, table nearly full TCP DR rr, 4 servers", "foreign address TCP", "foreign address TCP/IPv6",
	} {
		if name := strings.Replace(want, "Masq", model.NAT.String(), 1); !seen[name] {
			if name = strings.Replace(want, "TUN", model.TUN.String(), 1); !seen[name] {
				t.Errorf("no case %q", want)
			}
		}
	}
}

// Flows that a case opens must find a table that has room for all of them, and
// one that is nearly full must be that.
func TestTables(t *testing.T) {
	for _, c := range cases(1 << 22) {
		opened := uint32(0)
		if c.open != nil {
			opened = c.open.Flows
		}
		if c.Path == pathFull {
			if part := float64(opened) / float64(c.table); part < 0.85 || part > 0.95 || opened+c.Flows > c.table {
				t.Errorf("%s: %d of %d", c.Name(), opened, c.table)
			}
			continue
		}
		if !c.fresh && 2*opened > c.table {
			t.Errorf("%s: %d flows in a table of %d", c.Name(), opened, c.table)
		}
	}
}

func TestReport(t *testing.T) {
	r := NewReport("v1")
	if r.Kernel == "" || r.CPUs < 1 || time.Since(r.Started) > time.Hour {
		t.Errorf("%+v", r)
	}
	r.Kernel, r.Skipped = "6.18", []string{"IPVS: this kernel has none"}
	r.Figures = []figure.Figure{{Level: figure.Program, Name: "foreign address TCP", Unit: "ns", Values: []float64{12, 11, 14}}}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Evenkeel v1, kernel 6.18", "foreign address TCP", "not measured: IPVS: this kernel has none\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	file := filepath.Join(t.TempDir(), "r.json")
	if err := r.WriteFile(file); err != nil {
		t.Fatal(err)
	}
	back, err := ReadReport(file)
	if err != nil || !reflect.DeepEqual(back.Figures, r.Figures) {
		t.Errorf("read back %+v, %v", back, err)
	}
}

// Plans are of powers of two, whatever is asked for.
func TestMostFlows(t *testing.T) {
	for asked, want := range map[uint32]uint32{0: 1 << 20, 1: 1, 1000: 512, 1024: 1024, 4194304: 1 << 22} {
		if got := (Options{MostFlows: asked}).withDefaults().MostFlows; got != want {
			t.Errorf("%d flows: %d, want %d", asked, got, want)
		}
	}
}
