package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/loader"
)

// source is a Source of fixed values.
type source struct {
	status  api.Status
	flows   []api.Flow
	flowErr error
	load    api.Load
	err     error
	stops   chan bool
	block   chan struct{}
}

func (s *source) Status(ctx context.Context) (api.Status, error) {
	if s.block != nil {
		select {
		case <-s.block:
		case <-ctx.Done():
			return api.Status{}, ctx.Err()
		}
	}
	return s.status, s.err
}

func (s *source) Services(context.Context) (api.Services, error) {
	return api.Services{Daemon: true, Services: []api.Service{{Service: "[192.0.2.1]:tcp:80"}}}, s.err
}
func (s *source) Checks(context.Context) (api.Checks, error) {
	return api.Checks{MaxInFlight: 7}, s.err
}
func (s *source) VRRP(context.Context) (api.VRRP, error) {
	return api.VRRP{Instances: []api.VRRPInstance{{Interface: "eth0"}}}, s.err
}
func (s *source) Config(context.Context) (api.Config, error) {
	return api.Config{Running: s.load}, s.err
}

func (s *source) Explain(_ context.Context, p loader.Packet) (loader.Explanation, error) {
	return loader.Explanation{
		Protocol: p.Protocol.String(), Source: p.Source.String(), Destination: p.Destination.String(),
		Flags: p.Flags, Interface: p.Interface, Kind: loader.KindNew,
	}, s.err
}

func (s *source) Flows(_ context.Context, yield func(api.Flow) bool) error {
	for _, f := range s.flows {
		if !yield(f) {
			return nil
		}
	}
	return s.flowErr
}

func (s *source) Reload(_ context.Context, cause string) (api.Load, error) {
	load := s.load
	load.Cause = cause
	return load, s.err
}

func (s *source) Diff(_ context.Context, file string) (api.Diff, error) {
	return api.Diff{File: file, Refused: s.load.Error, Changes: []api.Change{{Action: "add server", Object: "x", Datapath: "xdp"}}}, s.err
}

func (s *source) Move(_ context.Context, q api.MoveRequest) (api.Move, error) {
	return api.Move{Service: q.Service, From: "xdp", To: q.Datapath, Flows: 7, Arrived: 7}, s.err
}

func (s *source) Stop(_ context.Context, keep bool, _ string) (api.StopResult, error) {
	if s.stops != nil {
		s.stops <- keep
	}
	return api.StopResult{Removed: !keep}, s.err
}

// serve runs a server on a socket of its own and returns its path, and the
// function that ends it and returns what Run did.
func serve(t *testing.T, o api.Options) (path string, stop func() error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "run", "ek.sock")
	l, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- api.NewServer(o).Run(ctx, l) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("end of the server: %v", err)
		}
	})
	return path, stop
}

