//go:build netns

package health

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
)

// silentListener returns an address that takes connections and answers none: its
// backlog is full, so the kernel drops what else comes.
func silentListener(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*unix.SockaddrInet4).Port))
	for range 8 { // one place is enough by listen(2), and the kernel adds one
		conn, err := net.DialTimeout("tcp", at.String(), 300*time.Millisecond)
		if err != nil {
			return at
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("a full backlog takes connections")
	return at
}

// descriptors counts what the process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// targetOf is a server of its own with one TCP check of an address.
func targetOf(n int, to netip.AddrPort, loop, patience time.Duration) Target {
	check := model.Check{Kind: model.TCPCheck, ConnectTo: to, ConnectTimeout: patience, DelayLoop: loop, DelayBeforeRetry: time.Second, Alpha: true}
	return Target{
		Service: model.ServiceKey{Protocol: unix.IPPROTO_TCP, Addr: netip.MustParseAddrPort("192.0.2.1:80")},
		Server:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 80),
		Checks:  []model.Check{check},
	}
}

// TestManyTimeoutsAtOnce: 10,000 checks that time out together delay none of
// those that are answered, and leave nothing behind.
func TestManyTimeoutsAtOnce(t *testing.T) {
	const good, patience, bad = 20, 4 * time.Second, 10_000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < bad+1000 {
		t.Skipf("skipped: needs %d descriptors, has %d", bad+1000, limit.Cur)
	}
	answering := serve(t, func(net.Conn, <-chan struct{}) {})
	silent := silentListener(t)
	var targets []Target
	for n := range bad {
		targets = append(targets, targetOf(n, silent, 2*time.Second, patience))
	}
	for n := range good {
		targets = append(targets, targetOf(bad+n, answering, time.Second, 30*time.Second))
	}
	goroutines, open := runtime.NumGoroutine(), descriptors(t)
	r := New(targets, Options{Prober: NewCheckers(CheckersOptions{}), MaxInFlight: bad + good})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	go func() { // as the daemon does
		for {
			select {
			case <-r.Verdicts():
			case <-ctx.Done():
				return
			}
		}
	}()

	// Progress is compared, not time: a silent server is tried every six
	// seconds and an answering one every second. Waiting in line behind the
	// others it would come no further than they do.
	const rounds = 3
	var status Snapshot
	labtest.UntilFor(t, 3*time.Minute, "the silent servers were tried", func() bool {
		status = r.Snapshot()
		for _, s := range status.Servers[:bad] {
			if s.Checks[0].Tries < rounds {
				return false
			}
		}
		return true
	})
	for _, s := range status.Servers[:bad] {
		if s.Up || s.Checks[0].Successes > 0 {
			t.Fatalf("%s, which never answers, is up: %+v", s.Server, s.Checks[0])
		}
	}
	for _, s := range status.Servers[bad:] {
		if c := s.Checks[0]; !s.Up || c.Failed > 0 || c.Tries < 2*rounds {
			t.Errorf("%s is up = %t after %d tries, %d of them failed; want more than %d", s.Server, s.Up, c.Tries, c.Failed, 2*rounds)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	labtest.Until(t, "nothing is left of the checks", func() bool {
		return runtime.NumGoroutine() <= goroutines && descriptors(t) <= open
	})
}
