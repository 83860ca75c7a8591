//go:build interop

package conformance

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
)

// TestMain lets many items wait at the same time: they mostly do nothing else.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

// atOnce is how many items run at a time.
const atOnce = 12

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }
func itoa(n int) string { return strconv.Itoa(n) }

// item is one of the checklist.
type item struct {
	number int
	run    func(*probe)
}

// chosen returns the routers to run: evenkeel, or what the variable says.
func chosen() map[string]router {
	all := map[string]router{"evenkeel": evenkeel{}, "keepalived": keepalived{}, "frr": frr{}}
	switch who := os.Getenv("EVENKEEL_CONFORMANCE"); who {
	case "", "us":
		return map[string]router{"evenkeel": evenkeel{}}
	case "all":
		return all
	default:
		return map[string]router{who: all[who]}
	}
}

// TestConformance runs the items and holds what comes out to results.json.
func TestConformance(t *testing.T) {
	need(t, "tshark")
	committed := readResults(t)
	for name, r := range chosen() {
		if r == nil {
			t.Fatalf("EVENKEEL_CONFORMANCE: %q is none of us, keepalived, frr, all", name)
		}
		t.Run(name, func(t *testing.T) {
			got := runItems(t, r)
			if recording() {
				record(t, r, got)
				return
			}
			again(t, r, committed[name], got)
			compare(t, r, committed[name], got)
		})
	}
}

// runItems runs all items.
func runItems(t *testing.T, r router) map[int]outcome {
	var mu sync.Mutex // guards got
	got := make(map[int]outcome)
	seen := newCaptures(t)
	t.Run("items", func(t *testing.T) {
		for _, it := range items() {
			t.Run(fmt.Sprintf("%03d", it.number), func(t *testing.T) {
				t.Parallel()
				v := play(t, r, seen, it.run)
				mu.Lock()
				defer mu.Unlock()
				got[it.number] = v
			})
		}
	})
	return got
}

// again runs each item that came out otherwise than committed up to two times
// more, now one by one: what a busy machine did to it does not come again, what
// the router does differently comes each time.
func again(t *testing.T, r router, want results, got map[int]outcome) {
	t.Helper()
	seen := newCaptures(t)
	for _, it := range items() {
		for range 2 {
			v, ran := got[it.number]
			if !ran || v.Verdict == want.Items[it.number].Verdict {
				break
			}
			t.Logf("item %d: %s %q, once more", it.number, v.Verdict, v.Note)
			t.Run(fmt.Sprintf("%03d again", it.number), func(t *testing.T) { got[it.number] = play(t, r, seen, it.run) })
		}
	}
}

// compare fails the test where a verdict is not the committed one.
func compare(t *testing.T, r router, want results, got map[int]outcome) {
	t.Helper()
	if r.version() != want.Version {
		t.Logf("results are of version %s, this is %s", want.Version, r.version())
	}
	for n, v := range got {
		if w := want.Items[n]; w.Verdict != v.Verdict {
			t.Errorf("item %d: %s %q, results.json says %s %q", n, v.Verdict, v.Note, w.Verdict, w.Note)
		}
	}
}

// record writes the results of a run into the file; those of items that did
// not run stay.
func record(t *testing.T, r router, got map[int]outcome) {
	t.Helper()
	all := readResults(t)
	mine := all[r.name()]
	if mine.Items == nil {
		mine.Items = make(map[int]outcome)
	}
	mine.Version = r.version()
	for n, v := range got {
		mine.Items[n] = v
	}
	all[r.name()] = mine
	writeResults(t, all)
}