func TestClientReadsWhatTheSourceGives(t *testing.T) {
	want := api.Status{
		Version: "1", PID: 42, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), State: "running",
		Reasons: []api.Reason{{Number: 10, Name: "no_service", Verdict: "pass", Packets: 1 << 60}},
	}
	src := &source{status: want, load: api.Load{OK: true, Services: 3}}
	path, _ := serve(t, api.Options{Source: src})
	c, ctx := api.NewClient(path), t.Context()

	status, err := c.Status(ctx)
	if diff := cmp.Diff(want, status); err != nil || diff != "" {
		t.Errorf("status, %v (-want +got):\n%s", err, diff)
	}
	if got, err := c.Services(ctx); err != nil || len(got.Services) != 1 || !got.Daemon {
		t.Errorf("services = %+v, %v", got, err)
	}
	if got, err := c.VRRP(ctx); err != nil || len(got.Instances) != 1 || got.Instances[0].Interface != "eth0" {
		t.Errorf("vrrp = %+v, %v", got, err)
	}
	if got, err := c.Checks(ctx); err != nil || got.MaxInFlight != 7 {
		t.Errorf("checks = %+v, %v", got, err)
	}
	if got, err := c.Config(ctx); err != nil || got.Running.Services != 3 {
		t.Errorf("config = %+v, %v", got, err)
	}
	packet, err := loader.ParsePacket("udp", "[2001:db8::9]:4242", "[2001:db8::1]:53", "")
	if err != nil {
		t.Fatal(err)
	}
	packet.Interface = "eth0"
	explanation := loader.Explanation{
		Protocol: "UDP", Source: "[2001:db8::9]:4242", Destination: "[2001:db8::1]:53", Interface: "eth0", Kind: loader.KindNew,
	}
	if got, err := c.Explain(ctx, packet); err != nil || got != explanation {
		t.Errorf("explain = %+v, %v", got, err)
	}
	if got, err := c.Move(ctx, api.MoveRequest{Service: "x", Datapath: "ipvs"}); err != nil || got.Service != "x" || got.To != "ipvs" || got.Arrived != 7 {
		t.Errorf("move = %+v, %v", got, err)
	}
	if got, err := c.Reload(ctx); err != nil || !got.OK || !strings.HasPrefix(got.Cause, fmt.Sprintf("api uid %d pid %d", os.Geteuid(), os.Getpid())) {
		t.Errorf("reload = %+v, %v", got, err)
	}
}

func TestFlowsArriveWhole(t *testing.T) {
	src := &source{}
	for i := range 5000 {
		src.flows = append(src.flows, api.Flow{Protocol: "TCP", Client: fmt.Sprintf("192.0.2.9:%d", i), ExpiresSeconds: 1.5})
	}
	path, _ := serve(t, api.Options{Source: src})
	var got []api.Flow
	err := api.NewClient(path).Flows(t.Context(), func(f api.Flow) bool { got = append(got, f); return true })
	if diff := cmp.Diff(src.flows, got); err != nil || diff != "" {
		t.Errorf("flows, %v (-want +got):\n%s", err, diff)
	}

	count := 0
	err = api.NewClient(path).Flows(t.Context(), func(api.Flow) bool { count++; return count < 3 })
	if err != nil || count != 3 {
		t.Errorf("a reader that wants 3 got %d, %v", count, err)
	}
}

func TestFlowsThatBreakOffSaySo(t *testing.T) {
	src := &source{flows: []api.Flow{{State: "UDP"}}, flowErr: errors.New("read ek_flows: gone")}
	path, _ := serve(t, api.Options{Source: src})
	var got int
	err := api.NewClient(path).Flows(t.Context(), func(api.Flow) bool { got++; return true })
	if got != 1 || err == nil || err.Error() != "read flows: read ek_flows: gone" {
		t.Errorf("%d flows, %v", got, err)
	}
}

func TestEmptyFlowsAreAList(t *testing.T) {
	path, _ := serve(t, api.Options{Source: &source{}})
	resp, err := raw(path).Get("http://x/v1/flows")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct{ Flows json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || string(body.Flows) != "[]" {
		t.Errorf("flows = %s, %v", body.Flows, err)
	}
}

func TestRefusedReloadIsNoError(t *testing.T) {
	src := &source{load: api.Load{Error: "a.conf:3:1: error: no }"}}
	path, _ := serve(t, api.Options{Source: src})
	got, err := api.NewClient(path).Reload(t.Context())
	if err != nil || got.OK || got.Error != src.load.Error {
		t.Errorf("reload = %+v, %v", got, err)
	}
}

func TestWritersAreChosen(t *testing.T) {
	var log strings.Builder
	src := &source{stops: make(chan bool, 1)}
	path, _ := serve(t, api.Options{
		Source:   src,
		MayWrite: func(p api.Peer) bool { return p.PID == 1 },
		Log:      slog.New(slog.NewTextHandler(&log, nil)),
	})
	c := api.NewClient(path)
	if _, err := c.Reload(t.Context()); !errors.Is(err, api.ErrRefused) {
		t.Errorf("reload by another = %v, want ErrRefused", err)
	}
	if _, err := c.Stop(t.Context(), false); !errors.Is(err, api.ErrRefused) {
		t.Errorf("stop by another = %v, want ErrRefused", err)
	}
	if len(src.stops) != 0 {
		t.Error("the stop reached the source")
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("status by another = %v, want an answer", err)
	}
	for _, want := range []string{"api request refused", "path=/v1/stop", fmt.Sprintf("pid=%d", os.Getpid())} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, &log)
		}
	}
}

