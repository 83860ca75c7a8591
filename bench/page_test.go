package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/bench/figure"
)

func TestPage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	r := NewReport("v1")
	r.Skipped = []string{"IPVS: none"}
	r.Figures = []figure.Figure{
		{Level: figure.Program, Name: "established, 1 k flows", Unit: "ns", Values: []float64{30}, Series: "established", X: 1024},
		{Level: figure.Program, Name: "established, 1 M flows", Unit: "ns", Values: []float64{90}, Series: "established", X: 1 << 20},
		{Level: figure.Program, Name: "foreign", Unit: "ns", Values: []float64{8}, Beside: "floor", Yardstick: []float64{4}},
		{Level: figure.Path, Name: "XDP DR", Unit: "Mpps", More: true, Values: []float64{9}},
		{Level: figure.Path, Name: "XDP DR: p99", Unit: "µs", Values: []float64{9}},
	}
	if err := r.WritePage(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Not measured: IPVS: none", "## " + figure.Path.Title(), "| foreign | ns | 8.00 |", "(program-1-curves.svg)", "(path-2-bars.svg)"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	for _, file := range []string{"program-1-curves.svg", "program-1-bars.svg", "path-1-bars.svg", "path-2-bars.svg"} {
		svg, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.HasPrefix(string(svg), "<svg") || !strings.HasSuffix(string(svg), "</svg>\n") {
			t.Errorf("%s: %v", file, err)
		}
	}
	back, err := ReadReport(filepath.Join(dir, dataFile))
	if err != nil || len(back.Figures) != len(r.Figures) {
		t.Errorf("data: %d figures, %v", len(back.Figures), err)
	}
}
