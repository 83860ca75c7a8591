package demo

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testTerms are those of the demo's own configuration.
var testTerms = terms{
	down: 4050 * time.Millisecond, up: 2050 * time.Millisecond,
	silence: [directorCount]time.Duration{1707031250, 1804687500},
	goodbye: [directorCount]time.Duration{207031250, 304687500},
}

func testPlan() plan { return newPlan(DefaultName, "/sys/fs/bpf", PeerEvenkeel) }

// keepalivedPlan has keepalived for its second director.
func keepalivedPlan() plan { return newPlan(DefaultName, "/sys/fs/bpf", PeerKeepalived) }

// tellStory plays the story on a spoiled stage and returns its facts, as if everything
// had been removed after it, and the transcript.
func tellStory(t *testing.T, spoil func(*fakeStage)) (f facts, transcript string, err error) {
	t.Helper()
	return tellStoryOf(t, testPlan(), spoil)
}

func tellStoryOf(t *testing.T, p plan, spoil func(*fakeStage)) (f facts, transcript string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newFakeStage(p)
		spoil(s)
		var lines strings.Builder
		st := newStory(s.plan, s, testTerms, func(line string) { lines.WriteString(line + "\n") })
		err = st.play(t.Context())
		f, transcript = st.facts, lines.String()
		f.removed = true
	})
	return f, transcript, err
}

