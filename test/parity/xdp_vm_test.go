//go:build vm

package parity

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/sched"
)

// The interface of the frames is the loopback device.
const inside = 1

var (
	ownMAC  = [6]byte{2, 0, 0, 0, 0, 0x01}
	peerMAC = [6]byte{2, 0, 0, 0, 0, 0x02}
)

// Verdicts of an XDP program (linux/bpf.h).
const (
	xdpDrop     = 1
	xdpTX       = 3
	xdpRedirect = 4 // replies, by the kernel's route to the clients
)

// noLinks is a machine without interfaces.
type noLinks struct{}

func (noLinks) Links() ([]netif.Link, error) { return nil, nil }

// everybody is next door.
type everybody struct{}

func (everybody) Watch(...netip.Addr)   {}
func (everybody) Unwatch(...netip.Addr) {}

func (everybody) NextHop(netip.Addr) (netif.NextHop, bool) {
	return netif.NextHop{
		IfIndex: inside, IfName: "lo", MTU: 1500, SrcMAC: ownMAC, DstMAC: peerMAC, Resolved: true,
		Source: netip.MustParseAddr("10.1.255.254"),
	}, true
}

// datapath is the XDP datapath in the same kernel, with its program as it is
// pinned. It gets the same operations and packets.
type datapath struct {
	*loader.XDP
	program *ebpf.Program
}

func newDatapath(t *testing.T, p sched.Profile) *datapath {
	t.Helper()
	// Nothing ends by itself: the model has no clock.
	var never lbmaps.Timeouts
	for i := range never {
		never[i] = 10 * time.Hour
	}
	dir := filepath.Join(labtest.BPFFS(t), "ek")
	x, err := loader.Start(loader.Options{
		Links: noLinks{}, Dir: dir, Resolver: everybody{}, Profile: p, Timeouts: never,
		Flows: 1 << 16, Services: 4096,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Remove(); err != nil {
			t.Error(err)
		}
	})
	maps, err := lbmaps.Open(filepath.Join(dir, "maps"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	if err := maps.PutPort(inside, lbmaps.Port{MAC: ownMAC, Enabled: true}); err != nil {
		t.Fatal(err)
	}
	program, err := ebpf.LoadPinnedProgram(filepath.Join(dir, "progs", "ek_xdp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return &datapath{x, program}
}

// run gives the program an IP packet, and returns what it sends of it.
func (d *datapath) run(t *testing.T, packet []byte) (verdict uint32, out []byte) {
	t.Helper()
	const header, ipv4 = 14, 0x0800
	frame := slices.Concat(ownMAC[:], peerMAC[:], []byte{ipv4 >> 8, ipv4 & 0xff}, packet)
	options := ebpf.RunOptions{
		Data: frame, DataOut: make([]byte, len(frame)+256),
		Context: struct{ Data, DataEnd, DataMeta, Ingress, Queue, Egress uint32 }{DataEnd: uint32(len(frame)), Ingress: inside},
	}
	verdict, err := d.program.Run(&options)
	if err != nil {
		t.Fatal(err)
	}
	return verdict, options.DataOut[header:]
}

// agrees holds what XDP makes of a packet against what IPVS sent; nil is
// nothing. Of what the director says itself only to whom it says it is compared,
// and the outer header of a tunnel need only lead to the same server.
func (r *run) agrees(t *testing.T, packet []byte, side tun, out []byte) {
	t.Helper()
	if r.xdp == nil {
		return
	}
	verdict, got := r.xdp.run(t, packet)
	if out == nil {
		if verdict != xdpDrop {
			r.fatalf(t, "XDP ends with verdict %d, IPVS drops the packet", verdict)
		}
		return
	}
	if verdict != xdpTX && verdict != xdpRedirect {
		r.fatalf(t, "XDP ends with verdict %d, IPVS sends % x", verdict, out)
	}
	const protocol, destination, header, icmp = 9, 16, 20, 1
	if out[protocol] == icmp {
		if got[protocol] != icmp || !bytes.Equal(got[destination:header], out[destination:header]) {
			r.fatalf(t, "XDP sends\n% x, IPVS\n% x", got, out)
		}
		return
	}
	if side.name == r.serverSide.name && r.forward == model.TUN {
		to, inner, err := outerHeader(out)
		gotTo, gotInner, gotErr := outerHeader(got)
		if err != nil || gotErr != nil || to != gotTo {
			r.fatalf(t, "XDP sends to %s (%v), IPVS to %s (%v)", gotTo, gotErr, to, err)
		}
		out, got = inner, gotInner
	}
	if !bytes.Equal(got, out) {
		r.fatalf(t, "XDP sends\n% x, IPVS\n% x", got, out)
	}
}

// serversOf describes the servers of the run's service in a datapath, as compare
// does.
func (r *run) serversOf(t *testing.T, tables model.Tables) []string {
	t.Helper()
	at := slices.IndexFunc(tables.Services, func(e model.ServiceEntry) bool { return e.Key == r.service.Key })
	if at < 0 {
		r.fatalf(t, "the service is gone")
	}
	var list []string
	for _, s := range tables.Services[at].Servers {
		list = append(list, fmt.Sprintf("%+v %d+%d", s.Server, s.Active, s.Inactive))
	}
	return list
}

// All three play the same histories: IPVS, XDP in the same kernel, and the model.
// They choose the same servers, send the same bytes and count the same, after
// each step.
func TestCountedXDPIsTheKernelAndTheModel(t *testing.T) {
	if _, err := os.Stat("/sys/fs/bpf"); err != nil {
		t.Skip("skipped: needs the bpf file system")
	}
	s := newSite(t, portsOfXDP)
	profile := s.probe(t)
	s.xdp = newDatapath(t, profile)
	s.playAll(t, profile)
}
