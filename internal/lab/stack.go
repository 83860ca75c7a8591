package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// AddNeighbour tells the node the link address of a neighbour for good, as for one
// that answers no ARP.
func (n *Node) AddNeighbour(ifname string, addr netip.Addr, mac net.HardwareAddr) error {
	link, err := n.link(ifname)
	if err != nil {
		return err
	}
	entry := &netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: mac}
	if err := n.handle.NeighSet(entry); err != nil {
		return fmt.Errorf("add neighbour %s on %s of %s: %w", addr, ifname, n.name, err)
	}
	return nil
}

// AddDummy adds an interface that takes and forgets what is sent to it, which is
// the cheapest end that a packet of the kernel can find.
func (n *Node) AddDummy(name string, addr netip.Prefix) (*Iface, error) {
	dummy := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := n.handle.LinkAdd(dummy); err != nil {
		return nil, fmt.Errorf("add %s to %s: %w", name, n.name, err)
	}
	if err := n.setUp(name, true); err != nil {
		return nil, err
	}
	if err := n.AddAddr(name, addr); err != nil {
		return nil, err
	}
	link, err := n.link(name)
	if err != nil {
		return nil, err
	}
	return &Iface{Node: n, Name: name, Index: link.Attrs().Index, MAC: link.Attrs().HardwareAddr, Addrs: []netip.Prefix{addr}}, nil
}

// Sent returns how many frames left by the interface.
func (i *Iface) Sent() (uint64, error) {
	link, err := i.Node.link(i.Name)
	if err != nil {
		return 0, err
	}
	if s := link.Attrs().Statistics; s != nil {
		return s.TxPackets, nil
	}
	return 0, nil
}
