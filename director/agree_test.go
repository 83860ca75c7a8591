package director_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

// moods is a Prober whose servers change their moods.
type moods struct {
	mu  sync.Mutex // guards bad
	bad map[netip.AddrPort]bool
}

func (m *moods) Probe(_ context.Context, c model.Check) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bad[c.ConnectTo] {
		return errors.New("connection refused")
	}
	return nil
}

func (m *moods) change(random *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bad = make(map[netip.AddrPort]bool)
	for n := range 6 {
		for port := range uint16(2) {
			m.bad[netip.AddrPortFrom(rs(n, 1).Addr.Addr(), 80+port)] = random.IntN(3) == 0
		}
	}
}

func randomConf(random *rand.Rand) []model.VirtualServer {
	v := vs()
	for _, n := range random.Perm(6)[:random.IntN(7)] {
		s := unchecked(rs(n, 1))
		for port := range uint16(random.IntN(3)) {
			s.Checks = append(s.Checks, model.Check{
				Kind: model.TCPCheck, ConnectTo: netip.AddrPortFrom(s.Addr.Addr(), 80+port),
				DelayLoop: time.Duration(5+random.IntN(2)) * time.Second,
				Retry:     uint32(random.IntN(2)), DelayBeforeRetry: time.Second,
				Warmup: time.Duration(random.IntN(3)) * time.Second,
				Alpha:  random.IntN(3) == 0,
			})
		}
		v.Servers = append(v.Servers, s)
	}
	if random.IntN(4) == 0 {
		v.Scheduler = "lblc"
	}
	return []model.VirtualServer{v}
}

// The runner and the director each keep a view on every server and tell each
// other changes only. Whatever the history of reloads, at whatever moments,
// the views agree once verdicts have been read. A restart adopts what runs.
func TestRunnerAndDirectorAgree(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			m := &moods{}
			conf := randomConf(random)
			d, _ := director.New(conf, director.ThisVersion())
			if random.IntN(2) == 0 && len(conf[0].Servers) > 0 {
				first := conf[0].Servers[0]
				d, _ = director.Adopt(conf, director.ThisVersion(), map[model.DatapathChoice]model.Tables{
					model.DatapathXDP: running(vs(), first),
				})
			}
			ctx, stop := context.WithCancel(t.Context())
			r := health.New(d.Targets(), health.Options{Prober: m})
			done := make(chan error)
			go func() { done <- r.Run(ctx) }()
			defer func() {
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
			for range 30 {
				switch random.IntN(3) {
				case 0:
					m.change(random)
				case 1:
					d.Reload(randomConf(random), director.ThisVersion())
					r.Update(d.Targets())
				}
				// Unread verdicts pile up meanwhile.
				time.Sleep(time.Duration(random.IntN(8000)) * time.Millisecond)
				readAll(d, r)
				wantAgreement(t, seed, d, r)
			}
		})
	}
}

func readAll(d *director.Director, r *health.Runner) {
	for {
		synctest.Wait()
		select {
		case v := <-r.Verdicts():
			d.Verdict(v)
		default:
			return
		}
	}
}

func wantAgreement(t *testing.T, seed uint64, d *director.Director, r *health.Runner) {
	t.Helper()
	views := make(map[netip.AddrPort]bool)
	for _, s := range r.Snapshot().Servers {
		views[s.Server] = s.Up
	}
	service := d.Snapshot().Services[0]
	if service.Datapath == "none" {
		if len(views) > 0 {
			t.Fatalf("seed %d: servers of a service that does not run are checked: %v", seed, views)
		}
		return
	}
	for _, s := range service.Servers {
		if up, checked := views[s.Server]; up != s.Alive || !checked {
			t.Fatalf("seed %d: %s is alive = %v for the director (%s), %v for the runner", seed, s.Server, s.Alive, s.Reason, up)
		}
	}
}
