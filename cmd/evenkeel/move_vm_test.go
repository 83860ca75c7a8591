//go:build vm

package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// long is how long to wait in a machine whose processor is emulated.
const long = 5 * time.Minute

// liveConns is how many connections live while their service moves.
func liveConns() int {
	if testing.Short() {
		return 40
	}
	return 200
}

// rounds is how often it moves there and back by reloads.
func rounds() int {
	if testing.Short() {
		return 1
	}
	return 2
}

// A service moves from XDP to IPVS and back, by reloads and by command, and none of its
// connections breaks or changes its server.
func TestXDPMovesWithItsFlows(t *testing.T) {
	eachTopology(t, func(s *site, tt topology) {
		if testing.Short() && tt.kind != "NAT" {
			return // the others take as long each
		}
		conns := liveConns()
		s.configure(tt.kind, "@evenkeel datapath xdp")
		inXDP := s.text()
		s.start()
		s.ready(3)
		live := s.hold(conns)
		defer live.end()
		s.runsIn("xdp", conns)
		for range rounds() {
			s.configure(tt.kind, "@evenkeel datapath ipvs")
			s.want(0, "reload")
			s.runsIn("ipvs", conns)
			live.all()
			s.write(inXDP)
			s.want(0, "reload")
			s.runsIn("xdp", conns)
			live.all()
		}
		s.want(0, "services", "move", s.top.VIP.String()+":80", "ipvs")
		s.runsIn("ipvs", conns)
		live.all()
		if said := s.want(0, "services", "move", s.top.VIP.String()+":80", "xdp").Stdout; !strings.Contains(said, "Until the next reload") {
			s.t.Errorf("move says %q", said)
		}
		s.runsIn("xdp", conns)
		live.all()
		live.end()
		if n := live.broken.Load(); n > 0 {
			s.t.Errorf("%d of %d connections broke, the first: %s", n, conns, *live.first.Load())
		}
		s.balanced(2)
		s.want(0, "stop")
	})
}

// runsIn waits until the service runs there, with at least so many active flows.
func (s *site) runsIn(datapath string, active int) {
	s.t.Helper()
	var last string
	defer func() {
		if s.t.Failed() {
			s.t.Logf("the service is %s\n%s", last, s.call("services").Stdout)
		}
	}()
	labtest.UntilFor(s.t, long, fmt.Sprintf("the service runs in %s with %d flows", datapath, active), func() bool {
		svc := s.status().Services
		if len(svc) != 1 || svc[0].Datapath != datapath {
			return false
		}
		count := strings.Count(s.want(0, "services", "-c").Stdout, "ESTABLISHED")
		last = fmt.Sprintf("in %s with %d flows", svc[0].Datapath, count)
		return count >= active
	})
}

// connections are held open, and used every other second.
type connections struct {
	using  sync.WaitGroup
	stop   chan struct{}
	once   sync.Once
	rounds []atomic.Int64
	broken atomic.Int64
	first  atomic.Pointer[string]
	s      *site
}

// hold opens connections.
func (s *site) hold(n int) *connections {
	s.t.Helper()
	c := &connections{stop: make(chan struct{}), rounds: make([]atomic.Int64, n), s: s}
	for i := range n {
		conn, err := s.top.Client.Dial(s.t.Context(), "tcp", fmt.Sprintf("%s:80", s.top.VIP))
		if err != nil {
			s.t.Fatal(err)
		}
		c.using.Go(func() { c.use(i, conn) })
	}
	c.all()
	return c
}

func (c *connections) use(i int, conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	server := ""
	for {
		select {
		case <-c.stop:
			return
		case <-time.After(2 * time.Second):
		}
		name, err := ask(conn, reader)
		if err == nil && server != "" && name != server {
			err = fmt.Errorf("answered by %s, before by %s", name, server)
		}
		if err != nil {
			text := err.Error()
			c.first.CompareAndSwap(nil, &text)
			c.broken.Add(1)
			return
		}
		server = name
		c.rounds[i].Add(1)
	}
}

// ask returns the name of the server.
func ask(conn net.Conn, reader *bufio.Reader) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(long)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: vip\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var name [64]byte
	n, err := resp.Body.Read(name[:])
	if n > 0 {
		err = nil
	}
	return string(name[:n]), err
}

// all waits until each connection was used once more, from beginning to end.
func (c *connections) all() {
	c.s.t.Helper()
	before := make([]int64, len(c.rounds))
	for i := range c.rounds {
		before[i] = c.rounds[i].Load()
	}
	labtest.UntilFor(c.s.t, long, "every connection was used", func() bool {
		for i := range c.rounds {
			if c.broken.Load() == 0 && c.rounds[i].Load() < before[i]+1 {
				return false
			}
		}
		return true
	})
}

func (c *connections) end() {
	c.once.Do(func() { close(c.stop) })
	c.using.Wait()
}
