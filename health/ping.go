package health

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/evenkeel/evenkeel/model"
)

// pingText follows the eight bytes that mark a try in each echo request.
const pingText = "evenkeel check"

// mostReadErrors in a row end the reader of a socket, so that an error that
// does not go away cannot keep a processor busy. The tries in flight end by
// their time-outs, and the next one opens a new socket.
const mostReadErrors = 10_000

// pings makes the tries of PING_CHECK. All that leave in the same way share one
// socket. It is open, and its reader runs, while tries are in flight.
type pings struct {
	mu      sync.Mutex // guards sockets and the waiters and users in them
	sockets map[pingKey]*pingSocket
}

// pingKey is what makes tries leave in the same way.
type pingKey struct {
	six    bool
	from   netip.Addr
	device string
	mark   uint32
}

// pingSocket is one socket and who waits for replies on it.
type pingSocket struct {
	conn    net.PacketConn
	id      uint16
	seq     uint16
	users   int
	waiters map[uint64]*pingWaiter
	// done is closed when the reader has ended.
	done chan struct{}
}

// pingWaiter is one try in flight.
type pingWaiter struct {
	from  netip.Addr
	reply chan struct{}
}

// ping makes one try of PING_CHECK.
func (p *pings) ping(ctx context.Context, c model.Check) Answer {
	if !c.ConnectTo.Addr().IsValid() {
		return Answer{Err: notTried("no address to send to")}
	}
	s, err := p.acquire(c)
	if err != nil {
		return Answer{Err: err}
	}
	defer p.release(keyOf(c), s)

	w := &pingWaiter{from: c.ConnectTo.Addr().Unmap(), reply: make(chan struct{}, 1)}
	mark, seq := p.enter(s, w)
	defer p.leave(s, mark)
	request, err := echoRequest(w.from.Is6(), s.id, seq, mark)
	if err != nil {
		return Answer{Err: notTried("echo request: %v", err)}
	}
	answer := Answer{Sent: fmt.Sprintf("echo request of %d bytes, seq %d", len(request), seq)}
	if _, err := s.conn.WriteTo(request, pingAddr(s.conn, c.ConnectTo.Addr())); err != nil {
		answer.Err = fmt.Errorf("send: %s", cause(err))
		return answer
	}
	timeout := time.NewTimer(c.ConnectTimeout)
	defer timeout.Stop()
	select {
	case <-w.reply:
	case <-timeout.C:
		answer.Err = fmt.Errorf("no answer in %s", c.ConnectTimeout)
	case <-ctx.Done():
		answer.Err = ctx.Err()
	}
	return answer
}

func keyOf(c model.Check) pingKey {
	return pingKey{six: c.ConnectTo.Addr().Unmap().Is6(), from: c.BindTo.Addr(), device: c.BindInterface, mark: c.FWMark}
}

// acquire returns the socket for a check, which it opens for the first user.
func (p *pings) acquire(c model.Check) (*pingSocket, error) {
	key := keyOf(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sockets[key]
	if s == nil {
		conn, err := openPing(c)
		if err != nil {
			return nil, explain(err, c)
		}
		s = &pingSocket{conn: conn, id: uint16(rand.Uint32()), waiters: make(map[uint64]*pingWaiter), done: make(chan struct{})}
		if p.sockets == nil {
			p.sockets = make(map[pingKey]*pingSocket)
		}
		p.sockets[key] = s
		go p.read(s, key.six)
	}
	s.users++
	return s, nil
}

// release closes the socket after its last user and waits for its reader.
func (p *pings) release(key pingKey, s *pingSocket) {
	p.mu.Lock()
	s.users--
	last := s.users == 0
	if last {
		delete(p.sockets, key)
	}
	p.mu.Unlock()
	if last {
		_ = s.conn.Close()
		<-s.done
	}
}

// enter draws the mark and the sequence number of a try.
func (p *pings) enter(s *pingSocket, w *pingWaiter) (mark uint64, seq uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mark = rand.Uint64()
	s.waiters[mark] = w
	s.seq++
	return mark, s.seq
}

func (p *pings) leave(s *pingSocket, mark uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(s.waiters, mark)
}

// read hands replies to those who wait for them until the socket is closed.
func (p *pings) read(s *pingSocket, six bool) {
	defer close(s.done)
	buf := make([]byte, 1500)
	for failures := 0; failures < mostReadErrors; {
		n, from, err := s.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// An ICMP error of some target: its try ends by its time-out.
			failures++
			continue
		}
		failures = 0
		if mark, ok := echoReply(buf[:n], six); ok {
			p.deliver(s, mark, addrOf(from))
		}
	}
}

func (p *pings) deliver(s *pingSocket, mark uint64, from netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := s.waiters[mark]
	if w == nil || w.from.WithZone("") != from.WithZone("") {
		return
	}
	select {
	case w.reply <- struct{}{}:
	default:
	}
}

// addrOf returns the address of a packet's sender, invalid if it has none.
func addrOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap()
	case *net.IPAddr:
		addr, _ := netip.AddrFromSlice(a.IP)
		return addr.Unmap()
	}
	return netip.Addr{}
}

// echoRequest returns an ICMP or ICMPv6 echo request.
func echoRequest(six bool, id, seq uint16, mark uint64) ([]byte, error) {
	m := icmp.Message{Type: ipv4.ICMPTypeEcho}
	if six {
		// The kernel fills in the checksum.
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	data := binary.BigEndian.AppendUint64(nil, mark)
	m.Body = &icmp.Echo{ID: int(id), Seq: int(seq), Data: append(data, pingText...)}
	return m.Marshal(nil)
}

// echoReply returns the mark of an echo reply of ours. It reports false for any
// other packet. Nobody else knows the mark, so that id and sequence number need
// no look.
func echoReply(packet []byte, six bool) (mark uint64, ok bool) {
	protocol, want := 1, icmp.Type(ipv4.ICMPTypeEchoReply)
	if six {
		protocol, want = 58, ipv6.ICMPTypeEchoReply
	}
	m, err := icmp.ParseMessage(protocol, packet)
	if err != nil || m.Type != want {
		return 0, false
	}
	echo, isEcho := m.Body.(*icmp.Echo)
	if !isEcho || len(echo.Data) != 8+len(pingText) || string(echo.Data[8:]) != pingText {
		return 0, false
	}
	return binary.BigEndian.Uint64(echo.Data), true
}
