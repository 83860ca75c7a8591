//go:build netns

package loader

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/sched"
)

// host is a director with interfaces that lead to one other node.
type host struct {
	*rig
	test       *testing.T
	lab        *lab.Lab
	node, peer *lab.Node
	kernel     *netif.Kernel
}

// newHost starts a datapath on a node with the named interfaces.
func newHost(t *testing.T, names ...string) *host {
	t.Helper()
	l := labtest.New(t)
	node, err := l.AddNode("director")
	check(t, err)
	peer, err := l.AddNode("peer")
	check(t, err)
	h := &host{test: t, lab: l, node: node, peer: peer}
	check(t, node.Do(func() (err error) { h.kernel, err = netif.Open(); return err }))
	t.Cleanup(func() { h.kernel.Close() })
	for _, name := range names {
		h.connect(lab.Port{Name: name})
	}
	h.rig = newRig(t, func(o *Options) { o.Links = h.kernel })
	return h
}

// connect adds an interface to the host.
func (h *host) connect(p lab.Port) *lab.Iface {
	h.test.Helper()
	far := lab.Port{Name: "to" + strings.ReplaceAll(p.Name, ".", "x"), MTU: p.MTU}
	iface, _, err := h.lab.Connect(h.node, p, h.peer, far)
	check(h.test, err)
	return iface
}

// attach attaches in the host's namespace.
func (h *host) attach(mode model.XDPMode, names ...string) error {
	return h.node.Do(func() error { return h.Attach(names, mode) })
}

// look is one look after the attachments in the host's namespace.
func (h *host) look() error { return h.node.Do(h.checkLinks) }

// interfaces prints name, mode and reason of each.
func (h *host) interfaces() []string {
	h.t.Helper()
	s, err := h.Status()
	check(h.t, err)
	var list []string
	for _, i := range s.Interfaces {
		list = append(list, strings.Join(strings.Fields(i.Name+" "+string(i.Mode)+" "+i.Reason), " "))
	}
	return list
}

// programOn returns the id and mode of what runs on an interface.
func (h *host) programOn(name string) (uint32, netif.XDPMode) {
	h.t.Helper()
	l, err := h.kernel.LinkByName(name)
	check(h.t, err)
	return l.XDPProgram, l.XDPMode
}

func (h *host) port(name string) lbmaps.Port {
	h.t.Helper()
	l, err := h.kernel.LinkByName(name)
	check(h.t, err)
	p, err := h.maps.Port(uint32(l.Index))
	check(h.t, err)
	return p
}

func (h *host) wantInterfaces(want ...string) {
	h.t.Helper()
	if got := h.interfaces(); !slices.Equal(got, want) {
		h.t.Errorf("interfaces are %q, want %q", got, want)
	}
}

func (h *host) wantProgram(name string, mode netif.XDPMode) {
	h.t.Helper()
	id, got := h.programOn(name)
	if want := h.loadedID(); id != want || got != mode {
		h.t.Errorf("%s runs program %d in mode %q, want %d in mode %q", name, id, got, want, mode)
	}
	if p := h.port(name); !p.Enabled {
		h.t.Errorf("the program does not know %s", name)
	}
}

func (h *host) wantFree(name string) {
	h.t.Helper()
	if id, mode := h.programOn(name); mode != netif.XDPNone {
		h.t.Errorf("%s runs program %d in mode %q, want none", name, id, mode)
	}
	if p := h.port(name); p.Enabled {
		h.t.Errorf("the program still knows %s", name)
	}
	if !gone(h.t, h.pins.link(name)) {
		h.t.Errorf("link of %s is still pinned", name)
	}
}

func TestAttach(t *testing.T) {
	h := newHost(t, "eth0", "eth1", "eth2.5")
	check(t, h.attach(model.XDPAuto, "eth0", "eth2.5", "eth0"))
	h.wantInterfaces("eth0 native", "eth2.5 native")
	h.wantProgram("eth0", netif.XDPNative)
	h.wantProgram("eth2.5", netif.XDPNative)
	h.wantFree("eth1")

	check(t, h.attach(model.XDPGeneric, "eth0", "eth1"))
	h.wantInterfaces("eth0 generic asked for by xdp_mode", "eth1 generic asked for by xdp_mode")
	h.wantProgram("eth0", netif.XDPGeneric)
	h.wantProgram("eth1", netif.XDPGeneric)
	h.wantFree("eth2.5")

	// Auto leaves what runs.
	check(t, h.attach(model.XDPAuto, "eth1"))
	h.wantInterfaces("eth1 generic asked for by xdp_mode")
	check(t, h.attach(model.XDPNative, "eth1"))
	h.wantProgram("eth1", netif.XDPNative)
	check(t, h.attach(model.XDPAuto))
	h.wantInterfaces()
	h.wantFree("eth1")
}

