//go:build netns

package acceptance

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// The terms of the checks: how long one may take to see that a server is gone.
// A pause between checks is up to a twentieth longer. What this machine needs
// beside that is not the check's, and is granted.
const (
	downTerms = delayLoop*time.Second*21/20 + (retries+1)*connectTimeout*time.Second + retries*retryDelay*time.Second
	granted   = 3 * time.Second
)

// web is a set of HTTP servers that answer with their name, on the port of DR
// and on that of NAT.
type web struct {
	s       *site
	running [][]*lab.Server
}

func (s *site) newWeb() *web {
	s.t.Helper()
	w := &web{s: s, running: make([][]*lab.Server, len(s.top.Servers))}
	for i := range w.running {
		w.start(i)
	}
	return w
}

func (w *web) start(i int) {
	w.s.t.Helper()
	node := w.s.top.Servers[i]
	for _, addr := range []string{":80", ":9000"} {
		srv, err := node.ServeHTTP(addr, http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(out, node.Name())
		}))
		w.s.must(err)
		w.running[i] = append(w.running[i], srv)
	}
}

func (w *web) stop(i int) {
	w.s.t.Helper()
	for _, srv := range w.running[i] {
		w.s.must(srv.Close())
	}
	w.running[i] = nil
}

// requests are what a client asked a service without a pause.
type requests struct {
	mu   sync.Mutex // guards list
	list []request
}

type request struct {
	server string // that answered
	err    error
}

// ask asks a service, one request after another, until the test ends. Each
// comes from a port of its own, counted from first: a port that comes again
// within two minutes may belong to a flow of before, and goes where that went,
// as in IPVS.
func (s *site) ask(at netip.AddrPort, first int) *requests {
	s.t.Helper()
	var d net.Dialer
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
				err = s.top.Client.Do(func() (err error) {
					c, err = d.DialContext(ctx, network, addr)
					return err
				})
				return c, err
			},
		},
		// A request to a server that is taken out meanwhile gets no answer.
		Timeout: 3 * time.Second,
	}
	r := &requests{}
	var work sync.WaitGroup
	stop := make(chan struct{})
	work.Go(func() {
		pause := time.NewTicker(10 * time.Millisecond)
		defer pause.Stop()
		for port := first; ; port++ {
			d.LocalAddr = &net.TCPAddr{Port: port}
			r.add(fetch(client, "http://"+at.String()))
			select {
			case <-stop:
				return
			case <-pause.C:
			}
		}
	})
	s.t.Cleanup(func() { close(stop); work.Wait() })
	return r
}

func fetch(client *http.Client, url string) request {
	resp, err := client.Get(url)
	if err != nil {
		return request{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return request{server: string(body), err: err}
}

func (r *requests) add(q request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, q)
}

func (r *requests) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.list)
}

func (r *requests) since(mark int) []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list[mark:])
}

// answered waits for more requests and wants all of them answered, by these
// servers in equal parts. Requests that had begun before count to what was before.
func (r *requests) answered(t *testing.T, when string, by ...string) {
	t.Helper()
	const each = 12
	mark := r.count() + 1
	labtest.Until(t, "requests "+when, func() bool { return r.count() >= mark+each*len(by) })
	got := map[string]int{}
	for _, q := range r.since(mark)[:each*len(by)] {
		if q.err != nil && got[""] == 0 {
			t.Errorf("a request failed %s: %v", when, q.err)
		}
		got[q.server]++
	}
	for _, name := range by {
		if got[name] != each {
			t.Errorf("requests %s were answered by %v, want %d each of %v", when, got, each, by)
			return
		}
	}
}

// failed counts failed requests since a mark.
func (r *requests) failed(mark int) int {
	n := 0
	for _, q := range r.since(mark) {
		if q.err != nil {
			n++
		}
	}
	return n
}

// sorry waits until the sorry server of a service stands in, or no longer does.
func (s *site) sorry(at netip.AddrPort, want bool) {
	s.t.Helper()
	labtest.Until(s.t, fmt.Sprintf("sorry server of %s: %t", at, want), func() bool {
		for _, r := range s.service(at).Servers {
			if r.Sorry {
				return r.InTable == want && (!want || r.NextHop.Resolved)
			}
		}
		return false
	})
}

