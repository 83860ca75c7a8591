package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/bench/figure"
)

func TestPage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	r := NewReport("v1")
	r.Skipped = []string{"IPVS: none"}
	r.Took = []Took{{figure.Path, 125.4}}
	r.Figures = []figure.Figure{
		{Level: figure.Program, Name: "established, 1 k flows", Unit: "ns", Values: []float64{30}, Series: "established", X: 1024},
		{Level: figure.Program, Name: "established, 1 M flows", Unit: "ns", Values: []float64{90}, Series: "established", X: 1 << 20},
		{Level: figure.Program, Name: "foreign", Unit: "ns", Values: []float64{8}, Beside: "floor", Yardstick: []float64{4}},
		{Level: figure.Path, Name: "XDP DR", Unit: "Mpps", More: true, Values: []float64{9}},
		{Level: figure.Path, Name: "XDP DR: p99", Unit: "µs", Values: []float64{9}},
		{Level: figure.Versus, Name: "XDP DR", Unit: "instructions", Values: []float64{900}},
		{Level: figure.Versus, Name: "IPVS over XDP, DR", Unit: "x", Values: []float64{5}},
	}
	if err := r.WritePage(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Not measured: IPVS: none", "The levels took: path 2m5s.", "## " + figure.Path.Title(), "| foreign | 2.00 x (2.00-2.00) | floor: 4.00 | 8.00 | ns |", "(program-1-curves.svg)", "(path-2-bars.svg)"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	for _, file := range []string{"program-1-curves.svg", "program-1-bars.svg", "path-1-bars.svg", "path-2-bars.svg", "versus-2-bars.svg"} {
		svg, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.HasPrefix(string(svg), "<svg") || !strings.HasSuffix(string(svg), "</svg>\n") {
			t.Errorf("%s: %v", file, err)
		}
	}
	if strings.Contains(string(text), "versus-1-bars.svg") {
		t.Error("instructions are drawn, too")
	}
	back, err := ReadReport(filepath.Join(dir, dataFile))
	if err != nil || len(back.Figures) != len(r.Figures) {
		t.Errorf("data: %d figures, %v", len(back.Figures), err)
	}
}

// TestGoals holds figures against goals, where they are of several kernels, too.
func TestGoals(t *testing.T) {
	r := NewReport("v1")
	r.Figures = []figure.Figure{
		{Level: figure.Versus, Name: "kernel 6.1: IPVS over XDP, DR, established", Unit: "x", Values: []float64{7}},
		{Level: figure.Versus, Name: "kernel 6.12: IPVS over XDP, DR, established", Unit: "x", Values: []float64{5}},
		{Level: figure.Path, Name: "XDP DR, 1 k flows", Unit: "Mpps", Values: []float64{9}, Beside: nftDNAT, Yardstick: []float64{1.5}},
		{Level: figure.Path, Name: "XDP NAT, 1 k flows", Unit: "Mpps", Values: []float64{6, 8}, Beside: nftDNAT, Yardstick: []float64{1.5, 1}},
		{Level: figure.Scale, Name: "sweep, longest piece, 4 M flows", Unit: "ms", Values: []float64{0.2}},
		{Level: figure.Scale, Name: delayName(1<<22, worstPacket, sweepOn), Unit: "µs", Values: []float64{20, 30, 1900}, Beside: sweepOff, Yardstick: []float64{10, 40, 100}},
		{Level: figure.Scale, Name: delayName(1<<22, "p99.9", sweepOn), Unit: "µs", Values: []float64{2400}, Beside: sweepOff, Yardstick: []float64{1300}},
		{Level: figure.Program, Name: "established TCP DR, 1 k flows", Unit: "ns", Values: []float64{30, 10, 30}},
		{Level: figure.Program, Name: "established TCP NAT, 1 k flows", Unit: "ns", Values: []float64{60, 11, 33}, Beside: "floor", Yardstick: []float64{4}},
		{Level: figure.Program, Name: "established TCP DR, 1 M flows", Unit: "ns", Values: []float64{280}, Memory: []float64{140}},
		{Level: figure.Program, Name: "established TCP by other, 1 k flows", Unit: "ns", Of: "other", Values: []float64{70}},
		{Level: figure.Program, Name: "established TCP DR, 1 k flows / other", Unit: "x", Values: []float64{0.4, 0.45, 0.6}},
		{Level: figure.Program, Name: "new flow TCP DR rr, 2 servers / other", Unit: "x", Values: []float64{0.5}},
	}
	var page strings.Builder
	r.writeGoals(&page)
	if n := strings.Count(page.String(), "other"); n != 2 {
		t.Errorf("%d goals about a program beside ours, want 2:\n%s", n, page.String())
	}
	for _, want := range []string{
		"| kernel 6.1: IPVS over XDP, DR, established | 7.00 x | at least 6.00 x | held |",
		"| kernel 6.12: IPVS over XDP, DR, established | 5.00 x | at least 6.00 x | MISSED |",
		"| XDP DR, 1 k flows / nftables DNAT | 6.00 x | at least 5.00 x | held |",
		"| XDP NAT, 1 k flows / nftables DNAT | 6.00 x (4.00-8.00) | at least 5.00 x | held, but not by the whole range |",
		"| sweep, longest piece, 4 M flows | 0.20 ms | at most 1.00 ms | held |",
		"| delay of packets on the sweep's CPU, 4 M flows: the worst, sweep always on, more than no sweep | 10.0 µs (-10.0-1800) | at most 1000 µs | held, but not by the whole range |",
		": p99.9, sweep always on, more than no sweep | 1100 µs | at most 1000 µs | MISSED |",
		"| established TCP NAT, 1 k flows / established TCP DR, 1 k flows | 1.10 x (1.10-2.00) | at most 1.30 x | held, but not by the whole range |",
		"| established TCP DR, 1 k flows | 30.0 ns (10.0-30.0) | at most 30.0 ns | held |",
		"| established TCP DR, 1 M flows / one read of memory | 2.00 x | at most 2.30 x | held |",
		"| established TCP DR, 1 k flows / other | 0.45 x (0.40-0.60) | at most 0.50 x | held, but not by the whole range |",
		"| new flow TCP DR rr, 2 servers / other | 0.50 x | at most 0.33 x | MISSED |",
	} {
		if !strings.Contains(page.String(), want+"\n") {
			t.Errorf("no %q in:\n%s", want, page.String())
		}
	}
}