func TestGenericWhereNativeIsRefused(t *testing.T) {
	h := newHost(t, "eth0")
	h.connect(lab.Port{Name: "jumbo", MTU: 9000}) // more than one page
	if err := h.attach(model.XDPNative, "eth0", "jumbo"); err == nil || !strings.Contains(err.Error(), "attach xdp to jumbo in native mode") {
		t.Errorf("native mode with jumbo frames: %v", err)
	}
	h.wantInterfaces()
	h.wantFree("eth0")
	h.wantFree("jumbo")
	check(t, h.attach(model.XDPAuto, "eth0", "jumbo"))
	h.wantInterfaces("eth0 native", "jumbo generic the driver refuses native mode: numerical result out of range")
	h.wantProgram("jumbo", netif.XDPGeneric)

	// An exchange of modes that fails brings the old one back.
	if err := h.attach(model.XDPNative, "eth0", "jumbo"); err == nil {
		t.Error("native mode was attached to jumbo")
	}
	h.wantProgram("jumbo", netif.XDPGeneric)
	h.wantProgram("eth0", netif.XDPNative)
}

// pass returns a program of somebody else.
func pass(t *testing.T, name string) *ebpf.Program {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	check(t, err)
	t.Cleanup(func() { prog.Close() })
	return prog
}

// attachLink attaches somebody else's program by a link.
func (h *host) attachLink(prog *ebpf.Program, name string) link.Link {
	h.t.Helper()
	l, err := h.kernel.LinkByName(name)
	check(h.t, err)
	var foreign link.Link
	check(h.t, h.node.Do(func() (err error) {
		foreign, err = link.AttachXDP(link.XDPOptions{Program: prog, Interface: l.Index})
		return err
	}))
	h.t.Cleanup(func() { foreign.Close() })
	return foreign
}

func TestBusyInterfaceIsLeftAlone(t *testing.T) {
	h := newHost(t, "eth0", "eth1", "eth2", "eth3", "eth4")
	eth3, err := h.node.Netlink().LinkByName("eth3")
	check(t, err)
	check(t, h.node.Do(func() error { return netlink.LinkSetXdpFd(eth3, pass(t, "ip").FD()) }))
	h.attachLink(pass(t, "theirs"), "eth1")
	h.attachLink(pass(t, "xdp_dispatcher"), "eth2")
	h.attachLink(pass(t, "dispatched"), "eth4")
	eth4, err := h.kernel.LinkByName("eth4")
	check(t, err)
	check(t, os.MkdirAll(filepath.Join(filepath.Dir(h.o.Dir), "xdp", fmt.Sprintf("dispatch-%d-77", eth4.Index)), dirMode))
	for name, want := range map[string][]string{
		"eth1": {`"theirs"`, "bpftool link detach id "},
		"eth2": {`"xdp_dispatcher"`, "xdp-loader unload eth2 --all"},
		"eth4": {`"dispatched"`, "xdp-loader unload eth4 --all"},
		"eth3": {`"ip"`, "ip link set dev eth3 xdp off"},
	} {
		before, _ := h.programOn(name)
		err := h.attach(model.XDPAuto, "eth0", name)
		busy, ok := errors.AsType[*BusyError](err)
		if !ok || busy.ProgramID != before {
			t.Fatalf("attaching to %s: %v, want a *BusyError with program %d", name, err, before)
		}
		for _, part := range append(want, name, "@evenkeel xdp_interface") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %q does not say %q", err, part)
			}
		}
		if after, _ := h.programOn(name); after != before {
			t.Errorf("%s runs program %d now, was %d", name, after, before)
		}
		h.wantInterfaces()
		h.wantFree("eth0")
	}
}

