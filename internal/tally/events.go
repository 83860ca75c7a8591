package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is one line of go test -json (see go doc test2json); the build events
// carry ImportPath in place of Package.
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	Elapsed     float64 // seconds
	FailedBuild string
}

type outcome int

const (
	unfinished outcome = iota
	passed
	failed
	skipped
)

// String returns the word of the counts.
func (o outcome) String() string {
	return [...]string{"unfinished", "passed", "failed", "skipped"}[o]
}

// result is what one counted test did. A failure of a whole package has no
// test name.
type result struct {
	tier, pkg, test string
	outcome         outcome
	// text is the output of a failure, the reason of a skip.
	text string
}

// name returns the package inside the module and the test.
func (r result) name() string {
	return strings.TrimSuffix(short(r.pkg)+" "+r.test, " ")
}

// packageRun is a package whose tests have ended.
type packageRun struct {
	pkg     string
	seconds float64
	results []result
	// notes is what failed tests with subtests, and a failed package, said
	// beside the results.
	notes []string
}

func (p packageRun) count(o outcome) int {
	n := 0
	for _, r := range p.results {
		if r.outcome == o {
			n++
		}
	}
	return n
}

func (p packageRun) failed() bool { return p.count(failed) > 0 }

// testRun gathers the events of one test, or of the package itself.
type testRun struct {
	outcome     outcome
	output      []string
	parent      bool
	childFailed bool
}

// collector turns events into results, package by package.
type collector struct {
	tier string
	// done is told of each package that has ended.
	done func(packageRun)

	packages map[string]*packageEvents
	builds   map[string][]string
	// stray holds lines that are no events.
	stray []string
}

type packageEvents struct {
	whole testRun
	tests map[string]*testRun
	order []string
}

func newCollector(tier string, done func(packageRun)) *collector {
	return &collector{
		tier: tier, done: done,
		packages: make(map[string]*packageEvents),
		builds:   make(map[string][]string),
	}
}

// read takes events until r ends. A package that has not ended by then did not
// get to its end: go test died.
func (c *collector) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			c.line(line)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.packages)) {
		c.end(event{Action: "fail", Package: name})
	}
	return nil
}

func (c *collector) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		c.stray = append(c.stray, string(line))
		return
	}
	switch {
	case e.Action == "build-output":
		c.builds[e.ImportPath] = append(c.builds[e.ImportPath], e.Output)
	case e.Package == "":
		// A build event: its package event follows.
	case e.Test == "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip"):
		c.end(e)
	default:
		c.test(e)
	}
}

// test takes an event of a test, or output of the package itself.
func (c *collector) test(e event) {
	p := c.events(e.Package)
	t := &p.whole
	if e.Test != "" {
		t = p.test(e.Test)
	}
	switch e.Action {
	case "output":
		t.output = append(t.output, e.Output)
	case "pass":
		t.outcome = passed
		t.output = nil
	case "skip":
		t.outcome = skipped
	case "fail":
		t.outcome = failed
	}
}

func (c *collector) events(pkg string) *packageEvents {
	p := c.packages[pkg]
	if p == nil {
		p = &packageEvents{tests: make(map[string]*testRun)}
		c.packages[pkg] = p
	}
	return p
}

func (p *packageEvents) test(name string) *testRun {
	t := p.tests[name]
	if t == nil {
		t = &testRun{}
		p.tests[name] = t
		p.order = append(p.order, name)
	}
	return t
}

// end closes a package and hands on its results.
func (c *collector) end(e event) {
	p := c.events(e.Package)
	delete(c.packages, e.Package)
	p.relate()

	run := packageRun{pkg: e.Package, seconds: e.Elapsed}
	for _, name := range p.order {
		t := p.tests[name]
		r := t.result()
		r.tier, r.pkg, r.test = c.tier, e.Package, name
		switch {
		case t.counted():
			run.results = append(run.results, r)
		case r.outcome == failed:
			run.notes = append(run.notes, join(t.output))
		}
	}
	if e.Action == "fail" {
		text := join(c.builds[e.FailedBuild]) + join(p.whole.output)
		if run.failed() {
			run.notes = append(run.notes, text)
		} else {
			whole := result{tier: c.tier, pkg: e.Package, outcome: failed, text: text}
			run.results = append(run.results, whole)
		}
	}
	c.done(run)
}

// result returns the outcome and its text. A test that never ended failed: the
// process died in it.
func (t *testRun) result() result {
	switch t.outcome {
	case passed:
		return result{outcome: passed}
	case skipped:
		return result{outcome: skipped, text: skipReason(t.output)}
	case failed:
		return result{outcome: failed, text: join(t.output)}
	case unfinished:
	}
	return result{outcome: failed, text: join(t.output) + "did not finish\n"}
}

// relate tells each test whether it has subtests, and failed ones.
func (p *packageEvents) relate() {
	for _, name := range p.order {
		t := p.tests[name]
		for at := range len(name) {
			if name[at] != '/' {
				continue
			}
			if up := p.tests[name[:at]]; up != nil {
				up.parent = true
				up.childFailed = up.childFailed || t.outcome == failed || t.outcome == unfinished
			}
		}
	}
}

// counted reports whether the test is one to count: it has no subtests, or it
// failed and none of them did.
func (t *testRun) counted() bool {
	if !t.parent {
		return true
	}
	return !t.childFailed && (t.outcome == failed || t.outcome == unfinished)
}

// join puts output lines together without the frame that go test draws.
func join(output []string) string {
	var b strings.Builder
	for _, line := range output {
		if !frame(line) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func frame(line string) bool {
	line = strings.TrimLeft(line, " ")
	for _, prefix := range []string{"=== ", "--- FAIL", "--- SKIP", "--- PASS", "FAIL\t", "ok  \t", "coverage: "} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return line == "FAIL\n" || line == "PASS\n" || line == "exit status 1\n"
}

// skipReason returns what the test said last, without the place in the source:
// "    net_test.go:7: needs root" becomes "needs root".
func skipReason(output []string) string {
	said := join(output)
	place := regexp.MustCompile(`(?m)^\s*[^\s:]+\.go:\d+: `)
	if at := place.FindAllStringIndex(said, -1); at != nil {
		said = said[at[len(at)-1][1]:]
	}
	if reason := strings.Join(strings.Fields(said), " "); reason != "" {
		return reason
	}
	return "no reason given"
}
