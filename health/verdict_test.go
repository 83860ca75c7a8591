package health

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// verdictTests run with a scripted prober and with real listeners. A script
// says for each try what the server does: s accepts, f refuses, t is silent.
var verdictTests = []struct {
	name   string
	alpha  bool
	retry  uint32
	script string
	want   []string
}{
	{"a good server is proven once", false, 1, "sss", []string{"up: answered"}},
	{"the first failure takes out", false, 3, "fs", []string{"down: connection refused", "up: answered"}},
	{"retries forgive", false, 2, "sffs", []string{"up: answered"}},
	{"retries run out", false, 2, "sfffs", []string{"up: answered", "down: connection refused (3 tries)", "up: answered"}},
	{"silence is failure", false, 0, "st", []string{"up: answered", "down: no answer in 50ms"}},
	{"alpha comes in", true, 0, "ffsf", []string{"up: answered", "down: connection refused"}},
}

// script is a Prober that prepares the server before each try. It says when
// it has run out, and answers nothing after that.
type script struct {
	Prober
	prepare func(behaviour rune)
	left    []rune
	out     chan struct{}
}

func newScript(inner Prober, behaviours string, prepare func(rune)) *script {
	return &script{Prober: inner, prepare: prepare, left: []rune(behaviours), out: make(chan struct{})}
}

func (s *script) Probe(ctx context.Context, c model.Check) error {
	if len(s.left) == 0 {
		close(s.out)
		<-ctx.Done()
		return ctx.Err()
	}
	s.prepare(s.left[0])
	s.left = s.left[1:]
	return s.Prober.Probe(ctx, c)
}

// told is a prober that does as it is told.
type told struct{ behaviour rune }

func (p *told) Probe(ctx context.Context, c model.Check) error {
	switch p.behaviour {
	case 's':
		return nil
	case 'f':
		return errors.New("connection refused")
	case 't':
		select {
		case <-time.After(c.ConnectTimeout):
		case <-ctx.Done():
		}
		return errors.New("no answer in " + c.ConnectTimeout.String())
	case 'n':
		return notTried("open a socket: too many open files")
	}
	panic("unknown behaviour " + string(p.behaviour))
}

func target(n int, checks ...model.Check) Target {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 80)
	for i := range checks {
		if !checks[i].ConnectTo.IsValid() {
			checks[i].ConnectTo = addr
		}
	}
	return Target{
		Service: model.ServiceKey{Protocol: model.TCP, Addr: netip.MustParseAddrPort("192.0.2.1:80")},
		Server:  addr,
		Checks:  checks,
	}
}

func runVerdicts(t *testing.T, prober *script, c model.Check, want []string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := New([]Target{target(1, c)}, Options{Prober: prober})
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	defer running.Wait()
	defer stop()

	for _, w := range want {
		select {
		case v := <-r.Verdicts():
			if got := verdictText(v); got != w {
				t.Errorf("verdict %q, want %q", got, w)
			}
			if v.Evidence.At.IsZero() || v.Evidence.To != c.ConnectTo {
				t.Errorf("evidence %+v lacks time or address", v.Evidence)
			}
		case <-time.After(time.Minute):
			t.Fatalf("no verdict, want %q", w)
		}
	}
	<-prober.out
	select {
	case v := <-r.Verdicts():
		t.Errorf("one verdict more than wanted: %q", verdictText(v))
	default:
	}
}

// verdictText leaves out the address, which differs from run to run.
func verdictText(v Verdict) string {
	_, reason, _ := strings.Cut(v.Reason, ": ")
	if v.Up {
		return "up: " + reason
	}
	return "down: " + reason
}

func TestVerdictsOfScriptedServer(t *testing.T) {
	for _, tt := range verdictTests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &told{}
				c := check1(tt.alpha, tt.retry)
				c.ConnectTo = netip.MustParseAddrPort("10.0.0.1:80")
				runVerdicts(t, newScript(p, tt.script, func(b rune) { p.behaviour = b }), c, tt.want)
			})
		})
	}
}

func check1(alpha bool, retry uint32) model.Check {
	return model.Check{
		Kind: model.TCPCheck, Alpha: alpha, Retry: retry, ConnectTimeout: 50 * time.Millisecond,
		DelayLoop: 20 * time.Millisecond, DelayBeforeRetry: 10 * time.Millisecond, Warmup: time.Millisecond,
	}
}

func TestVerdictsOfRealServer(t *testing.T) {
	for _, tt := range verdictTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newLoopback(t)
			c := check1(tt.alpha, tt.retry)
			c.ConnectTo = s.addr
			runVerdicts(t, newScript(TCP{}, tt.script, s.behave), c, tt.want)
		})
	}
}

// loopback is a server in 127.0.0.0/8 whose listener comes and goes.
type loopback struct {
	t    *testing.T
	addr netip.AddrPort
	// fd listens unless it is negative; fill are connections that fill its
	// backlog.
	fd   int
	fill []net.Conn
}

func newLoopback(t *testing.T) *loopback {
	t.Helper()
	// An address of its own keeps others from its port while it is closed.
	own := netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(250)), byte(rand.IntN(256)), byte(1 + rand.IntN(250))})
	s := &loopback{t: t, addr: netip.AddrPortFrom(own, 0), fd: -1}
	s.listen(16)
	t.Cleanup(s.close)
	return s
}

func (s *loopback) behave(b rune) {
	s.close()
	switch b {
	case 's':
		s.listen(16)
	case 't':
		// The kernel drops SYNs to a listener whose backlog is full.
		s.listen(0)
		for range 4 {
			if conn, err := net.DialTimeout("tcp", s.addr.String(), 100*time.Millisecond); err == nil {
				s.fill = append(s.fill, conn)
			}
		}
	}
}

