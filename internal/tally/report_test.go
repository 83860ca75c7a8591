package main

import (
	"strings"
	"testing"
)

func TestPackageLog(t *testing.T) {
	var out strings.Builder
	printPackage(&out, replay(t, "mixed"))
	const want = `FAIL mixed                       0.50s  6 passed, 2 failed, 1 skipped
  FAIL mixed TestTable/bad
        x_test.go:8: got 1, want 2
  FAIL mixed TestOwnFailure
        x_test.go:13: after the subtests
`
	if out.String() != want {
		t.Errorf("log is\n%swant\n%s", &out, want)
	}
}

func TestSummaryEndsWithTheCounts(t *testing.T) {
	var out strings.Builder
	if code := summary(&out, replay(t, "mixed").results); code != 1 {
		t.Errorf("exit code = %d, want 1", code)
	}
	const want = `
skipped:
  mixed TestNeedsRoot (unit): needs root: uid is 1000

failed:
  mixed TestTable/bad (unit): x_test.go:8: got 1, want 2
  mixed TestOwnFailure (unit): x_test.go:13: after the subtests

6 passed, 2 failed, 1 skipped
`
	if out.String() != want {
		t.Errorf("summary is\n%swant\n%s", &out, want)
	}
}

func TestSummaryOfSuccess(t *testing.T) {
	var out strings.Builder
	if code := summary(&out, replay(t, "good").results); code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
	if want := "\n3 passed, 0 failed, 0 skipped\n"; out.String() != want {
		t.Errorf("summary is %q, want %q", &out, want)
	}
}

func TestSkipsInCI(t *testing.T) {
	skip := func(test string) result {
		return result{pkg: module + "loader", test: test, outcome: skipped, text: "needs a thing"}
	}
	results := []result{skip("TestA"), skip("TestB")}
	failUnexcusedSkips(results, []excuse{{pkg: "loader", test: "TestB", because: "no machine has it"}})
	if results[0].outcome != failed || !strings.Contains(results[0].text, "needs a thing") {
		t.Errorf("TestA is %s (%q), want failed with its reason", results[0].outcome, results[0].text)
	}
	if results[1].outcome != skipped {
		t.Errorf("TestB is %s, want skipped: it is excused", results[1].outcome)
	}
}
