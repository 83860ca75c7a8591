package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/bench/process"
	"github.com/evenkeel/evenkeel/internal/lab"
)

// usersSite is a NAT network with the real daemon, nginx on every server, and a
// client that runs wrk.
type usersSite struct {
	top    *lab.Topology
	shared netip.Addr // of both servers, reached without the balancer
	dir    string
	daemon *process.Process
	cleanup
}

// userServers is how many servers there are.
const userServers = 2

// Ports. Clients that go past the balancer use others: a server remembers closed
// connections for a minute (TIME_WAIT), and the same client's SYN with an older timestamp,
// drawn for another address, gets no connection. And what comes from a port that a service
// sends to, the program looks at for longer.
const (
	httpPort, directHTTP = 80, 8080
	udpPort, directUDP   = 5300, 5301
)

func newUsersSite(program string) (*usersSite, error) {
	s := &usersSite{}
	if err := s.build(program); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *usersSite) build(program string) error {
	l, err := lab.New(fmt.Sprintf("ekusers%d", os.Getpid()))
	if err != nil {
		return err
	}
	s.later(l.Close)
	if s.dir, err = os.MkdirTemp("", "evenkeel-bench-"); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	s.later(func() error { return os.RemoveAll(s.dir) })
	if s.top, err = lab.NAT(l, userServers); err != nil {
		return err
	}
	if err := s.addYardstick(); err != nil {
		return err
	}
	pins := filepath.Join(s.dir, "bpf")
	if err := os.Mkdir(pins, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	unmount, err := lab.MountBPFFS(pins)
	if err != nil {
		return err
	}
	s.later(unmount)
	for i, n := range s.top.Servers {
		if err := s.serve(i, n); err != nil {
			return err
		}
	}
	return s.startDaemon(program)
}

// sharedAddress is the address that both servers have.
const sharedAddress = "10.77.3.100"

// addYardstick makes the ways past the balancer: to each server, and by two routes of the
// director to the address that both have. That spreads connections as a balancer does.
func (s *usersSite) addYardstick() error {
	s.shared = netip.MustParseAddr(sharedAddress)
	whole := netip.PrefixFrom(s.shared, s.shared.BitLen())
	servers := make([]netip.Addr, len(s.top.Servers))
	for i, n := range s.top.Servers {
		servers[i] = s.top.ServerAddr(i)
		if err := n.AddVIP(s.shared); err != nil {
			return err
		}
	}
	if err := s.top.Director.SpreadRoute(whole, servers...); err != nil {
		return err
	}
	for _, to := range []netip.Prefix{whole, s.top.ServerIfs[0].Addrs[0].Masked()} {
		if err := s.top.Client.AddRoute(to, s.top.ClientSide.Addr()); err != nil {
			return err
		}
	}
	return nil
}

// serve starts nginx and a UDP echo on a server.
func (s *usersSite) serve(i int, n *lab.Node) error {
	dir := filepath.Join(s.dir, n.Name())
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(nginxConf(dir)), 0o644); err != nil {
		return fmt.Errorf("write nginx.conf: %w", err)
	}
	p, err := process.Start(n, exec.Command("nginx", "-p", dir, "-c", file), filepath.Join(dir, "nginx.log"))
	if err != nil {
		return err
	}
	s.later(func() error { return p.End(time.Minute) })
	for _, port := range []int{udpPort, directUDP} {
		if _, err := n.ServeUDPEcho(fmt.Sprintf("%s:%d", s.top.ServerAddr(i), port)); err != nil {
			return err
		}
	}
	return nil
}

func nginxConf(dir string) string {
	return fmt.Sprintf(`daemon off;
user root;
worker_processes 1;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
	access_log off;
	keepalive_requests 1000000;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]d backlog=4096;
		listen %[3]d backlog=4096;
		location / { return 200 "ok\n"; }
	}
}
`, dir, httpPort, directHTTP)
}

