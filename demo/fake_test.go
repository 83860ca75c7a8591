package demo

import (
	"context"
	"errors"
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
	// silence is how long each director takes to be master when the other one is
	// gone or worse, goodbye how long it takes after a goodbye; negative is
	// never.
	silence, goodbye [directorCount]time.Duration
	// hush keeps the services silent after a move, or half of them.
	hush time.Duration
	half bool
	// eager makes the backup forward too.
	eager bool
	// dull is a director whose scheduler is unfair, or -1, and lossy one that
	// loses requests.
	dull, lossy int
	// deafPings makes every nth ping fail.
	deafPings int

	mu        sync.Mutex // guards the fields below
	running   []bool
	inTable   []bool
	weights   []int32
	cursors   []int
	conns     [directorCount][]uint64
	asked     int
	pinged    int
	stalled   bool
	downloads chan struct{} // closed to end them
	// master is -1 while nobody is.
	master  int
	on      [directorCount]bool
	hushing bool
}

func newFakeStage(p plan) *fakeStage {
	f := &fakeStage{
		plan: p, detect: 1995 * time.Millisecond, notice: 995 * time.Millisecond, weights: p.evenWeights(), downloads: make(chan struct{}),
		silence: testTerms.silence, goodbye: testTerms.goodbye, on: [directorCount]bool{true, true}, dull: -1, lossy: -1,
	}
	for range p.servers {
		f.running, f.inTable = append(f.running, true), append(f.inTable, true)
	}
	f.cursors = make([]int, len(p.services))
	for i := range f.conns {
		f.conns[i] = make([]uint64, len(p.services))
	}
	return f
}

func (f *fakeStage) Request(ctx context.Context, service int) (string, error) {
	server, err := f.connect(service)
	if errors.Is(err, errNobody) {
		<-ctx.Done()
		return "", ctx.Err()
	}
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
	if f.master < 0 || f.silent(service) {
		return "", errNobody
	}
	if f.plan.directors[f.master].program != PeerEvenkeel {
		return "", syscall.ECONNREFUSED
	}
	f.conns[f.master][service]++
	if f.stalled {
		return "", syscall.ECONNRESET
	}
	if f.lose > 0 && f.asked%f.lose == 0 || f.lossy == f.master && f.asked%50 == 0 {
		return "", context.DeadlineExceeded
	}
	i := f.choose(service)
	if i < 0 || !f.running[i] {
		return "", syscall.ECONNREFUSED
	}
	return serverName(i), nil
}

// errNobody is a request that nobody gets.
var errNobody = errors.New("nobody is master")

// silent reports whether nobody hears what is sent to the service.
func (f *fakeStage) silent(service int) bool { return f.hushing && (!f.half || service == 1) }

func (f *fakeStage) Ping(ctx context.Context, service int) error {
	f.mu.Lock()
	nobody := f.master < 0 || f.silent(service)
	f.pinged++
	lost := f.deafPings > 0 && f.pinged%f.deafPings == 0
	f.mu.Unlock()
	if nobody {
		<-ctx.Done()
		return ctx.Err()
	}
	if lost {
		return context.DeadlineExceeded
	}
	return nil
}

func (f *fakeStage) choose(service int) int {
	if (f.unfair || f.dull == f.master) && f.asked%10 == 0 {
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
	f.mu.Lock()
	end := f.downloads
	f.mu.Unlock()
	opened(server)
	select {
	case <-time.After(last):
		return nil
	case <-end:
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
			f.cutDownloads()
		}
	})
	f.later(f.stall, func() { f.stalled = false })
	return nil
}

// take makes a director master some time later, unless it is off then.
func (f *fakeStage) take(director int, after time.Duration) {
	f.later(after, func() {
		if !f.on[director] {
			return
		}
		f.master = director
		f.hushing = f.hush > 0
		f.later(f.hush, func() { f.hushing = false })
		f.cutDownloads()
	})
}

// cutDownloads ends those under way: the flows are another director's.
func (f *fakeStage) cutDownloads() {
	close(f.downloads)
	f.downloads = make(chan struct{})
}

func (f *fakeStage) Holding(context.Context) (holding, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := holding{of: 3}
	if f.master >= 0 {
		h.has[f.master] = 3
	}
	return h, nil
}

func (f *fakeStage) CutPower(director int) error {
	f.set(func() {
		f.on[director] = false
		f.conns[director] = make([]uint64, len(f.plan.services))
		if f.master == director {
			f.master = -1
		}
	})
	f.take(1-director, f.silence[1-director])
	return nil
}

func (f *fakeStage) StartDirector(_ context.Context, director int) error {
	f.set(func() { f.on[director] = true })
	if director == first {
		f.take(director, f.silence[director])
	}
	return nil
}

func (f *fakeStage) StopDirector(ctx context.Context, director int) error {
	f.set(func() { f.on[director] = false })
	f.take(1-director, f.goodbye[1-director])
	return nil
}

func (f *fakeStage) Table(_ context.Context, director int) (table, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var t table
	for i := range f.plan.services {
		row := tableService{conns: f.conns[director][i]}
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

func (f *fakeStage) Status(_ context.Context, director int) (api.Status, error) {
	status := fakeStatus()
	if director == second && !f.eager {
		f.mu.Lock()
		defer f.mu.Unlock()
		status.Packets.Forwarded = 7 * f.conns[second][0]
	}
	return status, nil
}
