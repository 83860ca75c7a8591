package demo

import (
	"context"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// fakeStage is a balancer and its servers in memory. Its zero knobs make a
// world in which everything holds.
type fakeStage struct {
	plan plan

	// detect and notice are how long it takes to see a server die and
	// return; negative is never.
	detect, notice time.Duration
	// lose makes every nth request time out.
	lose int
	// unfair serves every tenth request by the first server.
	unfair bool
	// ghost leaves a dead server in the order of the second service, though the table
	// does not show it.
	ghost bool
	// stubborn ignores weights, though the table shows them.
	stubborn bool
	// stall refuses requests for a while at each reload.
	stall time.Duration
	// cut ends downloads at a reload.
	cut bool
	// miscount drops a connection from the count.
	miscount bool
	// reloadErr is what Reload returns.
	reloadErr error

	mu        sync.Mutex // guards the fields below
	running   []bool
	inTable   []bool
	weights   []int32
	cursors   []int
	conns     []uint64
	asked     int
	stalled   bool
	downloads chan struct{} // closed to end them
}

func newFakeStage(p plan) *fakeStage {
	f := &fakeStage{plan: p, detect: 1995 * time.Millisecond, notice: 995 * time.Millisecond, weights: p.evenWeights(), downloads: make(chan struct{})}
	for range p.servers {
		f.running, f.inTable = append(f.running, true), append(f.inTable, true)
	}
	f.cursors, f.conns = make([]int, len(p.services)), make([]uint64, len(p.services))
	return f
}

func (f *fakeStage) Request(ctx context.Context, service int) (string, error) {
	server, err := f.connect(service)
	if err != nil {
		return "", err
	}
	select {
	case <-time.After(time.Millisecond):
		return server, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (f *fakeStage) connect(service int) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	f.conns[service]++
	if f.stalled {
		return "", syscall.ECONNRESET
	}
	if f.lose > 0 && f.asked%f.lose == 0 {
		return "", context.DeadlineExceeded
	}
	i := f.choose(service)
	if i < 0 || !f.running[i] {
		return "", syscall.ECONNREFUSED
	}
	return serverName(i), nil
}

func (f *fakeStage) choose(service int) int {
	if f.unfair && f.asked%10 == 0 {
		return 0
	}
	for range f.running {
		i := f.cursors[service] % len(f.running)
		f.cursors[service]++
		there := f.inTable[i] || f.ghost && service == 1
		if there && (f.weights[i] > 0 || f.stubborn) {
			return i
		}
	}
	return -1
}

func (f *fakeStage) Download(ctx context.Context, service int, last time.Duration, opened func(string)) error {
	server, err := f.connect(service)
	if err != nil {
		return err
	}
	opened(server)
	select {
	case <-time.After(last):
		return nil
	case <-f.downloads:
		return io.ErrUnexpectedEOF
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeStage) StopServer(server int) error {
	f.set(func() { f.running[server] = false })
	f.later(f.detect, func() { f.inTable[server] = false })
	return nil
}

func (f *fakeStage) StartServer(server int) error {
	f.set(func() { f.running[server] = true })
	f.later(f.notice, func() { f.inTable[server] = true })
	return nil
}

func (f *fakeStage) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeStage) later(d time.Duration, change func()) {
	if d >= 0 {
		time.AfterFunc(d, func() { f.set(change) })
	}
}

func (f *fakeStage) Reload(_ context.Context, weights []int32) error {
	if f.reloadErr != nil {
		return f.reloadErr
	}
	f.set(func() {
		f.weights = weights
		f.stalled = f.stall > 0
		if f.cut {
			f.cut = false
			close(f.downloads)
		}
	})
	f.later(f.stall, func() { f.stalled = false })
	return nil
}

func (f *fakeStage) Table(context.Context) (table, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var t table
	for i := range f.plan.services {
		row := tableService{conns: f.conns[i]}
		if f.miscount {
			row.conns--
		}
		for j := range f.plan.servers {
			row.servers = append(row.servers, tableServer{
				inTable: f.inTable[j], resolved: f.inTable[j], weight: f.weights[j], alive: f.inTable[j],
			})
		}
		t.services = append(t.services, row)
	}
	return t, nil
}

func (f *fakeStage) Status(context.Context) (api.Status, error) { return api.Status{}, nil }
