//go:build interop

package health

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

// trace notes what a server saw: for each try a letter for the pause before it
// (l delay_loop, r delay_before_retry, 0 none, - the first) and the path.
type trace struct {
	script string
	mu     sync.Mutex // guards what follows
	last   time.Time
	seen   []string
}

// next notes a try and says what the server is to do: s succeed, f fail.
func (tr *trace) next(path string) byte {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	pause, now := "-", time.Now()
	if !tr.last.IsZero() {
		switch gap := now.Sub(tr.last); {
		case gap < tracePause/2:
			pause = "0"
		case gap < (tracePause+tracePeriod)/2:
			pause = "r"
		default:
			pause = "l"
		}
	}
	tr.last = now
	n := len(tr.seen)
	tr.seen = append(tr.seen, pause+path)
	return tr.script[min(n, len(tr.script)-1)]
}

func (tr *trace) text() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return strings.Join(tr.seen[:min(len(tr.seen), len(tr.script))], " ")
}

// settled says whether the script is over and nothing more comes of its last
// letter: no script here has more than two retries.
func (tr *trace) settled() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.seen) >= len(tr.script)+4
}

const (
	tracePeriod = 3 * time.Second
	tracePause  = 1200 * time.Millisecond
)

// serveTrace answers checks of a kind as the trace says.
func serveTrace(t *testing.T, kind model.CheckKind, tr *trace) netip.AddrPort {
	switch kind {
	case model.HTTPGet:
		return serve(t, func(conn net.Conn, _ <-chan struct{}) {
			path := strings.Fields(readRequest(conn) + " - -")[1]
			status := map[byte]string{'s': "200 OK", 'f': "503 No"}[tr.next(path)]
			fmt.Fprintf(conn, "HTTP/1.0 %s\r\n\r\n", status)
		})
	case model.SMTPCheck:
		return serve(t, func(conn net.Conn, stop <-chan struct{}) {
			banner := map[byte]string{'s': "220 mail\r\n", 'f': "554 no\r\n"}[tr.next("")]
			mail(nil, banner, "250 hello\r\n", "221 bye\r\n")(conn, stop)
		})
	case model.DNSCheck:
		return serveUDP(t, func(q []byte) [][]byte {
			return [][]byte{answerDNS(q, map[byte]byte{'s': 0, 'f': 2}[tr.next("")])}
		})
	case model.UDPCheck:
		return serveUDP(t, func([]byte) [][]byte { return [][]byte{{tr.next("")}} })
	default:
		t.Fatalf("no server for %s", kind)
	}
	return netip.AddrPort{}
}

// rhythm is a check and what its server does at each try: s succeeds, f fails,
// and the last letter for ever.
type rhythm struct {
	name   string
	check  model.Check
	script string
}

func rhythms() []rhythm {
	urls := func(fast bool, paths ...string) *model.HTTPSpec {
		h := &model.HTTPSpec{FastRecovery: fast}
		for _, p := range paths {
			h.URLs = append(h.URLs, model.URL{Path: "/" + p})
		}
		return h
	}
	wanted := &model.UDPSpec{RequireReply: true, Reply: []byte("s"), MaxReply: 255}
	return []rhythm{
		{"one url", model.Check{Kind: model.HTTPGet, Retry: 1, HTTP: urls(false, "a")}, "ssffsss"},
		{"first failure", model.Check{Kind: model.HTTPGet, Retry: 2, HTTP: urls(false, "a", "b")}, "sfsssff"},
		{"two urls", model.Check{Kind: model.HTTPGet, Retry: 1, HTTP: urls(false, "a", "b")}, "sssffsss"},
		{"another url fails on the way up", model.Check{Kind: model.HTTPGet, HTTP: urls(false, "a", "b")}, "ssfssfss"},
		{"alpha", model.Check{Kind: model.HTTPGet, Alpha: true, Retry: 1, HTTP: urls(false, "a", "b")}, "sssffs"},
		{"alpha fails first", model.Check{Kind: model.HTTPGet, Alpha: true, Retry: 1, HTTP: urls(false, "a")}, "fssfff"},
		{"fast_recovery", model.Check{Kind: model.HTTPGet, Retry: 1, HTTP: urls(true, "a", "b", "c")}, "ssssffsssss"},
		{"fast_recovery of alpha", model.Check{Kind: model.HTTPGet, Alpha: true, HTTP: urls(true, "a", "b")}, "sssfsss"},
		{"smtp", model.Check{Kind: model.SMTPCheck, Retry: 1}, "ffffsffs"},
		{"smtp alpha", model.Check{Kind: model.SMTPCheck, Alpha: true, Retry: 1}, "ffsfffs"},
		{"dns", model.Check{Kind: model.DNSCheck, Retry: 2, DNS: &model.DNSSpec{}}, "sfffffs"},
		{"dns first failure", model.Check{Kind: model.DNSCheck, Retry: 2, DNS: &model.DNSSpec{}}, "ffsffs"},
		{"udp", model.Check{Kind: model.UDPCheck, Retry: 1, UDP: wanted}, "sfffsfs"},
		{"udp alpha", model.Check{Kind: model.UDPCheck, Alpha: true, Retry: 1, UDP: wanted}, "ffsffs"},
	}
}

