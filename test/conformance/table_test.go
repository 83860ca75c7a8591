package conformance

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const (
	document = "../../docs/vrrp-conformance.md"
	begin    = "<!-- begin results -->\n"
	end      = "<!-- end results -->\n"
)

// recording says whether this run writes results anew.
func recording() bool { return os.Getenv("EVENKEEL_CONFORMANCE_RECORD") != "" }

// TestTable holds the table in the document to the results of the last recorded
// run.
func TestTable(t *testing.T) {
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	head, rest, ok := strings.Cut(text, begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the results", document)
	}
	want := head + begin + table(t) + end + tail
	if text == want {
		return
	}
	if !recording() {
		t.Fatalf("%s does not show what %s says; write it with EVENKEEL_CONFORMANCE_RECORD=1", document, resultsFile)
	}
	if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// table returns the results as a table.
func table(t testing.TB) string {
	t.Helper()
	all := readResults(t)
	var b strings.Builder
	fmt.Fprintf(&b, "| # | level | evenkeel | keepalived %s | FRR %s | notes |\n|---|---|---|---|---|---|\n",
		strings.TrimPrefix(all["keepalived"].Version, "v"), all["frr"].Version)
	for n, level := range levels() {
		n++
		if where, ok := elsewhere()[n]; ok {
			fmt.Fprintf(&b, "| %d | %s | – | – | – | %s |\n", n, level, where)
			continue
		}
		var notes []string
		fmt.Fprintf(&b, "| %d | %s |", n, level)
		for _, who := range []string{"evenkeel", "keepalived", "frr"} {
			r, ok := all[who].Items[n]
			if !ok {
				t.Errorf("item %d was not run against %s, and nothing says why", n, who)
			}
			fmt.Fprintf(&b, " %s |", r.Verdict)
			if r.Verdict != holds {
				notes = append(notes, name(who)+": "+note(who, n, r))
			}
		}
		fmt.Fprintf(&b, " %s |\n", strings.Join(notes, ". "))
	}
	return b.String()
}

func name(who string) string {
	if who == "frr" {
		return "FRR"
	}
	return who
}

func note(who string, n int, r outcome) string {
	if words, ok := said()[who][n]; ok {
		return words
	}
	return strings.ReplaceAll(r.Note, "|", "/")
}

// TestMustsHold: what the RFCs ask for holds for evenkeel, or a note says why
// not.
func TestMustsHold(t *testing.T) {
	ours := readResults(t)["evenkeel"].Items
	for n, level := range levels() {
		n++
		if level != "M" && level != "S" || elsewhere()[n] != "" || ours[n].Verdict == holds {
			continue
		}
		if said()["evenkeel"][n] == "" {
			t.Errorf("item %d: %s, and nothing says why", n, ours[n].Verdict)
		}
	}
}

// TestNotes: a note is about something that differs.
func TestNotes(t *testing.T) {
	all := readResults(t)
	if len(levels()) != 152 {
		t.Errorf("%d levels, want 152", len(levels()))
	}
	for who, notes := range said() {
		for n := range notes {
			if all[who].Items[n].Verdict == holds {
				t.Errorf("%s holds item %d, but a note says what differs", who, n)
			}
		}
	}
}
