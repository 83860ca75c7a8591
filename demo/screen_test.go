package demo

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/api"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares a text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func fakeStatus() api.Status {
	return api.Status{
		Version: "1.0",
		Datapath: api.Datapath{Kernel: "6.12", Interfaces: []api.Interface{
			{Name: "eth0", Mode: "native"}, {Name: "eth1", Mode: "native"},
		}},
		Packets: api.Packets{XDP: 4097, Passed: 61, Forwarded: 4097},
		Reasons: []api.Reason{
			{Number: 1, Name: "not_ip", Verdict: "pass", Text: "not IP", Packets: 8},
			{Number: 10, Name: "no_service", Verdict: "pass", Text: "no service", Packets: 53},
			{Number: 50, Name: "forwarded_dr", Verdict: "forward", Text: "by DR", Packets: 1409},
			{Number: 51, Name: "forwarded_nat", Verdict: "forward", Text: "by NAT", Packets: 1404},
			{Number: 52, Name: "forwarded_reply", Verdict: "forward", Text: "a reply", Packets: 1284},
		},
	}
}

// fakeScreen is a demo in which server2 was stopped a while ago.
func fakeScreen() screen {
	p := testPlan()
	w := newWatcher(p)
	at := time.Date(2026, 3, 1, 9, 49, 25, 0, time.UTC)
	w.looked(look{at: at, holding: holding{has: [directorCount]int{3, 0}, of: 3}})
	in := tableServer{inTable: true, resolved: true, weight: 1}
	gone := tableServer{why: "TCP_CHECK to 10.77.2.12:80: connection refused (2 tries)"}
	w.saw(at, table{services: []tableService{{servers: []tableServer{in, in, in}}, {servers: []tableServer{in, in, in}}}})
	for range 3 {
		for i := range p.servers {
			w.total.add(outcome{service: 0, server: serverName(i)})
			w.total.add(outcome{service: 1, server: serverName(i)})
		}
	}
	w.switched(at, 1, false)
	w.total.add(outcome{service: 0, failure: "connection refused"})
	w.total.add(outcome{service: 0, failure: "connection refused"})
	w.saw(at.Add(time.Second), table{services: []tableService{{servers: []tableServer{in, in, in}}, {servers: []tableServer{in, gone, in}}}})
	w.total.add(outcome{service: 1, failure: "no answer in 5s"})
	w.saw(at.Add(1700*time.Millisecond), table{services: []tableService{{servers: []tableServer{in, gone, in}}, {servers: []tableServer{in, gone, in}}}})
	return screen{
		plan: p, running: 83 * time.Second, rate: 99.6, up: w.up, total: w.total, table: w.table,
		status: fakeStatus(), events: w.events, program: "./bin/evenkeel", words: w.words(),
	}
}

func TestScreen(t *testing.T) {
	s := fakeScreen()
	golden(t, "screen-80x24.txt", s.render(80, 24))
	golden(t, "screen-120x36.txt", s.render(120, 36))
	s.panel = panelCommands
	golden(t, "commands-80x24.txt", s.render(80, 24))
	s.panel = panelFile
	golden(t, "file-80x24.txt", s.render(80, 24))
}

func TestScreenFitsEveryTerminal(t *testing.T) {
	for _, s := range []screen{fakeScreen(), {plan: testPlan(), up: make([]bool, serverCount), total: newTally(2)}} {
		for p := panelNetwork; p <= panelFile; p++ {
			s.panel = p
			for height := 1; height < 50; height++ {
				for _, width := range []int{0, 1, 20, 79, 80, 200} {
					lines := strings.Split(s.render(width, height), "\n")
					if len(lines) != height {
						t.Fatalf("panel %d at %dx%d has %d lines", p, width, height, len(lines))
					}
					for _, line := range lines {
						if len(line) > width {
							t.Fatalf("panel %d at %dx%d: line %q is too long", p, width, height, line)
						}
					}
				}
			}
		}
	}
}

