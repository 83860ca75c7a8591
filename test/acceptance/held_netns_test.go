//go:build netns

package acceptance

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// held is an echo service with one open connection to each server.
type held struct {
	at      netip.AddrPort
	kind    string
	port    uint16 // of the servers
	inhibit bool
	conns   map[string]net.Conn // by address of the server
}

// open opens connections until each of three servers has one.
func (h *held) open(s *site) {
	s.t.Helper()
	h.conns = map[string]net.Conn{}
	for range s.top.Servers {
		c := s.echoing(h.at)
		h.conns[s.flowOf(c.LocalAddr().String())] = c
	}
	if len(h.conns) != len(s.top.Servers) {
		s.t.Fatalf("connections to %s went to %d of %d servers", h.at, len(h.conns), len(s.top.Servers))
	}
}

// word is what is said over a held connection.
const word = "still there?"

func (h *held) ask(c net.Conn) {
	_, _ = io.WriteString(c, word) // a failure shows in the answer
}

// wantAnswer wants the echo of one word.
func (h *held) wantAnswer(t *testing.T, c net.Conn) {
	t.Helper()
	back := make([]byte, len(word))
	err := c.SetReadDeadline(time.Now().Add(labtest.Patience))
	if err == nil {
		_, err = io.ReadFull(c, back)
	}
	if err != nil || string(back) != word {
		t.Errorf("connection %s to %s: %q came back, %v", c.LocalAddr(), h.at, back, err)
	}
}

// silent reports whether nothing has come back.
func (h *held) silent(c net.Conn) bool {
	var b [1]byte
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		return false
	}
	_, err := c.Read(b[:])
	timeout, ok := err.(net.Error) //nolint:errorlint // net wraps nothing around it
	return ok && timeout.Timeout()
}

// realServer returns one server of a service.
func (s *site) realServer(at netip.AddrPort, addr string) api.RealServer {
	s.t.Helper()
	for _, r := range s.service(at).Servers {
		if r.Address == addr {
			return r
		}
	}
	s.t.Fatalf("evenkeel services lists no server %s of %s", addr, at)
	return api.RealServer{}
}

// flowOf returns the address of the server that a client's connection goes
// to.
func (s *site) flowOf(client string) string {
	s.t.Helper()
	for _, f := range s.flows() {
		if f.Client == client {
			server, err := netip.ParseAddrPort(f.Server)
			s.must(err)
			return server.Addr().String()
		}
	}
	s.t.Fatalf("no flow of client %s", client)
	return ""
}
