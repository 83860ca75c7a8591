package main

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// site is a director and a node that answers for all real servers.
type site struct {
	lab      *lab.Lab
	director *lab.Node
	dir      string
	pins     string
	listener net.Listener
	// checked counts the checks of each server.
	checked []atomic.Uint32
	total   atomic.Uint64
	first   atomic.Int64 // servers that were checked at least once
}

func newSite(prefix string, servers int) (*site, error) {
	if err := lab.Clean(prefix); err != nil { // what a bench that was killed has left
		return nil, err
	}
	l, err := lab.New(prefix)
	if err != nil {
		return nil, err
	}
	s := &site{lab: l, checked: make([]atomic.Uint32, servers)}
	if err := s.build(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *site) build() (err error) {
	if s.dir, err = os.MkdirTemp("", "bench-scale-"); err != nil {
		return err
	}
	if s.director, err = s.lab.AddNode("director"); err != nil {
		return err
	}
	servers, err := s.lab.AddNode("servers")
	if err != nil {
		return err
	}
	port := func(last byte, pass bool) lab.Port {
		return lab.Port{Name: "eth0", Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 90, 0, last}), 24)}, XDPPass: pass}
	}
	if _, _, err := s.lab.Connect(s.director, port(1, false), servers, port(2, true)); err != nil {
		return err
	}
	all := netip.MustParsePrefix("10.128.0.0/9")
	if err := s.director.AddRoute(all, netip.MustParseAddr("10.90.0.2")); err != nil {
		return err
	}
	if err := s.director.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.90.0.2")); err != nil {
		return err
	}
	if err := servers.AnswerFor(all); err != nil {
		return err
	}
	if s.listener, err = servers.Listen("tcp4", ":80"); err != nil {
		return err
	}
	go s.accept()
	s.pins = filepath.Join(s.dir, "bpf")
	if err := os.Mkdir(s.pins, 0o700); err != nil {
		return err
	}
	return s.lab.MountBPFFS(s.pins)
}

// accept counts the checks until the listener is closed.
func (s *site) accept() {
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if at, err := netip.ParseAddrPort(c.LocalAddr().String()); err == nil {
			if n := number(at.Addr()); n >= 0 && n < len(s.checked) && s.checked[n].Add(1) == 1 {
				s.first.Add(1)
			}
			s.total.Add(1)
		}
		c.Close()
	}
}

// forget begins the count anew.
func (s *site) forget() {
	for i := range s.checked {
		s.checked[i].Store(0)
	}
	s.first.Store(0)
}

func (s *site) close() error {
	if s.listener != nil {
		s.listener.Close()
	}
	return errors.Join(s.lab.Close(), os.RemoveAll(s.dir))
}
