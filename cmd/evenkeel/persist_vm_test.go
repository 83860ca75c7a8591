//go:build vm

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/guest"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/lbmaps"
)

// Time-outs of the test: so long that none ends in it, and not the default ones.
const (
	flowTime     = 3000 * time.Second
	templateTime = 4000 * time.Second
	leastTime    = 1000 * time.Second
)

// Persistent clients keep their servers while their service moves to IPVS and back, on
// the connections that they have and on new ones, and what is left of time-outs goes
// along. They come back in the other order, so that a round robin without templates
// would swap them.
func TestXDPMovesWithItsTemplates(t *testing.T) {
	if os.Getenv(guest.Environment) == "" {
		t.Skip("skipped: runs in a machine of make vm")
	}
	s := newSite(t, lab.NAT)
	for i := range s.servers {
		s.must(s.servers[i].Close())
		s.serveQuietly(i)
	}
	s.configure("NAT", "@evenkeel datapath xdp", fmt.Sprintf("lvs_timeouts tcp %.0f", flowTime.Seconds()))
	s.write(strings.Replace(s.text(), "  delay_loop 1\n",
		fmt.Sprintf("  delay_loop 1\n  persistence_timeout %.0f\n", templateTime.Seconds()), 1))
	s.must(s.top.Client.AddAddr(s.top.ClientIf.Name, netip.MustParsePrefix("10.77.1.8/24")))
	s.startSlowly()
	clients := []*persistent{
		s.persist(s.top.ClientIf.Addrs[0].Addr()),
		s.persist(netip.MustParseAddr("10.77.1.8")),
	}
	if clients[0].server == clients[1].server {
		t.Fatalf("both clients are on %s: the test would see nothing", clients[0].server)
	}
	for _, to := range []string{"ipvs", "xdp"} {
		// What is left after the move is then less than the whole time.
		limit := flowTime - 5*time.Second
		labtest.UntilFor(t, long, "some time of the flows has gone by", func() bool {
			for _, c := range clients {
				if left := s.flowLeft(c); left > limit || left == 0 {
					return false
				}
			}
			return true
		})
		said := s.want(0, "services", "move", s.top.VIP.String()+":80", to).Stdout
		var moved, had int
		if n, _ := fmt.Sscanf(regexp.MustCompile(`with \d+ of \d+ flows`).FindString(said), "with %d of %d", &moved, &had); n != 2 || moved != had || had < 4 {
			t.Errorf("move to %s says %q, want all, and at least two flows and two templates", to, said)
		}
		s.runsIn(to, len(clients))
		for _, c := range clients {
			if left := s.flowLeft(c); left < leastTime || left > limit {
				t.Errorf("in %s the flow of %s has %v left, want what it had: under %v", to, c.conn.LocalAddr(), left, limit)
			}
			// IPVS gets the whole time of each, XDP what was left there.
			if left := s.templateLeft(to, c.addr); left < leastTime || left > templateTime {
				t.Errorf("in %s the template of %s has %v left", to, c.addr, left)
			}
		}
		for i := range clients {
			c := clients[len(clients)-1-i]
			c.wantSame(to)
		}
	}
	s.want(0, "stop")
}

// persistent is a client of one address that has a server, and holds a connection.
type persistent struct {
	s      *site
	addr   netip.Addr
	conn   net.Conn
	reader *bufio.Reader
	server string
}

// persist has a client get its server.
func (s *site) persist(addr netip.Addr) *persistent {
	s.t.Helper()
	c := &persistent{s: s, addr: addr}
	c.conn, c.reader, c.server = c.open()
	return c
}

// open asks on a new connection, and leaves it open until the test ends.
func (c *persistent) open() (net.Conn, *bufio.Reader, string) {
	c.s.t.Helper()
	ctx, cancel := context.WithTimeout(c.s.t.Context(), long)
	defer cancel()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: c.addr.AsSlice()}, KeepAlive: -1}
	var conn net.Conn
	err := c.s.top.Client.Do(func() (err error) {
		conn, err = dialer.DialContext(ctx, "tcp", c.s.top.VIP.String()+":80")
		return err
	})
	c.s.must(err)
	c.s.t.Cleanup(func() { conn.Close() })
	reader := bufio.NewReader(conn)
	server, err := ask(conn, reader)
	c.s.must(err)
	return conn, reader, server
}

// wantSame asks on the connection that is there, and on new ones.
func (c *persistent) wantSame(where string) {
	c.s.t.Helper()
	server, err := ask(c.conn, c.reader)
	if err != nil || server != c.server {
		c.s.t.Errorf("in %s the connection of %s is answered by %q, %v; before by %s", where, c.addr, server, err, c.server)
	}
	for range 2 {
		if _, _, server := c.open(); server != c.server {
			c.s.t.Errorf("in %s a new connection of %s went to %s, before to %s", where, c.addr, server, c.server)
		}
	}
}

// serveQuietly is serve, without the probes of idle connections, each of which
// would give its flow the whole time again.
func (s *site) serveQuietly(i int) {
	s.t.Helper()
	node := s.top.Servers[i]
	listen := net.ListenConfig{KeepAlive: -1}
	var l net.Listener
	s.must(node.Do(func() (err error) {
		l, err = listen.Listen(s.t.Context(), "tcp", ":80")
		return err
	}))
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, node.Name())
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // until it is closed
	}()
	s.t.Cleanup(func() {
		srv.Close()
		<-done
	})
}

// flowLeft is how long the flow of a client's connection lives without a packet, 0
// if it is not listed.
func (s *site) flowLeft(c *persistent) time.Duration {
	s.t.Helper()
	var list api.Flows
	s.must(json.Unmarshal([]byte(s.want(0, "services", "-c", "--json").Stdout), &list))
	for _, f := range list.Flows {
		if f.Client == c.conn.LocalAddr().String() {
			return time.Duration(f.ExpiresSeconds * float64(time.Second))
		}
	}
	return 0
}

// templateLeft is the same of a client's template.
func (s *site) templateLeft(datapath string, client netip.Addr) time.Duration {
	s.t.Helper()
	if datapath == "ipvs" {
		listed := s.ipvsadm("-Lnc")
		found := regexp.MustCompile(`(?m)^TCP +(\d+):(\d\d) .* ` + regexp.QuoteMeta(client.String()) + `:0 `).FindStringSubmatch(listed)
		if found == nil {
			s.t.Fatalf("IPVS has no template of %s:\n%s", client, listed)
		}
		left, err := time.ParseDuration(found[1] + "m" + found[2] + "s")
		s.must(err)
		return left
	}
	var entries []struct {
		Key   struct{ Caddr netip.Addr }
		Value struct{ Expires uint64 }
	}
	dump := s.want(0, "map", "ek_templates", "--json").Stdout
	s.must(json.Unmarshal([]byte(dump), &entries))
	now, err := lbmaps.Now()
	s.must(err)
	for _, e := range entries {
		if e.Key.Caddr == client {
			return time.Duration(e.Value.Expires - now)
		}
	}
	s.t.Fatalf("XDP has no template of %s:\n%s", client, dump)
	return 0
}