// listen opens the listener, at the same port each time.
func (s *loopback) listen(backlog int) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.fd = fd
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: s.addr.Addr().As4(), Port: int(s.addr.Port())}),
		unix.Listen(fd, backlog),
	)
	if err != nil {
		s.t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = netip.AddrPortFrom(s.addr.Addr(), uint16(name.(*unix.SockaddrInet4).Port))
}

func (s *loopback) close() {
	for _, conn := range s.fill {
		_ = conn.Close()
	}
	s.fill = nil
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

func TestTCP(t *testing.T) {
	s := newLoopback(t)
	base := check1(false, 0)
	base.ConnectTo = s.addr
	base.ConnectTimeout = 5 * time.Second
	tests := []struct {
		name   string
		change func(*model.Check)
		want   string // empty: succeeded
		failed bool   // the server is to blame
	}{
		{name: "answers"},
		{name: "bindto", change: func(c *model.Check) { c.BindTo = netip.MustParseAddrPort("127.0.0.9:0") }},
		{
			name: "bindto an address that is not here", want: "bind to 192.0.2.55: cannot assign requested address",
			change: func(c *model.Check) { c.BindTo = netip.MustParseAddrPort("192.0.2.55:0") },
		},
		{
			name: "bind_if that is not here", want: "bind_if ek-none0: no such interface",
			change: func(c *model.Check) { c.BindInterface = "ek-none0" },
		},
		{
			name: "nobody listens", want: "connection refused", failed: true,
			change: func(c *model.Check) { c.ConnectTo = netip.AddrPortFrom(c.ConnectTo.Addr(), 1) },
		},
		{
			name: "another kind", want: "HTTP_GET is not a check that runs",
			change: func(c *model.Check) { c.Kind = "HTTP_GET" },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := base
			if tt.change != nil {
				tt.change(&c)
			}
			e := evidenceOf(c, examine(t.Context(), TCP{}, c))
			want := Succeeded
			switch {
			case tt.failed:
				want = Failed
			case tt.want != "":
				want = NotTried
			}
			if e.Error != tt.want || e.Result != want {
				t.Errorf("probe %s: %q, want %s: %q", e.Result, e.Error, want, tt.want)
			}
		})
	}
}

// The server sees the source that the check asks for, and a fixed bind_port
// can be used again at once.
func TestTCPBindPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	free := newLoopback(t)
	free.close()
	c := check1(false, 0)
	c.ConnectTimeout = 5 * time.Second
	c.ConnectTo = l.Addr().(*net.TCPAddr).AddrPort()
	c.BindTo = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), free.addr.Port())
	for try := range 3 {
		if err := (TCP{}).Probe(t.Context(), c); err != nil {
			t.Fatalf("try %d: %v", try, err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.RemoteAddr().String(); got != c.BindTo.String() {
			t.Errorf("try %d came from %s, want %s", try, got, c.BindTo)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("try %d was closed with %v, want EOF", try, err)
		}
		_ = conn.Close()
	}
}

func TestExplain(t *testing.T) {
	call := func(name string, errno syscall.Errno) error {
		return &net.OpError{Op: "dial", Err: os.NewSyscallError(name, errno)}
	}
	c := check1(false, 0)
	c.BindTo = netip.MustParseAddrPort("10.0.0.1:500")
	c.BindInterface = "eth1"
	tests := []struct {
		err  error
		want string
		here bool // not the server's doing
	}{
		{call("socket", syscall.EMFILE), "open a socket: too many open files", true},
		{call("bind", syscall.EACCES), "bind to 10.0.0.1:500 on eth1: permission denied", true},
		{call("connect", syscall.EADDRNOTAVAIL), "bind to 10.0.0.1:500 on eth1: cannot assign requested address", true},
		{call("connect", syscall.ECONNREFUSED), "connection refused", false},
		{call("connect", syscall.EHOSTUNREACH), "no route to host", false},
		{call("connect", syscall.ENETUNREACH), "network is unreachable", false},
		{call("connect", syscall.ETIMEDOUT), "no answer in 50ms", false},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "no answer in 50ms", false},
	}
	for _, tt := range tests {
		err := explain(tt.err, c)
		if err.Error() != tt.want || errors.Is(err, ErrNotTried) != tt.here {
			t.Errorf("explain(%v) = %q, not tried %v; want %q, %v", tt.err, err, errors.Is(err, ErrNotTried), tt.want, tt.here)
		}
	}
}

func TestTCPInterfaceAndMark(t *testing.T) {
	s := newLoopback(t)
	c := check1(false, 0)
	c.ConnectTimeout = 5 * time.Second
	c.ConnectTo = s.addr
	c.BindInterface = "lo"
	c.FWMark = 7
	err := TCP{}.Probe(t.Context(), c)
	if syscall.Geteuid() == 0 {
		if err != nil {
			t.Errorf("as root: %v, want success", err)
		}
		return
	}
	if !errors.Is(err, ErrNotTried) {
		t.Errorf("without privilege: %v, want not tried", err)
	}
}

func TestTCPStopsWithItsContext(t *testing.T) {
	s := newLoopback(t)
	s.behave('t')
	c := check1(false, 0)
	c.ConnectTo = s.addr
	c.ConnectTimeout = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (TCP{}).Probe(ctx, c); err == nil {
		t.Error("probe of a silent server succeeded")
	}
}
