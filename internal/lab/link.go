package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
)

// Port describes one end of a link before it is made.
type Port struct {
	// Name is the interface's name, at most 15 characters.
	Name string
	// Addrs are the addresses with their prefix lengths. Optional.
	Addrs []netip.Prefix
	// MAC is optional; the default is 02:00 and the four bytes of the first
	// IPv4 address, or the kernel's choice without one.
	MAC net.HardwareAddr
	// MTU is optional, default 1500. Both ends must have the same.
	MTU int
	// GRO turns generic receive offload on. Default off.
	GRO bool
	// TxOffloads leaves checksum, segmentation and VLAN offloads on, as the
	// kernel makes a veth. Default off: frames then carry finished checksums,
	// and their VLAN tags where XDP sees them.
	TxOffloads bool
	// XDPPass attaches an XDP_PASS program in native mode, which the other
	// end needs for XDP_TX and to be redirected to. It occupies this end, so
	// leave it off where another program will be attached.
	XDPPass bool
}

// Iface is an interface of a node.
type Iface struct {
	Node  *Node
	Name  string
	Index int
	MAC   net.HardwareAddr
	Addrs []netip.Prefix
}

// Addr returns the interface's first address, or the zero Addr.
func (i *Iface) Addr() netip.Addr {
	if len(i.Addrs) == 0 {
		return netip.Addr{}
	}
	return i.Addrs[0].Addr()
}

// SetUp sets the interface up or down.
func (i *Iface) SetUp(up bool) error { return i.Node.setUp(i.Name, up) }

// SetMAC changes the interface's address.
func (i *Iface) SetMAC(mac net.HardwareAddr) error {
	link, err := i.Node.link(i.Name)
	if err != nil {
		return err
	}
	if err := i.Node.handle.LinkSetHardwareAddr(link, mac); err != nil {
		return fmt.Errorf("set address of %s of %s: %w", i.Name, i.Node.name, err)
	}
	i.MAC = mac
	return nil
}

// Delete deletes the interface and with it the other end.
func (i *Iface) Delete() error {
	link, err := i.Node.link(i.Name)
	if err != nil {
		return err
	}
	if err := i.Node.handle.LinkDel(link); err != nil {
		return fmt.Errorf("delete %s of %s: %w", i.Name, i.Node.name, err)
	}
	return nil
}

// Connect joins two nodes directly by a pair of veth interfaces, sets both up
// and returns them.
func (l *Lab) Connect(a *Node, pa Port, b *Node, pb Port) (*Iface, *Iface, error) {
	veth := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: pa.Name, HardwareAddr: pa.mac(), MTU: pa.MTU},
		PeerName:         pb.Name,
		PeerHardwareAddr: pb.mac(),
		PeerMTU:          uint32(pb.MTU),
		PeerNamespace:    netlink.NsFd(b.ns.Fd()),
	}
	if err := a.handle.LinkAdd(veth); err != nil {
		return nil, nil, fmt.Errorf("connect %s of %s to %s of %s: %w", pa.Name, a.name, pb.Name, b.name, err)
	}
	ia, err := a.setPort(pa)
	if err != nil {
		return nil, nil, err
	}
	ib, err := b.setPort(pb)
	if err != nil {
		return nil, nil, err
	}
	return ia, ib, nil
}

// setPort makes the fresh interface what the port asks for, and up.
func (n *Node) setPort(p Port) (*Iface, error) {
	features := []feature{{ethtoolSetGRO, p.GRO}}
	if !p.TxOffloads {
		features = append(features, feature{ethtoolSetTxCsum, false}, feature{ethtoolSetTSO, false}, feature{ethtoolSetGSO, false}, feature{ethtoolSetFlags, false})
	}
	if err := n.setFeatures(p.Name, features); err != nil {
		return nil, err
	}
	link, err := n.link(p.Name)
	if err != nil {
		return nil, err
	}
	if p.XDPPass {
		if err := n.attachPass(link); err != nil {
			return nil, err
		}
	}
	if err := n.setUp(p.Name, true); err != nil {
		return nil, err
	}
	for _, a := range p.Addrs {
		if err := n.AddAddr(p.Name, a); err != nil {
			return nil, err
		}
	}
	attrs := link.Attrs()
	return &Iface{Node: n, Name: p.Name, Index: attrs.Index, MAC: attrs.HardwareAddr, Addrs: p.Addrs}, nil
}

func (p Port) mac() net.HardwareAddr {
	if p.MAC != nil {
		return p.MAC
	}
	for _, a := range p.Addrs {
		if a.Addr().Is4() {
			b := a.Addr().As4()
			return net.HardwareAddr{0x02, 0, b[0], b[1], b[2], b[3]}
		}
	}
	return nil
}

// LAN is a bridge in a namespace of its own.
type LAN struct {
	lab    *Lab
	node   *Node
	bridge netlink.Link
}

// bridgeName is the interface that joins the ports of a LAN.
const bridgeName = "br0"

// AddLAN adds a switch under a node name of its own. It learns addresses at
// once, has no spanning tree, floods multicast, speaks no IPv6, and looks at
// nothing behind the Ethernet header.
func (l *Lab) AddLAN(name string) (*LAN, error) {
	n, err := l.addNamespace(name)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"all", "default"} {
		if err := n.SetSysctl("net/ipv6/conf/"+key+"/disable_ipv6", "1"); err != nil {
			return nil, err
		}
	}
	if err := n.passUnseen(); err != nil {
		return nil, err
	}
	snooping := false
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}, MulticastSnooping: &snooping}
	if err := n.handle.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("add LAN %s: %w", name, err)
	}
	if err := n.setUp(bridgeName, true); err != nil {
		return nil, err
	}
	return &LAN{lab: l, node: n, bridge: bridge}, nil
}

// passUnseen keeps the firewall away from bridges of the namespace: it would
// drop what it takes for a bad IP packet, and put fragments together. Without
// the kernel's module br_netfilter there is nothing to do.
func (n *Node) passUnseen() error {
	for _, who := range []string{"arptables", "iptables", "ip6tables"} {
		err := n.SetSysctl("net/bridge/bridge-nf-call-"+who, "0")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Node returns the switch's own namespace; each of its ports is called after
// the node and interface that it leads to, as client-eth0.
func (lan *LAN) Node() *Node { return lan.node }

// maxIfname is the kernel's limit for interface names.
const maxIfname = 15

// Join connects a node to the LAN through the described interface and returns
// it. The switch's end has an XDP_PASS program.
func (lan *LAN) Join(n *Node, p Port) (*Iface, error) {
	number := lan.lab.nextPort()
	name := n.name + "-" + p.Name
	if len(name) > maxIfname {
		name = fmt.Sprintf("port%d", number)
	}
	far := Port{
		Name:    name,
		MAC:     net.HardwareAddr{0x02, 0x02, 0, 0, byte(number >> 8), byte(number)},
		MTU:     p.MTU,
		XDPPass: true,
	}
	iface, _, err := lan.lab.Connect(n, p, lan.node, far)
	if err != nil {
		return nil, err
	}
	port, err := lan.node.link(far.Name)
	if err != nil {
		return nil, err
	}
	if err := lan.node.handle.LinkSetMaster(port, lan.bridge); err != nil {
		return nil, fmt.Errorf("join %s to LAN %s: %w", n.name, lan.node.name, err)
	}
	return iface, nil
}

func (l *Lab) nextPort() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ports++
	return l.ports
}
