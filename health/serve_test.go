package health

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// The waits of tests: long where an answer comes, short where none does.
const (
	patient   = 10 * time.Second
	impatient = 400 * time.Millisecond
)

// serve starts a server on the loopback interface whose connections handle
// serves, until the test ends. handle returns when stop is closed.
func serve(t testing.TB, handle func(conn net.Conn, stop <-chan struct{})) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				handle(conn, stop)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		close(stop)
		running.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// serveUDP answers each datagram with what answer returns; nil says nothing.
func serveUDP(t testing.TB, answer func(query []byte) [][]byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, reply := range answer(buf[:n]) {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		running.Wait()
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// refusedPort returns an address at which nobody listens.
func refusedPort(t testing.TB) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// readRequest reads up to the empty line.
func readRequest(conn net.Conn) string {
	in := bufio.NewReader(conn)
	var request strings.Builder
	for {
		line, err := in.ReadString('\n')
		request.WriteString(line)
		if err != nil || line == "\r\n" {
			return request.String()
		}
	}
}

// say answers a request with text and closes.
func say(text string) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, _ <-chan struct{}) {
		readRequest(conn)
		_, _ = conn.Write([]byte(text))
	}
}

// hold answers a request with text and keeps the connection open.
func hold(text string) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, stop <-chan struct{}) {
		readRequest(conn)
		_, _ = conn.Write([]byte(text))
		<-stop
	}
}

// expect makes a try and compares its result and error; an empty error means
// that the server passed.
func expect(t *testing.T, k *Checkers, c model.Check, want string) Answer {
	t.Helper()
	a := k.Examine(t.Context(), c)
	got := ""
	if a.Err != nil {
		got = a.Err.Error()
		if errors.Is(a.Err, ErrNotTried) {
			got = "not tried: " + got
		}
	}
	if got != want {
		t.Errorf("%s: %q, want %q (received %q)", c.Kind, got, want, a.Received)
	}
	return a
}

func networkCheck(kind model.CheckKind, to netip.AddrPort) model.Check {
	return model.Check{Kind: kind, ConnectTo: to, ConnectTimeout: patient, DelayLoop: time.Minute}
}

// A try ends with its context, whatever it waits for.
func TestTriesStopWithTheirContext(t *testing.T) {
	silent := serve(t, func(_ net.Conn, stop <-chan struct{}) { <-stop })
	silentUDP := serveUDP(t, func([]byte) [][]byte { return nil })
	checks := []model.Check{
		networkCheck(model.HTTPGet, silent), networkCheck(model.SSLGet, silent), networkCheck(model.SMTPCheck, silent),
		networkCheck(model.DNSCheck, silentUDP), networkCheck(model.UDPCheck, silentUDP),
	}
	for _, c := range checks {
		t.Run(string(c.Kind), func(t *testing.T) {
			c.ConnectTimeout = time.Hour
			c.HTTP = &model.HTTPSpec{URLs: []model.URL{{Path: "/"}}}
			c.UDP = &model.UDPSpec{RequireReply: true}
			ctx, cancel := context.WithTimeout(t.Context(), impatient)
			defer cancel()
			if err := NewCheckers(CheckersOptions{}).Probe(ctx, c); err == nil {
				t.Error("a try of a silent server succeeded")
			}
		})
	}
}

func TestChecksThatDoNotRun(t *testing.T) {
	k := NewCheckers(CheckersOptions{})
	to := netip.MustParseAddrPort("127.0.0.1:1")
	expect(t, k, model.Check{Kind: model.BFDCheck, BFD: &model.BFDSpec{Name: "b"}}, "not tried: BFD_CHECK is not supported yet")
	expect(t, k, model.Check{Kind: "X_CHECK"}, "not tried: X_CHECK is not a check that runs")
	expect(t, k, networkCheck(model.HTTPGet, to), "not tried: the check has no url")
	expect(t, k, model.Check{Kind: model.TCPCheck}, "not tried: no address to connect to")
	expect(t, k, model.Check{Kind: model.PingCheck}, "not tried: no address to send to")
	expect(t, k, model.Check{Kind: model.MiscCheck, Misc: &model.MiscSpec{}}, "not tried: no script can be run")
	expect(t, k, model.Check{Kind: model.FileCheck, File: &model.FileSpec{}}, "not tried: no file is tracked")
}