// Cases that a goal holds one against another are measured in the same rounds, and no case is
// measured twice or not at all.
func TestGoalsAreMeasuredInTurns(t *testing.T) {
	list := cases(1 << 22)
	group, seen := map[string]int{}, map[int]bool{}
	for n, cases := range inTurns(list) {
		for _, i := range cases {
			if seen[i] {
				t.Errorf("%s is measured twice", list[i].Name())
			}
			seen[i], group[list[i].Name()] = true, n
		}
		if len(cases) > 1 && list[cases[0]].Flows > mostInTurns {
			t.Errorf("%d tables for %s at once", len(cases), list[cases[0]].Name())
		}
	}
	if len(seen) != len(list) {
		t.Errorf("%d of %d cases are measured", len(seen), len(list))
	}
	for _, g := range goals() {
		if g.over != "" && group[g.name] != group[g.over] {
			t.Errorf("%s is not measured in turns with %s", g.name, g.over)
		}
	}
}

// Cases of few flows that goals hold against one another, or against the floor, take more rounds.
func TestRounds(t *testing.T) {
	list := cases(1 << 20)
	rounds := map[string]int{}
	for _, asked := range []int{2, 6} {
		for _, group := range inTurns(list) {
			for _, i := range group {
				rounds[fmt.Sprintf("%s %d", list[i].Name(), asked)] = Options{Rounds: asked}.roundsOf(list, group)
			}
		}
	}
	alone := slices.IndexFunc(list, func(c Case) bool { return c.Name() == "established TCP DR, 1 k flows" })
	if got := (Options{Rounds: 6}).roundsOf(list, []int{alone}); got != 30 {
		t.Errorf("%d rounds of a case that is measured alone, want as many as with others: 30", got)
	}
	for name, want := range map[string]int{
		"established TCP DR, 1 k flows 6": 30, "established TCP/IPv6 DR, 1 k flows 6": 30, "established TCP NAT, 1 flows 6": 30,
		"foreign address TCP 6": 30, "established TCP DR, 1 k flows 2": 2, "foreign address TCP 2": 2,
		"established TCP DR, 1 M flows 6": 6, "established TCP TUN, 1 k flows 6": 6, "new flow TCP DR rr, 2 servers 6": 6,
	} {
		if got := rounds[name]; got != want {
			t.Errorf("%d rounds of %s, want %d", got, name, want)
		}
	}
}

// TestGoalsAreOfCases finds every goal of the program level among its cases.
func TestGoalsAreOfCases(t *testing.T) {
	names := map[string]bool{}
	for _, c := range cases(1 << 20) {
		names[c.Name()] = true
	}
	for _, g := range goals() {
		if g.level == figure.Program && (!names[g.name] || g.over != "" && !names[g.over]) {
			t.Errorf("there is no case %q or no %q", g.name, g.over)
		}
	}
}

// TestLongestPiece looks for the piece that is long in each pass, and not for one that
// something interrupted once.
func TestLongestPiece(t *testing.T) {
	f := newSweepPasses(sweepStays, 1<<10)
	f.add(sweepPass{sum: 8, most: 7, user: 5, pieces: []float64{0.2, 7, 0.4}})
	f.add(sweepPass{sum: 7, most: 6, user: 6, pieces: []float64{6, 0.3, 0.5, 0.1}})
	figures := f.figures()
	piece := figures[len(figures)-1]
	if piece.Name != "sweep, longest piece, 1 k flows" || !slices.Equal(piece.Values, []float64{0.4}) {
		t.Errorf("longest piece: %+v, want 0.4 ms", piece)
	}
	if want := "of 4 pieces, each by the least of 2 passes"; piece.Note != want {
		t.Errorf("note %q, want %q", piece.Note, want)
	}
}

func TestHistory(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, value float64) string {
		t.Helper()
		r := NewReport("v0")
		r.Kernel = "6.12"
		r.Figures = []figure.Figure{{Level: figure.Versus, Name: "XDP DR", Unit: "instructions", Values: []float64{value}}}
		file := filepath.Join(dir, name)
		if err := r.WriteFile(file); err != nil {
			t.Fatal(err)
		}
		return file
	}
	earlier, err := ReadEarlier([]string{write("1-plain.json", 1200), write("2-fast.json", 600)})
	if err != nil {
		t.Fatal(err)
	}
	r := NewReport("v1")
	r.Figures = []figure.Figure{
		{Level: figure.Versus, Name: "kernel 6.12: XDP DR", Unit: "instructions", Values: []float64{400}},
		{Level: figure.Versus, Name: "kernel 6.1: XDP DR", Unit: "instructions", Values: []float64{400}},
	}
	if err := r.WritePage(dir, earlier...); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| | unit | 1-plain | 2-fast | now | first by now |", "| kernel 6.12: XDP DR | instructions | 1200 | 600 | 400 | 3.00 x |\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "kernel 6.1: XDP DR | instructions | -") {
		t.Errorf("history of what has none:\n%s", text)
	}
}
