package bench

import "testing"

func TestResults(t *testing.T) {
	list := []duel{{name: "DR, established"}, {name: "NAT, established"}}
	r := newResults(list, "instructions")
	r.base.Values = []float64{600, 650}
	r.add(0, 600, []float64{1600, 1800}, []float64{6600, 6600})
	r.add(0, 650, []float64{1650}, []float64{7650}) // established and new flows come in turns of their own
	r.add(1, 650, []float64{1850}, []float64{6650})
	figures := r.figures()
	if len(figures) != 7 {
		t.Fatalf("%d figures: %+v", len(figures), figures)
	}
	for name, want := range map[string]float64{
		"XDP DR, established": 1000, "IPVS DR, established": 6500, "IPVS over XDP, DR, established": 6.5,
		"IPVS over XDP, NAT, established": 5, "base: generator and first interface": 625,
	} {
		for _, f := range figures {
			if f.Name == name && f.Summary().Median != want {
				t.Errorf("%s: %v, want %v", name, f.Summary().Median, want)
			}
		}
	}
	alone := newResults(list, "ns")
	alone.add(0, 600, []float64{1600, 1800}, nil)
	if got := len(alone.figures()); got != 3 {
		t.Errorf("without IPVS %d figures, want 3", got)
	}
}