// Where a check goes from and to is the same for all kinds.
func TestConnectOptions(t *testing.T) {
	k := NewCheckers(CheckersOptions{})
	from := make(chan string, 1)
	tcp := serve(t, func(conn net.Conn, _ <-chan struct{}) {
		from <- conn.RemoteAddr().String()
		readRequest(conn)
		_, _ = conn.Write([]byte("HTTP/1.0 200 OK\r\n\r\n"))
	})
	c := networkCheck(model.HTTPGet, tcp)
	c.HTTP = &model.HTTPSpec{URLs: []model.URL{{Path: "/"}}}
	c.BindTo = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.7"), refusedPort(t).Port())
	expect(t, k, c, "")
	if got := <-from; got != c.BindTo.String() {
		t.Errorf("HTTP_GET came from %s, want %s", got, c.BindTo)
	}
	for _, kind := range []model.CheckKind{model.HTTPGet, model.SSLGet, model.SMTPCheck, model.DNSCheck, model.UDPCheck} {
		c.Kind = kind
		c.BindTo = netip.MustParseAddrPort("192.0.2.55:0")
		expect(t, k, c, "not tried: bind to 192.0.2.55: cannot assign requested address")
		c.BindTo = netip.AddrPort{}
		c.BindInterface = "ek-none0"
		expect(t, k, c, "not tried: bind_if ek-none0: no such interface")
		c.BindInterface = ""
	}
	for _, kind := range []model.CheckKind{model.HTTPGet, model.SSLGet, model.SMTPCheck} {
		c.Kind = kind
		c.ConnectTo = refusedPort(t)
		expect(t, k, c, "connection refused")
	}
}

// Tries that fail, hang and are given up leave no descriptor and no goroutine.
func TestTriesLeaveNothing(t *testing.T) {
	count := func() (descriptors, goroutines int) {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc")
		}
		return len(list), runtime.NumGoroutine()
	}
	// The first use of the network opens what stays open.
	_ = TCP{}.Probe(t.Context(), networkCheck(model.TCPCheck, refusedPort(t)))
	descriptors, goroutines := count()
	t.Run("tries", func(t *testing.T) {
		silent := serve(t, func(_ net.Conn, stop <-chan struct{}) { <-stop })
		garbage := serve(t, greet("garbage\r\n\r\n"))
		silentUDP := serveUDP(t, func([]byte) [][]byte { return nil })
		k := NewCheckers(CheckersOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), 4*impatient)
		defer cancel()
		var running sync.WaitGroup
		for _, to := range []netip.AddrPort{silent, garbage, silentUDP} {
			for _, kind := range []model.CheckKind{model.TCPCheck, model.HTTPGet, model.SSLGet, model.SMTPCheck, model.DNSCheck, model.UDPCheck, model.PingCheck} {
				for _, wait := range []time.Duration{impatient, time.Hour} {
					c := networkCheck(kind, to)
					c.ConnectTimeout = wait
					c.HTTP = &model.HTTPSpec{URLs: []model.URL{{Path: "/", TLSCompliant: true}}}
					running.Go(func() { _ = k.Probe(ctx, c) })
				}
			}
		}
		running.Wait()
	})
	// What was closed may take a moment to end.
	d, g := count()
	for end := time.Now().Add(30 * time.Second); (d > descriptors || g > goroutines) && time.Now().Before(end); d, g = count() {
		time.Sleep(10 * time.Millisecond)
	}
	if d > descriptors || g > goroutines {
		t.Errorf("%d descriptors and %d goroutines, before %d and %d", d, g, descriptors, goroutines)
	}
}
