//go:build netns

package loader

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/sched"
)

// site is a director with real servers, a real resolver and a real clock.
type site struct {
	*rig
	*lab.Topology
	forward model.Forward
	stop    func() // ends Run and the resolver
}

const serverCount = 3

// newSite starts a datapath in a network.
func newSite(t *testing.T, build func(*lab.Lab, int) (*lab.Topology, error), forward model.Forward) *site {
	t.Helper()
	top, err := build(labtest.New(t), serverCount)
	check(t, err)
	s := &site{Topology: top, forward: forward}
	var kernel *netif.Kernel
	check(t, top.Director.Do(func() (err error) { kernel, err = netif.Open(); return err }))
	t.Cleanup(func() { kernel.Close() })
	resolver := netif.NewResolver(netif.ResolverConfig{
		Kernel:   kernel,
		OnChange: func(a netip.Addr, h netif.NextHop) { s.NextHopChanged(a, h) },
	})
	s.rig = newRig(t, func(o *Options) { o.Links, o.Resolver, o.testClock = kernel, resolver, false })
	s.run(resolver)
	t.Cleanup(func() { s.stop() })
	return s
}

// run is the daemon's part while it lives.
func (s *site) run(resolver *netif.Resolver) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { s.logged(resolver.Run(ctx)) })
	work.Go(func() { s.logged(s.Director.Do(func() error { return s.XDP.Run(ctx) })) })
	s.stop = func() { cancel(); work.Wait() }
}

func (s *site) logged(err error) {
	if err != nil {
		s.t.Error(err)
	}
}

// die ends the daemon and leaves the datapath alone.
func (s *site) die() {
	s.t.Helper()
	s.stop()
	check(s.t, s.Close())
}

// revive is the next daemon.
func (s *site) revive() {
	s.t.Helper()
	resolver := netif.NewResolver(netif.ResolverConfig{
		Kernel:   s.o.Links.(*netif.Kernel),
		OnChange: func(a netip.Addr, h netif.NextHop) { s.NextHopChanged(a, h) },
	})
	s.o.Resolver = resolver
	s.start()
	s.run(resolver)
}

// on returns the address that server i listens on for a port of the VIP.
func (s *site) on(i int, port uint16) netip.AddrPort {
	if s.forward == model.DR {
		return netip.AddrPortFrom(s.VIP, port)
	}
	return netip.AddrPortFrom(s.ServerAddr(i), port+8000)
}

// balance adds a TCP service for a port of the VIP with all servers.
func (s *site) balance(port uint16) {
	s.t.Helper()
	svc := model.Service{Key: model.ServiceKey{Protocol: model.TCP, Addr: netip.AddrPortFrom(s.VIP, port)}, Scheduler: "rr"}
	ops := []sched.Op{op(sched.AddService, svc)}
	for i := range serverCount {
		to := netip.AddrPortFrom(s.ServerAddr(i), s.on(i, port).Port())
		ops = append(ops, op(sched.AddServer, svc, model.Server{Addr: to, Forward: s.forward, Weight: 1}))
	}
	s.apply(ops...)
}

func (s *site) attachAll(mode model.XDPMode) {
	s.t.Helper()
	names := []string{s.ClientSide.Name, s.ServerSide.Name}
	check(s.t, s.Director.Do(func() error { return s.Attach(names, mode) }))
}

// get asks the VIP and returns the answer.
func (s *site) get(client *http.Client) string {
	s.t.Helper()
	res, err := client.Get("http://" + s.VIP.String() + "/")
	check(s.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	check(s.t, err)
	return string(body)
}

// TestTraffic balances real connections, and keeps them while the daemon dies
// and comes back with another program.
func TestTraffic(t *testing.T) {
	for _, tt := range []struct {
		name    string
		build   func(*lab.Lab, int) (*lab.Topology, error)
		forward model.Forward
		mode    model.XDPMode
	}{
		{"DR", lab.DR, model.DR, model.XDPNative},
		{"DR generic", lab.DR, model.DR, model.XDPGeneric},
		{"DR two interfaces", lab.TwoInterfaceDR, model.DR, model.XDPNative},
		{"NAT", lab.NAT, model.NAT, model.XDPNative},
		{"NAT generic", lab.NAT, model.NAT, model.XDPGeneric},
		{"NAT one arm", lab.OneArmNAT, model.NAT, model.XDPNative},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, tt.build, tt.forward)
			s.attachAll(tt.mode)
			for i, node := range s.Servers {
				says := fmt.Sprint(i)
				_, err := node.ServeHTTP(s.on(i, 80).String(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					fmt.Fprint(w, says)
				}))
				check(t, err)
				_, err = node.ServeTCPEcho(s.on(i, 7).String())
				check(t, err)
			}
			s.balance(80)
			s.balance(7)
			s.wantTurns()

			conn, err := s.Client.Dial(t.Context(), "tcp", netip.AddrPortFrom(s.VIP, 7).String())
			check(t, err)
			defer conn.Close()
			echo := func(text string) {
				t.Helper()
				_, err := io.WriteString(conn, text)
				check(t, err)
				back := make([]byte, len(text))
				_, err = io.ReadFull(conn, back)
				check(t, err)
				if string(back) != text {
					t.Errorf("echo of %q is %q", text, back)
				}
			}
			echo("before")
			id := s.loadedID()
			s.die()
			echo("without a daemon")
			s.revive()
			if s.loadedID() == id {
				t.Error("the program was not replaced")
			}
			echo("with another program")
			s.wantTurns()
			s.wantFlow(conn.LocalAddr().String())
		})
	}
}

// wantTurns asks twice as many times as there are servers and wants each server twice.
func (s *site) wantTurns() {
	s.t.Helper()
	client := s.Client.HTTPClient()
	defer client.CloseIdleConnections()
	client.Transport.(*http.Transport).DisableKeepAlives = true
	var got []string
	for range 2 * serverCount {
		got = append(got, s.get(client))
	}
	slices.Sort(got)
	if want := []string{"0", "0", "1", "1", "2", "2"}; !slices.Equal(got, want) {
		s.t.Errorf("answers came from %v, want %v", got, want)
	}
}

// wantFlow wants the connection listed as established, by the daemon and by who
// only looks.
func (s *site) wantFlow(client string) {
	s.t.Helper()
	view, err := Open(s.o.Dir)
	check(s.t, err)
	defer view.Close()
	for name, flows := range map[string]func(context.Context, func(model.Flow) bool) error{
		"daemon": s.Flows, "view": view.Flows,
	} {
		var found []model.Flow
		check(s.t, flows(s.t.Context(), func(f model.Flow) bool {
			if f.Client.String() == client {
				found = append(found, f)
			}
			return true
		}))
		limit := lbmaps.DefaultTimeouts()[lbmaps.Established]
		if len(found) != 1 || found[0].State != "ESTABLISHED" || found[0].Forward != s.forward || found[0].Expires > limit || found[0].Expires <= limit/2 {
			s.t.Errorf("%s lists the connection as %+v", name, found)
		}
	}
	tables, err := view.Snapshot(s.t.Context())
	check(s.t, err)
	active := uint32(0)
	for _, service := range tables.Services {
		for _, e := range service.Servers {
			active += e.Active
			if !e.NextHop.Resolved {
				s.t.Errorf("next hop of %s is %+v", e.Addr, e.NextHop)
			}
		}
	}
	if active == 0 {
		s.t.Error("no connection is counted as active")
	}
}