// ourTurns runs our checkers until the test of keepalived ends. stop returns
// what became of each target, as peer.turns does.
func ourTurns(ctx context.Context, targets []Target) (stop func() []string) {
	ctx, cancel := context.WithCancel(ctx)
	r := New(targets, Options{Prober: NewCheckers(CheckersOptions{})})
	became := make([]string, len(targets))
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	running.Go(func() {
		up := make([]bool, len(targets))
		for i, target := range targets {
			up[i] = !target.Checks[0].Alpha
		}
		for {
			select {
			case v := <-r.Verdicts():
				if i := v.Server.Port() - 1; up[i] != v.Up {
					up[i] = v.Up
					became[i] += map[bool]string{true: "u", false: "d"}[v.Up]
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() []string {
		cancel()
		running.Wait()
		return became
	}
}

// compareRhythms shows the same servers to keepalived and to us, and returns
// what differs.
func compareRhythms(t *testing.T) (differences []string) {
	var theirs, ours []*trace
	var checks []model.Check
	var targets []Target
	for i, tt := range rhythms() {
		c := tt.check
		c.ConnectTimeout, c.DelayLoop, c.DelayBeforeRetry = 5*time.Second, tracePeriod, tracePause
		them, us := &trace{script: tt.script}, &trace{script: tt.script}
		theirs, ours = append(theirs, them), append(ours, us)
		c.ConnectTo = serveTrace(t, c.Kind, them)
		checks = append(checks, c)
		c.ConnectTo = serveTrace(t, c.Kind, us)
		server := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(i+1))
		service := model.ServiceKey{Protocol: model.TCP, Addr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), server.Port())}
		targets = append(targets, Target{Service: service, Server: server, Checks: []model.Check{c}})
	}
	stop := ourTurns(t.Context(), targets)
	k := startKeepalived(t, checks)
	await(func() bool {
		return !slices.ContainsFunc(append(theirs, ours...), func(tr *trace) bool { return !tr.settled() })
	})
	got := k.turns()
	k.stop()
	became := stop()
	for i, tt := range rhythms() {
		about := tt.name + ", " + tt.script
		if diff := cmp.Diff(theirs[i].text(), ours[i].text()); diff != "" {
			differences = append(differences, fmt.Sprintf("%s: tries (-keepalived +ours):\n%s", about, diff))
		}
		if became[i] != got[i] {
			differences = append(differences, fmt.Sprintf("%s: became %q, keepalived's %q", about, became[i], got[i]))
		}
		t.Logf("%s: %s; %s", about, theirs[i].text(), got[i])
	}
	return differences
}

// The same servers are tried in the same order and rhythm by keepalived, and go
// up and down at the same tries. A loaded machine may hold up either of the two
// by more than the pauses differ: what differs is looked at again.
func TestRhythmOfKeepalived(t *testing.T) {
	for try := 1; ; try++ {
		differences := compareRhythms(t)
		if len(differences) == 0 {
			return
		}
		text := strings.Join(differences, "\n")
		if try == 3 {
			t.Fatal(text)
		}
		t.Logf("run %d, which is made again:\n%s", try, text)
	}
}