func TestStoryHoldsInAWorldThatIsWell(t *testing.T) {
	f, transcript, err := tellStory(t, func(*fakeStage) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.claims() {
		if !c.Held {
			t.Errorf("%s: did not hold: %s", c.Claim, c.Measured)
		}
	}
	for _, want := range []string{
		"   then 180 requests, 180 answered (server1 60, server2 60, server3 60), none failed",
		"   out of the table after 2.00 s; its check allows 4.05 s",
		"   then 180 requests, 180 answered (server1 90, server2 0, server3 90), none failed",
		"   back in the table after 1.00 s; its check allows 2.05 s",
		"   6 of 6 downloads ended whole",
		"   then 180 requests, 180 answered (server1 90, server2 90, server3 0), none failed",
		"   director2 is master after 1.81 s; VRRP's timers take up to 1.80 s",
		"   6 of 6 open downloads broke: the flows of a director die with it",
		"   director1 is master after 1.71 s; VRRP's timers take up to 1.71 s",
		"   director2 is master after 0.31 s; VRRP's timers take up to 0.30 s",
	} {
		if !strings.Contains(transcript, want+"\n") {
			t.Errorf("the transcript lacks %q:\n%s", want, transcript)
		}
	}
	if n := f.phases[phaseDying].failed(); n == 0 || n > 80 {
		t.Errorf("%d requests failed while server2 was dead and in the table, want about 67", n)
	}
}

// TestEachClaimCanFail breaks the world and asks which claims notice.
func TestEachClaimCanFail(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*fakeStage)
		want  []string // the claims that must fail
	}{
		{"lost requests", func(f *fakeStage) { f.lose = 100 }, []string{
			"all servers up: every request is answered",
			"server2 out of the table: every request is answered",
			"server2 returns: every request is answered",
			"server3 drained: every request is answered",
			"weight given back: every request is answered",
		}},
		{"unfair scheduler", func(f *fakeStage) { f.unfair = true }, []string{
			"all servers up: the servers share them within 1",
			"server2 out of the table: the others share them within 1",
			"server2 back in the table: the servers share them within 1",
			"weight given back: the servers share them within 1",
		}},
		{"death never seen", func(f *fakeStage) { f.detect = -1 }, []string{
			"server2 dead: out of the table within its check's terms",
			"server2 out of the table: every request is answered",
		}},
		{"death seen late", func(f *fakeStage) { f.detect = testTerms.down }, []string{
			"server2 dead: out of the table within its check's terms",
		}},
		{"dead server still served", func(f *fakeStage) { f.ghost = true }, []string{
			"server2 out of the table: every request is answered",
		}},
		{"return never seen", func(f *fakeStage) { f.notice = -1 }, []string{
			"server2 returns: back in the table within its check's terms",
			"server2 back in the table: the servers share them within 1",
		}},
		{"return seen late", func(f *fakeStage) { f.notice = testTerms.up }, []string{
			"server2 returns: back in the table within its check's terms",
		}},
		{"reload that stalls", func(f *fakeStage) { f.stall = 200 * time.Millisecond }, []string{
			"reload: every request is answered while the daemon reloads",
		}},
		{"reload that cuts", func(f *fakeStage) { f.cut = true }, []string{
			"reload: every open download ends whole, also from server3",
		}},
		{"weights ignored", func(f *fakeStage) { f.stubborn = true }, []string{
			"server3 drained: it gets no new connection",
		}},
		{"busy backup", func(f *fakeStage) { f.eager = true }, []string{
			"director1 is master: director2 forwards nothing",
		}},
		{"no takeover", func(f *fakeStage) { f.silence[second] = -1 }, []string{
			"director1 loses its power: director2 is master in time",
			"director1 loses its power: the client's longest gap is within that time too",
			"director2 is master: every request is answered",
			"director2 is master: the servers share them within 1",
		}},
		{"late takeover", func(f *fakeStage) { f.silence[second] += slack }, []string{
			"director1 loses its power: director2 is master in time",
			"director1 loses its power: the client's longest gap is within that time too",
		}},
		{"new master that nobody finds for a while", func(f *fakeStage) { f.hush = slack + 2*time.Second }, []string{
			"director1 loses its power: the client's longest gap is within that time too",
			"director1 returns: the client's longest gap is within that time too",
			"director1 stops: the client's longest gap is within that time too",
		}},
		{"new master whose second service is silent", func(f *fakeStage) { f.hush, f.half = time.Hour, true }, []string{
			"director1 loses its power: the client's longest gap is within that time too",
			"director2 is master: every request is answered",
			"director2 is master: the servers share them within 1",
			"director1 is master again: every request is answered",
			"director2 is master again: every request is answered",
		}},
		{"second director that loses requests", func(f *fakeStage) { f.lossy = second }, []string{
			"director2 is master: every request is answered",
			"director2 is master again: every request is answered",
		}},
		{"unfair second director", func(f *fakeStage) { f.dull = second }, []string{
			"director2 is master: the servers share them within 1",
		}},
		{"no return", func(f *fakeStage) { f.silence[first] = -1 }, []string{
			"director1 returns: it is master again in time",
		}},
		{"late return", func(f *fakeStage) { f.silence[first] += slack }, []string{
			"director1 returns: it is master again in time",
		}},
		{"unfair first director", func(f *fakeStage) { f.dull = first }, []string{
			"all servers up: the servers share them within 1",
			"director1 is master again: the servers share them within 1",
		}},
		{"goodbye that nobody hears", func(f *fakeStage) { f.goodbye[second] = -1 }, []string{
			"director1 stops: director2 is master in time",
		}},
		{"late after a goodbye", func(f *fakeStage) { f.goodbye[second] += slack }, []string{
			"director1 stops: director2 is master in time",
		}},
		{"counted wrongly", func(f *fakeStage) { f.miscount = true }, []string{
			"director1 counted each connection that the client made",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, _, err := tellStory(t, tt.spoil)
			if tt.name == "return never seen" {
				// The reload waits for all servers; the story ends there.
				if err == nil {
					t.Error("the story went on")
				}
			} else if err != nil {
				t.Fatal(err)
			}
			failed := make(map[string]bool)
			for _, c := range f.claims() {
				failed[c.Claim] = !c.Held
			}
			for _, want := range tt.want {
				if !failed[want] {
					t.Errorf("the claim %q held", want)
				}
			}
		})
	}
}

