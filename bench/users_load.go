package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evenkeel/evenkeel/bench/figure"
)

// wrkResult is what wrk says of a run.
type wrkResult struct {
	perSecond float64
	p99       float64 // µs
	errors    int
}

// wrkThreads and wrkClients are how many threads wrk has and how many connections in all. Each
// sends its next request with the answer to the last, so that the CPUs are always busy.
const (
	wrkThreads = 2
	wrkClients = 32
)

// wrk loads an address from the client.
func (s *usersSite) wrk(ctx context.Context, seconds int, to netip.AddrPort, more ...string) (wrkResult, error) {
	args := append([]string{fmt.Sprintf("-t%d", wrkThreads), fmt.Sprintf("-c%d", wrkClients),
		fmt.Sprintf("-d%ds", seconds), "--timeout", "5s", "--latency"}, more...)
	cmd := exec.CommandContext(ctx, "wrk", append(args, fmt.Sprintf("http://%s/", to))...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := s.top.Client.Run(cmd); err != nil {
		return wrkResult{}, fmt.Errorf("run wrk: %w: %s", err, &complaint)
	}
	return parseWrk(out.String())
}

// parseWrk reads what wrk prints.
func parseWrk(text string) (wrkResult, error) {
	var r wrkResult
	found := regexp.MustCompile(`Requests/sec:\s+([\d.]+)`).FindStringSubmatch(text)
	late := regexp.MustCompile(`(?m)^\s+99%\s+([\d.]+)(us|ms|s|m)$`).FindStringSubmatch(text)
	if found == nil || late == nil {
		return r, fmt.Errorf("read wrk's output: no result in %q", text)
	}
	var err error
	if r.perSecond, err = strconv.ParseFloat(found[1], 64); err != nil {
		return r, fmt.Errorf("read wrk's output: %w", err)
	}
	if r.p99, err = strconv.ParseFloat(late[1], 64); err != nil {
		return r, fmt.Errorf("read wrk's output: %w", err)
	}
	r.p99 *= map[string]float64{"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}[late[2]]
	for _, n := range regexp.MustCompile(`(?:connect|read|write|timeout) (\d+)`).FindAllStringSubmatch(errorLine(text), -1) {
		more, err := strconv.Atoi(n[1])
		if err != nil {
			return r, fmt.Errorf("read wrk's output: %w", err)
		}
		r.errors += more
	}
	if n := regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`).FindStringSubmatch(text); n != nil {
		more, err := strconv.Atoi(n[1])
		if err != nil {
			return r, fmt.Errorf("read wrk's output: %w", err)
		}
		r.errors += more
	}
	return r, nil
}

func errorLine(text string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, "Socket errors:") {
			return line
		}
	}
	return ""
}

// udpClients is how many clients send datagrams, each waiting for its answer.
const udpClients = 8

// datagrams returns how many datagrams a second are answered. Clients take turns at
// the targets.
func (s *usersSite) datagrams(ctx context.Context, targets []netip.AddrPort, d time.Duration) (float64, error) {
	var answered atomic.Int64
	errs := make([]error, udpClients)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range udpClients {
		to := targets[i%len(targets)].String()
		wg.Go(func() { errs[i] = s.pingPong(ctx, to, began.Add(d), &answered) })
	}
	wg.Wait()
	return float64(answered.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

// pingPong sends a datagram, awaits the answer, and sends the next one. One that is
// lost costs its time.
func (s *usersSite) pingPong(ctx context.Context, to string, end time.Time, answered *atomic.Int64) error {
	c, err := s.top.Client.Dial(ctx, "udp4", to)
	if err != nil {
		return err
	}
	defer c.Close()
	b := make([]byte, 64)
	for time.Now().Before(end) && ctx.Err() == nil {
		if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		if _, err := c.Write(b[:16]); err != nil {
			continue // refused while a server is away
		}
		if _, err := c.Read(b); err == nil {
			answered.Add(1)
		}
	}
	return nil
}

// What is measured of each way.
const (
	requests      = "requests on open connections"
	requestP99    = "requests on open connections, p99"
	connections   = "connections with one request"
	connectionP99 = "connections with one request, p99"
	errorsSeen    = "failed requests and connections"
	udpRoundTrips = "UDP, answered datagrams"
)

// usersFigures collects figures by what and way.
type usersFigures struct{ figures []figure.Figure }

func newUsersFigures() *usersFigures {
	m := &usersFigures{}
	for _, what := range []struct {
		name, unit string
		more       bool
	}{
		{requests, "1/s", true}, {requestP99, "µs", false}, {connections, "1/s", true},
		{connectionP99, "µs", false}, {errorsSeen, "", false}, {udpRoundTrips, "1/s", true},
	} {
		for _, way := range ways() {
			m.figures = append(m.figures, figure.Figure{
				Level: figure.Users, Name: usersName(what.name, way), Unit: what.unit, More: what.more,
			})
		}
	}
	return m
}

func usersName(what string, way users) string { return what + ": " + way.name }

func (m *usersFigures) add(way users, values map[string]float64) {
	for what, v := range values {
		for i := range m.figures {
			if m.figures[i].Name == usersName(what, way) {
				m.figures[i].Values = append(m.figures[i].Values, v)
			}
		}
	}
}

// all returns the figures, each beside that of the first way.
func (m *usersFigures) all() []figure.Figure {
	n := len(ways())
	for i := range m.figures {
		if first := i - i%n; first != i {
			m.figures[i].Beside, m.figures[i].Yardstick = ways()[0].name, m.figures[first].Values
		}
	}
	return m.figures
}