func TestNoSuchInterface(t *testing.T) {
	h := newHost(t, "eth0")
	err := h.attach(model.XDPAuto, "eth0", "eth9")
	if !errors.Is(err, netif.ErrNoLink) || !strings.Contains(err.Error(), "eth9 does not exist (have: eth0, lo)") {
		t.Errorf("attaching to what is not there: %v", err)
	}
	h.wantFree("eth0")
	if err := h.attach(model.XDPAuto, "lo"); err == nil || !strings.Contains(err.Error(), "no Ethernet interface") {
		t.Errorf("attaching to the loopback: %v", err)
	}
}

func TestRestartAdoptsLinks(t *testing.T) {
	h := newHost(t, "eth0", "eth1", "eth2", "eth3")
	check(t, h.attach(model.XDPAuto, "eth0", "eth1", "eth2", "eth3"))
	svc := service(vip)
	h.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
	before := h.loadedID()
	check(t, h.Close())
	if id, _ := h.programOn("eth0"); id != before {
		t.Fatalf("eth0 runs program %d without a daemon, want %d", id, before)
	}

	// While no daemon runs one interface goes and two exchange their names.
	handle := h.node.Netlink()
	gone1, err := handle.LinkByName("eth1")
	check(t, err)
	check(t, handle.LinkDel(gone1))
	for _, names := range [][2]string{{"eth2", "swap"}, {"eth3", "eth2"}, {"swap", "eth3"}} {
		l, err := handle.LinkByName(names[0])
		check(t, err)
		check(t, handle.LinkSetDown(l))
		check(t, handle.LinkSetName(l, names[1]))
		check(t, handle.LinkSetUp(l))
	}
	h.start()
	if after := h.loadedID(); after == before {
		t.Error("the program was not replaced")
	}
	h.wantInterfaces("eth0 native", "eth2 native", "eth3 native")
	for _, name := range []string{"eth0", "eth2", "eth3"} {
		h.wantProgram(name, netif.XDPNative)
		l, err := link.LoadPinnedLink(h.pins.link(name), nil)
		check(t, err)
		index, err := linkIndex(l)
		check(t, err)
		there, err := h.kernel.LinkByName(name)
		check(t, err)
		if index != there.Index {
			t.Errorf("pin of %s is a link of interface %d, want %d", name, index, there.Index)
		}
		l.Close()
	}
	if !gone(t, h.pins.link("eth1")) {
		t.Error("link of the deleted interface is still pinned")
	}
	check(t, h.XDP.Remove())
	for _, name := range []string{"eth0", "eth2", "eth3"} {
		if id, _ := h.programOn(name); id != 0 {
			t.Errorf("%s runs program %d after the removal", name, id)
		}
	}
	if !gone(t, h.o.Dir) {
		t.Error("the pin directory is still there")
	}
	h.start()
}

func TestRemoveWithoutDaemon(t *testing.T) {
	h := newHost(t, "eth0")
	check(t, h.attach(model.XDPAuto, "eth0"))
	// Somebody holds the link open, so removing its pin does not detach.
	held, err := link.LoadPinnedLink(h.pins.link("eth0"), nil)
	check(t, err)
	defer held.Close()
	check(t, h.Close())
	check(t, Remove(h.o.Dir))
	if id, _ := h.programOn("eth0"); id != 0 {
		t.Errorf("eth0 runs program %d after the removal", id)
	}
	h.start()
}

// TestFailedAdoptionPutsTheProgramBack makes the second of two links impossible to
// adopt.
func TestFailedAdoptionPutsTheProgramBack(t *testing.T) {
	h := newHost(t, "eth0", "eth1")
	check(t, h.attach(model.XDPAuto, "eth0", "eth1"))
	before := h.loadedID()
	other, err := h.maps.ByName()[bpf.EkMapEkServers].Clone()
	check(t, err)
	defer other.Close()
	check(t, other.Pin(filepath.Join(h.pins.links(), "eth9")))
	check(t, h.Close())
	if _, err := Start(h.o); err == nil || !strings.Contains(err.Error(), "eth9") {
		t.Errorf("start with a pin that is no link: %v", err)
	}
	for _, name := range []string{"eth0", "eth1"} {
		if id, _ := h.programOn(name); id != before {
			t.Errorf("%s runs program %d after the failed start, want %d", name, id, before)
		}
	}
	check(t, Remove(h.o.Dir))
	h.start()
}