func TestStopWaitsForTheSocketToGo(t *testing.T) {
	src := &source{stops: make(chan bool, 1)}
	path, stop := serve(t, api.Options{Source: src})
	keep := make(chan bool, 1)
	go func() {
		keep <- <-src.stops
		// The cleanup looks at the error.
		_ = stop()
	}()
	got, err := api.NewClient(path).Stop(t.Context(), true)
	if err != nil || got.Removed || !<-keep {
		t.Errorf("stop = %+v, %v", got, err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestErrorsHaveCodesAndText(t *testing.T) {
	src := &source{err: errors.New("boom")}
	path, _ := serve(t, api.Options{Source: src, MaxBody: 64})
	tests := []struct {
		method, path, body string
		want               int
		text               string
	}{
		{"GET", "/v1/status", "", 500, "boom"},
		{"GET", "/v1/nothing", "", 404, "not part of the interface"},
		{"GET", "/v1/explain?protocol=tcp&source=nonsense", "", 400, "nonsense"},
		{"POST", "/v1/status", "", 404, "not part of the interface"},
		{"GET", "/v1/stop", "", 404, "not part of the interface"},
		{"POST", "/v1/stop", "{", 400, "read request"},
		{"POST", "/v1/stop", `{"keep":` + strings.Repeat(" ", 100) + "true}", 400, "too large"},
		{"POST", "/v1/reload", "", 500, "boom"},
		{"POST", "/v1/diff", "", 500, "boom"},
		{"POST", "/v1/diff", "{", 400, "unexpected EOF"},
		{"POST", "/v1/move", "{}", 500, "boom"},
		{"POST", "/v1/move", "", 400, "read request"},
		{"POST", "/v1/diff", `{"file": "a.conf"}`, 400, "not an absolute path"},
	}
	for _, tt := range tests {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://x"+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := raw(path).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		if err := resp.Write(&text); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != tt.want || !strings.Contains(text.String(), tt.text) {
			t.Errorf("%s %s = %d %s, want %d with %q", tt.method, tt.path, resp.StatusCode, &text, tt.want, tt.text)
		}
	}
}

func TestSlowSourceIsCutOff(t *testing.T) {
	path, _ := serve(t, api.Options{Source: &source{block: make(chan struct{})}, Timeout: time.Second})
	_, err := api.NewClient(path).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
		t.Errorf("status = %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestIdleConnectionsDoNotKeepOthersOut(t *testing.T) {
	path, _ := serve(t, api.Options{Source: &source{}, MaxConns: 2, Timeout: 50 * time.Millisecond})
	for range 4 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if _, err := api.NewClient(path).Checks(t.Context()); err != nil {
		t.Errorf("a request behind idle connections = %v", err)
	}
}

func TestNoDaemon(t *testing.T) {
	dir := t.TempDir()
	_, err := api.NewClient(filepath.Join(dir, "none")).Status(t.Context())
	if !errors.Is(err, api.ErrNoDaemon) {
		t.Errorf("no socket: %v, want ErrNoDaemon", err)
	}
	stale := deadSocket(t, dir)
	if _, err := api.NewClient(stale).Status(t.Context()); !errors.Is(err, api.ErrNoDaemon) {
		t.Errorf("dead socket: %v, want ErrNoDaemon", err)
	}
}

// raw returns a client that sends what it is told.
func raw(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
		DisableKeepAlives: true,
	}}
}

// deadSocket leaves a socket that nobody listens on, as a killed daemon does.
func deadSocket(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return path
}