// TestServersComeAndGo lets servers die and return under requests to a DR and
// a NAT service.
func TestServersComeAndGo(t *testing.T) {
	s := newSite(t, lab.Both, 4)
	w := s.newWeb()
	dr, nat := netip.AddrPortFrom(s.top.DRVIP, 80), netip.AddrPortFrom(s.top.VIP, 80)
	services := []netip.AddrPort{dr, nat}
	configure := func(quorum int) {
		lines := func(port uint16) []string {
			a := s.server(3, port)
			return []string{fmt.Sprintf("sorry_server %s %d", a.Addr(), a.Port()), fmt.Sprintf("quorum %d", quorum)}
		}
		s.write(conf{services: []serviceConf{
			{at: dr, kind: "DR", lines: lines(80), servers: s.servers(0, 3, 80, checked(0))},
			{at: nat, kind: "NAT", lines: lines(9000), servers: s.servers(0, 3, 9000, checked(0))},
		}}.String())
	}
	configure(1)
	s.start()
	for _, at := range services {
		s.alive(at, 3)
	}
	asked := []*requests{s.ask(dr, 20000), s.ask(nat, 30000)}
	all := []string{"server1", "server2", "server3"}
	answered := func(t *testing.T, when string, by ...string) {
		t.Helper()
		for _, r := range asked {
			r.answered(t, when, by...)
		}
	}
	alive := func(s *site, n int) {
		s.t.Helper()
		for _, at := range services {
			s.alive(at, n)
		}
	}
	sorry := func(s *site, want bool) {
		s.t.Helper()
		for _, at := range services {
			s.sorry(at, want)
		}
	}
	answered(t, "with all servers", all...)

	t.Run("one dies and returns", func(t *testing.T) {
		s := s.in(t)
		died := time.Now()
		w.stop(1)
		alive(s, 2)
		if took := time.Since(died); took > downTerms+granted {
			t.Errorf("a dead server was in the table for %v, its check allows %v", took, downTerms)
		}
		answered(t, "without server2", "server1", "server3")
		marks := []int{asked[0].count(), asked[1].count()}
		w.start(1)
		alive(s, 3)
		answered(t, "with server2 again", all...)
		for i, r := range asked {
			if n := r.failed(marks[i]); n != 0 {
				t.Errorf("%d requests to %s failed while a server returned", n, services[i])
			}
		}
	})

	t.Run("all die and return", func(t *testing.T) {
		s := s.in(t)
		for i := range 3 {
			w.stop(i)
		}
		sorry(s, true)
		answered(t, "with the sorry server", "server4")
		marks := []int{asked[0].count(), asked[1].count()}
		for i := range 3 {
			w.start(i)
		}
		alive(s, 3)
		sorry(s, false)
		answered(t, "after the sorry server", all...)
		for i, r := range asked {
			// The sorry server is taken out with the request that it may be
			// answering, as keepalived does it.
			if n := r.failed(marks[i]); n > 1 {
				t.Errorf("%d requests to %s failed while all servers returned", n, services[i])
			}
		}
	})

	t.Run("quorum", func(t *testing.T) {
		s := s.in(t)
		configure(2)
		s.want(0, "reload")
		answered(t, "with quorum", all...)
		w.stop(0)
		alive(s, 2)
		answered(t, "with just quorum", "server2", "server3")
		w.stop(1)
		sorry(s, true)
		answered(t, "without quorum", "server4")
		w.start(0)
		sorry(s, false)
		answered(t, "with quorum again", "server1", "server3")
		w.start(1)
		alive(s, 3)
	})
}

// TestConnectionsOfFailedServers opens a connection to each server and lets
// the check of one fail, while the server goes on. With inhibit_on_failure
// its connections go on and no new ones come; without, they halt until it is
// back in the table, as in IPVS.
func TestConnectionsOfFailedServers(t *testing.T) {
	const control = 8100 // the port that is checked
	s := newSite(t, lab.Both, 3)
	held := []held{
		{at: netip.AddrPortFrom(s.top.DRVIP, 7), kind: "DR", port: 7, inhibit: true},
		{at: netip.AddrPortFrom(s.top.DRVIP, 8), kind: "DR", port: 8},
		{at: netip.AddrPortFrom(s.top.VIP, 7), kind: "NAT", port: 9007, inhibit: true},
		{at: netip.AddrPortFrom(s.top.VIP, 8), kind: "NAT", port: 9008},
	}
	var c conf
	for _, h := range held {
		lines := []string{checked(control)}
		if h.inhibit {
			lines = append(lines, "inhibit_on_failure")
		}
		c.services = append(c.services, serviceConf{at: h.at, kind: h.kind, servers: s.servers(0, 3, h.port, lines...)})
		for _, node := range s.top.Servers {
			_, err := node.ServeTCPEcho(fmt.Sprintf(":%d", h.port))
			s.must(err)
		}
	}
	s.write(c.String())
	var controls []*lab.Server
	for _, node := range s.top.Servers {
		srv, err := node.ServeTCPEcho(fmt.Sprintf(":%d", control))
		s.must(err)
		controls = append(controls, srv)
	}
	s.start()
	for i := range held {
		s.alive(held[i].at, 3)
		held[i].open(s)
	}

	s.must(controls[1].Close())
	failed := s.top.ServerAddr(1).String()
	for i := range held {
		h := &held[i]
		labtest.Until(t, fmt.Sprintf("the failure of a server of %s", h.at), func() bool {
			r := s.realServer(h.at, failed)
			return !r.Health.Alive && r.InTable == h.inhibit
		})
		if r := s.realServer(h.at, failed); h.inhibit && r.Weight != 0 {
			t.Errorf("weight of the inhibited server of %s = %d, want 0", h.at, r.Weight)
		}
		for name, conn := range h.conns {
			h.ask(conn)
			if name != failed || h.inhibit {
				h.wantAnswer(t, conn)
			}
		}
		for range 6 {
			if by := s.flowOf(s.echoing(h.at).LocalAddr().String()); by == failed {
				t.Errorf("a new connection to %s went to the failed server", h.at)
			}
		}
	}
	for _, h := range held {
		if !h.inhibit && !h.silent(h.conns[failed]) {
			t.Errorf("%s: a server out of the table answers", h.at)
		}
	}

	var err error
	controls[1], err = s.top.Servers[1].ServeTCPEcho(fmt.Sprintf(":%d", control))
	s.must(err)
	for i := range held {
		h := &held[i]
		s.alive(h.at, 3)
		if r := s.realServer(h.at, failed); r.Weight != 1 {
			t.Errorf("weight of the returned server of %s = %d, want 1", h.at, r.Weight)
		}
		if !h.inhibit {
			h.wantAnswer(t, h.conns[failed]) // to what was asked meanwhile
		}
		for _, conn := range h.conns {
			h.ask(conn)
			h.wantAnswer(t, conn)
		}
	}
}
