//go:build netns

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// This file's name comes first, and so does its test: it makes its connections
// and then lets the other tests run while the time-outs do.

// The connections of TestCountersReturnToZero to each of two services: from
// each client address the same ports once, and a part of them a second time.
const (
	clientAddrs  = 8
	portsOfEach  = 1250
	firstPort    = 20000
	connections  = clientAddrs * portsOfEach
	everyNth     = 10
	connsAgain   = connections / everyNth
	connsInTotal = connections + connsAgain
)

// TestCountersReturnToZero opens and closes 10,000 connections through each of DR
// and NAT and waits out IPVS's time-outs. Every counter must then be zero, the
// table empty, and all who tell of it must agree.
func TestCountersReturnToZero(t *testing.T) {
	needBPFTool(t)
	s := newSite(t, lab.Both, 3)
	dr, nat := netip.AddrPortFrom(s.top.DRVIP, 80), netip.AddrPortFrom(s.top.VIP, 80)
	s.write(conf{services: []serviceConf{
		{at: dr, kind: "DR", servers: s.servers(0, 3, 80)},
		{at: nat, kind: "NAT", servers: s.servers(0, 3, 9000)},
	}}.String())
	for _, node := range s.top.Servers {
		for _, addr := range []string{":80", ":9000"} {
			serveShort(t, node, addr)
		}
	}
	inside, outside := s.clientAddrs("eth1", 2), s.clientAddrs("eth0", 1)
	s.start()
	s.alive(dr, 3)
	s.alive(nat, 3)

	// Less than the 120 s after which the first that ended may be gone.
	ctx, cancel := context.WithTimeout(t.Context(), 3*labtest.Patience)
	defer cancel()
	var work errgroup.Group
	for i := range clientAddrs {
		work.Go(func() error { return s.shortConnections(ctx, inside[i], dr) })
		work.Go(func() error { return s.shortConnections(ctx, outside[i], nat) })
	}
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, at := range []netip.AddrPort{dr, nat} {
		if got := s.service(at).Counters.Conns; got != connsInTotal {
			t.Errorf("%d connections to %s were counted, want %d", got, at, connsInTotal)
		}
	}
	closed := s.flows()
	// With some connections open, and once those that were reset have timed
	// out, the counters say what the table holds.
	held := append(s.hold(dr), s.hold(nat)...)
	want := count{active: len(held), all: len(held) + 2*(connections-reset(connections))}
	got, more := s.agree(), s.resetsSent()-2*2*reset(connections)
	if missing := want.all - got.all; got.active != want.active || missing < 0 || missing > more {
		t.Errorf("flows that are open or wait for their time-out = %+v, want %+v (%d resets that were not asked for); of %d before:%s",
			got, want, more, len(closed), s.timedOut(closed))
	}
	for _, c := range held {
		c.Close()
	}

	t.Parallel() // waits for the other tests

	const longest = 120 * time.Second
	labtest.UntilFor(t, longest+labtest.Patience, "the table is empty", func() bool { return s.status().Flows.Used == 0 })
	if left := s.agree(); left != (count{}) {
		t.Errorf("%+v are left", left)
	}
	list := s.want(0, "services").Stdout
	if strings.Count(list, " 0          0") != 6 {
		t.Errorf("evenkeel services shows connections:\n%s", list)
	}
	if flows := s.want(0, "services", "-c").Stdout; strings.Count(flows, "\n") != 1 {
		t.Errorf("evenkeel services -c shows flows:\n%s", flows)
	}
	labtest.Until(t, "all entries are given back", func() bool {
		return s.entries("ek_replies") == 0 && s.entriesOfFlows() == 0
	})
}

// resetsSent counts the TCP resets that the client and the servers have sent.
// They can be more than the connections that a reset was to end: on a busy
// machine a FIN is sent twice, and its second acknowledgement comes when the
// socket is gone. The flow is then over as any other that was reset.
func (s *site) resetsSent() int {
	s.t.Helper()
	sum := 0
	for _, n := range append([]*lab.Node{s.top.Client}, s.top.Servers...) {
		sent, err := n.Counter("Tcp", "OutRsts")
		s.must(err)
		sum += int(sent)
	}
	return sum
}

// timedOut lists those of the flows of connections without a reset that are not in the
// table any more, as they were.
func (s *site) timedOut(flows []api.Flow) string {
	s.t.Helper()
	here := make(map[[2]string]bool)
	for _, f := range s.flows() {
		here[[2]string{f.Client, f.Virtual}] = true
	}
	var list strings.Builder
	for _, f := range flows {
		client, err := netip.ParseAddrPort(f.Client)
		s.must(err)
		if mannerOf(int(client.Port()-firstPort)) != withReset && !here[[2]string{f.Client, f.Virtual}] {
			fmt.Fprintf(&list, "\n%+v", f)
		}
	}
	return list.String()
}

