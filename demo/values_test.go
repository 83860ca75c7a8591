package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
)

// TestConfigSaysWhoIsMaster reads the file as each director does.
func TestConfigSaysWhoIsMaster(t *testing.T) {
	p := testPlan()
	path := writeFile(t, p.configText(p.evenWeights()))
	var got []string
	for _, d := range p.directors {
		c, err := config.Load(path, config.Options{ConfigID: d.name})
		if err != nil || len(c.Diagnostics) != 0 {
			t.Fatalf("Load = %v, diagnostics %v", err, c.Diagnostics)
		}
		for _, i := range c.VRRP.Instances {
			line := fmt.Sprintf("%s %s %s %d v%d every %s:", d.name, i.Name, i.Interface, i.Priority, i.Version, i.Interval)
			for _, a := range i.Addresses {
				line += " " + a.Prefix.String()
			}
			got = append(got, line)
		}
		for _, g := range c.VRRP.Groups {
			got = append(got, fmt.Sprint(g.Name, " ", g.Members))
		}
	}
	want := []string{
		"director1 outside eth0 150 v3 every 500ms: 10.77.1.100/32",
		"director1 inside eth1 150 v3 every 500ms: 10.77.2.100/32 10.77.2.254/32",
		"both [outside inside]",
		"director2 outside eth0 100 v3 every 500ms: 10.77.1.100/32",
		"director2 inside eth1 100 v3 every 500ms: 10.77.2.100/32 10.77.2.254/32",
		"both [outside inside]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
}

// writeFile writes a configuration and returns its path.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := t.TempDir() + "/keepalived.conf"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigSaysWhatThePlanDoes(t *testing.T) {
	p := testPlan()
	path := writeFile(t, p.configText(p.drained(2)))
	c, err := config.Load(path, config.Options{})
	if err != nil || len(c.Diagnostics) != 0 {
		t.Fatalf("Load = %v, diagnostics %v", err, c.Diagnostics)
	}
	var got []string
	for _, s := range c.Services {
		for _, r := range s.Servers {
			got = append(got, fmt.Sprintf("%s %s %s %s w%d %d checks", s.Key, s.Scheduler, r.Addr, r.Forward, r.Weight, len(r.Checks)))
		}
	}
	want := []string{
		"[10.77.2.100]:tcp:80 rr 10.77.2.11:80 DR w1 1 checks",
		"[10.77.2.100]:tcp:80 rr 10.77.2.12:80 DR w1 1 checks",
		"[10.77.2.100]:tcp:80 rr 10.77.2.13:80 DR w0 1 checks",
		"[10.77.1.100]:tcp:80 rr 10.77.2.11:80 NAT w1 1 checks",
		"[10.77.1.100]:tcp:80 rr 10.77.2.12:80 NAT w1 1 checks",
		"[10.77.1.100]:tcp:80 rr 10.77.2.13:80 NAT w0 1 checks",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}

func TestTermsComeFromTheFile(t *testing.T) {
	p := testPlan()
	load := func(text string) (terms, error) {
		p.dir = filepath.Dir(writeFile(t, text))
		return loadTerms(p)
	}
	got, err := load(p.configText(p.evenWeights()))
	if err != nil || got != testTerms {
		t.Errorf("terms = %+v, %v, want %+v", got, err, testTerms)
	}
	for name, text := range map[string]string{
		"no election": strings.ReplaceAll(p.configText(p.evenWeights()), p.vrrpText(), ""),
		"no check":    p.vrrpText() + "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind DR\n real_server 10.0.0.2 80 {\n }\n}\n",
		"not well":    p.configText(p.evenWeights()) + "virtual_sever 1.2.3.4 80 {\n}\n",
	} {
		if got, err := load(text); err == nil {
			t.Errorf("%s: terms = %+v and no error", name, got)
		}
	}
}

func TestCheckTerms(t *testing.T) {
	tests := []struct {
		name  string
		check model.Check
		want  terms
	}{
		{"defaults", model.Check{DelayLoop: time.Minute, ConnectTimeout: 5 * time.Second, Retry: 1, DelayBeforeRetry: time.Second},
			terms{down: 63*time.Second + 2*5*time.Second + time.Second, up: 63*time.Second + 5*time.Second}},
		{"no retry", model.Check{DelayLoop: time.Second, ConnectTimeout: 2 * time.Second, DelayBeforeRetry: time.Hour},
			terms{down: 1050*time.Millisecond + 2*time.Second, up: 1050*time.Millisecond + 2*time.Second}},
	}
	for _, tt := range tests {
		if got := checkTerms(tt.check); got != tt.want {
			t.Errorf("%s: terms = %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestFailureOf(t *testing.T) {
	deep := func(err error) error {
		return fmt.Errorf("Get: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)})
	}
	tests := []struct {
		err  error
		want string
	}{
		{deep(syscall.ECONNREFUSED), "connection refused"},
		{deep(syscall.ECONNRESET), "connection reset"},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), "closed before the answer was complete"},
		{io.EOF, "closed before the answer was complete"},
		{deep(syscall.EHOSTUNREACH), "no route to host"},
		{context.DeadlineExceeded, "no answer in 5s"},
		{deep(syscall.ETIMEDOUT), "no answer in 5s"},
		{errors.New("answer 500 Internal Server Error"), "answer 500 Internal Server Error"},
	}
	for _, tt := range tests {
		if got := failureOf(tt.err, 5*time.Second); got != tt.want {
			t.Errorf("failureOf(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestTrafficKeepsItsBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStage{}
		tr := traffic{ask: slow.Request, services: 2, every: 10 * time.Millisecond, atOnce: 3, timeout: time.Minute}
		total := newTally(2)
		tr.run(t.Context(), 20, nil, total.add)
		if slow.most != 3 {
			t.Errorf("%d requests at once, want 3", slow.most)
		}
		if total.services[0].sent != 10 || total.services[1].sent != 10 {
			t.Errorf("requests to the services: %d and %d, want 10 each", total.services[0].sent, total.services[1].sent)
		}
		stop := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		before := total.sent()
		tr.run(t.Context(), 0, stop, total.add)
		if n := total.sent() - before; n < 3 || n > 6 {
			t.Errorf("%d requests in a second of slow answers, want 3 to 6", n)
		}
		if total.failed() != 0 {
			t.Errorf("failures: %v", total.reasons())
		}
	})
}

// slowStage answers each request after a second and counts those under way.
type slowStage struct {
	fakeStage
	now, most int
}

func (s *slowStage) Request(context.Context, int) (string, error) {
	s.set(func() { s.now++; s.most = max(s.most, s.now) })
	time.Sleep(time.Second)
	s.set(func() { s.now-- })
	return "server1", nil
}

func TestTableOf(t *testing.T) {
	answer := api.Services{Services: []api.Service{
		{Address: "192.0.2.1", Port: 80},
		{Address: "10.77.2.100", Port: 80, Counters: model.Counters{Conns: 7}, Servers: []api.RealServer{
			{Address: "10.77.2.12", Port: 80, InTable: true, Weight: 3, NextHop: &api.NextHop{Resolved: true}, Health: &api.ServerHealth{Alive: true, Reason: "answered"}},
			{Address: "10.77.2.11", Port: 8080, InTable: true},
			{Address: "10.77.2.13", Port: 80, InTable: true, Sorry: true},
		}},
	}}
	want := table{services: []tableService{
		{conns: 7, servers: []tableServer{{}, {inTable: true, resolved: true, weight: 3, alive: true, why: "answered"}, {}}},
		{servers: []tableServer{{}, {}, {}}},
	}}
	got := tableOf(testPlan(), answer)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(table{}, tableService{}, tableServer{})); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if got.allIn() || got.in(1) || got.out(1) || !got.out(0) {
		t.Errorf("allIn %t, in(1) %t, out(1) %t, out(0) %t", got.allIn(), got.in(1), got.out(1), got.out(0))
	}
	if (table{}).allIn() {
		t.Error("an empty table has all servers in it")
	}
	if missing := got.missing(testPlan()); !strings.HasPrefix(missing, "DR server1 is not in the table; DR server3 is not") {
		t.Errorf("missing = %q", missing)
	}
}

func TestChanges(t *testing.T) {
	in := tableServer{inTable: true, resolved: true, weight: 1}
	full := func(change func(*tableServer)) table {
		tb := table{services: []tableService{
			{servers: []tableServer{in, in, in}}, {servers: []tableServer{in, in, in}},
		}}
		change(&tb.services[1].servers[2])
		return tb
	}
	same := full(func(*tableServer) {})
	out := full(func(s *tableServer) { *s = tableServer{why: "connection refused"} })
	tests := []struct {
		name          string
		before, after table
		want          []string
	}{
		{"first look", table{}, same, nil},
		{"nothing", same, same, nil},
		{"out", same, out, []string{"NAT server3 out: connection refused"}},
		{"in", out, same, []string{"NAT server3 in"}},
		{"weight", same, full(func(s *tableServer) { s.weight = 0 }), []string{"NAT server3 weight 0, was 1"}},
		{"next hop", same, full(func(s *tableServer) { s.resolved = false }), []string{"NAT server3 next hop lost"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, changes(testPlan(), tt.before, tt.after)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestSpread(t *testing.T) {
	s := serviceTally{answered: map[string]int{"a": 5, "b": 7, "d": 99}}
	if got := s.spread([]string{"a", "b"}); got != 2 {
		t.Errorf("spread = %d, want 2", got)
	}
	if got := s.spread([]string{"a", "b", "c"}); got != 7 {
		t.Errorf("spread with a server that never answered = %d, want 7", got)
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		DefaultName: true, DefaultName + "-2": true, DefaultName + "-a-b": true,
		"": false, "evenkeel": false, DefaultName + "-": false, DefaultName + "/..": false, "../" + DefaultName: false,
		DefaultName + "x": false, DefaultName + "-A": false, DefaultName + "-a\n": false,
	} {
		if err := checkName(name); (err == nil) != ok {
			t.Errorf("checkName(%q) = %v", name, err)
		}
	}
}

func TestJudgePrivileges(t *testing.T) {
	tests := []struct {
		status string
		want   int
	}{
		{"Name:\tx\nCapEff:\t000001ffffffffff\n", 0},
		{"CapEff:\t0000000000201000\n", 0}, // both and nothing else
		{"CapEff:\t0000000000001000\n", 1},
		{"CapEff:\t00000000a80425fb\n", 2}, // a container's default
		{"", 2},
	}
	for _, tt := range tests {
		var unfit *UnfitError
		err := judgePrivileges(tt.status)
		if errors.As(err, &unfit) != (tt.want > 0) || unfit != nil && len(unfit.Problems) != tt.want {
			t.Errorf("%q: %v, want %d problems", tt.status, err, tt.want)
		}
	}
}

func TestJudgeMachine(t *testing.T) {
	found, err := judgeMachine([]loader.Fact{
		{OK: true, Needed: true, Found: "kernel 6.1"},
		{Found: "no BTF", Fix: "use another kernel"},
	})
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"ok    kernel 6.1", "note  no BTF: use another kernel"}, found); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	_, err = judgeMachine([]loader.Fact{{Needed: true, Found: "no bpffs", Fix: "mount it"}, {Needed: true, Found: "kernel 4.4", Fix: "update"}})
	var unfit *UnfitError
	if !errors.As(err, &unfit) || len(unfit.Problems) != 2 || unfit.Problems[0] != "no bpffs: mount it" {
		t.Errorf("judgeMachine = %v", err)
	}
}

func TestServersFollowOneAnother(t *testing.T) {
	want := []netip.Addr{netip.MustParseAddr("10.77.2.11"), netip.MustParseAddr("10.77.2.12"), netip.MustParseAddr("10.77.2.13")}
	if got := testPlan().servers; !cmp.Equal(got, want, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
		t.Errorf("servers = %v, want %v", got, want)
	}
}