// conf returns the director's configuration, with the weight of the second server.
func (s *usersSite) conf(weight int) string {
	var b strings.Builder
	b.WriteString("global_defs {\n\tscript_user root\n}\n")
	for _, v := range []struct {
		port     int
		protocol string
	}{{httpPort, "TCP"}, {udpPort, "UDP"}} {
		fmt.Fprintf(&b, "virtual_server %s %d {\n\tlb_algo rr\n\tlb_kind NAT\n\tprotocol %s\n", s.top.VIP, v.port, v.protocol)
		for i := range s.top.Servers {
			w := 1
			if i == 1 {
				w = weight
			}
			fmt.Fprintf(&b, "\treal_server %s %d {\n\t\tweight %d\n\t}\n", s.top.ServerAddr(i), v.port, w)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func (s *usersSite) confFile() string { return filepath.Join(s.dir, "keepalived.conf") }

func (s *usersSite) configure(weight int) error {
	next := s.confFile() + ".new"
	if err := os.WriteFile(next, []byte(s.conf(weight)), 0o644); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	// A daemon that reads at this moment shall find a whole file.
	if err := os.Rename(next, s.confFile()); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// startDaemon starts it and waits until it balances.
func (s *usersSite) startDaemon(program string) error {
	if err := s.configure(1); err != nil {
		return err
	}
	cmd := exec.Command(program, "run", "-f", s.confFile(),
		"--socket", filepath.Join(s.dir, "evenkeel.sock"), "--pin-dir", filepath.Join(s.dir, "bpf", "evenkeel"))
	var err error
	if s.daemon, err = process.Start(s.top.Director, cmd, filepath.Join(s.dir, "evenkeel.log")); err != nil {
		return err
	}
	s.later(func() error { return s.daemon.End(time.Minute) })
	client := s.top.Client.HTTPClient()
	client.Timeout = time.Second
	return s.daemon.Await("an answer through the balancer", time.Minute, func() bool {
		answer, err := client.Get("http://" + s.web(true).String())
		if err != nil {
			return false
		}
		return answer.Body.Close() == nil && answer.StatusCode == 200
	})
}

// web returns where HTTP clients go: to the virtual service, or behind plain forwarding to
// the address of both servers. Either way each of wrk's threads has connections to both: where
// each has a server of its own the slowest requests wait a fraction of the time, whatever
// forwards them.
func (s *usersSite) web(balanced bool) netip.AddrPort {
	if balanced {
		return netip.AddrPortFrom(s.top.VIP, httpPort)
	}
	return netip.AddrPortFrom(s.shared, directHTTP)
}

// udp returns where UDP clients go, in turns: to the virtual service, or behind plain
// forwarding to each server.
func (s *usersSite) udp(balanced bool) []netip.AddrPort {
	if balanced {
		return []netip.AddrPort{netip.AddrPortFrom(s.top.VIP, udpPort)}
	}
	servers := make([]netip.AddrPort, len(s.top.Servers))
	for i := range servers {
		servers[i] = netip.AddrPortFrom(s.top.ServerAddr(i), directUDP)
	}
	return servers
}

// churn reloads the daemon with other weights, all the time, until the function
// returned is called. That says how often.
func (s *usersSite) churn(ctx context.Context) (stop func() (int, error)) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failed error
	reloads := 0
	wg.Go(func() {
		for tick := time.NewTicker(250 * time.Millisecond); ; reloads++ {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			if failed = s.configure(1 + reloads%3); failed != nil {
				return
			}
			if failed = s.daemon.Cmd.Process.Signal(unix.SIGHUP); failed != nil {
				return
			}
		}
	})
	return func() (int, error) {
		cancel()
		wg.Wait()
		return reloads, failed
	}
}

// users is one way of measuring with real clients.
type users struct {
	name     string
	balanced bool
	churn    bool
}

// ways are what is measured in turns in each round, the yardstick first.
func ways() []users {
	return []users{
		{name: "plain forwarding to both servers"},
		{name: "XDP NAT", balanced: true},
		{name: "XDP NAT, four reloads a second", balanced: true, churn: true},
	}
}

// Users measures the users level: program is the evenkeel binary that runs as
// daemon. It needs root, nginx and wrk.
func Users(ctx context.Context, program string, o Options) (figures []figure.Figure, skipped []string, err error) {
	o = o.withDefaults()
	for _, tool := range []string{"nginx", "wrk"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, []string{fmt.Sprintf("users level: %s is not installed (apt-get install nginx-core wrk)", tool)}, nil
		}
	}
	s, err := newUsersSite(program)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	m := newUsersFigures()
	for round := range o.Rounds {
		for i, way := range ways() {
			o.Progress(fmt.Sprintf("users: %s, round %d", way.name, round+1), i+1, len(ways()))
			if err := s.measure(ctx, way, o, m); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", way.name, err)
			}
		}
	}
	return m.all(), nil, nil
}

// measure measures one way once.
func (s *usersSite) measure(ctx context.Context, way users, o Options, m *usersFigures) error {
	seconds := 3
	if o.Short {
		seconds = 2
	}
	if way.churn {
		stop := s.churn(ctx)
		defer func() { _, _ = stop() }() // stopped below already unless something failed
		err := s.load(ctx, way, seconds, m)
		reloads, failed := stop()
		if err := errors.Join(err, failed); err != nil {
			return err
		}
		if reloads == 0 {
			return errors.New("no reload took place")
		}
		return nil
	}
	return s.load(ctx, way, seconds, m)
}

// load runs the clients: requests on open connections, a connection for each
// request, and UDP.
func (s *usersSite) load(ctx context.Context, way users, seconds int, m *usersFigures) error {
	open, err := s.wrk(ctx, seconds, s.web(way.balanced))
	if err != nil {
		return err
	}
	fresh, err := s.wrk(ctx, seconds, s.web(way.balanced), "-H", "Connection: close")
	if err != nil {
		return err
	}
	datagrams, err := s.datagrams(ctx, s.udp(way.balanced), time.Duration(seconds)*time.Second)
	if err != nil {
		return err
	}
	m.add(way, map[string]float64{
		requests: open.perSecond, requestP99: open.p99, connections: fresh.perSecond, connectionP99: fresh.p99,
		errorsSeen: float64(open.errors + fresh.errors), udpRoundTrips: datagrams,
	})
	return nil
}