// TestPeerKeepalived plays with a second director that cannot balance.
func TestPeerKeepalived(t *testing.T) {
	f, transcript, err := tellStoryOf(t, keepalivedPlan(), func(*fakeStage) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.claims() {
		if !c.Held {
			t.Errorf("%s: did not hold: %s", c.Claim, c.Measured)
		}
	}
	if n := len(f.claims()); n != 27 {
		t.Errorf("%d claims, want 27", n)
	}
	const want = "   then 150 pings of the virtual addresses, 150 answered; requests would be refused: keepalived runs without IPVS here\n"
	if !strings.Contains(transcript, want) {
		t.Errorf("the transcript lacks %q:\n%s", want, transcript)
	}
	if p := f.phases[phaseCut]; p.pings.sent() < 250 || p.pings.failed() < 150 || p.failed() < 150 {
		t.Errorf("%d pings, %d failed; %d requests failed: want that of a second and a half, and more", p.pings.sent(), p.pings.failed(), p.failed())
	}

	f, _, err = tellStoryOf(t, keepalivedPlan(), func(s *fakeStage) { s.deafPings = 50 })
	if err != nil {
		t.Fatal(err)
	}
	failed := make(map[string]bool)
	for _, c := range f.claims() {
		failed[c.Claim] = !c.Held
	}
	for _, want := range []string{
		"director2 is master: every ping of its addresses is answered",
		"director2 is master again: every ping of its addresses is answered",
	} {
		if !failed[want] {
			t.Errorf("the claim %q held", want)
		}
	}
}

// TestClaimsFailAlone asks that what is broken in one place is not blamed on
// others.
func TestClaimsFailAlone(t *testing.T) {
	for name, spoil := range map[string]func(*fakeStage){
		"server2 dead: out of the table within its check's terms":     func(f *fakeStage) { f.detect = testTerms.down },
		"reload: every open download ends whole, also from server3":   func(f *fakeStage) { f.cut = true },
		"director1 counted each connection that the client made":      func(f *fakeStage) { f.miscount = true },
		"director1 is master: director2 forwards nothing":             func(f *fakeStage) { f.eager = true },
		"director1 returns: it is master again in time":               func(f *fakeStage) { f.silence[first] += slack },
		"director1 stops: director2 is master in time":                func(f *fakeStage) { f.goodbye[second] += slack },
		"server3 drained: it gets no new connection":                  func(f *fakeStage) { f.stubborn = true },
		"server2 returns: back in the table within its check's terms": func(f *fakeStage) { f.notice = testTerms.up },
	} {
		f, _, err := tellStory(t, spoil)
		if err != nil {
			t.Fatal(err)
		}
		var failed []string
		for _, c := range f.claims() {
			if !c.Held {
				failed = append(failed, c.Claim)
			}
		}
		if diff := cmp.Diff([]string{name}, failed); diff != "" {
			t.Errorf("claims that fail (-want +got):\n%s", diff)
		}
	}
}

func TestStoryThatBreaksOff(t *testing.T) {
	refused := errors.New("reload: refused: line 3")
	f, _, err := tellStory(t, func(s *fakeStage) { s.reloadErr = refused })
	if !errors.Is(err, refused) {
		t.Fatalf("play = %v, want the error of the reload", err)
	}
	r := f.report(err)
	if r.Held || r.Error != refused.Error() {
		t.Errorf("report: held %t, error %q", r.Held, r.Error)
	}
	for _, c := range r.Claims {
		late := strings.HasPrefix(c.Claim, "server3") || strings.HasPrefix(c.Claim, "weight")
		if late && c.Measured != notReached {
			t.Errorf("%s: %s, want %q", c.Claim, c.Measured, notReached)
		}
		if strings.HasPrefix(c.Claim, "all servers up") && !c.Held {
			t.Errorf("%s: did not hold", c.Claim)
		}
	}
	// Downloads that ran are waited for, whatever happened.
	if len(f.downloads) != 2*downloadsEach {
		t.Errorf("%d downloads are known, want %d", len(f.downloads), 2*downloadsEach)
	}
}

func TestStoryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		st := newStory(testPlan(), newFakeStage(testPlan()), testTerms, func(string) {})
		time.AfterFunc(time.Second, cancel)
		if err := st.play(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("play = %v, want it canceled", err)
		}
		if n := st.facts.phases[phaseAllUp].failed(); n != 0 {
			t.Errorf("%d requests that the end cut short count as failed", n)
		}
	})
}

func TestLeftoversAreAClaim(t *testing.T) {
	f := emptyFacts(testPlan())
	f.removed, f.left = true, []string{"namespace evenkeel-demo-client"}
	if c := f.nothingLeft("nothing"); c.Held || c.Measured != f.left[0] {
		t.Errorf("claim = %+v", c)
	}
	f.removed, f.left = false, nil
	if c := f.nothingLeft("nothing"); c.Held {
		t.Error("nobody looked, and the claim held")
	}
}