// clientAddrs adds addresses to an interface of the client, in 10.77.net.0/24.
func (s *site) clientAddrs(ifname string, net byte) []netip.Addr {
	s.t.Helper()
	var addrs []netip.Addr
	for i := range byte(clientAddrs) {
		a := netip.AddrFrom4([4]byte{10, 77, net, 201 + i})
		if err := s.top.Client.AddAddr(ifname, netip.PrefixFrom(a, 24)); err != nil {
			s.t.Fatal(err)
		}
		addrs = append(addrs, a)
	}
	return addrs
}

// manner is how a connection ends.
type manner byte

const (
	clientFirst manner = 'c'
	serverFirst manner = 's'
	withReset   manner = 'r'
	unused      manner = 'u' // nothing is said, the client closes
)

// mannerOf returns how connection i ends: seven of ten by the client.
func mannerOf(i int) manner {
	switch i % everyNth {
	case 3:
		return serverFirst
	case 5:
		return withReset
	case 7:
		return unused
	default:
		return clientFirst
	}
}

// reset counts those of n connections that end with a reset.
func reset(n int) int { return n / everyNth }

// shortConnections opens and closes a connection from each port of a client
// address, and then those that were reset a second time: at once, a reset and
// the SYN after it could overtake each other on their way to the server.
func (s *site) shortConnections(ctx context.Context, from netip.Addr, to netip.AddrPort) error {
	return s.top.Client.Do(func() error {
		for i := range 2 * portsOfEach {
			again, how := i >= portsOfEach, mannerOf(i)
			if again && how != withReset {
				continue
			}
			port := firstPort + uint16(i%portsOfEach)
			if err := shortConnection(ctx, netip.AddrPortFrom(from, port), to, how); err != nil {
				return fmt.Errorf("connection %d from %s to %s: %w", i, from, to, err)
			}
		}
		return nil
	})
}

// shortConnection must be called on the client.
func shortConnection(ctx context.Context, from, to netip.AddrPort, how manner) error {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from)}
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return err
	}
	defer c.Close()
	if how == unused {
		return nil
	}
	if _, err := c.Write([]byte{byte(how)}); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return err
	}
	switch how {
	case serverFirst:
		if _, err := c.Read(answer[:]); !errors.Is(err, io.EOF) {
			return fmt.Errorf("the server's end: %w", err)
		}
	case withReset:
		return c.(*net.TCPConn).SetLinger(0)
	case clientFirst, unused:
	}
	return nil
}

// serveShort answers the connections of shortConnection.
func serveShort(t *testing.T, n *lab.Node, addr string) {
	t.Helper()
	l, err := n.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				var how [1]byte
				if _, err := io.ReadFull(c, how[:]); err != nil {
					return
				}
				_, _ = c.Write(how[:]) // the client sees it
				if manner(how[0]) != serverFirst {
					_, _ = c.Read(how[:]) // until the client ends
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
}

// hold opens connections that stay open.
func (s *site) hold(at netip.AddrPort) []net.Conn {
	s.t.Helper()
	var held []net.Conn
	for range 30 {
		c, err := s.top.Client.Dial(s.t.Context(), "tcp", at.String())
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { c.Close() })
		held = append(held, c)
	}
	return held
}

// count is a number of flows.
type count struct{ active, all int }

// agree waits until the counters of all servers and the table tell the same
// number of flows, by evenkeel and by bpftool, and returns it. They are read one
// after another, so it asks first whether flows time out meanwhile.
func (s *site) agree() count {
	s.t.Helper()
	var told [4]count
	labtest.Until(s.t, "counters and flows agree", func() bool {
		if !s.settled() {
			return false
		}
		told = [4]count{s.countListed(), s.countFlows(), s.countInMap(), s.countListed()}
		return told[0] == told[1] && told[1] == told[2] && told[2] == told[3]
	})
	return told[0]
}

// settled reports whether no flow will time out within seconds.
func (s *site) settled() bool {
	s.t.Helper()
	for _, f := range s.flows() {
		if f.ExpiresSeconds < 12 {
			return false
		}
	}
	return true
}

// countListed adds what evenkeel services tells of all servers.
func (s *site) countListed() count {
	s.t.Helper()
	var sum count
	for _, svc := range s.services().Services {
		for _, r := range svc.Servers {
			sum.active += int(r.Active)
			sum.all += int(r.Active + r.Inactive)
		}
	}
	return sum
}

// countFlows counts the flows that evenkeel services -c lists. Active are, as
// in IPVS, those that are open or about to be.
func (s *site) countFlows() count {
	s.t.Helper()
	var sum count
	for _, f := range s.flows() {
		sum.all++
		switch f.State {
		case "ESTABLISHED", "SYN_SENT", "SYN_RECV", "SYNACK":
			sum.active++
		}
	}
	return sum
}

// countInMap adds what bpftool shows of all servers.
func (s *site) countInMap() count {
	s.t.Helper()
	var sum count
	for _, e := range s.dump("ek_server_conns") {
		var conns struct{ Active, Total int }
		s.decode(e.Formatted.Value, &conns)
		sum.active += conns.Active
		sum.all += conns.Total
	}
	return sum
}