// TestFileIsShownWhole turns the pages on screens of all heights.
func TestFileIsShownWhole(t *testing.T) {
	s := fakeScreen()
	want := textLines(indent(s.plan.configText(s.weights())))
	for height := 4; height < 60; height++ {
		var got []string
		s.panel = panelNetwork
		for s.turnFile(height); s.panel == panelFile; s.turnFile(height) {
			for _, line := range strings.Split(s.render(200, height), "\n")[2 : height-1] {
				if strings.HasPrefix(line, "  ") {
					got = append(got, line)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%d lines high (-want +got):\n%s", height, diff)
		}
	}
}

func TestDrawingFits(t *testing.T) {
	for _, line := range strings.Split(testPlan().drawing(testPlan().priorities()), "\n") {
		if len(line) > 72 {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
}

func TestWrapCommand(t *testing.T) {
	const command = "bpftool map dump pinned /sys/fs/bpf/x/maps/ek_services"
	for width := 10; width < 100; width++ {
		got := wrapCommand(command, width)
		words := strings.Fields(strings.ReplaceAll(got, "\\\n", " "))
		if strings.Join(words, " ") != command {
			t.Fatalf("at %d columns the shell would read %q", width, words)
		}
	}
}

func TestWatcher(t *testing.T) {
	w := newWatcher(testPlan())
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if got := w.rate(at); got != 0 {
		t.Errorf("rate of the first moment = %v", got)
	}
	for range 10 {
		for range 50 {
			w.total.add(outcome{server: "server1"})
		}
		at = at.Add(time.Second)
		w.rate(at)
	}
	if got := w.rate(at); got != 50 {
		t.Errorf("rate = %v, want 50", got)
	}
	if n := len(w.samples); n > 6 {
		t.Errorf("%d samples are kept", n)
	}
	for range 2 * keptEvents {
		w.event(at, "x")
	}
	if len(w.events) != keptEvents {
		t.Errorf("%d events are kept, want %d", len(w.events), keptEvents)
	}
}

func TestWatcherIgnoresWhatTheTableNeverShowed(t *testing.T) {
	s := fakeScreen()
	w := newWatcher(s.plan)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	in := tableServer{inTable: true, resolved: true, weight: 1}
	all := table{services: []tableService{{servers: []tableServer{in, in, in}}, {servers: []tableServer{in, in, in}}}}
	w.saw(at, all)
	w.switched(at, 0, false)
	w.switched(at.Add(time.Second), 0, true)
	w.saw(at.Add(2*time.Second), all)
	if len(w.outages) != 0 || w.pending[0] != nil {
		t.Errorf("outages = %+v, want none", w.outages)
	}
	if last := w.events[len(w.events)-1].text; last != "server1 started, before the table showed the last change" {
		t.Errorf("last event = %q", last)
	}
}

// TestWatcherFollowsTheMaster cuts the power of a master.
func TestWatcherFollowsTheMaster(t *testing.T) {
	w := newWatcher(testPlan())
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	see := func(after time.Duration, has ...int) {
		status := fakeStatus()
		status.VRRP = []api.VRRPSummary{{Reason: "no advert from 10.77.1.1 for 1.7s"}}
		w.looked(look{at: at.Add(after), holding: holding{has: [directorCount]int(has), of: 3}, known: has[second] == 3, status: status, table: fakeScreen().table})
	}
	see(0, 3, 0)
	if i, to := w.nextSwitch(off); i != first || to != off {
		t.Errorf("the key switches director %d to %d, want the master off", i, to)
	}
	w.directed(at, first, off)
	w.move.gauge = &gauge{last: []time.Time{at, at}}
	if i, to := w.nextSwitch(stopped); i != first || to != running {
		t.Errorf("the key switches director %d to %d, want the one that is off to run", i, to)
	}
	see(time.Second, 0, 0)
	w.asked(outcome{service: 0, failure: "no answer in 1s"})
	see(1700*time.Millisecond, 0, 3)
	if got := w.words(); got != [directorCount]string{"no power", "MASTER"} {
		t.Errorf("words = %q", got)
	}
	for service := range 2 {
		w.asked(outcome{service: service, server: "server1", known: at.Add(1750 * time.Millisecond)})
	}
	see(1800*time.Millisecond, 0, 3)
	w.asked(outcome{service: 1, failure: "no answer in 1s"}) // it was under way
	for service := range 2 {
		w.asked(outcome{service: service, server: "server1", known: at.Add(3700 * time.Millisecond)})
	}
	w.move.gauge.longest = 1750 * time.Millisecond
	see(3700*time.Millisecond, 0, 3)
	var got []string
	for _, e := range w.events {
		got = append(got, e.text)
	}
	want := []string{
		"director1 loses its power",
		"director2 is master after 1.70 s: no advert from 10.77.1.1 for 1.7s",
		"2 requests failed, longest gap 1.75 s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if len(w.moves) != 1 || w.moves[0].text() != "director1 loses its power: director2 was master after 1.70 s; 2 requests failed, longest gap 1.75 s" {
		t.Errorf("moves = %+v", w.moves)
	}
}

func TestWatcherSummary(t *testing.T) {
	s := fakeScreen()
	w := watcher{plan: s.plan, total: s.total, outages: []outage{{server: 1, stopped: true, took: 1700 * time.Millisecond, failed: 3}}}
	golden(t, "interactive-summary.txt", w.summary())
}

// fakeFacts are those of a story in which one claim did not hold.
func fakeFacts() facts {
	f := emptyFacts(testPlan())
	f.terms, f.removed = testTerms, true
	f.out, f.back = passage{1620 * time.Millisecond, true}, passage{700 * time.Millisecond, true}
	for range 3 {
		for i := range f.plan.servers {
			f.downloads = append(f.downloads, download{server: serverName(i), across: true})
		}
	}
	for n, p := range f.phases {
		for i := range 6 * serverCount {
			o := outcome{service: i % 2, server: serverName(i / 2 % serverCount)}
			if n == phaseDying && o.server == serverName(victim) {
				o = outcome{service: o.service, failure: "connection refused"}
			}
			if n == phaseDead && o.server == serverName(victim) || n == phaseDrained && o.server == serverName(drainee) {
				continue
			}
			p.add(o)
		}
	}
	f.made, f.counted, f.settled = []uint64{80, 80}, []uint64{80, 79}, true
	f.start = fakeStatus()
	f.lives = []life{{first, fakeStatus()}, {second, fakeStatus()}}
	f.cut, f.home, f.stop = fakeHandover(1700), fakeHandover(1600), fakeHandover(310)
	f.cut.downloads = []download{{server: "server1", err: io.EOF}, {server: "server2"}}
	return f
}

func fakeHandover(took time.Duration) handover {
	return handover{
		passage: passage{took * time.Millisecond, true}, terms: took*time.Millisecond + 50*time.Millisecond, answers: true,
		atMost: took*time.Millisecond + 2050*time.Millisecond, gap: took*time.Millisecond + 10*time.Millisecond,
	}
}

func TestReport(t *testing.T) {
	r := fakeFacts().report(nil)
	r.Started, r.Seconds = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 22.4
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", text.String())
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", string(encoded)+"\n")
}

func TestReportOfAStoryThatEndedEarly(t *testing.T) {
	r := emptyFacts(testPlan()).report(errors.New("the daemon ended (exit status 11)"))
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(encoded), "null") {
		t.Errorf("a list is null:\n%s", encoded)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(text.String(), "\nThe demo ended early: the daemon ended (exit status 11)\n") || strings.Contains(text.String(), "  held ") {
		t.Errorf("summary:\n%s", &text)
	}
}

func TestModes(t *testing.T) {
	native := api.Interface{Name: "eth0", Mode: "native"}
	tests := []struct {
		interfaces []api.Interface
		want       string
	}{
		{nil, ""},
		{[]api.Interface{native}, "native on eth0"},
		{[]api.Interface{native, {Name: "eth1", Mode: "native"}}, "native on eth0 and eth1"},
		{[]api.Interface{native, {Name: "eth1", Mode: "generic", Reason: "no native mode"}}, "eth0 native, eth1 generic (no native mode)"},
		{[]api.Interface{{Name: "eth0"}}, "eth0 not attached"},
	}
	for _, tt := range tests {
		if got := modes(tt.interfaces); got != tt.want {
			t.Errorf("modes(%v) = %q, want %q", tt.interfaces, got, tt.want)
		}
	}
}
