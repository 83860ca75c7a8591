//go:build netns

package acceptance

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// long is how many transfers go through each of two services.
const long = 100

// TestTransfersSurvive keeps 200 transfers going, half of them through DR and
// half through NAT, while the daemon reloads, is killed, is started again, and
// is replaced by another version.
func TestTransfersSurvive(t *testing.T) {
	needBPFTool(t)
	s := newSite(t, lab.Both, 4)
	dr, nat := netip.AddrPortFrom(s.top.DRVIP, 80), netip.AddrPortFrom(s.top.VIP, 80)
	configure := func(servers int, weight int) {
		text := conf{services: []serviceConf{
			{at: dr, kind: "DR", servers: s.servers(0, servers, 80, fmt.Sprintf("weight %d", weight), checked(0))},
			{at: nat, kind: "NAT", servers: s.servers(0, servers, 9000, checked(0), fmt.Sprintf("weight %d", weight))},
		}}.String()
		s.write(text)
	}
	f := newFleet(t)
	for _, node := range s.top.Servers {
		f.serve(node, ":80")
		f.serve(node, ":9000")
	}
	configure(3, 1)
	first := s.start("--no-supervise") // so that the kill is its end
	s.alive(dr, 3)
	s.alive(nat, 3)
	for range long {
		f.open(s.top.Client, dr)
		f.open(s.top.Client, nat)
	}
	f.advance("with the first daemon")
	began := s.picture(f)
	same := func(when string) {
		t.Helper()
		f.advance(when)
		if diff := cmp.Diff(began, s.picture(f)); diff != "" {
			t.Errorf("%s, connections are not as they were (-before +after):\n%s", when, diff)
		}
	}
	attached := s.attachments()

	configure(4, 3)
	first.Signal(syscall.SIGHUP)
	labtest.Until(t, "the reload", func() bool { l := s.status().LastReload; return l != nil && l.OK })
	s.alive(dr, 4)
	s.alive(nat, 4)
	for _, r := range s.service(dr).Servers {
		if r.Weight != 3 {
			t.Errorf("weight of %s after the reload = %d, want 3", r.Address, r.Weight)
		}
	}
	same("after the reload")
	if now := s.attachments(); !maps.Equal(now, attached) {
		t.Errorf("after the reload the attachments are %v, were %v", now, attached)
	}

	first.End(syscall.SIGKILL)
	same("without a daemon")
	if now := s.attachments(); !maps.Equal(now, attached) {
		t.Errorf("without a daemon the attachments are %v, were %v", now, attached)
	}
	second := s.start()
	if !s.status().Datapath.Adopted {
		t.Error("the daemon after the kill made a new datapath")
	}
	s.alive(dr, 4)
	s.alive(nat, 4)
	same("after the restart")
	attached = s.replaced("the restart", attached)

	s.want(0, "stop", "--keep")
	if code := second.Wait(); code != 0 {
		t.Errorf("after stop --keep the daemon ends with %d", code)
	}
	same("after stop --keep")
	s.path = program(t, "2")
	s.start()
	if st := s.status(); st.Version != "2" || !st.Datapath.Adopted {
		t.Errorf("the other version is %q, adopted %t", st.Version, st.Datapath.Adopted)
	}
	s.alive(dr, 4)
	s.alive(nat, 4)
	same("with the other version")
	s.replaced("the other version", attached)

	// The server that was added while they ran takes its share of new ones.
	for range 8 {
		f.open(s.top.Client, dr)
		f.open(s.top.Client, nat)
	}
	f.advance("with new transfers")
	for _, at := range []netip.AddrPort{dr, nat} {
		added := s.server(3, 0).Addr().String()
		for _, r := range s.service(at).Servers {
			if r.Address == added && r.Active != 2 {
				t.Errorf("of 8 new connections to %s the added server has %d, want 2", at, r.Active)
			}
		}
	}
	f.finish()

	s.want(0, "stop")
	if s.pinned() {
		t.Error("the stop left pins behind")
	}
}

// picture is what of the table must not change while the daemon does.
type picture struct {
	Flows  map[string]string // server by client and virtual address
	Active map[string]uint32 // by virtual address and server
	Conns  map[string]uint64 // by virtual address: flows ever opened
}

// picture returns the flows of a fleet and the counters. Servers without
// connections are left out.
func (s *site) picture(f *fleet) picture {
	s.t.Helper()
	p := picture{Flows: map[string]string{}, Active: map[string]uint32{}, Conns: map[string]uint64{}}
	for _, flow := range s.flows() {
		if flow.State == "ESTABLISHED" {
			p.Flows[flow.Client+" to "+flow.Virtual] = flow.Server
		}
	}
	for _, x := range f.transfers {
		if _, ok := p.Flows[fmt.Sprintf("%s to %s", x.client, x.virtual)]; !ok {
			s.t.Errorf("transfer %s to %s has no established flow", x.client, x.virtual)
		}
	}
	if len(p.Flows) != len(f.transfers) {
		s.t.Errorf("%d established flows for %d transfers", len(p.Flows), len(f.transfers))
	}
	for _, svc := range s.services().Services {
		p.Conns[svc.Service] = svc.Counters.Conns
		for _, r := range svc.Servers {
			if r.Active+r.Inactive > 0 {
				p.Active[fmt.Sprintf("%s: %s", svc.Service, r.Address)] = r.Active
			}
		}
	}
	return p
}

// attachments returns those of both interfaces of the director.
func (s *site) attachments() map[string]attachment {
	s.t.Helper()
	return map[string]attachment{"eth0": s.attachment("eth0"), "eth1": s.attachment("eth1")}
}

// replaced checks that each interface runs another program by the same link,
// and returns the attachments.
func (s *site) replaced(by string, before map[string]attachment) map[string]attachment {
	s.t.Helper()
	now := s.attachments()
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if now[name].ID != before[name].ID || now[name].Program == before[name].Program {
			s.t.Errorf("after %s the attachment of %s is %+v, was %+v: want another program by the same link",
				by, name, now[name], before[name])
		}
	}
	return now
}
