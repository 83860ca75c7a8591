//go:build interop

package conformance

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// probe is one item at work on one router. What would fail a test is noted
// instead: a router that differs is a result.
type probe struct {
	testing.TB
	router router
	seen   *captures

	mu       sync.Mutex // guards the fields below
	found    []string
	missing  string // what the router has no option for
	finished bool
}

// play runs an item to its end.
func play(t testing.TB, r router, seen *captures, run func(*probe)) outcome {
	p := &probe{TB: t, router: r, seen: seen}
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(p)
	}()
	<-done
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished = true
	switch {
	case len(p.found) > 0:
		return outcome{differs, firstLine(p.found[0])}
	case p.missing != "":
		return outcome{noOption, p.missing}
	}
	return outcome{Verdict: holds}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func (p *probe) note(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.finished {
		p.TB.Error(s) // cleaning up
		return
	}
	p.found = append(p.found, s)
	p.TB.Log(p.router.name() + ": " + s)
}

// The methods of testing.TB that end or fail a test.

func (p *probe) Errorf(format string, args ...any) { p.note(fmt.Sprintf(format, args...)) }
func (p *probe) Error(args ...any)                 { p.note(strings.TrimSpace(fmt.Sprintln(args...))) }
func (p *probe) Fatalf(format string, args ...any) { p.Errorf(format, args...); p.FailNow() }
func (p *probe) Fatal(args ...any)                 { p.Error(args...); p.FailNow() }
func (p *probe) FailNow()                          { runtime.Goexit() }

func (p *probe) Failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.found) > 0 || p.TB.Failed()
}

// lacks ends the item: the router has no such option.
func (p *probe) lacks(format string, args ...any) {
	p.mu.Lock()
	p.missing = fmt.Sprintf(format, args...)
	p.mu.Unlock()
	runtime.Goexit()
}

func (p *probe) check(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// patience is how long what must come may take. It is no measure: a machine
// may be busy.
const patience = 90 * time.Second

// until waits for what must come.
func (p *probe) until(what string, ok func() bool) {
	p.Helper()
	if !soon(ok) {
		p.Fatalf("waited in vain: %s", what)
	}
}

func soon(ok func() bool) bool {
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
