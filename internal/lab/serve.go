package lab

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// Server is something that answers on a node. It ends with Close or with the
// lab.
type Server struct {
	// Addr is the address listened on, with the real port.
	Addr netip.AddrPort

	close func() error // also waits for the goroutines
}

// Close stops the server, closes its connections and waits for its goroutines.
// It may be called more than once.
func (s *Server) Close() error { return s.close() }

// newServer completes a server: run serves until stop makes it return.
func (n *Node) newServer(addr net.Addr, run func(), stop func() error) (*Server, error) {
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serve on %s: %w", n.name, err), stop())
	}
	return n.start(ap, run, stop), nil
}

// start runs a server until it is closed.
func (n *Node) start(at netip.AddrPort, run func(), stop func() error) *Server {
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	s := &Server{Addr: at, close: sync.OnceValue(func() error {
		err := stop()
		<-done
		return err
	})}
	n.lab.onClose(s.Close)
	return s
}

// ServeHTTP answers HTTP on an address of the node with a real server.
func (n *Node) ServeHTTP(addr string, h http.Handler) (*Server, error) {
	l, err := n.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("serve HTTP on %s: %w", n.name, err)
	}
	srv := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	return n.newServer(l.Addr(), func() { _ = srv.Serve(l) }, srv.Close)
}

// ServeTCPEcho sends back what it reads on each connection, and ends its side
// when the other side has ended.
func (n *Node) ServeTCPEcho(addr string) (*Server, error) {
	l, err := n.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("serve TCP echo on %s: %w", n.name, err)
	}
	e := &echo{listener: l, conns: make(map[net.Conn]bool)}
	return n.newServer(l.Addr(), e.run, e.stop)
}

// echo serves TCP echo on one listener.
type echo struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	stopped bool
	conns   map[net.Conn]bool
}

func (e *echo) run() {
	defer e.serving.Wait()
	for {
		c, err := e.listener.Accept()
		if err != nil {
			return
		}
		if !e.add(c) {
			c.Close()
			return
		}
		e.serving.Go(func() { e.serve(c) })
	}
}

func (e *echo) serve(c net.Conn) {
	defer e.drop(c)
	_, _ = io.Copy(c, c) // ends with the connection, however it ends
}

func (e *echo) add(c net.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return false
	}
	e.conns[c] = true
	return true
}

func (e *echo) drop(c net.Conn) {
	c.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, c)
}

func (e *echo) stop() error {
	err := e.listener.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	for c := range e.conns {
		c.Close()
	}
	return err
}

// maxDatagram is more than any UDP payload.
const maxDatagram = 1 << 16

// ServeUDPEcho sends each datagram back to its sender. Give it the address
// that clients use: replies of a socket on 0.0.0.0 leave with the address
// of the route, which is not a virtual one.
func (n *Node) ServeUDPEcho(addr string) (*Server, error) {
	c, err := n.ListenPacket("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("serve UDP echo on %s: %w", n.name, err)
	}
	run := func() {
		buf := make([]byte, maxDatagram)
		for {
			size, from, err := c.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil { // an error here is an ICMP answer to an earlier reply
				_, _ = c.WriteTo(buf[:size], from)
			}
		}
	}
	return n.newServer(c.LocalAddr(), run, c.Close)
}