func TestAddressChange(t *testing.T) {
	h := newHost(t)
	iface := h.connect(lab.Port{Name: "eth0"})
	check(t, h.attach(model.XDPAuto, "eth0"))
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
	check(t, iface.SetMAC(mac))
	check(t, h.look())
	if got := h.port("eth0"); got.MAC != [6]byte(mac) || !got.Enabled {
		t.Errorf("the program knows eth0 as %+v, want %s", got, mac)
	}
}

func TestRecreatedInterfaceIsAttachedAgain(t *testing.T) {
	h := newHost(t)
	iface := h.connect(lab.Port{Name: "eth0"})
	check(t, h.attach(model.XDPAuto, "eth0"))
	for range 2 {
		check(t, iface.Delete())
		check(t, h.look())
		h.wantInterfaces("eth0 the interface is gone")
		if p, err := h.maps.Port(uint32(iface.Index)); err != nil || p.Enabled {
			t.Errorf("the program still knows the interface: %+v, %v", p, err)
		}
		iface = h.connect(lab.Port{Name: "eth0"})
		check(t, h.look())
		h.wantInterfaces("eth0 native")
		h.wantProgram("eth0", netif.XDPNative)
	}
	h.restart()
	h.wantProgram("eth0", netif.XDPNative)
}

func TestRenamedInterface(t *testing.T) {
	h := newHost(t, "eth0")
	check(t, h.attach(model.XDPAuto, "eth0"))
	l, err := h.node.Netlink().LinkByName("eth0")
	check(t, err)
	check(t, h.node.Netlink().LinkSetDown(l))
	check(t, h.node.Netlink().LinkSetName(l, "lan0"))
	check(t, h.look())
	h.wantInterfaces("lan0 native")
	if gone(t, h.pins.link("lan0")) || !gone(t, h.pins.link("eth0")) {
		t.Error("the pin was not renamed")
	}
	check(t, h.attach(model.XDPAuto, "lan0"))
	h.wantProgram("lan0", netif.XDPNative)
}

// TestForeignHands has another agent replace and detach what is ours: once that
// is undone, the second time it is reported.
func TestForeignHands(t *testing.T) {
	for name, meddle := range map[string]func(*testing.T, *host){
		"replaced": func(t *testing.T, h *host) {
			l, err := link.LoadPinnedLink(h.pins.link("eth0"), nil)
			check(t, err)
			defer l.Close()
			check(t, l.Update(pass(t, "theirs")))
		},
		"detached": func(t *testing.T, h *host) {
			l, err := link.LoadPinnedLink(h.pins.link("eth0"), nil)
			check(t, err)
			defer l.Close()
			check(t, l.Detach())
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, "eth0")
			check(t, h.attach(model.XDPAuto, "eth0"))
			meddle(t, h)
			check(t, h.look())
			h.wantInterfaces("eth0 native")
			h.wantProgram("eth0", netif.XDPNative)
			check(t, h.look())
			meddle(t, h)
			check(t, h.look())
			check(t, h.look())
			h.wantInterfaces("eth0 another program replaced or detached it twice")
			if id, _ := h.programOn("eth0"); id == h.loadedID() {
				t.Error("the program was attached a second time")
			}
			// Asked for, it comes back.
			check(t, h.attach(model.XDPAuto, "eth0"))
			h.wantInterfaces("eth0 native")
			h.wantProgram("eth0", netif.XDPNative)
		})
	}
}

// TestDetachedAndTaken has another agent put its program where ours was.
func TestDetachedAndTaken(t *testing.T) {
	h := newHost(t, "eth0")
	check(t, h.attach(model.XDPAuto, "eth0"))
	l, err := link.LoadPinnedLink(h.pins.link("eth0"), nil)
	check(t, err)
	check(t, l.Detach())
	l.Close()
	h.attachLink(pass(t, "theirs"), "eth0")
	if err := h.look(); err == nil || !strings.Contains(err.Error(), `"theirs"`) {
		t.Errorf("looking at a lost interface: %v", err)
	}
	if got := h.interfaces(); len(got) != 1 || !strings.Contains(got[0], `already runs XDP program`) {
		t.Errorf("interfaces are %q", got)
	}
	check(t, h.look()) // said once
}
