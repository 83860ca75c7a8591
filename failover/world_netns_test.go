//go:build netns

package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/vrrp"
)

// site is a LAN with routers 10.90.0.1 and on, and a client.
type site struct {
	testing.TB
	lab     *lab.Lab
	lan     *lab.LAN
	routers []*router
	client  *lab.Node
}

// router is one host with a Service, while it runs.
type router struct {
	testing.TB
	node   *lab.Node
	eth0   *lab.Iface
	kernel *netif.Kernel
	memory string

	service *Service
	end     func()

	mu      sync.Mutex // guards changes
	changes []Change
}

func newSite(t testing.TB, routers int) *site {
	t.Helper()
	s := &site{TB: t, lab: labtest.New(t)}
	var err error
	s.lan, err = s.lab.AddLAN("lan")
	s.check(err)
	for n := range routers {
		r := &router{TB: t, memory: filepath.Join(t.TempDir(), "memory")}
		r.node, r.eth0 = s.host(fmt.Sprintf("router%d", n+1), n+1)
		s.check(r.node.Do(func() (err error) {
			r.kernel, err = netif.Open()
			return err
		}))
		t.Cleanup(func() { r.kernel.Close() })
		s.routers = append(s.routers, r)
	}
	s.client, _ = s.host("client", 9)
	s.check(s.client.SetSysctl("net/ipv4/neigh/eth0/locktime", "0"))
	return s
}

func (s *site) host(name string, number int) (*lab.Node, *lab.Iface) {
	s.Helper()
	n, err := s.lab.AddNode(name)
	s.check(err)
	i, err := s.lan.Join(n, lab.Port{Name: "eth0", Addrs: []netip.Prefix{
		prefix(fmt.Sprintf("10.90.0.%d/24", number)), prefix(fmt.Sprintf("fd5a::%d/64", number)), prefix(fmt.Sprintf("fe80::%d/64", number)),
	}})
	s.check(err)
	return n, i
}

func (s *site) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// start runs a configuration. The router stops with the test at the latest.
func (r *router) start(cfg model.VRRP) {
	r.Helper()
	var err error
	r.service, err = New(Options{
		Config: cfg, Kernel: r.kernel, Memory: r.memory,
		OnChange: func(c Change) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.changes = append(r.changes, c)
		},
		Log: slog.New(slog.NewTextHandler(testWriter{r.TB, r.node.Name()}, nil)),
	})
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	service := r.service
	go func() { done <- service.Run(ctx) }()
	r.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.Errorf("Run = %v", err)
		}
	})
	r.Cleanup(r.end)
}

// crash ends the process without a word.
func (r *router) crash() {
	r.service.Leave()
	r.end()
}

type testWriter struct {
	testing.TB
	name string
}

func (w testWriter) Write(b []byte) (int, error) {
	w.Logf("%s: %s", w.name, b)
	return len(b), nil
}

// seen returns the changes of an instance or group so far, as words.
func (r *router) seen(name string) (words []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.changes {
		if c.Name == name {
			words = append(words, c.State.String())
		}
	}
	return words
}

// find returns one instance; false before it is there.
func (r *router) find(name string) (Status, bool) {
	r.Helper()
	list, err := r.service.Snapshot(context.Background())
	if err != nil {
		r.Fatal(err)
	}
	at := slices.IndexFunc(list, func(s Status) bool { return s.Instance.Name() == name })
	if at < 0 {
		return Status{}, false
	}
	return list[at], true
}

func (r *router) status(name string) Status {
	r.Helper()
	st, ok := r.find(name)
	if !ok {
		r.Fatalf("no instance %s on %s", name, r.node.Name())
	}
	return st
}

func (r *router) state(name string) vrrp.State {
	r.Helper()
	st, ok := r.find(name)
	if !ok {
		return vrrp.Init
	}
	state, _ := st.Instance.State()
	return state
}

func (r *router) await(name string, want vrrp.State) {
	r.Helper()
	labtest.Until(r, fmt.Sprintf("%s of %s becomes %s", name, r.node.Name(), want), func() bool { return r.state(name) == want })
}

// has says whether an address is on any link of the router.
func (r *router) has(addr string) bool {
	r.Helper()
	links, err := r.kernel.Links()
	if err != nil {
		r.Fatal(err)
	}
	return onHost(links, ip(addr))
}

func (r *router) awaitAddr(addr string, there bool) {
	r.Helper()
	labtest.Until(r, fmt.Sprintf("%s on %s: %t", addr, r.node.Name(), there), func() bool { return r.has(addr) == there })
}

// quick makes an instance's election short.
func quick(i model.VRRPInstance, priority uint8) model.VRRPInstance {
	i.Interval, i.Priority = 100*time.Millisecond, priority
	return i
}

func config(instances ...model.VRRPInstance) model.VRRP { return model.VRRP{Instances: instances} }

// answers says whether the client reaches the address: a refused connection is
// an answer.
func (s *site) answers(addr string) bool {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	_, err := s.client.Dial(ctx, "tcp", net.JoinHostPort(addr, "9"))
	return errors.Is(err, unix.ECONNREFUSED)
}

// neighbour returns where the client believes an address to be.
func (s *site) neighbour(addr string) string {
	s.Helper()
	list, err := s.client.Netlink().NeighList(0, 0)
	s.check(err)
	at := slices.IndexFunc(list, func(n netlink.Neigh) bool { return n.IP.Equal(net.ParseIP(addr)) })
	if at < 0 {
		return ""
	}
	return list[at].HardwareAddr.String()
}
