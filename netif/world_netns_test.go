//go:build netns

package netif

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// real is a world of namespaces.
type real struct {
	*Kernel
	t   testing.TB
	top *lab.Topology
}

// openKernel opens a Kernel in the node's namespace.
func openKernel(t testing.TB, n *lab.Node) *Kernel {
	t.Helper()
	var k *Kernel
	err := n.Do(func() (err error) {
		k, err = Open()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func newReal(t testing.TB) *real {
	t.Helper()
	top, err := lab.DR(labtest.New(t), 2)
	if err != nil {
		t.Fatal(err)
	}
	w := &real{Kernel: openKernel(t, top.Director), t: t, top: top}
	// The kernel's patience with neighbours is minutes. Make it tenths of
	// seconds.
	for key, value := range map[string]string{
		"base_reachable_time_ms": "300",
		"delay_first_probe_time": "1",
		"retrans_time_ms":        "100",
		"ucast_solicit":          "1",
		"mcast_solicit":          "1",
		"interval_probe_time_ms": "500",
		"locktime":               "0",
	} {
		w.check(top.Director.SetSysctl("net/ipv4/neigh/eth0/"+key, value))
	}
	for _, s := range top.Servers {
		w.check(s.SetSysctl("net/ipv4/conf/all/arp_notify", "1"))
		w.check(s.SetSysctl("net/ipv4/conf/eth0/arp_notify", "1"))
	}
	return w
}

func (w *real) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func mac(from net.HardwareAddr) (to [6]byte) {
	copy(to[:], from)
	return to
}

func (w *real) server(i int) netip.Addr { return w.top.ServerAddr(i) }
func (w *real) linkIndex() int          { return w.top.ClientSide.Index }
func (w *real) serverMAC(i int) [6]byte { return mac(w.top.ServerIfs[i].MAC) }
func (w *real) directorMAC() [6]byte    { return mac(w.top.ClientSide.MAC) }

// changeServerMAC relies on arp_notify: the server announces its new address.
func (w *real) changeServerMAC(i int) { w.bumpMAC(w.top.ServerIfs[i]) }

func (w *real) changeDirectorMAC() { w.bumpMAC(w.top.ClientSide) }

func (w *real) bumpMAC(i *lab.Iface) {
	w.t.Helper()
	next := append(net.HardwareAddr(nil), i.MAC...)
	next[1]++
	w.check(i.SetMAC(next))
}

func (w *real) setAnswering(i int, on bool) {
	w.t.Helper()
	h := w.top.Servers[i].Netlink()
	link, err := h.LinkByName("eth0")
	w.check(err)
	if on {
		w.check(h.LinkSetARPOn(link))
	} else {
		w.check(h.LinkSetARPOff(link))
	}
}

func (w *real) setMTU(mtu int) {
	w.t.Helper()
	h := w.top.Director.Netlink()
	link, err := h.LinkByName("eth0")
	w.check(err)
	w.check(h.LinkSetMTU(link, mtu))
}

func (w *real) setUp(up bool) { w.check(w.top.ClientSide.SetUp(up)) }
func (w *real) deleteLink()   { w.check(w.top.ClientSide.Delete()) }

var farNet = netip.PrefixFrom(farAddr, 24).Masked()

func (w *real) routeThrough(i int) { w.check(w.top.Director.SetRoute(farNet, w.server(i))) }

func (w *real) dropRoute() {
	w.t.Helper()
	w.check(w.top.Director.Netlink().RouteDel(&netlink.Route{
		Dst: &net.IPNet{IP: farNet.Addr().AsSlice(), Mask: net.CIDRMask(farNet.Bits(), 32)},
	}))
}

func (w *real) isManaged(key NeighKey) bool {
	w.t.Helper()
	n, err := w.Neighbour(key)
	w.check(err)
	return n.Managed
}

// TestScenariosReal runs the scenarios against the real kernel.
func TestScenariosReal(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			s := newStage(t, newReal(t))
			defer s.stop()
			sc.run(s)
		})
	}
}
